"""Samples of tar files against the `webdataset` package, which hands out the raw bytes of every member. Run by `cargo xtask test`."""
import gzip
import io
import json
import pathlib
import random
import tarfile
import tempfile
import unittest
import warnings

from sample_columns import convert, corpus, leaf_names, reached, same, skip_without

# Archives of the corpus and of the package's own tests, with their samples.
ARCHIVES = {
    "webdataset/frames/train-000000.tar": 20,
    "webdataset/frames/train-000001.tar": 16,
    "webdataset/frames_gz/train-000000.tar.gz": 11,
    "public/webdataset/compressed.tar": 3,
    "public/webdataset/mpdata.tar": 100,
    "public/webdataset/sample.tgz": 90,
    "public/webdataset/tendata.tar": 100,
    "public/webdataset/testgz.tar": 1000,
}

# What the package adds to every sample, and we do not write: where it read it.
ADDED = ("__url__", "__local_path__")


def contents(field, raw):
    """The value of a member by the last ending of its field, as the package's documentation has it; bytes where it has none."""
    if field.endswith(".gz"):
        field, raw = field.removesuffix(".gz"), gzip.decompress(raw)
    match field.rsplit(".", 1)[-1]:
        case "txt" | "text" | "transcript":
            return raw.decode()
        case "cls" | "index" | "id":
            return int(raw)
        case "json":
            return json.loads(raw)
        case "npy":
            return array(raw)
        case "npz":
            import numpy

            with numpy.load(io.BytesIO(raw)) as arrays:
                return {name: arrays[name].tolist() for name in arrays}
        case "mp":
            import msgpack

            return msgpack.unpackb(raw)
    return raw


def array(raw):
    import numpy

    return numpy.load(io.BytesIO(raw)).tolist()


def raw_samples(path):
    """All samples as the package reads them, without decoding."""
    import webdataset

    with warnings.catch_warnings():
        # It leaves its files open.
        warnings.simplefilter("ignore", ResourceWarning)
        found = list(webdataset.WebDataset([str(path)], shardshuffle=False))
    return [{name: value for name, value in sample.items() if name not in ADDED} for sample in found]


class WebDataset(unittest.TestCase):
    def setUp(self):
        skip_without(self, ["webdataset", "msgpack", "numpy", "pyarrow"], "no sample is compared with what `webdataset` reads")
        scratch = tempfile.TemporaryDirectory(prefix="node-data-webdataset-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def test_corpus(self):
        for name, n_samples in ARCHIVES.items():
            with self.subTest(archive=name):
                self.assertEqual(self.check(corpus(self, name)), n_samples)

    def test_a_folder_is_its_archives_one_after_the_other(self):
        folder = corpus(self, "webdataset/frames")
        samples = convert(self, self.folder / "out", folder)
        names = sorted(it.name for it in folder.glob("*.tar"))
        self.assertEqual(len(names), 2)
        for name in names:
            self.compare(samples, samples.of_file(name), raw_samples(folder / name))

    def test_names_as_the_package_writes_and_splits_them(self):
        """What its own writer makes of keys and fields of all letters, with bytes of any kind; a key that comes again is another sample."""
        import webdataset

        path = self.folder / "names.tar"
        keys = ["plain", "a/b.c/key", "with space/0 1", "ümläut/日本", "n" * 120, "dir.with.dots/" + "long" * 40, "plain", "PLAIN"]
        noise = random.Random(5)
        with webdataset.TarWriter(str(path), mtime=0) as writer:
            for key in keys:
                fields = ["bin", "seg.final.bin", "Upper.BIN", "x-y.bin", "日.bin", "empty.bin"]
                sample = {it: noise.randbytes(noise.randint(1, 3000)) for it in fields}
                writer.write({"__key__": key} | sample | {"empty.bin": b"", "note.txt": f"of {key}", "json": {"key": key, "n": [1.5, None]}})
        self.assertEqual(self.check(path), len(keys))

    def test_what_archivers_leave_beside_samples(self):
        """Folders, links, files without a field, and what begins with a dot belong to no sample, here and there."""
        path = self.folder / "beside.tar"
        with tarfile.open(path, "w", format=tarfile.GNU_FORMAT) as archive:
            def add(name, content=b"", kind=tarfile.REGTYPE):
                info = tarfile.TarInfo(name)
                info.size, info.type, info.linkname = len(content), kind, "0.bin" if kind == tarfile.SYMTYPE else ""
                archive.addfile(info, io.BytesIO(content))

            add("d", kind=tarfile.DIRTYPE)
            for key in ("d/0", "d/1", "./2", "x" * 130, "../3"):
                add(f"{key}.bin", key.encode())
                add(f"{key}.more.bin", key.encode() * 300)
                add("README", b"no field")
                add("link.bin", kind=tarfile.SYMTYPE)
                add("__meta__/info.bin", b"about the archive")
        self.assertEqual(self.check(path), 5)

    def check(self, path):
        """Converts an archive and compares every sample; returns how many there were."""
        wanted = raw_samples(path)
        samples = convert(self, pathlib.Path(tempfile.mkdtemp(dir=self.folder)) / "out", path)
        self.compare(samples, samples.rows(), wanted)
        return len(wanted)

    def compare(self, samples, rows, wanted):
        self.assertEqual([it["__key__"] for it in rows], [it["__key__"] for it in wanted])
        fields_of = {column: self.field_of(column, wanted) for column in samples.fields if column != "__key__"}
        for row, sample in zip(rows, wanted):
            fields = {name: contents(name, raw) for name, raw in sample.items() if name != "__key__"}
            n_values = 0
            for column, field in fields_of.items():
                # The members of a field are behind another dot.
                value = reached(fields.get(field), column[len(field) + 1:].split(".") if column != field else [])
                # Pictures and clips are their bytes.
                found = row[column]["bytes"] if isinstance(row[column], dict) else row[column]
                is_same = same(found, value, samples.is_json(column))
                self.assertTrue(is_same, f"{sample['__key__']}: {column} is {str(found)[:100]}, not {str(value)[:100]}")
                n_values += value is not None
            self.assertGreater(n_values, 0)
            for name in leaf_names(fields):
                self.assertTrue(any(it == name or it.startswith(f"{name}.") for it in row), f"{name} has no column")

    def field_of(self, column, wanted):
        """The longest field that a column can be of."""
        fields = {name for sample in wanted for name in sample if column == name or column.startswith(f"{name}.")}
        self.assertTrue(fields, f"the column {column} is of no field")
        return max(fields, key=len)


if __name__ == "__main__":
    unittest.main()
