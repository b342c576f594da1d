"""Runs other scripts of the environment that has `tensorflow-datasets`, each in a fork of this process: TensorFlow takes seconds to
load, and is loaded once. Reads one JSON list a line, a script and its arguments, and answers with what it printed and how it ended."""
import json
import os
import pathlib
import runpy
import sys
import tempfile
import traceback

os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "NO_GCE_CHECK": "true"})

import tensorflow
import tensorflow_datasets


def run(script, *arguments):
    """In the fork: as Python runs a script."""
    sys.argv = [script, *arguments]
    sys.path[0] = str(pathlib.Path(script).parent)
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as err:
        return err.code if isinstance(err.code, int) else int(err.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def answer(arguments):
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        child = os.fork()
        if child == 0:
            os.dup2(stdout.fileno(), 1)
            os.dup2(stderr.fileno(), 2)
            code = run(*arguments)
            sys.stdout.flush()
            sys.stderr.flush()
            # Without the end of the parent, whose files these are.
            os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for file in (stdout, stderr):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
        return {"code": code, "stdout": texts[0], "stderr": texts[1]}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
