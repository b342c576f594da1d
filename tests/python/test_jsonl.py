"""JSON Lines against Python's own `json`, line by line: every value of every row. Run by `cargo xtask test`."""
import gzip
import json
import os
import pathlib
import random
import tempfile
import unittest

from sample_columns import convert, corpus, differences, skip_without

# Names that lie in folders of the corpus, with their rows.
SETS = {
    "jsonl/chat.jsonl": 3,
    "jsonl/frames.jsonl": 18,
    "jsonl/frames.jsonl.gz": 18,
    "jsonl/imagefolder/metadata.jsonl": 3,
    "lerobot/v20_video/meta/episodes.jsonl": 3,
    "lerobot/v21_image/meta/episodes_stats.jsonl": 3,
    "lerobot/v21_video_av1/meta/episodes_stats.jsonl": 3,
}

N_MADE_FILES = 6
N_MADE_ROWS = 150


def lines(path):
    """The objects of a file, as Python reads them."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    return [json.loads(it) for it in content.decode("utf-8-sig").split("\n") if it.strip()]


class Made:
    """Rows with all that JSON has: late and absent fields, nulls everywhere, numbers that widen, kinds that change, lists of lists of
    objects, names and texts of all letters."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.fields = {f"{self.name()}{n}": self.kind(0) for n in range(8)}

    def name(self):
        return self.random.choice(["x", "ümläut ", "日本", "with space ", "CAPITAL", "quote\" ", "tab\t", "-", "a.b."])

    def kind(self, depth):
        scalars = ["int", "wide", "float", "both", "bool", "text", "unsigned", "null"]
        nested = ["list", "object", "list", "object", "mixed"]
        kind = self.random.choice(scalars + (nested if depth < 3 else []))
        if kind == "list":
            return kind, self.kind(depth + 1)
        if kind == "object":
            return kind, {f"{self.name()}{n}": self.kind(depth + 1) for n in range(self.random.randint(1, 3))}
        return (kind,)

    def value(self, kind):
        pick = self.random
        if pick.random() < 0.15:
            return None
        match kind:
            case ("int",):
                return pick.randint(-100, 100)
            case ("wide",):
                return pick.choice([-2**63, 2**63 - 1, 2**53 + 1, 0])
            case ("unsigned",):
                return pick.choice([2**64 - 1, 2**63, 7])
            case ("float",):
                return pick.choice([pick.uniform(-1, 1), 1e300, -1e-300, 5e-324, -0.0, 0.1, 1.7976931348623157e308])
            case ("both",):
                return pick.choice([pick.randint(-2**53, 2**53), pick.uniform(-1e6, 1e6)])
            case ("bool",):
                return pick.random() < 0.5
            case ("text",):
                return "".join(pick.choice("aé日😀\"\\\n\t\u0001/ ") for _ in range(pick.randint(0, 12)))
            case ("null",):
                return None
            case ("list", item):
                return [self.value(item) for _ in range(pick.choice([0, 1, 2, 5]))]
            case ("object", members):
                return {name: self.value(it) for name, it in members.items() if pick.random() < 0.8}
            case ("mixed",):
                return pick.choice([pick.randint(0, 9), "1", "text", True, [1, "a", None], {"k": {"deep": [1.5]}}, {}, []])

    def rows(self):
        for row in range(N_MADE_ROWS):
            # The last fields come late.
            n_fields = 6 if row < N_MADE_ROWS // 2 else 8
            names = [it for it in list(self.fields)[:n_fields] if self.random.random() < 0.85]
            yield {"id": row, "episode_index": -row} | {it: self.value(self.fields[it]) for it in names}

    def write(self, path):
        """With a mark of its encoding, blank lines, both line ends, both spellings of letters, and no end of the last line."""
        text = [json.dumps(it, ensure_ascii=self.random.random() < 0.5) for it in self.rows()]
        ends = [self.random.choice(["\n", "\r\n", "\n\n", " \n", "\n \t\r\n"]) for _ in text[:-1]] + [""]
        path.write_bytes(b"\xef\xbb\xbf" + "".join(map("".join, zip(text, ends))).encode())


class JsonLines(unittest.TestCase):
    def setUp(self):
        skip_without(self, ["pyarrow"], "no line is compared with what `json` reads")
        scratch = tempfile.TemporaryDirectory(prefix="node-data-jsonl-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def test_corpus(self):
        corpus(self, "jsonl")
        for name, n_rows in SETS.items():
            with self.subTest(file=name):
                self.assertEqual(self.check(corpus(self, name)), n_rows)

    def test_fixture(self):
        path = pathlib.Path(os.environ["NODEDATA_FIXTURES"]) / "jsonl" / "samples.jsonl"
        self.assertEqual(self.check(path), 300)

    def test_made(self):
        for seed in range(N_MADE_FILES):
            with self.subTest(seed=seed):
                path = self.folder / f"made-{seed}.jsonl"
                Made(seed).write(path)
                self.assertEqual(self.check(path), N_MADE_ROWS)

    def check(self, path):
        """Converts a file and compares each row; returns how many there were."""
        samples = convert(self, pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "out", path)
        rows, wanted = samples.rows(), lines(path)
        self.assertEqual(len(rows), len(wanted))
        n_all = 0
        for number, (row, line) in enumerate(zip(rows, wanted)):
            told, n_values = differences(samples, row, line)
            self.assertEqual(told, [], f"row {number}")
            n_all += n_values
        # Nothing would differ where nothing is looked at.
        self.assertGreaterEqual(n_all, 2 * len(rows))
        return len(rows)


if __name__ == "__main__":
    unittest.main()
