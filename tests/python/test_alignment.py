"""Steps of the teleoperation recording, held against an alignment written here with numpy over the messages that the
log's official reader returns: nearest, hold and linear, with tolerances, joints by name, images and text."""
import importlib
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

RATE_HZ = 30
TOLERANCE_NS = 60_000_000
TOPICS = [
    "/camera/depth/image_raw", "/camera/wrist/image/compressed", "/cmd/joints", "/gripper/state", "/imu/data", "/joint_states",
    "/language_instruction",
]
JOINTS = ["elbow", "shoulder_pan", "wrist_2"]

PIPELINE = """
version: 1
source: {path: %s}
episodes: {by: file}
steps:
  clock: {rate_hz: 30}
  time: header.stamp
  align: nearest
  tolerance_ms: 60
fields:
  wrist: {from: /camera/wrist/image/compressed, skew: true}
  depth: {from: /camera/depth/image_raw, skew: true}
  joints: {from: /joint_states.position, by_name: [elbow, shoulder_pan, wrist_2], skew: true}
  joints_linear: {from: /joint_states.position, by_name: [elbow, shoulder_pan, wrist_2], align: linear}
  imu_linear: {from: /imu/data.linear_acceleration, align: linear}
  gyro_linear: {from: /imu/data.angular_velocity.z, align: linear, type: float32}
  action: {from: /cmd/joints.data, align: hold, tolerance_ms: 1000, skew: true}
  gripper: {from: /gripper/state.width}
  tip: {from: /gripper/state.tip_offset, align: hold}
  task: {from: /language_instruction.data, align: hold, tolerance_ms: 100000}
"""


def module(name):
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def recordings():
    """The fixture, and the same scene in other layouts where the corpora are there."""
    fixtures = pathlib.Path(os.environ["NODEDATA_FIXTURES"])
    yield fixtures / "mcap" / "teleop.mcap"
    corpus = fixtures.resolve().parent.parent / "shared" / "corpora" / "logs" / "mcap"
    for name in ("teleop_none", "no_summary", "tiny_chunks", "unchunked", "overlapping_chunks"):
        path = corpus / f"{name}.mcap"
        if path.exists():
            yield path


class Log:
    """Messages of every topic in order of their time."""

    def __init__(self, path, wanted=tuple(TOPICS)):
        import numpy
        from mcap.reader import NonSeekingReader
        from mcap_ros2.decoder import DecoderFactory

        topics = {}
        with open(path, "rb") as file:
            reader = NonSeekingReader(file, decoder_factories=[DecoderFactory()])
            for _, channel, message, decoded in reader.iter_decoded_messages(topics=list(wanted), log_time_order=False):
                header = getattr(decoded, "header", None)
                time = message.log_time if header is None else header.stamp.sec * 10**9 + header.stamp.nanosec
                topics.setdefault(channel.topic, []).append((time, decoded))
        self.times, self.messages = {}, {}
        for topic, rows in topics.items():
            times = numpy.array([time for time, _ in rows], dtype=numpy.int64)
            order = numpy.argsort(times, kind="stable")
            self.times[topic] = times[order]
            self.messages[topic] = [rows[idx][1] for idx in order]


def nearest(times, steps, tolerance):
    import numpy

    after = numpy.searchsorted(times, steps, side="right")
    before = numpy.clip(after - 1, 0, len(times) - 1)
    after = numpy.clip(after, 0, len(times) - 1)
    far_before, far_after = numpy.abs(steps - times[before]), numpy.abs(times[after] - steps)
    chosen = numpy.where(far_after < far_before, after, before)
    return numpy.where(numpy.abs(times[chosen] - steps) <= tolerance, chosen, -1)


def hold(times, steps, tolerance):
    import numpy

    held = numpy.searchsorted(times, steps, side="right") - 1
    reached = steps - times[numpy.clip(held, 0, None)] <= tolerance
    return numpy.where((held >= 0) & reached, held, -1)


def linear(times, values, steps, tolerance):
    """Values between neighbours that are both in reach; NaN elsewhere."""
    import numpy

    after = numpy.searchsorted(times, steps, side="right")
    before = after - 1
    inside = (before >= 0) & ((after < len(times)) | (times[numpy.clip(before, 0, None)] == steps))
    before, after = numpy.clip(before, 0, len(times) - 1), numpy.clip(after, 0, len(times) - 1)
    exact = times[before] == steps
    reached = exact | ((steps - times[before] <= tolerance) & (times[after] - steps <= tolerance))
    # Seconds from the step keep every digit, which nanoseconds since 1970 in a float do not.
    columns = [
        [numpy.interp(0.0, [(times[b] - step) / 1e9, (times[a] - step) / 1e9] if a != b else [0.0],
                      [column[b], column[a]] if a != b else [column[b]])
         for b, a, step in zip(before, numpy.where(exact, before, after), steps)]
        for column in numpy.asarray(values, dtype=numpy.float64).T
    ]
    return numpy.where((inside & reached)[:, None], numpy.array(columns).T, numpy.nan)


def by_name(message):
    names = list(message.name)
    return [message.position[names.index(joint)] for joint in JOINTS]


class Alignment(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        for name in ("numpy", "pyarrow", "mcap", "mcap_ros2"):
            if module(name) is None:
                self.skipTest(f"{name} is not installed, so the alignment is not compared")
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")

    def test_steps_are_those_of_numpy(self):
        for path in recordings():
            with self.subTest(recording=path.name), tempfile.TemporaryDirectory() as folder:
                self.check(path, pathlib.Path(folder))

    def check(self, path, folder):
        import numpy
        import pyarrow.parquet

        log = Log(path)
        missing = set(TOPICS) - set(log.times)
        if missing:
            self.skipTest(f"{path.name} lacks {sorted(missing)}")
        (folder / "pipeline.yaml").write_text(PIPELINE % path)
        run = subprocess.run(
            [os.environ["NODEDATA_BINARY"], "run", str(folder / "pipeline.yaml"), "--out", str(folder / "out")],
            capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        manifest = json.loads((folder / "out" / "manifest.json").read_text())
        shards = [shard["path"] for shard in manifest["shards"] if shard["stream"] == "steps"]
        table = pyarrow.concat_tables([pyarrow.parquet.read_table(folder / "out" / shard) for shard in shards])

        paced = ["/camera/wrist/image/compressed", "/camera/depth/image_raw", "/joint_states", "/imu/data", "/gripper/state"]
        start = min(log.times[topic][0] for topic in paced)
        end = max(log.times[topic][-1] for topic in paced)
        steps = []
        while (time := int(start) + (2 * len(steps) * 10**9 + RATE_HZ) // (2 * RATE_HZ)) <= end:
            steps.append(time)
        steps = numpy.array(steps, dtype=numpy.int64)
        self.assertEqual(table["timestamp_ns"].to_pylist(), (steps - steps[0]).tolist())
        index = pyarrow.parquet.read_table(folder / "out" / manifest["index"]["episodes"]["path"])
        starts = [row["start_time_ns"] for row in index.to_pylist() if row["stream"] == "steps"]
        self.assertEqual(starts, [int(steps[0])])
        self.assertEqual(table["step_index"].to_pylist(), list(range(len(steps))))
        self.assertEqual(set(table["episode_index"].to_pylist()), {0})

        def chosen(topic, rule, tolerance, value):
            rows = rule(log.times[topic], steps, tolerance)
            return [None if row < 0 else value(log.messages[topic][row]) for row in rows], rows

        def same(column, topic, rule, value, tolerance=TOLERANCE_NS, skew=False):
            values, rows = chosen(topic, rule, tolerance, value)
            self.assertEqual(table[column].to_pylist(), values, column)
            if skew:
                skews = [None if row < 0 else int(log.times[topic][row] - step) for row, step in zip(rows, steps)]
                self.assertEqual(table[f"{column}.skew_ns"].to_pylist(), skews, column)

        jpeg = lambda message: {"bytes": bytes(message.data), "path": None}
        same("wrist", "/camera/wrist/image/compressed", nearest, jpeg, skew=True)
        same("depth", "/camera/depth/image_raw", nearest, lambda message: bytes(message.data), skew=True)
        same("joints", "/joint_states", nearest, by_name, skew=True)
        same("gripper", "/gripper/state", nearest, lambda message: message.width)
        same("action", "/cmd/joints", hold, lambda message: list(message.data), 10**9, skew=True)
        same("tip", "/gripper/state", hold, lambda message: list(message.tip_offset))
        same("task", "/language_instruction", hold, lambda message: message.data, 100 * 10**9)

        def mixed(column, topic, value, relative):
            values = [value(message) for message in log.messages[topic]]
            expected = linear(log.times[topic], values, steps, TOLERANCE_NS)
            missing = numpy.isnan(expected).any(axis=1)
            found = table[column].to_pylist()
            self.assertEqual([it is None for it in found], missing.tolist(), column)
            found = numpy.array([numpy.atleast_1d(it) for it in found if it is not None])
            numpy.testing.assert_allclose(found, expected[~missing], rtol=relative, atol=relative, err_msg=column)

        acceleration = lambda message: [getattr(message.linear_acceleration, axis) for axis in "xyz"]
        mixed("joints_linear", "/joint_states", by_name, 1e-12)
        mixed("imu_linear", "/imu/data", acceleration, 1e-12)
        mixed("gyro_linear", "/imu/data", lambda message: [message.angular_velocity.z], 1e-6)

        ledger = json.loads((folder / "out" / "report.json").read_text())["streams"]
        for topic in TOPICS:
            entry = ledger[topic]
            self.assertEqual(entry["read"], len(log.times[topic]), topic)
            rest = sum(entry.get("superseded", {}).values()) + sum(entry.get("dropped", {}).values())
            self.assertEqual(entry["read"], entry["used"] + rest, topic)
        for topic, rule in (("/camera/wrist/image/compressed", nearest), ("/camera/depth/image_raw", nearest)):
            rows = rule(log.times[topic], steps, TOLERANCE_NS)
            self.assertEqual(ledger[topic]["used"], len(set(rows[rows >= 0].tolist())), topic)


if __name__ == "__main__":
    unittest.main()
