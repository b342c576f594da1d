"""Every mistake is an exception with its kind, its place and what to do next, and survives other processes. Run by `cargo xtask test`."""
import concurrent.futures
import multiprocessing
import pickle
import random
import shutil
import unittest

import numpy as np
import pyarrow.parquet

import nodedata
from wheel_sets import LONG, Set, noise, positions, published, scratch

LENGTHS = [12, 9, 30, 7]
SIZE = (32, 48)
TREE = {
    "ConfigError": ValueError, "NotFoundError": LookupError, "DeniedError": PermissionError, "CorruptError": nodedata.NodeDataError,
    "SchemaError": nodedata.NodeDataError, "UnsupportedError": nodedata.NodeDataError, "LimitError": MemoryError,
    "ConflictError": nodedata.NodeDataError, "StoreError": OSError, "StateMismatchError": nodedata.NodeDataError,
    "InterruptedRun": nodedata.NodeDataError,
}


def fail(kind):
    """In another process."""
    raise getattr(nodedata, kind)("it failed", {"dataset": "acme/x", "revision": "1.0.0", "row": 7}, "try another")


def read_all(folder):
    """In another process."""
    return len(list(nodedata.open_folder(folder)["train"]))


class Exceptions(unittest.TestCase):
    def test_the_tree_and_what_each_tells(self):
        for name, base in TREE.items():
            kind = getattr(nodedata, name)
            self.assertTrue(issubclass(kind, nodedata.NodeDataError) and issubclass(kind, base), name)
            err = kind("it failed", {"dataset": "acme/x", "revision": "1.0.0", "shard": "a.parquet", "row": 7}, "try another")
            again = pickle.loads(pickle.dumps(err))
            self.assertIs(type(again), kind)
            for it in (err, again):
                self.assertEqual((it.where["row"], it.hint), (7, "try another"))
                self.assertTrue(it.kind)
                for part in ("it failed", "acme/x@1.0.0", "a.parquet", "row 7", "try another"):
                    self.assertIn(part, str(it))

    def test_they_come_back_from_other_processes(self):
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            for name in TREE:
                with self.assertRaises(getattr(nodedata, name)) as caught:
                    pool.submit(fail, name).result(60)
                self.assertEqual((caught.exception.where["row"], caught.exception.hint), (7, "try another"))


class Mistakes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.node, cls.folder = published("pictures", Set(LENGTHS, SIZE))
        cls.dataset = cls.node.datasets.open("pictures")

    def check(self, call, *words, kind=nodedata.ConfigError):
        with self.assertRaises(kind) as caught:
            call()
        text = str(caught.exception)
        for word in words:
            self.assertIn(word, text)
        self.assertTrue(caught.exception.hint, text)
        return caught.exception

    def test_names_that_are_none_are_told_with_those_that_were_meant(self):
        stream, steps, datasets = self.node.datasets.stream, self.dataset.steps, self.node.datasets
        measured = nodedata.Stats('{"streams": {"steps": {"action": {"mean": 0, "std": 1}, "note": {"count": 3}}}}')
        self.check(lambda: stream("pictures", widnow={"state": [0]}), "`widnow`", "did you mean `window`?")
        self.check(lambda: stream("pictures", fields=["rbg", "acton"]), "rbg", "acton")
        self.check(lambda: stream("pictures", unit="frame"), "'frame'")
        self.check(lambda: stream("pictures", unit="step", pad="egde"), "did you mean 'edge'?")
        self.check(lambda: stream("pictures", unit="step", window={"acton": [0]}), "acton")
        self.check(lambda: stream("pictures", resize={"rbg": (1, 1)}), "rbg")
        self.check(lambda: stream("pictures", resize={"state": (8, 8)}), "state")
        self.check(lambda: stream("pictures", fields={"rgb": "byte"}), "'byte'")
        self.check(lambda: stream("pictures", fields={"state": "bytes"}), "state")
        self.check(lambda: stream("pictures", shuffle="unifrom"), "unifrom")
        self.check(lambda: stream("pictures", layout="cwh"), "cwh")
        self.check(lambda: stream("pictures", on_error="ignore"), "ignore")
        self.check(lambda: stream("pictures", style="lrobot"), "lrobot")
        self.check(lambda: steps("train", fields=["rbg"]), "rbg", "did you mean `rgb`?")
        self.check(lambda: steps("train", window={"acton": [0]}), "acton")
        self.check(lambda: measured.normalize("acton"), "acton", "did you mean `action`?")
        self.check(lambda: measured.normalize("action", "std"), "std")
        self.check(lambda: measured.normalize("note"), "note", "mean")
        self.check(lambda: datasets.create("x", licence="MIT"), "did you mean `license`?")
        self.check(lambda: datasets.create("x", pii=["biometrik"]), "biometric")
        self.check(lambda: datasets.create("x", visibility="secret"), "secret")
        self.check(lambda: datasets.upload("x", files=[self.folder], mode="append"), "append")
        self.check(lambda: datasets.upload("x", files=[self.folder], bump="mino"), "did you mean `minor`?")
        self.check(lambda: nodedata.NodeData(sotre="x"), "did you mean `store`?")
        self.check(lambda: nodedata.convert(self.folder, self.folder / "o", tpoic=["x"]), "tpoic")

    def test_values_that_cannot_be_are_told(self):
        stream = self.node.datasets.stream
        self.check(lambda: stream("pictures", rank=1), "`world`")
        self.check(lambda: stream("pictures", rank=4, world=4), "`rank` is 4")
        self.check(lambda: stream("pictures", threads=0), "`threads` is 0")
        self.check(lambda: stream("pictures", ready_bytes="3 parsecs"), "ready_bytes")
        self.check(lambda: stream("pictures", window={"state": [0]}), 'unit="step"')
        self.check(lambda: stream("pictures", unit="step", window={"state": []}), "no steps")
        self.check(lambda: stream("pictures", unit="step", window={"count": [0]}, pad="nan"), "int16", "edge")
        self.check(lambda: stream("pictures", seed=-1), "`seed` is -1")
        self.check(lambda: stream("pictures", seed=True), "True")
        self.check(lambda: stream("pictures", fields="rgb"), "['rgb']")
        self.check(lambda: nodedata.mix([]), "no streams")
        one = stream("pictures")
        self.check(lambda: nodedata.mix([(one, -1.0), (one, 2.0)]), "weight")
        self.check(lambda: nodedata.mix([(one, 1), (stream("pictures", rank=0, world=2), 1)]), "rank")
        self.check(lambda: self.node.datasets.create("x", price_usd=1.005), "two places")
        self.check(lambda: self.node.datasets.upload("x", files=[]), "nothing to upload")

    def test_what_is_not_there_is_not_found(self):
        self.check(lambda: self.node.datasets.open("picturse"), "picturse", kind=nodedata.NotFoundError)
        self.check(lambda: self.node.datasets.open("pictures@9.9.9"), "9.9.9", kind=nodedata.NotFoundError)
        for opened in (self.node.datasets.stream, self.dataset.steps):
            reference = ["pictures"] if opened == self.node.datasets.stream else []
            splits = {"split": "trian"}
            self.check(lambda: opened(*reference, **splits), "trian", "train", kind=nodedata.NotFoundError)
            for options in ({"stream": "step"}, {"episodes": ["nobody"]}, {"episodes": [99]}):
                name = str(next(iter(options.values()))).strip("[]'")
                self.check(lambda: opened(*reference, **({"split": "train"} | options)), name, kind=(nodedata.NotFoundError, nodedata.ConfigError))
        self.check(lambda: self.dataset["trian"], "trian", kind=nodedata.NotFoundError)
        with self.assertRaises(nodedata.NodeDataError):
            nodedata.open_folder(self.folder / "nowhere")

    def test_a_sample_that_is_too_large_says_what_to_do(self):
        with self.assertRaises(nodedata.LimitError) as caught:
            next(self.node.datasets.stream("pictures", max_sample_bytes=1000))
        for word in ('unit="step"', "fields", "resize"):
            self.assertIn(word, caught.exception.hint)
        # One that is larger than what may be ready is delivered alone.
        episodes = list(self.node.datasets.stream("pictures", ready_bytes=1000))
        self.assertEqual([len(it["rgb"]) for it in episodes], LENGTHS)

    def test_shards_that_do_not_follow_the_schema_are_refused(self):
        folder = scratch()
        Set([3]).write(folder)
        schema = folder / "schema.json"
        schema.write_text(schema.read_text().replace('"shape": [-1, 7]', '"shape": [-1, 6]', 1))
        with self.assertRaises(nodedata.SchemaError) as caught:
            self.node.datasets.upload("bad", files=[folder / "shards"], schema=schema)
        self.assertIn("state", str(caught.exception))


class Damage(unittest.TestCase):
    """One flipped byte anywhere in a shard raises, with its address."""

    # The end of a shard, which is read and verified before anything else of it.
    END = 300 << 10

    @classmethod
    def setUpClass(cls):
        cls.data = Set(LENGTHS, (128, 160), pictures=noise)

    def setUp(self):
        self.node, self.folder = published("flipped", self.data, per_shard=2)
        files = self.node.datasets.open("flipped").files()
        self.shards = {it["b3"].removeprefix("b3:"): it for it in files if it["path"].endswith(".parquet") and not it["path"].startswith("index/")}
        self.assertEqual(len(self.shards), 2)

    def blob(self, b3):
        """Where the store keeps a blob."""
        found = [it for it in (self.folder / "store").rglob("*") if it.is_file() and it.name.startswith(b3[4:]) or it.is_file() and b3 in it.name]
        found = [it for it in found if it.stat().st_size == self.shards[b3]["bytes"]]
        self.assertEqual(len(found), 1, b3)
        return found[0]

    def read(self, **options):
        """All of it, from a reader that was not there before."""
        for sample in nodedata.NodeData(str(self.folder / "store"), author="acme").datasets.stream("flipped", **options):
            for value in sample.values():
                np.asarray(value.values if isinstance(value, nodedata.Ragged) else value)

    def columns(self, path):
        """Where the bytes of columns lie in a shard."""
        metadata = pyarrow.parquet.ParquetFile(path).metadata
        found = []
        for group in range(metadata.num_row_groups):
            for column in range(metadata.num_columns):
                chunk = metadata.row_group(group).column(column)
                start = chunk.dictionary_page_offset or chunk.data_page_offset
                found.append((start, start + chunk.total_compressed_size))
        return found

    def test_a_flipped_byte_raises_with_its_address(self):
        rng = random.Random(3)
        for b3, told in self.shards.items():
            path = self.blob(b3)
            whole = path.read_bytes()
            columns = [(start, min(stop, len(whole) - self.END)) for start, stop in self.columns(path)]
            columns = [it for it in columns if it[0] < it[1]]
            spots = [rng.randrange(*rng.choice(columns)) for _ in range(40 if LONG else 5)]
            # Without its end none of the rows of a shard can be read.
            at_end = [rng.randrange(len(whole) - self.END // 2, len(whole)), len(whole) - 6]
            path.chmod(0o644)
            for at in spots + at_end:
                damaged = bytearray(whole)
                damaged[at] ^= 0x10
                path.write_bytes(damaged)
                for options in ({}, {"unit": "step", "shuffle": True}):
                    with self.assertRaises(nodedata.CorruptError, msg=f"byte {at} of {told['path']}") as caught:
                        self.read(**options)
                    where = caught.exception.where
                    self.assertEqual((where.get("dataset"), where.get("revision")), ("acme/flipped", "1.0.0"))
                    self.assertEqual(where.get("shard"), told["path"])
                    self.assertIn("acme/flipped@1.0.0", str(caught.exception))
                    self.assertIsInstance(where.get("row"), int, where)
                    self.assertIn("row", str(caught.exception))
                    if at in at_end:
                        self.assertEqual(where["row"], 0)
            path.write_bytes(whole)
        self.read()

    def test_skip_counts_what_is_damaged_and_hands_out_the_rest(self):
        b3 = next(it for it, told in self.shards.items() if told["path"].endswith("00001.parquet"))
        path = self.blob(b3)
        damaged = bytearray(path.read_bytes())
        start, stop = self.columns(path)[2]
        damaged[(start + stop) // 2] ^= 0x10
        path.chmod(0o644)
        path.write_bytes(damaged)
        stream = nodedata.NodeData(str(self.folder / "store"), author="acme").datasets.stream("flipped", unit="step", on_error="skip")
        found = positions(stream)
        stats = stream.stats()
        n_skipped = stats["skipped"] if isinstance(stats["skipped"], int) else len(stats["skipped"])
        self.assertGreater(n_skipped, 0)
        self.assertEqual(len(found) + n_skipped, sum(LENGTHS))
        self.assertEqual(found[: sum(LENGTHS[:2])], [(e, t) for e in (0, 1) for t in range(LENGTHS[e])], "the other shard is whole")
        with self.assertRaises(nodedata.CorruptError):
            self.read(unit="step")

    def test_a_damaged_folder_raises_in_other_processes_too(self):
        out = self.folder / "pulled"
        self.node.datasets.pull("flipped", out)
        copy = self.folder / "copy"
        shutil.copytree(out, copy)
        shard = next(it for it in copy.rglob("*.parquet") if it.parent.name != "index")
        shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
            self.assertEqual(pool.submit(read_all, str(out)).result(60), len(LENGTHS))
            with self.assertRaises(nodedata.NodeDataError) as caught:
                pool.submit(read_all, str(copy)).result(60)
        self.assertTrue(caught.exception.where)


if __name__ == "__main__":
    unittest.main()
