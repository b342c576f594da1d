"""Samples open in `datasets`, which shows pictures (in lists as well), clips of sound and JSON as such, and in DuckDB, Polars and
pandas. Run by `cargo xtask test`."""
import functools
import io
import json
import os
import pathlib
import tarfile
import tempfile
import unittest

from sample_columns import convert, same, skip_without

ROWS = 6
RATE = 16_000
# Endings of clips, with what PyAV calls container and codec.
CLIPS = {"wav": ("wav", "pcm_s16le"), "flac": ("flac", "flac"), "mp3": ("mp3", "libmp3lame"), "opus": ("ogg", "libopus")}


def picture(seed, kind="JPEG"):
    from PIL import Image

    target = io.BytesIO()
    Image.new("RGB", (16, 8), (seed % 256, 2 * seed % 256, 3 * seed % 256)).save(target, kind)
    return target.getvalue()


@functools.cache
def clip(seed, ending):
    """A tenth of a second of noise; made once, because a stream of Ogg has a random number."""
    import av
    import numpy

    container, codec = CLIPS[ending]
    target, rate = io.BytesIO(), 48_000 if ending == "opus" else RATE
    with av.open(target, "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout="mono")
        samples = numpy.random.default_rng(seed).integers(-9000, 9000, (1, rate // 10), dtype=numpy.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = rate
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            out.mux(packet)
    return target.getvalue()


def mixed(row):
    """Of another kind in every row."""
    return [row, f"text {row}", {"deep": [row, None]}, [1, "two"], True, None][row]


def sample(row):
    """The members of a sample. One has no clips."""
    clips = {ending: clip(row, ending) for ending in CLIPS if row != 2}
    told = {"caption": f"säure {row}", "boxes": [{"x": row, "name": "b"}] * (row % 3), "mixed": mixed(row)}
    return {"jpg": picture(row), "mask.png": picture(row, "PNG"), **clips, "json": json.dumps(told).encode(), "cls": b"%d" % row}


def write_webdataset(path):
    with tarfile.open(path, "w") as archive:
        for row in range(ROWS):
            for field, content in sample(row).items():
                info = tarfile.TarInfo(f"{row:06}.{field}")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))


def views(row):
    """No list in row 2, an empty one in row 3, one without its second picture in row 4."""
    return {2: None, 3: [], 4: [picture(40), None]}.get(row, [picture(10 * row + it) for it in range(row + 1)])


def medium(content, name):
    return None if content is None else {"bytes": content, "path": name}


def write_hugging_face(path):
    """What `to_parquet` of `datasets` writes; encoding clips would need yet another package."""
    import datasets
    import pyarrow
    import pyarrow.parquet

    features = datasets.Features({
        "image": datasets.Image(), "views": datasets.List(datasets.Image()), "sound": datasets.Audio(sampling_rate=RATE),
        "told": datasets.Json(), "label": datasets.ClassLabel(names=["idle", "reach"]),
        "state": datasets.List(datasets.Value("float32"), length=3),
    })
    columns = {
        "image": [medium(picture(it), f"{it}.jpg") for it in range(ROWS)],
        "views": [None if views(it) is None else [medium(one, None) for one in views(it)] for it in range(ROWS)],
        "sound": [medium(None if it == 2 else clip(it, "flac"), f"{it}.flac") for it in range(ROWS)],
        "told": [None if mixed(it) is None else json.dumps(mixed(it)) for it in range(ROWS)],
        "label": [it % 2 for it in range(ROWS)],
        "state": [[it, it + 0.5, -it] for it in range(ROWS)],
    }
    schema = features.arrow_schema
    pyarrow.parquet.write_table(pyarrow.table(columns, schema=schema), path)


class SampleReaders(unittest.TestCase):
    maxDiff = 2000

    def setUp(self):
        names = ["pyarrow", "PIL", "av", "numpy", "datasets", "duckdb", "polars", "pandas"]
        skip_without(self, names, "nothing about samples in readers is proved")
        scratch = tempfile.TemporaryDirectory(prefix="node-data-sample-readers-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def webdataset(self):
        write_webdataset(self.folder / "train-000000.tar")
        return convert(self, self.folder / "out", self.folder / "train-000000.tar")

    def hugging_face(self):
        write_hugging_face(self.folder / "train-00000-of-00001.parquet")
        return convert(self, self.folder / "out", self.folder / "train-00000-of-00001.parquet")

    def load(self, samples):
        import datasets

        return datasets.load_dataset(str(samples.folder), split="train", cache_dir=str(self.folder / "cache"))

    def check_pictures(self, shown, stored):
        from PIL import Image

        for one, other in zip(shown, stored, strict=True):
            self.assertEqual(one is None, other is None)
            if other is not None:
                self.assertEqual(one.convert("RGB").tobytes(), Image.open(io.BytesIO(other)).convert("RGB").tobytes())

    def check_clips(self, table, column, stored):
        """`datasets` knows the column for sound. Decoding it would need another package, so its bytes are looked at."""
        import datasets

        self.assertIsInstance(table.features[column], datasets.Audio, column)
        rows = table.cast_column(column, datasets.Audio(decode=False))[column]
        self.assertEqual([None if it is None else it["bytes"] for it in rows], stored, column)

    def test_datasets_shows_pictures_and_clips_of_archives(self):
        import datasets

        table = self.load(self.webdataset())
        self.assertEqual(len(table), ROWS)
        for column in ("jpg", "mask.png"):
            self.assertIsInstance(table.features[column], datasets.Image, column)
            self.check_pictures([it[column] for it in table.select_columns([column])], [sample(it)[column] for it in range(ROWS)])
        for ending in CLIPS:
            self.check_clips(table, ending, [sample(it).get(ending) for it in range(ROWS)])
        self.assertEqual(table["json.caption"][:], [f"säure {it}" for it in range(ROWS)])

    def test_datasets_shows_videos_of_archives(self):
        """`datasets` knows the column for video. Decoding it would need another package, so its bytes are looked at."""
        import datasets

        fixtures = pathlib.Path(os.environ["NODEDATA_FIXTURES"]) / "video"
        videos = [(fixtures / name).read_bytes() for name in ("h264_gray.mp4", "hevc_bt709_full.mp4")]
        with tarfile.open(self.folder / "train-000000.tar", "w") as archive:
            for row, content in enumerate(videos):
                member = tarfile.TarInfo(f"{row}.mp4")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        table = self.load(convert(self, self.folder / "out", self.folder / "train-000000.tar"))
        self.assertIsInstance(table.features["mp4"], datasets.Video)
        rows = table.cast_column("mp4", datasets.Video(decode=False))["mp4"]
        self.assertEqual([it["bytes"] for it in rows], videos)

    def test_datasets_shows_json_of_archives(self):
        self.check_json(self.load(self.webdataset()), "json.mixed")

    def test_datasets_shows_what_it_wrote_itself(self):
        import datasets

        table = self.load(self.hugging_face())
        self.assertIsInstance(table.features["image"], datasets.Image)
        self.assertEqual(table.features["views"], datasets.List(datasets.Image()))
        self.assertEqual(table.features["state"], datasets.List(datasets.Value("float32"), length=3))
        pictures = table.select_columns(["image", "views"])
        self.check_pictures([it["image"] for it in pictures], [picture(it) for it in range(ROWS)])
        for row, it in enumerate(pictures):
            self.assertEqual(it["views"] is None, views(row) is None)
            self.check_pictures(it["views"] or [], views(row) or [])
        self.check_clips(table, "sound", [None if it == 2 else clip(it, "flac") for it in range(ROWS)])

    def test_datasets_shows_json_that_it_wrote_itself(self):
        self.check_json(self.load(self.hugging_face()), "told")

    def check_json(self, table, column):
        import datasets

        self.assertIsInstance(table.features[column], datasets.Json, column)
        self.assertEqual(table[column][:], [mixed(it) for it in range(ROWS)])

    def test_other_readers_open_both(self):
        """Each sees the rows that pyarrow sees."""
        import duckdb
        import pandas
        import polars

        for make in (self.webdataset, self.hugging_face):
            samples = make()
            wanted = samples.table.to_pylist()
            self.assertEqual(len(wanted), ROWS)
            (shard,) = (samples.folder / it["path"] for it in samples.manifest["shards"])
            with duckdb.connect() as connection:
                relation = connection.read_parquet(str(shard))
                duck = [dict(zip(relation.columns, row)) for row in relation.fetchall()]
            readers = {
                "duckdb": duck,
                "polars": polars.read_parquet(shard).to_dicts(),
                "pandas": pandas.read_parquet(shard, dtype_backend="pyarrow").to_dict("records"),
            }
            for name, rows in readers.items():
                with self.subTest(reader=name, source=make.__name__):
                    self.assertEqual(len(rows), ROWS)
                    for row, other in zip(rows, wanted):
                        for column, value in other.items():
                            self.assertTrue(same(plain(row[column]), plain(value)), f"{column} is {row[column]!r}, not {value!r}")
            for it in self.folder.iterdir():
                it.rename(it.with_name(f"{make.__name__}-{it.name}"))


def plain(value):
    """A value as Python's own, whatever a reader calls one that is absent; a medium by its bytes."""
    if isinstance(value, dict) and set(value) == {"bytes", "path"}:
        return value["bytes"]
    if isinstance(value, (tuple, list)):
        return [plain(it) for it in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    return None if type(value).__name__ in ("NAType", "NaTType") else value


if __name__ == "__main__":
    unittest.main()
