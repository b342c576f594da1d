"""A conversion on a Ray cluster makes what one run makes, also when a worker dies. Opt-in: needs `ray`. Run by `cargo xtask test`."""
import importlib
import json
import os
import pathlib
import signal
import tempfile
import threading
import time
import unittest
from unittest import mock

import nodedata
from wheel_sets import scratch

try:
    ray = importlib.import_module("ray")
except ImportError as err:
    ray, ABSENT = None, str(err)
else:
    ABSENT = None

FIXTURES = pathlib.Path(os.environ.get("NODEDATA_FIXTURES", pathlib.Path(__file__).parent / "../../fixtures"))


def is_ours(pid):
    """Whether a process comes from this one: other clusters of the machine are none of our business."""
    while pid > 1:
        if pid == os.getpid():
            return True
        try:
            stat = pathlib.Path(f"/proc/{pid}/stat").read_text()
        except OSError:
            return False
        pid = int(stat.rpartition(")")[2].split()[1])
    return False


@unittest.skipIf(ray is None, f"no Ray, so conversions on a cluster are not proved: {ABSENT}")
class Cluster(unittest.TestCase):
    def pipeline(self, folder, out):
        path = folder / f"{out}.yaml"
        path.write_text(
            f"version: 1\nsource: {{path: {FIXTURES / 'lerobot' / 'v30_image'}}}\nsteps: {{clock: {{rate_hz: 10}}}}\n"
            f"fields: {{state: observation.state, rgb: observation.images.front}}\nsplits: {{by: source}}\nout: {folder / out}\n"
        )
        return path

    def test_two_workers_of_which_one_is_killed_make_the_same_bytes(self):
        folder = scratch()
        nodedata.run(self.pipeline(folder, "alone"))
        # What Ray writes for its clusters goes with the test.
        self.enterContext(mock.patch.dict(os.environ, {"HOME": str(folder)}))
        with tempfile.TemporaryDirectory(prefix="ray-") as sessions:
            ray.init(num_cpus=2, include_dashboard=False, _temp_dir=sessions)
            try:
                self.convert(folder)
            finally:
                ray.shutdown()

    def convert(self, folder):
        killed = []

        def kill():
            # The first worker that is seen at work.
            deadline = time.monotonic() + 60
            while not killed and time.monotonic() < deadline:
                for process in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
                    try:
                        text = process.read_bytes()
                    except OSError:
                        continue
                    if text.startswith(b"ray::_work") and is_ours(int(process.parent.name)):
                        os.kill(int(process.parent.name), signal.SIGKILL)
                        killed.append(process.parent.name)
                        return
                time.sleep(0.001)

        killer = threading.Thread(target=kill)
        killer.start()
        from nodedata.ray import convert

        convert(self.pipeline(folder, "cluster"), max_retries=3)
        killer.join()
        self.assertTrue(killed, "no worker was seen at work")
        digests = [json.loads((folder / it / "manifest.json").read_text())["shards"] for it in ("alone", "cluster")]
        self.assertEqual(digests[0], digests[1])


if __name__ == "__main__":
    unittest.main()
