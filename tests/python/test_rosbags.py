"""Every field of every message of the bags in the corpora, held against what `rosbags` reads. Run by `cargo xtask test`."""
import contextlib
import importlib
import json
import os
import pathlib
import random
import re
import sqlite3
import subprocess
import tempfile
import unittest

from expected_columns import PIXELS, RAW_IMAGES, leaves, same

CONVERT_SECONDS_MAX = 60
BUILT_IN = ("episode_index", "log_time_ns", "publish_time_ns", "sequence")

# Bags that `rosbags` does not read right, with their messages: it knows neither write-ahead logs, nor messages that are compressed
# where nothing says so, nor a type that another file of the bag defines anew.
NOT_READ_BY_ROSBAGS = {"wal_not_checkpointed": 84, "mcap_zstd_message_no_metadata": 84, "definition_changed": 10}
# Topics that it leaves out, by bag: their messages are no CDR.
LEFT_OUT_BY_ROSBAGS = {"foreign_topic_and_absolute_path": {"/opaque"}}
# A `byte` is unsigned in ROS 2; `rosbags` reads it as int8.
OCTETS = {("lab_msgs/msg/AllTypes", "a_byte")}

# The types that recordings most often hold, by package. No recording of ROS 2 before Iron defines them.
COMMON = {
    "builtin_interfaces": "Time",
    "diagnostic_msgs": "DiagnosticArray",
    "geometry_msgs":
        "Point PointStamped PoseStamped PoseArray PoseWithCovarianceStamped PolygonStamped Quaternion TransformStamped Twist "
        "TwistStamped TwistWithCovarianceStamped Vector3Stamped WrenchStamped",
    "nav_msgs": "OccupancyGrid Odometry Path",
    "rcl_interfaces": "Log ParameterEvent",
    "rosgraph_msgs": "Clock",
    "sensor_msgs":
        "BatteryState CameraInfo CompressedImage FluidPressure Image Imu JointState Joy LaserScan MagneticField NavSatFix "
        "PointCloud2 Range RelativeHumidity Temperature",
    "std_msgs": "Bool Float32 Float64 Float64MultiArray Header Int32 Int64 String UInt8MultiArray",
    "tf2_msgs": "TFMessage",
    "trajectory_msgs": "JointTrajectory",
    "visualization_msgs": "Marker MarkerArray",
}
MESSAGES_PER_TYPE = 20
OCTET = ("byte", "char", "octet")

# What the wire has of a type without fields.
DUMMY = "structure_needs_at_least_one_member"

HERE = pathlib.Path(__file__).resolve().parent
CORPUS = HERE.parents[2] / "shared" / "corpora" / "logs"


def module(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def plain(value, types):
    """What `rosbags` hands out as dictionaries, lists, numbers and text."""
    import numpy

    if hasattr(value, "__msgtype__"):
        # Each message has the constants of its type as well.
        _, fields = types.fielddefs[value.__msgtype__]
        return {name: plain(getattr(value, name), types) for name, _ in fields}
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        value = value.tolist()
    return [plain(it, types) for it in value] if isinstance(value, list) else value


def made_up(name, types, chance):
    """A message of a type with values of every kind in it."""
    import numpy
    from rosbags.interfaces import Nodetype

    def base(kind):
        if kind == "bool":
            return chance.random() < 0.5
        if kind == "string":
            return "".join(chance.choices("abc \u00e9\u4e16", k=chance.randrange(12)))
        if kind in ("float32", "float64"):
            return float(getattr(numpy, kind)(chance.uniform(-1e3, 1e3)))
        if kind in OCTET:
            # `rosbags` has it with a sign.
            return chance.randrange(128)
        limits = numpy.iinfo(kind)
        return chance.randint(int(limits.min), int(limits.max))

    def value(node):
        kind, about = node
        if kind == Nodetype.BASE:
            return base(about[0])
        if kind == Nodetype.NAME:
            return made_up(about, types, chance)
        inner, n = about
        # A list of structs without any has no columns to hold against ours.
        n = n if kind == Nodetype.ARRAY else chance.randrange(1, 4)
        values = [value(inner) for _ in range(n)]
        if inner[0] == Nodetype.BASE and inner[1][0] != "string":
            kind = inner[1][0]
            return numpy.array(values, dtype="uint8" if kind in OCTET else kind)
        return values

    if name == "builtin_interfaces/msg/Time":
        return types.types[name](sec=chance.randrange(2**31), nanosec=chance.randrange(10**9))
    _, fields = types.fielddefs[name]
    return types.types[name](**{field: value(node) for field, node in fields})


def kept_as_bytes(row):
    """The message, where its table has no other column; `None` where it has."""
    own = {name: value for name, value in row.items() if name not in BUILT_IN}
    if set(own) <= {"_unknown"} or set(own) == {"data"} and isinstance(own["data"], bytes):
        return next(iter(own.values()), b"") or b""
    return None


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

    def test_ros2(self):
        folder = CORPUS / "rosbag2"
        if not folder.is_dir():
            self.skipTest("corpus folder absent: logs/rosbag2")
        bags = sorted(folder.iterdir())
        self.assertGreaterEqual(len(bags), 23)
        for bag in bags:
            with self.subTest(bag=bag.name):
                if bag.name in NOT_READ_BY_ROSBAGS:
                    tables, _ = self.converted(bag, (0, 3))
                    self.assertEqual(sum(map(len, tables.values())), NOT_READ_BY_ROSBAGS[bag.name])
                    continue
                files = sorted([*bag.glob("*.db3"), *bag.glob("*.mcap")])
                read = bag if (bag / "metadata.yaml").exists() else files[0]
                self.assertGreater(self.check(bag, read)[1], 0)

    def test_common_types_without_definitions(self):
        """A bag as recorders of Foxy and Humble wrote it names its types alone: what comes with the program decodes them."""
        from rosbags.typesys import Stores, get_typestore

        names = [f"{package}/msg/{name}" for package, all_of in COMMON.items() for name in all_of.split()]
        self.assertGreaterEqual(len(names), 40)
        for distro, store in (("foxy", Stores.ROS2_FOXY), ("humble", Stores.ROS2_HUMBLE), ("jazzy", Stores.ROS2_JAZZY)):
            types, chance = get_typestore(store), random.Random(7)
            wanted = {name: [made_up(name, types, chance) for _ in range(MESSAGES_PER_TYPE)] for name in names}
            with tempfile.TemporaryDirectory(prefix="node-data-common-") as scratch:
                bag = pathlib.Path(scratch) / "bag.db3"
                with contextlib.closing(sqlite3.connect(bag)) as database:
                    database.executescript(
                        "CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);"
                        f"INSERT INTO schema VALUES (3, '{distro}');"
                        "CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL, "
                        "serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);"
                        "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL, timestamp INTEGER NOT NULL, "
                        "data BLOB NOT NULL);")
                    for number, (name, messages) in enumerate(wanted.items(), 1):
                        database.execute("INSERT INTO topics VALUES (?, ?, ?, 'cdr', '')", (number, f"/{name}", name))
                        rows = [(number, at, bytes(types.serialize_cdr(it, name))) for at, it in enumerate(messages)]
                        database.executemany("INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)", rows)
                    database.commit()
                tables, _ = self.converted(bag, (0,))
            for name, messages in wanted.items():
                with self.subTest(distro=distro, type=name):
                    rows = tables[f"/{name}"]
                    self.assertEqual(len(rows), len(messages))
                    for row, message in zip(rows, messages):
                        wanted_values = leaves(plain(message, types))
                        if name == "builtin_interfaces/msg/Time":
                            # The time is the message itself, and its columns are its parts.
                            wanted_values = plain(message, types)
                        self.same_values(f"{distro} {name}", name, row, wanted_values)

    def check(self, bag, read=None):
        """Converts a bag and compares it with what `rosbags` reads; returns how many messages, and how many values."""
        from rosbags.highlevel import AnyReader
        from rosbags.typesys import Stores, get_typestore

        store = Stores.ROS1_NOETIC if bag.suffix == ".bag" else Stores.ROS2_HUMBLE
        with AnyReader([read or bag], default_typestore=get_typestore(store)) as reader:
            # Without definitions in it, what is known of its types decides whether messages stay bytes.
            is_defined = all(it.msgdef.data for it in reader.connections)
            tables, code = self.converted(bag, (0,) if is_defined else (0, 3))
            n_messages = n_values = 0
            rows = {topic: iter(found) for topic, found in tables.items()}
            for connection, time_ns, data in sorted(reader.messages(), key=lambda it: it[1]):
                at = f"{connection.topic} at {time_ns}"
                row = next(rows[connection.topic], None)
                self.assertIsNotNone(row, f"{at}: no such row")
                self.assertEqual(row["log_time_ns"], time_ns, at)
                if bag.suffix == ".bag":
                    self.assertEqual((row["publish_time_ns"], row["sequence"]), (None, None))
                n_messages += 1
                if code == 3 and (kept := kept_as_bytes(row)) is not None:
                    # What little a type without a definition can be, such as zeros that pad a message, is nothing.
                    self.assertIn(kept, (b"", bytes(data)), at)
                    n_values += 1
                    continue
                message = plain(reader.deserialize(data, connection.msgtype), reader.typestore)
                n_values += self.same_values(at, connection.msgtype, row, leaves(message))
        for topic in rows.keys() - LEFT_OUT_BY_ROSBAGS.get(bag.name, set()):
            self.assertIsNone(next(rows[topic], None), f"{topic} has more rows than messages")
        return n_messages, n_values

    def same_values(self, at, msgtype, row, wanted):
        """Returns how many values were compared."""
        if msgtype in RAW_IMAGES:
            wanted = {name: value for name, value in wanted.items() if name not in PIXELS}
        for name, value in wanted.items():
            column = f"message.{name}" if name in BUILT_IN else name
            if name.split(".")[-1] == DUMMY:
                continue
            if column not in row and value == []:
                # An empty list of structs: its columns are those below it.
                continue
            if (msgtype, name) in OCTETS:
                value %= 256
            self.assertTrue(same(row[column], value), f"{at}: {column} is {row[column]!r} instead of {value!r}")
        return len(wanted)

    def converted(self, bag, codes):
        """Rows by topic, in the order of their log times, and the exit code, which is one of `codes`."""
        import pyarrow.parquet

        with tempfile.TemporaryDirectory(prefix="node-data-rosbags-") as scratch:
            out = pathlib.Path(scratch) / "out"
            done = subprocess.run(
                [os.environ["NODEDATA_BINARY"], "convert", str(bag), "--out", str(out)],
                capture_output=True, text=True, timeout=CONVERT_SECONDS_MAX)
            self.assertIn(done.returncode, codes, done.stdout + done.stderr)
            rows = {}
            for shard in json.loads((out / "manifest.json").read_text())["shards"]:
                # One topic with two definitions is two streams, `/t` and `/t#<hash8>`.
                topic = re.sub(r"#[0-9a-f]{8}$", "", shard["stream"])
                rows.setdefault(topic, []).extend(pyarrow.parquet.read_table(out / shard["path"]).to_pylist())
        return {topic: sorted(found, key=lambda it: it["log_time_ns"]) for topic, found in rows.items()}, done.returncode


if __name__ == "__main__":
    unittest.main()
