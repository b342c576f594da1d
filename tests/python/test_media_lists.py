"""Lists of images open as lists of pictures: a LeRobot dataset made with pyarrow and Pillow, with stacks of frames and
lists of any length, is converted and read back. Run by `cargo xtask test`."""
import importlib
import io
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

CONVERT_SECONDS_MAX = 60
ROWS = 6


def module(name):
    """A reader, or None where it cannot be imported; its tests are then skipped with the reason."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def jpeg(seed):
    from PIL import Image

    target = io.BytesIO()
    Image.new("RGB", (16, 8), (seed % 256, 2 * seed % 256, 3 * seed % 256)).save(target, "JPEG")
    return {"bytes": target.getvalue(), "path": f"{seed}.jpg"}


def views(row):
    """No list in row 2, an empty one in row 3, one without its second image in row 4."""
    return {2: None, 3: [], 4: [jpeg(40), None]}.get(row, [jpeg(10 * row + it) for it in range(row + 1)])


def stack(row):
    return [jpeg(100 + 2 * row), jpeg(101 + 2 * row)]


def grid(row):
    return [[jpeg(150 + row), jpeg(160 + row)] for _ in range(row % 3)]


def write_lerobot(folder):
    """One episode as its official layout has it, and three columns of images in lists."""
    import pyarrow
    import pyarrow.parquet

    image = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    data = {
        "views": pyarrow.array([views(it) for it in range(ROWS)], pyarrow.list_(image)),
        "stack": pyarrow.array([stack(it) for it in range(ROWS)], pyarrow.list_(image, 2)),
        "grid": pyarrow.array([grid(it) for it in range(ROWS)], pyarrow.list_(pyarrow.list_(image, 2))),
        "timestamp": pyarrow.array([it / 10 for it in range(ROWS)], pyarrow.float32()),
        "frame_index": list(range(ROWS)),
        "episode_index": [0] * ROWS,
        "index": list(range(ROWS)),
        "task_index": [0] * ROWS,
    }
    episodes = {
        "episode_index": [0],
        "length": [ROWS],
        "dataset_from_index": [0],
        "dataset_to_index": [ROWS],
        "data/chunk_index": [0],
        "data/file_index": [0],
    }
    whole = {"dtype": "int64", "shape": [1], "names": None}
    features = {name: whole for name in ("frame_index", "episode_index", "index", "task_index")}
    features["timestamp"] = {"dtype": "float32", "shape": [1], "names": None}
    # The lengths of lists, then what an image decodes to.
    features["stack"] = {"dtype": "image", "shape": [2, 8, 16, 3], "names": None}
    features["grid"] = {"dtype": "image", "shape": [-1, 2, 8, 16, 3], "names": None}
    info = {
        "codebase_version": "v3.0",
        "robot_type": None,
        "fps": 10,
        "total_episodes": 1,
        "total_frames": ROWS,
        "total_tasks": 1,
        "chunks_size": 1000,
        "splits": {"train": "0:1"},
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": None,
        "features": features,
    }
    tables = {
        "data/chunk-000/file-000.parquet": data,
        "meta/episodes/chunk-000/file-000.parquet": episodes,
        "meta/tasks.parquet": {"task_index": [0], "task": ["look"]},
    }
    for name, columns in tables.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pyarrow.parquet.write_table(pyarrow.table(columns), path)
    (folder / "meta/info.json").write_text(json.dumps(info))


class MediaLists(unittest.TestCase):
    def setUp(self):
        # Not in setUpClass: a class skipped there is missing from the number of tests that ran.
        for name in ("pyarrow", "PIL", "datasets", "duckdb", "polars", "pandas"):
            if module(name) is None:
                self.skipTest(f"{name} is not installed, so nothing about lists of images is proved")
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")
        scratch = tempfile.TemporaryDirectory(prefix="node-data-lists-")
        self.addCleanup(scratch.cleanup)
        folder = pathlib.Path(scratch.name)
        write_lerobot(folder / "source")
        self.out = folder / "out"
        self.command("convert", str(folder / "source"), "--out", str(self.out))
        self.command("validate", "--deep", str(self.out))
        self.shard = self.out / "data/train-00000.parquet"

    def command(self, *args):
        command = [os.environ["NODEDATA_BINARY"], *args]
        subprocess.run(command, check=True, capture_output=True, timeout=CONVERT_SECONDS_MAX)

    def check(self, rows):
        """Rows as dictionaries, images as they are stored."""
        self.assertEqual(len(rows), ROWS)
        for idx, row in enumerate(rows):
            for name, wanted in {"views": views(idx), "stack": stack(idx), "grid": grid(idx)}.items():
                self.assertEqual(plain(row[name]), plain(wanted), f"{name}, row {idx}")

    def test_pyarrow(self):
        import pyarrow.parquet

        table = pyarrow.parquet.read_table(self.shard)
        self.assertIn("fixed_size_list", str(table.schema.field("stack").type))
        self.check(table.to_pylist())

    def test_pandas(self):
        import pandas

        self.check(pandas.read_parquet(self.shard).to_dict("records"))

    def test_duckdb(self):
        import duckdb

        with duckdb.connect() as connection:
            relation = connection.read_parquet(str(self.shard))
            self.check([dict(zip(relation.columns, row)) for row in relation.fetchall()])

    def test_polars(self):
        import polars

        self.check(polars.read_parquet(self.shard).to_dicts())

    def test_datasets_shows_lists_of_pictures(self):
        import datasets
        from PIL import Image

        table = datasets.load_dataset(str(self.out), split="train")
        image = datasets.Image()
        self.assertEqual(table.features["views"], datasets.List(image))
        self.assertEqual(table.features["stack"], datasets.List(image, length=2))
        self.assertEqual(table.features["grid"], datasets.List(datasets.List(image, length=2)))
        for idx, row in enumerate(table):
            for shown, wanted in ((row["views"], views(idx)), (row["stack"], stack(idx))):
                self.assertEqual(shown is None, wanted is None)
                for one, stored in zip(shown or [], wanted or [], strict=True):
                    self.assertEqual(one is None, stored is None)
                    if one is not None:
                        same = Image.open(io.BytesIO(stored["bytes"]))
                        self.assertEqual(one.convert("RGB").tobytes(), same.convert("RGB").tobytes())
            for shown in row["grid"]:
                self.assertEqual([it.size for it in shown], [(16, 8)] * 2)


def plain(value):
    """A value as Python's own lists, down to the bytes of each image; whatever a reader calls an absent one."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        return value["bytes"]
    return [plain(it) for it in value]


if __name__ == "__main__":
    unittest.main()
