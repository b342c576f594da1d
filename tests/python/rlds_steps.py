"""Holds a converted RLDS dataset against what TFDS reads: every step of every episode, every value. Runs in the environment
that has `tensorflow-datasets`; says what it compared, and what differs, as JSON. Usage: VERSION_FOLDER CONVERTED_FOLDER"""
import collections
import json
import math
import os
import pathlib
import sys

os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "NO_GCE_CHECK": "true"})

import numpy
import pyarrow
import pyarrow.parquet
import tensorflow as tf
import tensorflow_datasets as tfds

DIFFERENCES_MAX = 20


class Found:
    """What was compared, and the first things that differ."""

    def __init__(self):
        self.counts, self.differences = collections.Counter(), []
        self.columns = set()

    def same(self, ours, theirs, where, what):
        self.note(equal(ours, theirs), ours, theirs, where, what)

    def note(self, is_same, ours, theirs, where, what):
        self.counts[what] += 1
        if not is_same and len(self.differences) < DIFFERENCES_MAX:
            self.differences.append(f"{where}: {str(ours)[:200]} instead of {str(theirs)[:200]}")


def equal(ours, theirs):
    if isinstance(ours, list) or isinstance(theirs, list):
        return isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs) and all(map(equal, ours, theirs))
    if isinstance(ours, float) and isinstance(theirs, float) and math.isnan(ours):
        return math.isnan(theirs)
    # A truth is no number: `True == 1`.
    return type(ours) is type(theirs) and ours == theirs


def plain(value):
    """What TFDS hands out as lists, numbers, truths and text."""
    if isinstance(value, (tf.RaggedTensor, tf.Tensor)):
        value = value.to_list() if isinstance(value, tf.RaggedTensor) else value.numpy()
    if isinstance(value, (numpy.ndarray, numpy.generic)):
        # Numbers need no look at each; text lies in arrays of objects.
        if value.dtype.kind in "biuf":
            return value.tolist()
        value = value.tolist()
    if isinstance(value, list):
        return [plain(it) for it in value]
    return value.decode() if isinstance(value, bytes) else value


def leaves(feature, path=()):
    """Every feature with values of its own: its path, and itself. A sequence of several features is several of sequences."""
    if isinstance(feature, tfds.features.FeaturesDict):
        for name, below in feature.items():
            yield from leaves(below, (*path, name))
    elif isinstance(feature, tfds.features.Sequence) and isinstance(feature.feature, tfds.features.FeaturesDict):
        yield from leaves(feature.feature, path)
    else:
        yield path, feature


def is_coded(feature):
    """Whether pictures stay as they are coded: those of floats are none that others could open."""
    while isinstance(feature, tfds.features.Sequence):
        feature = feature.feature
    return isinstance(feature, tfds.features.Image) and feature.np_dtype != numpy.float32


def at(value, path):
    for name in path:
        value = value[name]
    return value


def same_pixels(coded, theirs):
    """Whether pictures decoded by TensorFlow are as many and as deep as theirs, and the same. No pixel becomes a Python number."""
    if isinstance(coded, list):
        return len(coded) == len(theirs) and all(same_pixels(one, other) for one, other in zip(coded, theirs))
    theirs = theirs.to_tensor() if isinstance(theirs, tf.RaggedTensor) else theirs
    decoded = tf.io.decode_image(coded, channels=theirs.shape[-1], dtype=theirs.dtype, expand_animations=False)
    decoded, theirs = numpy.asarray(decoded), numpy.asarray(theirs)
    return (decoded.dtype, decoded.shape, decoded.tobytes()) == (theirs.dtype, theirs.shape, theirs.tobytes())


def bytes_of(cell):
    """The coded bytes of a picture, or of each in a list."""
    return [bytes_of(it) for it in cell] if isinstance(cell, list) else cell["bytes"]


def converted(folder):
    """Rows by episode in order, and the entries of the index by the source's file and record."""
    manifest = json.loads((folder / "manifest.json").read_text())
    shards = [folder / it["path"] for it in manifest["shards"] if it["stream"] == "steps"]
    table = pyarrow.concat_tables([pyarrow.parquet.read_table(it) for it in shards])
    index = pyarrow.parquet.read_table(folder / manifest["index"]["episodes"]["path"]).to_pylist()
    rows = collections.defaultdict(list)
    for row in table.to_pylist():
        rows[row["episode_index"]].append(row)
    return rows, {it["episode_key"].rsplit("/")[-1]: it for it in index}, set(table.column_names)


def records(path, file_format):
    """Every record of a file, by the official reader of its container."""
    if file_format == "tfrecord":
        yield from (it.numpy() for it in tf.data.TFRecordDataset(str(path)))
    elif file_format == "array_record":
        from array_record.python import array_record_module

        reader = array_record_module.ArrayRecordReader(str(path))
        yield from reader.read_all()
        reader.close()
    else:
        yield from pyarrow.parquet.read_table(path)["data"].to_pylist()


def episodes(builder, source, split):
    """Every episode as TFDS decodes it, with the key that ours has, and the features of its record."""
    file_format = builder.info.file_format.value
    raw = {}
    for path in builder.info.splits[split].filenames:
        for idx, record in enumerate(records(source / path, file_format)):
            raw[f"{path}#{idx}"] = record
    parsed = {key: tf.train.Example.FromString(record).features.feature for key, record in raw.items()}
    if file_format != "tfrecord":
        # `as_dataset` refuses some containers; what decodes their records is the same.
        for key, record in raw.items():
            yield key, builder.info.features.deserialize_example(record), parsed[key]
        return
    config = tfds.ReadConfig(add_tfds_id=True, interleave_cycle_length=1, try_autocache=False)
    for episode in builder.as_dataset(split=split, shuffle_files=False, read_config=config):
        shard, record = plain(episode["tfds_id"]).rsplit("__", 1)
        key = f"{shard}#{int(record)}"
        yield key, episode, parsed[key]


def coded_of_steps(features, key, n_steps):
    """The bytes of a list feature as they lie in a record, step by step."""
    flat = key + "/ragged_flat_values"
    if flat not in features:
        return list(features[key].bytes_list.value)
    values = list(features[flat].bytes_list.value)
    lengths = list(features[key + "/ragged_row_lengths_0"].int64_list.value)
    steps, start = [], 0
    for length in lengths:
        steps.append(values[start:start + length])
        start += length
    return steps if len(steps) == n_steps else values


def fact(value):
    """A value of an episode as the index tells it."""
    if isinstance(value, (bool, list)):
        return json.dumps(value, ensure_ascii=False)
    return value if isinstance(value, str) else str(value)


def is_list(text):
    return text.startswith("[")


def compare_metadata(found, episode, entry, features, where):
    told = dict(entry["metadata"])
    for path, feature in leaves(features):
        value, name = plain(at(episode, path)), ".".join(path)
        ours = told.get(name)
        if isinstance(value, float):
            ours, value = None if ours is None else float(ours), value
        elif isinstance(value, list):
            ours = json.loads(ours) if ours is not None and is_list(ours) else ours
        else:
            value = fact(value)
        found.same(ours, value, f"{where}, {name}", "facts")


def compare_episode(found, episode, entry, rows, raw, features, where):
    steps = list(episode["steps"])
    found.same(len(rows), len(steps), f"{where}, steps", "episodes")
    found.same([it["step_index"] for it in rows], list(range(len(steps))), f"{where}, step_index", "episodes")
    found.same(entry["rows"], len(steps), f"{where}, rows in the index", "episodes")
    for path, feature in leaves(features):
        column = ".".join(path)
        if column not in found.columns:
            found.same(None, column, f"{where}: no column", "values")
            continue
        coded = coded_of_steps(raw, "/".join(("steps", *path)), len(steps)) if is_coded(feature) else None
        for idx, (row, step) in enumerate(zip(rows, steps)):
            place, theirs = f"{where}, step {idx}, {column}", at(step, path)
            if coded is None:
                found.same(row[column], plain(theirs), place, "values")
                continue
            ours = bytes_of(row[column])
            found.same(ours, coded[idx], f"{place}, bytes", "coded")
            found.note(same_pixels(ours, theirs), "pixels", "theirs", place, "pictures")
    found.counts["steps"] += len(steps)


def main(source, folder):
    found = Found()
    rows, index, found.columns = converted(folder)
    builder = tfds.builder_from_directory(str(source))
    features = dict(builder.info.features.items())
    steps = features.pop("steps").feature
    whole = tfds.features.FeaturesDict(features)
    seen = set()
    for split in builder.info.splits:
        for key, episode, raw in episodes(builder, source, split):
            seen.add(key)
            entry = index.get(key)
            if entry is None:
                found.same(None, key, "no episode", "episodes")
                continue
            found.same(entry["split"], split, f"{key}, split", "episodes")
            compare_episode(found, episode, entry, rows[entry["episode_index"]], raw, steps, key)
            compare_metadata(found, episode, entry, whole, key)
    found.same(sorted(index), sorted(seen), "episodes", "episodes")
    print(json.dumps({"tfds": tfds.__version__, "counts": found.counts, "differences": found.differences}))


if __name__ == "__main__":
    main(*map(pathlib.Path, sys.argv[1:]))
