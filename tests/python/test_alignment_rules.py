"""Borders of episodes, the bound on the age of values and stamps far from log time: made-up logs, written with the official writer,
whose steps are held against a look at every message for every step."""
import json
import os
import pathlib
import random
import subprocess
import tempfile
import unittest

from test_alignment import module

SECOND = 10**9
START = 1_700_000_000 * SECOND
LATCHED = "- history: 1\n  depth: 1\n  durability: 1\n"


class Made:
    """A made-up log: per topic log time, stamp and value of every message."""

    def __init__(self, seed):
        dice = self.dice = random.Random(seed)
        self.topics = {"/a": self.paced(0.01, 600), "/b": self.paced(0.11, 60), "/c": self.paced(0.9, dice.randint(1, 8))}
        self.is_latched = dice.random() < 0.3
        # A pause that cuts what is interpolated.
        pause = START + dice.randint(SECOND, 4 * SECOND)
        long = dice.choice([0, SECOND // 2, 2 * SECOND])
        self.topics["/a"] = [it for it in self.topics["/a"] if not pause < it[0] < pause + long]
        self.n_wild = dice.choice([0, 1, 2])
        for idx in dice.sample(range(len(self.topics["/a"])), self.n_wild):
            logged, stamp, value = self.topics["/a"][idx]
            self.topics["/a"][idx] = (logged, stamp + dice.choice([-1, 1]) * dice.randint(20, 10**6) * SECOND, value)

    def paced(self, period, n):
        messages, time = [], START + self.dice.randint(0, SECOND // 4)
        for _ in range(n):
            time += int(self.dice.uniform(0.5, 1.5) * period * SECOND)
            messages.append((time, time - self.dice.randint(0, 20_000_000), self.dice.uniform(-1, 1)))
        return messages

    def write(self, path):
        from mcap.writer import Writer

        kinds = {"type": "object", "properties": {"stamp": {"type": "integer"}, "value": {"type": "number"}}}
        with open(path, "wb") as file:
            writer = Writer(file, chunk_size=self.dice.choice([500, 5_000, 1_000_000]))
            writer.start()
            schema = writer.register_schema("Sample", "jsonschema", json.dumps(kinds).encode())
            all_messages = []
            for topic, messages in self.topics.items():
                facts = {"offered_qos_profiles": LATCHED} if topic == "/c" and self.is_latched else {}
                channel = writer.register_channel(topic, "json", schema, metadata=facts)
                all_messages += [(logged, channel, stamp, value) for logged, stamp, value in messages]
            for logged, channel, stamp, value in sorted(all_messages):
                data = json.dumps({"stamp": stamp, "value": value}).encode()
                writer.add_message(channel, logged, data, logged)
            writer.finish()

    def placed(self, topic):
        """Stamps and values that are near log time, in order of time."""
        return sorted((stamp, value) for logged, stamp, value in self.topics[topic] if abs(stamp - logged) < 10 * SECOND)


class Field:
    def __init__(self, name, topic, align, tolerance, crosses):
        self.name, self.topic, self.align, self.tolerance, self.crosses = name, topic, align, tolerance, crosses

    def bound(self, made):
        """How far a message may be where no tolerance says it: ten mean periods; `None` for any distance."""
        messages = made.placed(self.topic)
        n = len(made.topics[self.topic])
        if (self.align == "hold" and made.is_latched and self.topic == "/c") or n < 3 or messages[0] == messages[-1]:
            return None
        return 10 * (messages[-1][0] - messages[0][0]) // (n - 1)

    def at(self, made, step, episodes):
        """The value at a step, by looking at every message."""
        own = next((it for it in episodes if it[0] <= step < it[1]), None)
        crosses = self.crosses or (made.is_latched and self.topic == "/c")

        def is_open(stamp):
            others = [it for it in episodes if it != own]
            low = max((end for _, end in others if end <= step), default=None)
            high = min((start for start, _ in others if start > step), default=None)
            return (low is None or stamp >= low) and (high is None or stamp < high)

        before = [it for it in made.placed(self.topic) if it[0] <= step][-1:]
        after = [it for it in made.placed(self.topic) if it[0] > step][:1]
        if not (self.align == "hold" and crosses):
            before = [it for it in before if is_open(it[0])]
        after = [it for it in after if is_open(it[0])]
        reach = self.tolerance if self.tolerance is not None else self.bound(made)
        near = lambda stamp: reach is None or abs(stamp - step) <= reach
        if self.align == "hold":
            return next((value for stamp, value in before if near(stamp)), None)
        if self.align == "nearest":
            both = sorted(before + after, key=lambda it: (abs(it[0] - step), it[0]))
            return next((value for stamp, value in both[:1] if near(stamp)), None)
        if before and before[0][0] == step:
            return before[0][1]
        if not before or not after:
            return None
        (first, one), (last, two) = before[0], after[0]
        together = reach is None or last - first <= reach
        if not (together if self.tolerance is None else near(first) and near(last)):
            return None
        return one + (two - one) * ((step - first) / (last - first))


class AlignmentRules(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        for name in ("numpy", "pyarrow", "mcap"):
            if module(name) is None:
                self.skipTest(f"{name} is not installed, so the alignment is not compared")
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")

    def test_made_up_logs_give_the_steps_of_a_look_at_everything(self):
        for seed in range(40):
            with self.subTest(seed=seed), tempfile.TemporaryDirectory() as folder:
                self.check(seed, pathlib.Path(folder))

    def check(self, seed, folder):
        import pyarrow.parquet

        made = Made(seed)
        made.write(folder / "log.mcap")
        dice = random.Random(seed + 1000)
        cut = START + dice.randint(2 * SECOND, 3 * SECOND)
        apart = dice.choice([0, SECOND // 3])
        episodes = [(START + SECOND, cut), (cut + apart, cut + apart + 2 * SECOND)]
        across = dice.random() < 0.5
        tolerance = lambda *of: dice.choice([None, *of])
        fields = [
            Field("near", "/a", "nearest", tolerance(8_000_000), False),
            Field("line", "/a", "linear", tolerance(12_000_000), False),
            Field("slow", "/b", "nearest", tolerance(60_000_000), False),
            Field("held", "/b", "hold", tolerance(200_000_000), across),
            Field("event", "/c", "hold", tolerance(), across),
        ]
        lines = [
            "version: 1", f"source: {{path: {folder / 'log.mcap'}}}", "episodes:", "  by: ranges", "  ranges:",
            *[f"  - {{start_ns: {start}, end_ns: {end}}}" for start, end in episodes],
            "steps: {clock: {rate_hz: 50}, time: stamp, upsample: true}", "fields:",
            *[
                f"  {it.name}: {{from: {it.topic}.value, align: {it.align}, nullable: always"
                + (f", tolerance_ms: {it.tolerance / 10**6}" if it.tolerance is not None else "")
                + (", hold_across: true" if it.crosses else "") + "}"
                for it in fields
            ],
        ]
        (folder / "pipeline.yaml").write_text("\n".join(lines) + "\n")
        run = subprocess.run(
            [os.environ["NODEDATA_BINARY"], "run", str(folder / "pipeline.yaml"), "--out", str(folder / "out")],
            capture_output=True, text=True)
        self.assertEqual(run.returncode, 3 if made.n_wild else 0, run.stdout + run.stderr)
        manifest = json.loads((folder / "out" / "manifest.json").read_text())
        shards = [shard["path"] for shard in manifest["shards"] if shard["stream"] == "steps"]
        table = pyarrow.concat_tables([pyarrow.parquet.read_table(folder / "out" / shard) for shard in shards])
        steps = [start + idx * SECOND // 50 for start, end in episodes for idx in range(-(-(end - start) * 50 // SECOND))]
        self.assertEqual(table.num_rows, len(steps))
        ledger = json.loads((folder / "out" / "report.json").read_text())["streams"]
        self.assertEqual(ledger["/a"].get("dropped", {}).get("far_from_log_time", 0), made.n_wild)
        missing = {}
        for field in fields:
            found = table[field.name].to_pylist()
            expected = [field.at(made, step, episodes) for step in steps]
            if n := sum(it is None for it in expected):
                missing[field.name] = n
            for step, one, other in zip(steps, found, expected):
                told = f"{field.name} at {step - START} ns: {one}, expected {other}"
                self.assertEqual(one is None, other is None, told)
                self.assertTrue(one is None or abs(one - other) < 1e-9, told)
        self.assertEqual(ledger["steps"].get("beyond_tolerance", {}), missing)
        for topic, messages in made.topics.items():
            entry = ledger[topic]
            rest = sum(entry.get("superseded", {}).values()) + sum(entry.get("dropped", {}).values())
            self.assertEqual((entry["read"], entry["read"]), (len(messages), entry["used"] + rest), topic)


if __name__ == "__main__":
    unittest.main()
