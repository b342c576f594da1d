"""Reads a converted set of the bench with the wheel, uint8 out, and prints what that took as JSON.

    python ours.py JOB DATASET STEPS

JOB: `random`, `episodes`, `windows`, `shuffle`, `cached`.
"""
import sys

import frames
import nodedata
from nodedata import NodeData

job, source, steps = sys.argv[1], sys.argv[2], int(sys.argv[3])
CAMERA = frames.CAMERA
FIELDS = ["observation.state", "action", CAMERA]


def mapped(items, numbers):
    """Steps by their numbers, in batches that are decoded side by side."""
    for start in range(0, len(numbers), frames.BATCH):
        batch = items.__getitems__(numbers[start : start + frames.BATCH])
        for item in batch:
            frames.touch(item[CAMERA])
        yield len(batch)


def streamed(stream, count):
    """Samples of a stream, epoch after epoch: of episodes all of their steps."""
    done = 0
    while done < count:
        for sample in stream:
            frames.touch(sample[CAMERA])
            n_steps = len(sample[CAMERA]) if sample[CAMERA].ndim == 4 else 1
            yield n_steps
            done += n_steps
            if done >= count:
                return


def counts():
    dataset = nodedata.open_folder(source)
    datasets = NodeData().datasets
    if job == "random":
        items = dataset.steps("train", fields=FIELDS)
        return mapped(items, frames.random_steps(len(items), steps)), 1
    if job == "windows":
        items = dataset.steps("train", fields=FIELDS, window={"action": range(16), CAMERA: [-1, 0]})
        return mapped(items, frames.random_steps(len(items), steps)), 1
    if job == "shuffle":
        return streamed(datasets.stream(dataset, unit="step", fields=FIELDS, shuffle=True, seed=frames.SEED), steps), 20
    if job == "cached":
        stream = datasets.stream(
            dataset, unit="step", fields=FIELDS, shuffle=True, seed=frames.SEED, resize={CAMERA: (224, 224)}, decoded_cache="4GiB"
        )
        for sample in stream:
            frames.touch(sample[CAMERA])
        return streamed(stream, steps), 20
    return streamed(datasets.stream(dataset, fields=FIELDS), steps), 1


if __name__ == "__main__":
    made, warm = counts()
    frames.timed(made, warm, f"nodedata {nodedata.__version__}")
