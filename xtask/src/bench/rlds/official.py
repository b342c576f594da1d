"""Reads an RLDS set with TFDS, images as they are coded, and writes its steps to Parquet with pyarrow; writes what that
took as JSON."""

import json
import os
import resource
import sys
import time

source, target = sys.argv[1:]
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
# Nothing is asked of the network.
os.environ["NO_GCE_CHECK"] = "true"

import numpy
import pyarrow
import pyarrow.parquet
import tensorflow_datasets as tfds


def cpu_seconds():
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


def flat(features, path=""):
    for name, value in features.items():
        key = f"{path}.{name}" if path else name
        if isinstance(value, dict):
            yield from flat(value, key)
        else:
            yield key, value


def column(values):
    """All steps of a feature at once; no value goes through Python but the bytes of pictures and texts."""
    if values.dtype == object:
        return pyarrow.array(values, pyarrow.binary())
    if values.ndim == 1:
        return pyarrow.array(values)
    return pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(values.reshape(-1)), values.shape[1])


builder = tfds.builder_from_directory(source)
# Steps of an episode as they are stored, leaf by leaf: the fastest that TFDS offers, and nothing is decoded.
episodes = builder.as_dataset(split="train", decoders={"steps": tfds.decode.SkipDecoding()}, shuffle_files=False)
# Loading TensorFlow and building its graph are no part of reading.
wall_start, cpu_start = time.perf_counter(), cpu_seconds()
writer, n_steps = None, 0
for episode in tfds.as_numpy(episodes):
    steps = dict(flat(episode["steps"]))
    table = pyarrow.table({name: column(numpy.asarray(values)) for name, values in steps.items()})
    if writer is None:
        writer = pyarrow.parquet.ParquetWriter(target + ".parquet", table.schema, compression="zstd", use_dictionary=False)
    writer.write_table(table)
    n_steps += table.num_rows
writer.close()
with open(target + ".parquet", "rb") as file:
    os.fsync(file.fileno())
with open(target, "w") as file:
    json.dump(
        {
            "version": tfds.__version__,
            "n_steps": n_steps,
            "wall_s": time.perf_counter() - wall_start,
            "cpu_s": cpu_seconds() - cpu_start,
        },
        file,
    )
