"""Reads every item of a LeRobot set with the official reader; writes what the reading took as JSON."""

import json
import os
import resource
import sys
import time

root, target = sys.argv[1:]
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_DATASETS_OFFLINE"] = "1"
# What `datasets` caches of the Parquet files must not outlive the run.
os.environ["HF_HOME"] = target + ".cache"

import lerobot
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def cpu_seconds():
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


dataset = LeRobotDataset("bench/set", root=root, video_backend="pyav")
shapes = {it: tuple(dataset.meta.features[it]["shape"]) for it in dataset.meta.video_keys}
wall_start, cpu_start = time.perf_counter(), cpu_seconds()
n_frames = 0
for idx in range(len(dataset)):
    item = dataset[idx]
    n_frames += sum(tuple(item[it].shape) == (channels, height, width) for it, (height, width, channels) in shapes.items())
with open(target, "w") as file:
    json.dump(
        {
            "version": lerobot.__version__,
            "n_frames": n_frames,
            "wall_s": time.perf_counter() - wall_start,
            "cpu_s": cpu_seconds() - cpu_start,
        },
        file,
    )
