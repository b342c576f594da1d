"""What a stream takes of memory is what it was given, however long it runs. Run by `cargo xtask test`."""
import json
import subprocess
import unittest

from wheel_sets import LONG, PYTHON, Set, environment, published

SIZE = (480, 640)
READY, PREFETCH = 16 << 20, 16 << 20
# The interpreter, NumPy, the index, buffers of threads.
OTHER = 200 << 20

SCRIPT = """
import json, sys
import numpy as np
from nodedata import NodeData

def anonymous():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) * 1024

store, n_epochs, options = sys.argv[1], int(sys.argv[2]), json.loads(sys.argv[3])
batch = options.pop("batch", None)
stream = NodeData(store, author="acme").datasets.stream("large", unit="step", shuffle=True, **options)
if batch is not None:
    stream = stream.batches(batch)
peaks = []
for _ in range(n_epochs):
    peak = n = 0
    for sample in stream:
        sample["rgb"][0, 0, 0]
        n += 1
        peak = max(peak, anonymous())
    peaks.append(peak)
print(json.dumps({"peaks": peaks, "n": n}))
"""


HELD = """
import sys
import numpy as np
from nodedata import NodeData

stream = NodeData(sys.argv[1], author="acme").datasets.stream("large")
held, truth, n = [], [], 0
for _ in range(3):
    for episode in stream:
        # A view of what is let go of otherwise.
        held.append(episode["rgb"][n % 20])
        truth.append(held[-1].copy())
        n += 1
        del episode
        if n % 2:
            held.pop()
            truth.pop()
stream.close()
for view, frame in zip(held, truth, strict=True):
    assert view.flags.writeable and view.flags.c_contiguous
    assert np.array_equal(view, frame)
    view += 1
print(n, len(held), len({frame.tobytes() for frame in truth}))
"""


class Memory(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.n_steps = 60
        cls.node, cls.folder = published("large", Set([20] * 3, SIZE, "jpeg"), per_shard=1)

    def peaks(self, n_epochs, **options):
        options = {"ready_bytes": READY, "prefetch_bytes": PREFETCH} | options
        command = [PYTHON, "-c", SCRIPT, str(self.folder / "store"), str(n_epochs), json.dumps(options)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment(self.folder))
        self.assertEqual(done.returncode, 0, done.stderr)
        told = json.loads(done.stdout)
        self.assertEqual(told["n"], self.n_steps // options.get("batch", 1))
        return told["peaks"]

    def test_memory_is_bounded_and_flat(self):
        peaks = self.peaks(30 if LONG else 10)
        self.assertLessEqual(max(peaks), OTHER + READY + PREFETCH, peaks)
        self.assert_flat(peaks)

    def test_more_to_be_ready_takes_no_more_than_that(self):
        self.assertLessEqual(max(self.peaks(2, ready_bytes=64 << 20)), OTHER + (64 << 20) + PREFETCH)

    def test_batches_take_what_they_hold(self):
        """The one that the caller has, the one that he had before, and those that are ready."""
        peaks = self.peaks(30 if LONG else 10, batch=6)
        n_bytes = 6 * SIZE[0] * SIZE[1] * 3
        self.assertLessEqual(max(peaks), OTHER + READY + PREFETCH + 2 * n_bytes, peaks)
        self.assert_flat(peaks)

    def test_what_somebody_has_is_not_used_again(self):
        """Arrays stay as they are while others are let go of, views of them as well, and after the stream is closed."""
        done = subprocess.run(
            [PYTHON, "-c", HELD, str(self.folder / "store")], capture_output=True, text=True, timeout=600, env=environment(self.folder)
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        # Of 9 episodes those with an even number: of each epoch others, at another step.
        self.assertEqual(done.stdout.split(), ["9", "4", "4"])

    def assert_flat(self, peaks):
        """How much is ready whenever the memory is looked at is chance, and up to all that may be; what is kept from epoch to epoch is
        in the least of the last ones as well."""
        self.assertLessEqual(min(peaks[-3:]), max(peaks[:3]) + (8 << 20), peaks)


if __name__ == "__main__":
    unittest.main()
