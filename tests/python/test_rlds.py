"""RLDS conversion against TFDS, which loads TensorFlow and therefore runs in a process of its own: every step of every
episode, every value, and the bytes of every picture. Run by `cargo xtask test`."""
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import threading
import unittest

CONVERT_SECONDS_MAX = 60
# TensorFlow takes its time to load.
COMPARE_SECONDS_MAX = 300

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE.parents[2] / "shared" / "corpora" / "episodes"


class Rlds(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="node-data-rlds-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)
        cls.worker = None

    def setUp(self):
        # Not in setUpClass: a class skipped there is missing from the number of tests that ran.
        self.python = os.environ.get("NODEDATA_TFDS_PYTHON")
        if self.python is None:
            self.skipTest("tensorflow-datasets is not installed, so no step is compared with what TFDS reads")
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")

    def test_fixture(self):
        counts = self.check(pathlib.Path(os.environ["NODEDATA_FIXTURES"]) / "rlds" / "arm" / "1.2.0")
        self.assertEqual(counts["steps"], 10)

    def test_corpus(self):
        for name, n_steps in (("oxe", 49), ("exotic", 15)):
            with self.subTest(set=name):
                counts = self.check(corpus(self) / "rlds" / f"robot_{name}" / "1.0.0")
                self.assertEqual(counts["steps"], n_steps)

    def test_other_containers(self):
        """The same features in the containers that TFDS writes beside TFRecord."""
        for file_format in ("array_record", "parquet"):
            for variant in ("oxe", "exotic"):
                with self.subTest(container=file_format, set=variant):
                    source = self.made(variant, file_format)
                    self.assertTrue(any(it.match(f"*.{file_format}-*") for it in source.iterdir()), "its container")
                    self.assertGreater(self.check(source)["steps"], 10)

    def test_array_record_options(self):
        """Chunks of one record and of many, compressed and not, across the borders of blocks."""
        for options in ("group_size:7,uncompressed", "group_size:1,zstd:3"):
            with self.subTest(options=options):
                source = self.folder / f"array-record-{options}" / "1.0.0"
                self.run_python(HERE / "rlds_repack.py", corpus(self) / "rlds" / "robot_oxe" / "1.0.0", source, options, 3)
                self.assertEqual(self.check(source)["steps"], 3 * 49)

    def made(self, variant, file_format):
        """A dataset that TFDS writes now, by the script that made the corpus."""
        out = self.folder / file_format
        arguments = ["--variant", variant, "--file-format", file_format, "--episodes", "3", "--frames", "6", "--shards", "1"]
        script = corpus(self) / "generators" / "make_rlds.py"
        self.run_python(script, *arguments, "--size", "48x64", "--out", out)
        return out / f"robot_{variant}" / "1.0.0"

    def check(self, source):
        """Converts a dataset and compares it with what TFDS reads; returns how much was compared."""
        out = self.folder / f"{len(list(self.folder.iterdir()))}-converted"
        done = subprocess.run(
            [os.environ["NODEDATA_BINARY"], "convert", str(source), "--out", str(out)],
            capture_output=True, text=True, timeout=CONVERT_SECONDS_MAX)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        told = json.loads(self.run_python(HERE / "rlds_steps.py", source, out).splitlines()[-1])
        self.assertEqual(told["differences"], [])
        # What is compared in each step: nothing would differ where nothing is looked at.
        counts = told["counts"]
        self.assertGreaterEqual(counts["values"], 5 * counts["steps"])
        self.assertGreaterEqual(counts["coded"], counts["steps"])
        self.assertEqual(counts["pictures"], counts["coded"])
        self.assertGreater(counts["facts"], 0)
        return counts

    def run_python(self, *arguments):
        """Runs a script where TFDS is, and returns what it printed. All of them are forks of one process that has loaded it."""
        if self.worker is None:
            type(self).worker = subprocess.Popen(
                [self.python, str(HERE / "rlds_worker.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                start_new_session=True)
            self.addClassCleanup(stop, self.worker)
        self.worker.stdin.write(json.dumps([*map(str, arguments)]) + "\n")
        self.worker.stdin.flush()
        # A script that hangs is ended with the worker, whose answer is then no line.
        timer = threading.Timer(COMPARE_SECONDS_MAX, os.killpg, [self.worker.pid, signal.SIGKILL])
        timer.start()
        line = self.worker.stdout.readline()
        timer.cancel()
        if not line:
            stop(self.worker)
            type(self).worker = None
            self.fail(f"{arguments[0]}: no answer within {COMPARE_SECONDS_MAX} s")
        told = json.loads(line)
        self.assertEqual(told["code"], 0, told["stderr"][-4000:])
        return told["stdout"]


def stop(worker):
    """Closes what it reads, which ends it."""
    worker.stdin.close()
    worker.stdout.close()
    worker.wait()


def corpus(test):
    if not CORPUS.is_dir():
        test.skipTest("corpus folder absent: episodes")
    return CORPUS


if __name__ == "__main__":
    unittest.main()
