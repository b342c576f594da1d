"""Arrow tables of random nested types, nulls at every level; and what their columns are where structs are dotted leaves. Needs
pyarrow and numpy."""
import random

import numpy
import pyarrow as pa
import pyarrow.compute

NANOSECONDS = {"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}
TEXTS = ["", "a", "säure", "日本", "😀", "two\nlines", "tab\t", "\"quoted\"", "007", "null", "NaN"]
INTEGERS = {"int": (True, (8, 16, 32, 64)), "uint": (False, (8, 16, 32, 64))}


class RandomTable:
    """One table, the same for a seed. `has_views` lets in what Parquet does not know: views, runs, small decimals."""

    def __init__(self, seed, has_views=False):
        self.random = random.Random(seed)
        self.has_views = has_views
        self.n_names, self.has_built_in = 0, False
        fields = [self.field(0, is_top=True) for _ in range(self.random.randint(1, 6))]
        n_rows = self.random.choice([1, 2, 17, 60])
        arrays = [self.in_runs(self.array(it, n_rows)) for it in fields]
        fields = [it.with_type(array.type) for it, array in zip(fields, arrays)]
        self.table = pa.Table.from_arrays(arrays, schema=pa.schema(fields))

    def in_runs(self, array):
        """Some columns of what Parquet does not know as runs of values."""
        is_plain = pa.types.is_primitive(array.type) or pa.types.is_string(array.type)
        if not self.has_views or not is_plain or 0.3 < self.random.random():
            return array
        return pa.compute.run_end_encode(array, run_end_type=self.random.choice([pa.int16(), pa.int32(), pa.int64()]))

    def field(self, depth, is_top=False):
        self.n_names += 1
        letters = self.random.choice(["x", "Upper", "with space", "ümläut", "日", "a-b"])
        name = f"{letters}{self.n_names}"
        if is_top and not self.has_built_in and self.random.random() < 0.05:
            name, self.has_built_in = "episode_index", True
        kind = self.type(depth)
        return pa.field(name, kind, nullable=pa.types.is_null(kind) or self.random.random() < 0.75)

    def type(self, depth):
        pick = self.random
        if depth < 3 and pick.random() < 0.45:
            return self.nested_type(depth)
        unit = pick.choice(list(NANOSECONDS))
        types = [
            *(pa.type_for_alias(f"{sign}{bits}") for sign, (_, widths) in INTEGERS.items() for bits in widths),
            pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.string(), pa.large_string(), pa.binary(), pa.large_binary(),
            pa.binary(pick.randint(1, 20)), pa.date32(), pa.date64(), pa.timestamp(unit), pa.timestamp(unit, "UTC"),
            pa.timestamp(unit, "Europe/Zurich"), pa.duration(unit), pa.time32(pick.choice(["s", "ms"])), pa.time64(pick.choice(["us", "ns"])),
            pa.decimal128(pick.randint(1, 38), pick.randint(0, 1)), pa.decimal128(20, 7), pa.decimal256(60, 30), pa.null(),
            pa.dictionary(pa.int32(), pa.string()),
        ]
        if self.has_views:
            types += [pa.string_view(), pa.binary_view(), pa.decimal32(9, 3), pa.decimal64(18, 2), pa.dictionary(pa.uint8(), pa.int64())]
        return pick.choice(types)

    def nested_type(self, depth):
        pick = self.random
        if pick.random() < 0.4:
            return pa.struct([self.field(depth + 1) for _ in range(pick.randint(1, 4))])
        if pick.random() < 0.2:
            key = pick.choice([pa.string(), pa.int32()])
            return pa.map_(key, self.item(depth, "value"))
        lists = [pa.list_, pa.list_, pa.large_list, lambda item: pa.list_(item, pick.randint(1, 4))]
        if self.has_views:
            lists += [pa.list_view, pa.large_list_view]
        return pick.choice(lists)(self.item(depth, "element"))

    def item(self, depth, name):
        return self.field(depth + 1).with_name(name)

    def array(self, field, n):
        """Values of a field. Those below a null are made as well, as other writers leave them there."""
        pick, kind = self.random, field.type
        if pa.types.is_null(kind):
            return pa.nulls(n)
        is_null = [field.nullable and pick.random() < 0.2 for _ in range(n)]
        mask = pa.array(is_null, pa.bool_())
        if pa.types.is_struct(kind):
            members = [self.array(it, n) for it in kind]
            return pa.StructArray.from_arrays(members, fields=list(kind), mask=mask)
        if pa.types.is_fixed_size_list(kind):
            items = self.array(kind.value_field, n * kind.list_size)
            return pa.FixedSizeListArray.from_arrays(items, type=kind, mask=mask)
        if pa.types.is_map(kind) or pa.types.is_nested(kind):
            return self.lists(kind, is_null)
        values = pa.array([None if it else self.value(kind) for it in is_null], plain_type(kind))
        if not pa.types.is_dictionary(kind):
            return values.cast(kind)
        values = values.dictionary_encode()
        return pa.DictionaryArray.from_arrays(values.indices.cast(kind.index_type), values.dictionary)

    def lists(self, kind, is_null):
        lengths = [0 if it else self.random.choice([0, 1, 2, 5]) for it in is_null]
        starts = [sum(lengths[:row]) for row in range(len(lengths) + 1)]
        if pa.types.is_map(kind):
            keys = self.array(kind.key_field, starts[-1])
            items = self.array(kind.item_field, starts[-1])
            offsets = pa.array([None if it else start for it, start in zip([*is_null, False], starts)], pa.int32())
            return pa.MapArray.from_arrays(offsets, keys, items, kind)
        items = self.array(kind.value_field, starts[-1])
        if pa.types.is_list(kind) or pa.types.is_large_list(kind):
            make, width = (pa.ListArray, pa.int32()) if pa.types.is_list(kind) else (pa.LargeListArray, pa.int64())
            return make.from_arrays(pa.array(starts, width), items, type=kind, mask=pa.array(is_null, pa.bool_()))
        is_small = pa.types.is_list_view(kind)
        make, width = (pa.ListViewArray, pa.int32()) if is_small else (pa.LargeListViewArray, pa.int64())
        sizes = pa.array(lengths, width)
        return make.from_arrays(pa.array(starts[:-1], width), sizes, items, type=kind, mask=pa.array(is_null, pa.bool_()))

    def value(self, kind):
        """What makes a value of a type, of the type that `plain_type` says."""
        pick = self.random
        if pa.types.is_integer(kind):
            high = 2 ** (kind.bit_width - pa.types.is_signed_integer(kind))
            low = -high if pa.types.is_signed_integer(kind) else 0
            return pick.choice([low, high - 1, 0, 1, pick.randint(low, high - 1)])
        if pa.types.is_floating(kind):
            value = pick.choice([0.0, -0.0, 1.5, float("nan"), float("inf"), pick.uniform(-9, 9)])
            return numpy.float16(value) if pa.types.is_float16(kind) else value
        if pa.types.is_boolean(kind):
            return pick.random() < 0.5
        if pa.types.is_fixed_size_binary(kind):
            return pick.randbytes(kind.byte_width)
        if pa.types.is_decimal(kind):
            digits = pick.randint(0, 10**pick.randint(0, kind.precision) - 1) * pick.choice([1, -1])
            return decimal_of(digits, kind.scale)
        if pa.types.is_date64(kind):
            return pick.randint(-10**4, 10**4) * 86_400_000
        if pa.types.is_time(kind):
            return pick.randint(0, 86_399) * (10**9 // NANOSECONDS[kind.unit])
        if pa.types.is_temporal(kind):
            per_unit = NANOSECONDS.get(getattr(kind, "unit", None), 10**14)
            return pick.choice([0, -1, pick.randint(-9 * 10**18 // per_unit, 9 * 10**18 // per_unit)])
        if pa.types.is_dictionary(kind):
            return self.value(kind.value_type)
        if kind in (pa.binary(), pa.large_binary(), pa.binary_view()):
            return pick.randbytes(pick.choice([0, 1, 3, 200]))
        return pick.choice(TEXTS)


def plain_type(kind):
    """The type that values are first made of; pyarrow makes none of some from Python's."""
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return pa.int32()
    if pa.types.is_temporal(kind):
        return pa.int64()
    if pa.types.is_dictionary(kind):
        return kind.value_type
    return kind


def decimal_of(digits, scale):
    import decimal

    return decimal.Decimal((digits < 0, tuple(map(int, str(abs(digits)))), -scale))


def leaves(kind, name=""):
    """The dotted leaves of a type: name, type of the values."""
    if pa.types.is_struct(kind):
        return [leaf for member in kind for leaf in leaves(member.type, f"{name}.{member.name}" if name else member.name)]
    if pa.types.is_map(kind):
        return leaves(kind.key_type, f"{name}.key") + leaves(kind.item_type, f"{name}.value")
    if pa.types.is_nested(kind):
        return leaves(kind.value_type, name)
    return [(name, kind)]


def stored(kind, is_parquet=False):
    """The type that values of a type are stored as."""
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return stored(kind.value_type)
    if pa.types.is_date32(kind) or pa.types.is_date64(kind) and is_parquet:
        return pa.int32()
    if pa.types.is_temporal(kind):
        return pa.int64()
    if pa.types.is_decimal(kind) or pa.types.is_null(kind) or kind in (pa.large_string(), pa.string_view()):
        return pa.string()
    if pa.types.is_fixed_size_binary(kind) or kind in (pa.large_binary(), pa.binary_view()):
        return pa.binary()
    return kind


def plain_rows(table, is_parquet=False, tells_spans=True):
    """The rows of a table as Python has them: times in nanoseconds, dates in days (or in milliseconds, where their type says so),
    decimals as text, maps as lists of their entries.

    Parquet has days alone, and no spans of time: without Arrow's own types beside its own (`tells_spans`) those are the numbers that
    they are in their unit."""
    columns = []
    for column in table.columns:
        if pa.types.is_run_end_encoded(column.type):
            column = pa.chunked_array([pa.compute.run_end_decode(it) for it in column.chunks], column.type.value_type)
        columns.append([plain(it, is_parquet, tells_spans) for it in column])
    return [dict(zip(table.column_names, row)) for row in zip(*columns)]


def plain(scalar, is_parquet, tells_spans):
    def below(it):
        return plain(it, is_parquet, tells_spans)

    if not scalar.is_valid:
        return None
    kind = scalar.type
    if pa.types.is_struct(kind):
        return {name: below(member) for name, member in scalar.items()}
    if pa.types.is_map(kind):
        key, value = scalar.values.field(0), scalar.values.field(1)
        return [{"key": below(key[it]), "value": below(value[it])} for it in range(len(key))]
    if pa.types.is_dictionary(kind):
        # The one that is meant, not its place.
        return scalar.as_py()
    if pa.types.is_nested(kind):
        return [below(it) for it in scalar.values]
    if pa.types.is_decimal(kind):
        return format(scalar.as_py(), "f")
    if pa.types.is_date64(kind) and is_parquet:
        return scalar.value // 86_400_000
    if pa.types.is_date(kind) or pa.types.is_duration(kind) and not tells_spans:
        return scalar.value
    if pa.types.is_temporal(kind):
        return scalar.value * NANOSECONDS[kind.unit]
    value = scalar.as_py()
    return float(value) if pa.types.is_floating(kind) else value
