"""pyarrow, DuckDB, Polars and `datasets` open what `node-data convert` wrote, and see what the log's official reader
saw. Run by `cargo xtask test`, which converts the fixtures first."""
import importlib
import io
import unittest

from converted_dataset import all_datasets
from expected_columns import expected, same

BUILT_IN = ("episode_index", "log_time_ns", "publish_time_ns", "sequence")


def module(name):
    """A reader, or None where it cannot be imported; its tests are then skipped with the reason."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


class ReaderTests:
    """What every reader must see. A subclass says how to read: `table` returns (rows, first row, last row)."""

    needs = None

    def setUp(self):
        # Not in setUpClass: a class skipped there is missing from the number of tests that ran.
        if module(self.needs) is None:
            self.skipTest(f"{self.needs} is not installed, so nothing about it is proved")
        self.datasets = all_datasets()
        if not self.datasets:
            self.skipTest("NODEDATA_DATASETS is not set: run `cargo xtask test`")

    def test_every_table_has_the_rows_of_its_log(self):
        for name, dataset in self.datasets.items():
            for stream, shards, truth in dataset.streams():
                with self.subTest(fixture=name, stream=stream["name"]):
                    n_rows, first, last = self.table(dataset, stream, shards)
                    self.assertEqual(n_rows, stream["rows"])
                    for column in BUILT_IN:
                        self.assertIn(column, first)
                    if truth is not None:
                        self.assertEqual(n_rows, truth["count"])
                        self.check_row(stream, first, truth["first"], expected(truth)[0], truth)
                        self.check_row(stream, last, truth["last"], expected(truth)[1], truth)

    def check_row(self, stream, row, message, columns, truth):
        self.assertEqual(row["episode_index"], 0)
        self.assertEqual(row["log_time_ns"], message["log_time"])
        self.assertEqual(row["publish_time_ns"], message["publish_time"])
        self.assertEqual(row["sequence"], message["sequence"])
        for column, wanted in (columns or {}).items():
            if column in BUILT_IN:
                # A message may have a field of that name, too.
                column = f"message.{column}"
            if column not in row and (truth["schema_name"] is None or wanted in (None, [])):
                # Without a definition the columns are inferred; an empty list of structs has none.
                continue
            self.assertIn(column, row, f"no such column among {sorted(row)}")
            constants = constants_of(stream, column)
            self.assertTrue(
                same(row[column], wanted, constants),
                f"{column}: found {str(row[column])[:200]}, the log has {str(wanted)[:200]}",
            )


def constants_of(stream, column):
    """Constants of an enumeration, from the field's metadata: `NAME=VALUE` joined by commas."""
    return stream.get("constants", {}).get(column, {})


class Pyarrow(ReaderTests, unittest.TestCase):
    needs = "pyarrow"

    def table(self, dataset, stream, shards):
        import pyarrow
        import pyarrow.parquet

        table = pyarrow.concat_tables([pyarrow.parquet.read_table(path) for path in shards])
        stream["constants"] = {
            field.name: parse_constants((field.metadata or {}).get(b"nodedata:constants", b"").decode())
            for field in table.schema
        }
        return table.num_rows, table.slice(0, 1).to_pylist()[0], table.slice(table.num_rows - 1).to_pylist()[0]

    def test_no_extension_type_in_the_schema(self):
        # `datasets` refuses a whole file that has one.
        import pyarrow.parquet

        for dataset in self.datasets.values():
            for _, shards, _ in dataset.streams():
                for path in shards:
                    for field in pyarrow.parquet.read_schema(path):
                        self.assertNotIn(b"ARROW:extension:name", field.metadata or {}, f"{path}: {field.name}")


def parse_constants(text):
    pairs = (item.split("=", 1) for item in text.split(",") if "=" in item)
    return {name: int(value) for name, value in pairs if value.lstrip("-").isdigit()}


class DuckDb(ReaderTests, unittest.TestCase):
    needs = "duckdb"

    def table(self, dataset, stream, shards):
        import duckdb

        with duckdb.connect() as connection:
            relation = connection.read_parquet(shards)
            ((n_rows,),) = relation.count("*").fetchall()
            (first,) = relation.limit(1).fetchall()
            (last,) = relation.limit(1, n_rows - 1).fetchall()
            add_constants(stream, shards)
            return n_rows, dict(zip(relation.columns, first)), dict(zip(relation.columns, last))


class Polars(ReaderTests, unittest.TestCase):
    needs = "polars"

    def table(self, dataset, stream, shards):
        import polars

        frame = polars.read_parquet(shards)
        add_constants(stream, shards)
        return frame.height, frame.row(0, named=True), frame.row(-1, named=True)


class HuggingFace(ReaderTests, unittest.TestCase):
    needs = "datasets"

    def load(self, dataset, stream):
        import datasets

        config = stream["folder"].rsplit("/", 1)[-1]
        (split,) = dataset.splits(stream["name"])
        return datasets.load_dataset(str(dataset.folder), config, split=split)

    def table(self, dataset, stream, shards):
        import datasets

        table = self.load(dataset, stream)
        for column, feature in table.features.items():
            if isinstance(feature, datasets.Image):
                table = table.cast_column(column, datasets.Image(decode=False))
        add_constants(stream, shards)
        return len(table), table[0], table[-1]

    def test_encoded_images_show_as_images(self):
        import datasets

        n_shown = 0
        for name, dataset in self.datasets.items():
            for stream, _, truth in dataset.streams():
                if truth is None or not str(truth["schema_name"]).endswith("CompressedImage"):
                    continue
                with self.subTest(fixture=name, stream=stream["name"]):
                    table = self.load(dataset, stream)
                    self.assertIsInstance(table.features["data"], datasets.Image)
                    picture = table[0]["data"]
                    raw = table.cast_column("data", datasets.Image(decode=False))[0]["data"]["bytes"]
                    from PIL import Image

                    self.assertEqual(picture.size, Image.open(io.BytesIO(raw)).size)
                    n_shown += 1
        self.assertGreater(n_shown, 0, "no fixture has a compressed image")

    def test_a_configuration_for_every_stream(self):
        import datasets

        for name, dataset in self.datasets.items():
            wanted = {stream["folder"].rsplit("/", 1)[-1] for stream, _, _ in dataset.streams()}
            self.assertEqual(set(datasets.get_dataset_config_names(str(dataset.folder))), wanted, name)


def add_constants(stream, shards):
    """Field metadata is not shown by every reader; pyarrow reads it where it is installed."""
    if "constants" in stream or module("pyarrow") is None:
        return
    import pyarrow.parquet

    stream["constants"] = {
        field.name: parse_constants((field.metadata or {}).get(b"nodedata:constants", b"").decode())
        for field in pyarrow.parquet.read_schema(shards[0])
    }


class Counts(unittest.TestCase):
    """The manifest against the truth; needs no reader."""

    def test_every_topic_has_all_its_rows(self):
        datasets = all_datasets()
        if not datasets:
            self.skipTest("NODEDATA_DATASETS is not set: run `cargo xtask test`")
        for name, dataset in datasets.items():
            with self.subTest(fixture=name):
                converted, wanted = dataset.rows_by_topic()
                self.assertEqual(converted, wanted)
                listed = sum(shard["rows"] for shard in dataset.manifest["shards"])
                self.assertEqual(listed, dataset.truth["message_count"])


if __name__ == "__main__":
    unittest.main()
