"""The episodes of `pipelines/teleop-episodes.yaml`, held against what numpy makes of the messages that the log's official reader
returns: which steps are left after trimming, their values, what a table, a topic and the path say of them, and what is counted."""
import csv
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from test_alignment import hold, module, nearest

RATE_HZ = 30
TOLERANCE_NS = 60_000_000
TOPICS = ["/episode", "/joint_states", "/gripper/state", "/cmd/joints", "/language_instruction"]
JOINTS = ["elbow", "shoulder_pan", "wrist_2"]
START_NS, KEEP_NS, STRETCH_NS, SPEED = 100_000_000, 50_000_000, 300_000_000, 0.1


def read(path):
    """Log times and messages of every topic, in order of time."""
    import numpy
    from mcap.reader import NonSeekingReader
    from mcap_ros2.decoder import DecoderFactory

    rows = {topic: [] for topic in TOPICS}
    with open(path, "rb") as file:
        reader = NonSeekingReader(file, decoder_factories=[DecoderFactory()])
        for _, channel, message, decoded in reader.iter_decoded_messages(topics=TOPICS, log_time_order=False):
            rows[channel.topic].append((message.log_time, decoded))
    for topic in rows:
        rows[topic].sort(key=lambda row: row[0])
    times = {topic: numpy.array([time for time, _ in found], dtype=numpy.int64) for topic, found in rows.items()}
    return times, {topic: [message for _, message in found] for topic, found in rows.items()}


def cut(times, messages):
    """From when to when each episode is: the marker 1 starts one, 2 and 3 end it."""
    episodes, start = [], None
    for time, message in zip(times["/episode"].tolist(), messages["/episode"]):
        if message.kind == 1:
            start = time
        elif start is not None:
            episodes.append((start, time))
            start = None
    return episodes


def grid(start, end):
    steps = []
    while (time := start + (2 * len(steps) * 10**9 + RATE_HZ) // (2 * RATE_HZ)) < end:
        steps.append(time)
    return steps


def moves(times, values):
    """Spells of motion: from the message before the first change that is fast enough to the one behind the last."""
    spells = []
    for before, after, one, other in zip(times, times[1:], values, values[1:]):
        if abs(other - one) / ((after - before) / 1e9) >= SPEED:
            if spells and spells[-1][1] == before:
                spells[-1][1] = after
            else:
                spells.append([before, after])
    return spells


def fate(step, start, end, spells):
    """Why a step is left out; None where it is kept."""
    if step < start + START_NS:
        return "trimmed"
    spells = [(first, last) for first, last in spells if last >= start and first < end]
    if any(first - KEEP_NS <= step <= last + KEEP_NS for first, last in spells):
        return None
    before = [last for first, last in spells if last < step]
    after = [first for first, last in spells if first > step]
    if not before or not after or min(after) - max(before) >= STRETCH_NS:
        return "idle"
    return None


class Episodes(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        for name in ("numpy", "pyarrow", "mcap", "mcap_ros2"):
            if module(name) is None:
                self.skipTest(f"{name} is not installed, so the episodes are not compared")
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")

    def test_episodes_are_those_of_numpy(self):
        import numpy
        import pyarrow.parquet

        fixtures = pathlib.Path(os.environ["NODEDATA_FIXTURES"])
        pipelines = fixtures.resolve().parent / "pipelines"
        times, messages = read(fixtures / "mcap" / "teleop.mcap")
        cuts = cut(times, messages)
        self.assertEqual(len(cuts), 2)
        (start, end), left_out = cuts
        widths = [message.width for message in messages["/gripper/state"]]
        spells = moves(times["/gripper/state"].tolist(), widths)
        steps = grid(start, end)
        fates = [fate(step, start, end, spells) for step in steps]
        kept = numpy.array([step for step, why in zip(steps, fates) if why is None], dtype=numpy.int64)
        # The recording has what the pipeline is about.
        self.assertTrue({"trimmed", "idle"} <= set(fates) and len(kept) > 10, fates)
        self.assertTrue(any(why == "idle" for step, why in zip(steps, fates) if kept[0] < step < kept[-1]))

        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            run = subprocess.run(
                [os.environ["NODEDATA_BINARY"], "run", str(pipelines / "teleop-episodes.yaml"), "--out", str(out)],
                capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            manifest = json.loads((out / "manifest.json").read_text())
            shards = [shard["path"] for shard in manifest["shards"] if shard["stream"] == "steps"]
            table = pyarrow.concat_tables([pyarrow.parquet.read_table(out / shard) for shard in shards])
            index = pyarrow.parquet.read_table(out / manifest["index"]["episodes"]["path"]).to_pylist()
            ledger = json.loads((out / "report.json").read_text())["streams"]

        self.assertEqual(table["step_index"].to_pylist(), list(range(len(kept))))
        self.assertEqual(table["timestamp_ns"].to_pylist(), (kept - kept[0]).tolist())
        rows = nearest(times["/joint_states"], kept, TOLERANCE_NS)
        joints = lambda message: [message.position[list(message.name).index(joint)] for joint in JOINTS]
        self.assertEqual(table["joints"].to_pylist(), [joints(messages["/joint_states"][row]) for row in rows])
        rows = nearest(times["/gripper/state"], kept, TOLERANCE_NS)
        clipped = numpy.clip(numpy.array([widths[row] for row in rows]), 0, 0.06)
        numpy.testing.assert_allclose(table["gripper"].to_pylist(), clipped, rtol=1e-7)
        rows = hold(times["/cmd/joints"], kept, 10**9)
        actions = [None if row < 0 else list(messages["/cmd/joints"][row].data) for row in rows]
        self.assertEqual(table["action"].to_pylist(), actions)

        with open(pipelines / "teleop-episodes.csv", newline="") as file:
            known = {row["episode"]: row for row in csv.DictReader(file)}["teleop.mcap#0"]
        held = hold(times["/language_instruction"], numpy.array([start]), 10**18)[0]
        task = messages["/language_instruction"][held].data
        self.assertEqual(table["task"].to_pylist(), [task] * len(kept))
        self.assertEqual(table["success"].to_pylist(), [known["success"] == "true"] * len(kept))
        [row] = index
        self.assertEqual((row["episode_key"], row["task"], row["start_time_ns"]), ("teleop.mcap#0", task, int(kept[0])))
        metadata = {
            "operator": known["operator"], "success": known["success"], "attempts": known["attempts"], "robot": "teleop",
        }
        self.assertEqual({name: value for name, value in row["metadata"] if name in metadata}, metadata)
        types = {name: value for name, value in row["metadata_types"] if name in metadata}
        self.assertEqual(types, {"success": "bool", "attempts": "int"})

        n_excluded = len(grid(*left_out))
        dropped = {"excluded_episode": n_excluded}
        for why in ("trimmed", "idle"):
            dropped[why] = fates.count(why)
        self.assertEqual(ledger["steps"]["dropped"], dropped)
        self.assertEqual(ledger["steps"]["read"], len(steps) + n_excluded)
        for topic in ("/joint_states", "/gripper/state", "/cmd/joints"):
            entry = ledger[topic]
            inside = numpy.count_nonzero((times[topic] >= left_out[0]) & (times[topic] < left_out[1]))
            self.assertEqual(entry["dropped"]["excluded_episode"], inside, topic)
            rest = sum(entry.get("superseded", {}).values()) + sum(entry["dropped"].values())
            self.assertEqual((entry["read"], entry["read"]), (len(times[topic]), entry["used"] + rest), topic)
        self.assertEqual(ledger["/language_instruction"]["used"], len(times["/language_instruction"]))


if __name__ == "__main__":
    unittest.main()
