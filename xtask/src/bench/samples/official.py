"""Reads a set of samples with the package that people read it with, and writes its rows to Parquet (zstd level 1) with pyarrow; writes
what that took as JSON. Tables that are only cut anew are hashed before and after, as ours are."""

import hashlib
import json
import os
import pathlib
import resource
import sys
import time

import pyarrow
import pyarrow.csv
import pyarrow.ipc
import pyarrow.json
import pyarrow.parquet

job, source, target = sys.argv[1:]
# Loading it is no part of reading.
if job == "webdataset":
    import webdataset

# At the first value of Python's, pyarrow loads pandas where it is installed.
pyarrow.array([{"loaded": True}])

ROWS_PER_GROUP = 1000


def cpu_seconds():
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


def hashed(path):
    """BLAKE2, the fastest that Python has by itself."""
    digest = hashlib.blake2b()
    with open(path, "rb") as file:
        while piece := file.read(1 << 20):
            digest.update(piece)
    return digest.hexdigest()


def samples(files):
    """Samples as tables: bytes of pictures as they are, objects as columns."""
    rows = []
    for sample in webdataset.WebDataset([str(it) for it in files], shardshuffle=False):
        rows.append({"__key__": sample["__key__"], "jpg": sample["jpg"], "json": json.loads(sample["json"])})
        if len(rows) == ROWS_PER_GROUP:
            yield pyarrow.Table.from_pylist(rows)
            rows = []
    if rows:
        yield pyarrow.Table.from_pylist(rows)


def tables(files):
    for path in files:
        if job == "jsonl":
            yield pyarrow.json.read_json(path)
        elif job == "csv":
            yield pyarrow.csv.read_csv(path)
        elif job == "parquet":
            hashed(path)
            file = pyarrow.parquet.ParquetFile(path)
            for group in range(file.num_row_groups):
                yield file.read_row_group(group)
        else:
            hashed(path)
            with pyarrow.memory_map(str(path)) as mapped:
                file = pyarrow.ipc.open_file(mapped)
                for idx in range(file.num_record_batches):
                    yield pyarrow.Table.from_batches([file.get_batch(idx)])


files = sorted(pathlib.Path(source).iterdir())
wall_start, cpu_start = time.perf_counter(), cpu_seconds()
writer, n_rows = None, 0
written = target + ".parquet"
for table in samples(files) if job == "webdataset" else tables(files):
    if writer is None:
        writer = pyarrow.parquet.ParquetWriter(written, table.schema, compression="zstd", compression_level=1)
    writer.write_table(table if table.schema == writer.schema else table.cast(writer.schema))
    n_rows += table.num_rows
writer.close()
if job in ("parquet", "ipc"):
    hashed(written)
with open(written, "rb") as file:
    os.fsync(file.fileno())
version = f"pyarrow {pyarrow.__version__}"
with open(target, "w") as file:
    json.dump(
        {
            "version": version + (f", webdataset {webdataset.__version__}" if job == "webdataset" else ""),
            "n_rows": n_rows,
            "wall_s": time.perf_counter() - wall_start,
            "cpu_s": cpu_seconds() - cpu_start,
        },
        file,
    )
