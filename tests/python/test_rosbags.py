"""Every field of every message of the ROS 1 bags in the corpora, held against what `rosbags` reads. Run by `cargo xtask test`."""
import importlib
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from expected_columns import leaves, same

CONVERT_SECONDS_MAX = 60
BUILT_IN = ("log_time_ns", "publish_time_ns", "sequence")

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE.parents[2] / "shared" / "corpora" / "logs"


def module(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def plain(value):
    """What `rosbags` hands out as dictionaries, lists, numbers and text."""
    import numpy

    if hasattr(value, "__msgtype__"):
        return {name: plain(inner) for name, inner in vars(value).items() if not name.startswith("_")}
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        value = value.tolist()
    return [plain(it) for it in value] if isinstance(value, list) else value


class Bags(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        # Not in setUpClass: a class skipped there is missing from the number of tests that ran.
        for name in ("rosbags", "pyarrow"):
            if module(name) is None:
                self.skipTest(f"{name} is not installed, so no bag is compared with what `rosbags` reads")
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")

    def test_ros1(self):
        folder = CORPUS / "rosbag1"
        if not folder.is_dir():
            self.skipTest("corpus folder absent: logs/rosbag1")
        bags = sorted(folder.glob("*.bag"))
        self.assertEqual(len(bags), 3)
        for bag in bags:
            with self.subTest(bag=bag.name):
                n_messages, n_values = self.check(bag)
                self.assertEqual(n_messages, 142)
                # Nothing would differ where nothing is looked at.
                self.assertGreater(n_values, 5 * n_messages)

    def test_ros1_damaged(self):
        """A bag that was not closed holds the same messages, which `rosbags` reads from the bag that was."""
        bag, whole = CORPUS / "broken" / "unindexed.bag", CORPUS / "rosbag1" / "ros1_lz4.bag"
        if not bag.exists() or not whole.exists():
            self.skipTest("corpus folder absent: logs/broken")
        self.assertEqual(self.check(bag, whole)[0], 142)

    def check(self, bag, whole=None):
        """Converts a bag and compares it with what `rosbags` reads; returns how much was compared."""
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore

        tables = self.converted(bag)
        n_messages = n_values = 0
        rows = {topic: iter(found) for topic, found in tables.items()}
        with AnyReader([whole or bag], default_typestore=get_typestore(Stores.ROS1_NOETIC)) as reader:
            for connection, time_ns, data in reader.messages():
                at = f"{connection.topic} at {time_ns}"
                row = next(rows[connection.topic], None)
                self.assertIsNotNone(row, f"{at}: no such row")
                self.assertEqual((row["log_time_ns"], row["publish_time_ns"], row["sequence"]), (time_ns, None, None))
                wanted = leaves(plain(reader.deserialize(data, connection.msgtype)))
                for name, value in wanted.items():
                    column = f"message.{name}" if name in BUILT_IN else name
                    self.assertTrue(same(row[column], value), f"{at}: {column} is {row[column]!r} instead of {value!r}")
                n_messages += 1
                n_values += len(wanted)
        for topic, left in rows.items():
            self.assertIsNone(next(left, None), f"{topic} has more rows than messages")
        return n_messages, n_values

    def converted(self, bag):
        """Rows by topic, in the order of their log times."""
        import pyarrow.parquet

        with tempfile.TemporaryDirectory(prefix="node-data-rosbags-") as scratch:
            out = pathlib.Path(scratch) / "out"
            done = subprocess.run(
                [os.environ["NODEDATA_BINARY"], "convert", str(bag), "--out", str(out)],
                capture_output=True, text=True, timeout=CONVERT_SECONDS_MAX)
            self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
            rows = {}
            for shard in json.loads((out / "manifest.json").read_text())["shards"]:
                table = pyarrow.parquet.read_table(out / shard["path"])
                rows.setdefault(shard["stream"], []).extend(table.to_pylist())
        return {topic: sorted(found, key=lambda it: it["log_time_ns"]) for topic, found in rows.items()}


if __name__ == "__main__":
    unittest.main()
