"""Puts the records of an RLDS dataset into ArrayRecord files, by the official writer with the options given, each record several
times. Runs in the environment that has `tensorflow-datasets`. Usage: VERSION_FOLDER NEW_FOLDER OPTIONS TIMES"""
import json
import os
import pathlib
import shutil
import sys

os.environ.update({"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"})

import tensorflow as tf
from array_record.python import array_record_module


def main(source, target, options, times):
    target.mkdir(parents=True)
    info = json.loads((source / "dataset_info.json").read_text())
    info["fileFormat"] = "array_record"
    for split in info["splits"]:
        shards = sorted(source.glob(f"{info['name']}-{split['name']}.tfrecord-*"))
        records = [it.numpy() for shard in shards for it in tf.data.TFRecordDataset(str(shard))] * times
        name = f"{info['name']}-{split['name']}.array_record-00000-of-00001"
        writer = array_record_module.ArrayRecordWriter(str(target / name), options)
        for record in records:
            writer.write(record)
        writer.close()
        split["shardLengths"] = [str(len(records))]
    (target / "dataset_info.json").write_text(json.dumps(info))
    for path in [source / "features.json", *source.glob("*.labels.txt")]:
        shutil.copy(path, target / path.name)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
