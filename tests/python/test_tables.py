"""Tables of others against pyarrow: every value of 200 generated tables, in Parquet files, Arrow files and streams, and CSV. Run by
`cargo xtask test`."""
import concurrent.futures
import pathlib
import random
import tempfile
import unittest

from sample_columns import BUILT_IN, convert, differences, same, skip_without

# How many tables of each kind.
N_PARQUET, N_ARROW_FILES, N_ARROW_STREAMS, N_CSV = 90, 40, 30, 40
assert N_PARQUET + N_ARROW_FILES + N_ARROW_STREAMS + N_CSV == 200

# Conversions side by side; each has threads of its own for long.
N_WORKERS = 2

SPECIAL_TEXTS = ["a,b", "two\nlines", "a \"quoted\" word", "ümläut", " spaces ", "", "null", "NA", "-", "1e", "0x1f", "true", "2024-01-01"]
NUMBERS_THAT_ARE_TEXT = ["007", "+1", "1_000", "1,5", "١"]


def write_parquet(table, path, pick):
    """Tells whether the file has Arrow's own types beside those of Parquet."""
    import pyarrow.parquet

    tells_types = pick.random() < 0.7
    # Pages of one byte are those that pyarrow itself reads wrongly; so what is compared is the table that it wrote.
    pyarrow.parquet.write_table(
        table, path, version="2.6",
        row_group_size=pick.choice([1, 7, 1000]), data_page_size=pick.choice([1, 64, 1 << 20]),
        compression=pick.choice(["none", "snappy", "gzip", "brotli", "lz4", "zstd"]),
        data_page_version=pick.choice(["1.0", "2.0"]), use_dictionary=pick.random() < 0.5,
        write_statistics=pick.random() < 0.7, store_schema=tells_types,
        write_page_checksum=pick.random() < 0.5, use_compliant_nested_type=pick.random() < 0.7)
    return tells_types


def write_arrow(make):
    def write(table, path, pick):
        import pyarrow.ipc

        options = pyarrow.ipc.IpcWriteOptions(compression=pick.choice([None, "lz4", "zstd"]))
        with getattr(pyarrow.ipc, make)(path, table.schema, options=options) as writer:
            for batch in table.to_batches(max_chunksize=pick.choice([5, 1000])):
                writer.write_batch(batch)
        return True

    return write


class Tables(unittest.TestCase):
    def setUp(self):
        skip_without(self, ["pyarrow", "numpy"], "no table is compared with what pyarrow reads")
        scratch = tempfile.TemporaryDirectory(prefix="node-data-tables-")
        self.addCleanup(scratch.cleanup)
        self.folder = pathlib.Path(scratch.name)

    def test_parquet(self):
        self.check_all(range(N_PARQUET), "parquet", write_parquet)

    def test_arrow_files(self):
        self.check_all(range(1000, 1000 + N_ARROW_FILES), "arrow", write_arrow("new_file"))

    def test_arrow_streams(self):
        self.check_all(range(2000, 2000 + N_ARROW_STREAMS), "arrow", write_arrow("new_stream"))

    def test_nulls_between_lists(self):
        """Lists of fixed length that are null themselves, among lists of any length."""
        import pyarrow

        pairs = pyarrow.list_(pyarrow.list_(pyarrow.int32()), 2)
        values = [[None, [[1], None]], None, [], [[[None, 2], []], None]]
        table = pyarrow.table({"pairs": pyarrow.array(values, pyarrow.list_(pairs))})
        for ending, write in (("arrow", write_arrow("new_file")), ("parquet", write_parquet)):
            with self.subTest(ending):
                path = self.folder / f"pairs.{ending}"
                write(table, path, random.Random(0))
                samples = convert(self, self.folder / f"pairs.{ending}.out", path)
                self.assertEqual([it["pairs"] for it in samples.rows()], values)

    def test_csv(self):
        self.each(range(N_CSV), self.check_csv)

    def check_all(self, seeds, ending, write):
        n_values = sum(self.each(seeds, lambda seed: self.check(seed, ending, write)))
        # Nothing would differ where nothing is looked at.
        self.assertGreater(n_values, 50 * len(seeds))

    def each(self, seeds, check):
        """Runs a check for each seed, and goes on after one that fails."""
        results = []
        with concurrent.futures.ThreadPoolExecutor(N_WORKERS) as workers:
            jobs = {seed: workers.submit(check, seed) for seed in seeds}
            for seed, job in jobs.items():
                with self.subTest(seed=seed):
                    results.append(job.result())
        return results

    def check(self, seed, ending, write):
        """Writes a table, converts it and compares all of it; returns how many values."""
        import pyarrow
        from random_tables import RandomTable, leaves, plain_rows, stored

        is_parquet = ending == "parquet"
        table = RandomTable(seed, has_views=not is_parquet).table
        path = self.folder / f"{seed}.{ending}"
        tells_types = write(table, path, random.Random(seed))
        has_nested_dictionary = any(
            pyarrow.types.is_dictionary(kind) for it in table.schema if pyarrow.types.is_nested(it.type) for _, kind in leaves(it.type))
        flags = ["--threads", "1"]
        if is_parquet and has_nested_dictionary:
            # Of these, pyarrow counts no nulls that are those of what is above them.
            flags += ["--set", "source.null_counts=ignore"]
        samples = convert(self, self.folder / f"{seed}.out", path, flags=flags)
        names = [leaf for it in table.schema for leaf in leaves(it.type, it.name)]
        self.assertEqual(list(samples.fields), [column(name) for name, _ in names], f"columns of {table.schema}")
        for name, kind in names:
            found = samples.fields[column(name)].type
            while hasattr(found, "value_type"):
                found = found.value_type
            self.assertEqual(found, stored(kind, is_parquet), f"{name}, which is {kind}")
        rows, wanted = samples.rows(), plain_rows(table, is_parquet, tells_types)
        self.assertEqual(len(rows), len(wanted))
        n_all = 0
        for number, (row, values) in enumerate(zip(rows, wanted)):
            told, n_values = differences(samples, row, values)
            self.assertEqual(told, [], f"row {number} of {table.schema}")
            n_all += n_values
        return n_all

    def check_csv(self, seed):
        """pyarrow hands out the text of each field; the type that all texts of a column fit decides."""
        import pyarrow
        import pyarrow.csv

        pick = random.Random(seed)
        columns = {name: [make() for _ in range(50)] for name, make in csv_columns(pick).items()}
        delimiter = pick.choice([",", "\t", ";", "|"])
        path = self.folder / f"{seed}.csv"
        path.write_bytes(csv_text(columns, delimiter, pick))
        read = pyarrow.csv.read_csv(
            path, parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
            convert_options=pyarrow.csv.ConvertOptions(
                column_types={name: pyarrow.string() for name in columns}, null_values=[""], strings_can_be_null=True,
                quoted_strings_can_be_null=False))
        samples = convert(self, self.folder / f"{seed}.csv.out", path, flags=["--threads", "1"])
        self.assertEqual(list(samples.fields), list(columns))
        rows = samples.rows()
        self.assertEqual(len(rows), read.num_rows)
        for name in columns:
            texts, made = read.column(name).to_pylist(), [row[name] for row in rows]
            self.assertEqual(texts, [None if it is None else it[0] for it in columns[name]], f"pyarrow reads {name} otherwise")
            of_text = csv_type(columns[name])
            self.assertEqual(str(samples.fields[name].type), {int: "int64", float: "double", str: "string"}[of_text], name)
            wanted = [None if it is None else of_text(it) for it in texts]
            for number, (one, other) in enumerate(zip(made, wanted)):
                self.assertTrue(same(one, other), f"{name}, row {number}: found {one!r}, not {other!r}")
        return len(rows) * len(columns)


def column(name):
    """Built-in columns keep their names."""
    return f"source.{name}" if name in BUILT_IN else name


def csv_columns(pick):
    """Columns by name, each with what makes a field of it: its text and whether it stands in quotes, or nothing."""
    def some(make, is_quoted=lambda: False):
        return lambda: None if pick.random() < 0.15 else (make(), is_quoted())

    def text():
        return pick.choice(SPECIAL_TEXTS)

    kinds = [
        some(lambda: str(pick.randint(-2**63, 2**63 - 1))),
        some(lambda: str(pick.randint(-9, 9))),
        some(lambda: repr(pick.uniform(-1e9, 1e9))),
        some(lambda: pick.choice(["1", "-2.5", "1e300", "1.5E-3", "0.1", str(pick.randint(0, 99))])),
        some(text, lambda: True),
        some(lambda: pick.choice(NUMBERS_THAT_ARE_TEXT), lambda: True),
        some(lambda: pick.choice(["word", "two words", "ümläut"])),
        some(lambda: pick.choice(["1", "2", "word"])),
    ]
    names = ["id", "Upper Case", "ümläut", "a.b", "with, comma", "x-1", "日"]
    return {f"{pick.choice(names)}{n}": pick.choice(kinds) for n in range(pick.randint(1, 8))} | {"last": some(lambda: "end")}


def csv_type(fields):
    """`int64` where all fields are whole numbers as one writes them, floats where all are numbers, else text."""
    if any(is_quoted for it in fields if it for _, is_quoted in [it]):
        return str
    texts = [it[0] for it in fields if it]
    if all(text.lstrip("-").isdigit() and str(int(text)) == text for text in texts):
        return int
    try:
        return float if [float(it) for it in texts] else str
    except ValueError:
        return str


def csv_text(columns, delimiter, pick):
    def field(it):
        if it is None:
            return ""
        text, is_quoted = it
        return f'"{text.replace(chr(34), chr(34) * 2)}"' if is_quoted or delimiter in text else text

    end = pick.choice(["\n", "\r\n"])
    lines = [[field((name, delimiter in name)) for name in columns], *([field(it) for it in row] for row in zip(*columns.values()))]
    # Where the last field is absent, pyarrow takes the end of the file for an empty text.
    has_end = columns["last"][-1] is None or pick.random() < 0.5
    return end.join(delimiter.join(it) for it in lines).encode() + (end.encode() if has_end else b"")


if __name__ == "__main__":
    unittest.main()
