"""What `node-data convert` wrote of samples, and what its columns must hold, given the same samples as another program reads them.

The rules are those of the layout: a struct becomes dotted leaves, a list of structs parallel lists, and what is absent is null. What is
of several kinds is JSON text, and so are values that were JSON text before.
"""
import importlib
import json
import math
import os
import pathlib
import subprocess

CONVERT_SECONDS_MAX = 120
BUILT_IN = ("episode_index", "step_index")

CORPUS = pathlib.Path(__file__).resolve().parents[3] / "shared" / "corpora" / "episodes"


def module(name):
    """A reader, or None where it cannot be imported; its tests are then skipped with the reason."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def skip_without(test, modules, what):
    """To be called in setUp, not in setUpClass: a class skipped there is missing from the number of tests that ran."""
    for name in modules:
        if module(name) is None:
            test.skipTest(f"{name} is not installed, so {what}")
    if "NODEDATA_BINARY" not in os.environ:
        test.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")


def corpus(test, name):
    """A folder or file of the corpus; without it the test is skipped."""
    if not (CORPUS / name).exists():
        test.skipTest(f"corpus folder absent: episodes/{name}")
    return CORPUS / name


def convert(test, out, *sources, flags=()):
    """Converts without a loss, and returns what was written."""
    command = [os.environ["NODEDATA_BINARY"], "convert", *map(str, sources), "--out", str(out), *flags]
    done = subprocess.run(command, capture_output=True, text=True, timeout=CONVERT_SECONDS_MAX)
    test.assertEqual(done.returncode, 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return Samples(out)


class Samples:
    """A converted dataset of samples, in the order of their files and rows."""

    def __init__(self, folder):
        import pyarrow
        import pyarrow.parquet

        self.folder = folder
        self.manifest = json.loads((folder / "manifest.json").read_text())
        tables = [pyarrow.parquet.read_table(folder / it["path"]) for it in self.manifest["shards"]]
        # Shards of several splits lie one after the other.
        self.table = pyarrow.concat_tables(tables).sort_by([(it, "ascending") for it in BUILT_IN])
        self.fields = {it.name: it for it in self.table.schema if it.name not in BUILT_IN}

    def of_file(self, name):
        """The rows of one file, without the built-in columns."""
        import pyarrow.compute
        import pyarrow.parquet

        keys = pyarrow.parquet.read_table(self.folder / "index/episodes.parquet", columns=["episode_key", "episode_index"])
        (number,) = {it["episode_index"] for it in keys.to_pylist() if it["episode_key"] == name}
        return self.rows(self.table.filter(pyarrow.compute.field("episode_index") == number))

    def rows(self, table=None):
        table = self.table if table is None else table
        assert table.column("step_index").to_pylist() == list(range(table.num_rows)), "rows of one file are numbered"
        return table.drop_columns(list(BUILT_IN)).to_pylist()

    def metadata(self, name, key):
        """What a field says of itself under `nodedata:KEY`; `None` where it does not."""
        found = (self.fields[name].metadata or {}).get(f"nodedata:{key}".encode())
        return None if found is None else found.decode()

    def is_json(self, name):
        return self.metadata(name, "encoding") == "json"


# What no column can hold.
NOTHING = object()


def reached(value, names):
    """What a value has at the end of dotted names. Names may have dots themselves."""
    if not names or value is None:
        return value
    if isinstance(value, list):
        return [reached(it, names) for it in value]
    if not isinstance(value, dict):
        return NOTHING
    for n in range(1, len(names) + 1):
        if (key := ".".join(names[:n])) in value:
            return reached(value[key], names[n:])
    return None


def leaf_names(value, name=""):
    """The dotted names of all that is there."""
    if isinstance(value, dict):
        return {it for key, inner in value.items() for it in leaf_names(inner, f"{name}.{key}" if name else key)}
    if isinstance(value, list) and not any(isinstance(it, (dict, list)) for it in value):
        return {name}
    if isinstance(value, list):
        return {it for inner in value for it in leaf_names(inner, name)} or {name}
    return set() if value is None else {name}


def differences(samples, found, wanted):
    """How a row differs from what another program read, in words; a list, and how many values were compared."""
    told, n_values = [], 0
    for name in samples.fields:
        _, _, own = name.partition("source.")
        path = own if own in BUILT_IN and own in wanted else name
        value = reached(wanted, path.split("."))
        if not same(found[name], value, samples.is_json(name)):
            told.append(f"{name}: found {str(found[name])[:200]}, not {str(value)[:200]}")
        n_values += value is not None
    json_names = [it for it in samples.fields if samples.is_json(it)]
    for name in leaf_names(wanted):
        name = f"source.{name}" if f"source.{name}" in samples.fields else name
        # Of a list without items, the columns are those of the items that others have.
        is_list_of = any(it.startswith(f"{name}.") for it in samples.fields)
        if name not in samples.fields and not is_list_of and not any(name.startswith(f"{it}.") for it in json_names):
            told.append(f"{name}: there is no such column")
    return told, n_values


def same(found, wanted, is_json=False):
    """Whether two values are the same, of the same kind, to the last bit. Whole numbers may have become floats where those are exact."""
    if found is None or wanted is None:
        return found is wanted
    if is_json and isinstance(found, str):
        return same(json.loads(found), wanted)
    if isinstance(found, list) and isinstance(wanted, list):
        # Quick, and as strict as what follows: most lists are pixels and joints.
        if repr(found) == repr(wanted):
            return True
        return len(found) == len(wanted) and all(same(one, other, is_json) for one, other in zip(found, wanted))
    if isinstance(found, dict) and isinstance(wanted, dict):
        return found.keys() == wanted.keys() and all(same(found[it], wanted[it]) for it in found)
    if isinstance(found, float) and isinstance(wanted, float):
        is_nan = math.isnan(found) and math.isnan(wanted)
        return is_nan or (found == wanted and math.copysign(1, found) == math.copysign(1, wanted))
    if isinstance(found, float) and isinstance(wanted, int) and not isinstance(wanted, bool):
        # Python compares them exactly.
        return found == wanted
    return type(found) is type(wanted) and found == wanted
