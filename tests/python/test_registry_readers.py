"""Shards that pyarrow wrote, pushed as they are and pulled again, open in `datasets` with their splits. Run by `cargo xtask
test`."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

try:
    import datasets
    import pyarrow
    import pyarrow.parquet
except ImportError as err:  # Another environment than that of the readers.
    ABSENT = str(err)
else:
    ABSENT = None

STEPS = 20


@unittest.skipIf(ABSENT is not None, f"no readers: {ABSENT}")
class PulledFolders(unittest.TestCase):
    def setUp(self):
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")
        scratch = tempfile.TemporaryDirectory(prefix="node-data-pulled-")
        self.addCleanup(scratch.cleanup)
        self.work = pathlib.Path(scratch.name)

    def run_command(self, *arguments):
        done = subprocess.run(
            [os.environ["NODEDATA_BINARY"], *map(str, arguments)], cwd=self.work, capture_output=True, text=True, timeout=60,
            env=os.environ | {"NODEDATA_STORE": str(self.work / "store"), "XDG_CACHE_HOME": str(self.work / "cache"), "NODEDATA_USER": "test"},
        )
        self.assertEqual(done.returncode, 0, done.stderr + done.stdout)
        return done.stdout

    def shard(self, name, episodes, compression, with_index):
        rows = [(episode, step) for episode in episodes for step in range(STEPS)]
        action = pyarrow.array([[float(episode), step / STEPS, 0.5] for episode, step in rows], pyarrow.list_(pyarrow.float32(), 3))
        columns = {"action": action, "task": pyarrow.array(["pick"] * len(rows)).dictionary_encode()}
        if with_index:
            columns = {"episode_index": pyarrow.array([episode for episode, _ in rows], pyarrow.int64())} | columns
        path = self.work / "shards" / name
        path.parent.mkdir(exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.table(columns), path, compression=compression, row_group_size=30)

    def test_pulled_folders_open(self):
        for with_index in (True, False):
            with self.subTest(with_index=with_index):
                for name, episodes, compression in [
                    ("train-0.parquet", [0, 1], "snappy"), ("train-1.parquet", [2], "gzip"), ("val-0.parquet", [3], "zstd"),
                    ("val-1.parquet", [4], "brotli"), ("val-2.parquet", [5], "lz4"), ("val-3.parquet", [6], "none"),
                ]:
                    self.shard(name, episodes, compression, with_index)
                dataset, out = f"x{int(with_index)}", self.work / f"out{int(with_index)}"
                report = json.loads(self.run_command("dataset", "push", "--name", dataset, "--license", "MIT", "--format", "json", "shards"))
                self.assertEqual(report["bump"]["proof"]["added"], 7 if with_index else 6)
                self.run_command("dataset", "pull", dataset, "--out", out)
                self.assertIn("sound", self.run_command("validate", out, "--deep"))
                loaded = datasets.load_dataset(str(out), cache_dir=str(self.work / "hf"))
                self.assertEqual({name: split.num_rows for name, split in loaded.items()}, {"train": 3 * STEPS, "val": 4 * STEPS})
                self.assertEqual([round(it, 3) for it in loaded["train"][2 * STEPS]["action"]], [2.0, 0.0, 0.5])


if __name__ == "__main__":
    unittest.main()
