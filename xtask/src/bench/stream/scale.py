"""Measures what has to hold however large a dataset is, with the wheel alone, and prints it as JSON on its last line.

    python scale.py FOLDER

FOLDER keeps the sets from run to run: 100,000 episodes of 1,000 steps of one byte, and frames of 640 × 480 as the other jobs have them.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np

import frames

MIB = 1 << 20
EPISODES, STEPS, PER_SHARD = 100_000, 1_000, 1_000
READY, PREFETCH = 64 * MIB, 64 * MIB
#: The interpreter, NumPy, the index, what threads work with.
OTHER = 200 * MIB
EPOCHS = 10
#: What allocators may keep beyond what was there before.
SLACK = 16 * MIB


def anonymous():
    """Anonymous memory of this process, in bytes."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(it.split()[1]) for it in lines if it.startswith("RssAnon")) * 1024


def node(folder):
    from nodedata import NodeData

    return NodeData(str(folder / "store"), author="bench")


def publish(folder, name, shards, field):
    """Publishes a folder of shards that has one field."""
    schema = folder / f"{name}.json"
    schema.write_text(json.dumps({"splits": ["train"], "fields": {"value": field}}))
    datasets = node(folder).datasets
    made = datasets.create(name, license="MIT", exist_ok=True)
    datasets.upload(made.id, files=[shards], schema=schema)


def write_wide(out):
    import pyarrow as pa
    import pyarrow.parquet

    for number, first in enumerate(range(0, EPISODES, PER_SHARD)):
        episodes = np.repeat(np.arange(first, first + PER_SHARD), STEPS)
        values = np.zeros(len(episodes), np.uint8)
        table = pa.table({"episode_index": pa.array(episodes, pa.int64()), "value": pa.array(values, pa.uint8())})
        pa.parquet.write_table(table, out / f"train-{number:05}.parquet", write_page_index=True)


def write_frames(out, count, folder):
    import pyarrow as pa
    import pyarrow.parquet

    media = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    for (number, blobs), _ in zip(frames.jpegs(folder.parent / "jpegs"), range(count)):
        rows = [{"bytes": it, "path": None} for it in blobs]
        table = pa.table({"episode_index": pa.array([number] * len(rows), pa.int64()), "value": pa.array(rows, media)})
        pa.parquet.write_table(table, out / f"train-{number:05}.parquet", write_page_index=True, row_group_size=64)


def make(folder):
    """The sets that are not there yet; each is published once it is whole."""
    picture = {"type": "uint8", "shape": [-1, frames.HEIGHT, frames.WIDTH, 3], "encoding": "jpeg"}
    sets = {
        "wide": (lambda out: write_wide(out), {"type": "uint8", "shape": [-1]}),
        "small": (lambda out: write_frames(out, frames.EPISODES // 5, folder), picture),
        "large": (lambda out: write_frames(out, frames.EPISODES, folder), picture),
    }
    for name, (write, field) in sets.items():
        mark = folder / f"{name}.made"
        if mark.exists():
            continue
        shards = folder / name
        shutil.rmtree(shards, ignore_errors=True)
        shards.mkdir(parents=True)
        write(shards)
        publish(folder, name, shards, field)
        shutil.rmtree(shards)
        mark.touch()


def opened(folder):
    """What opening the index of many episodes takes, of time and of memory."""
    datasets, before = node(folder).datasets, anonymous()
    started = time.perf_counter()
    split = datasets.open("wide")["train"]
    found = len(split), split.n_steps
    took = time.perf_counter() - started
    assert found == (EPISODES, EPISODES * STEPS), found
    return {"s": took, "bytes": anonymous() - before}


def resumed(folder):
    """What a state in the middle of many samples is, and what going on from it takes."""
    datasets = node(folder).datasets
    dataset = datasets.open("wide")
    stream = datasets.stream(dataset, unit="step", shuffle=True)
    next(stream)
    state = stream.state_dict()
    stream.close()
    state["cursor"] = state["sources"][0]["taken"] = EPISODES * STEPS // 2
    other = datasets.stream(dataset, unit="step", shuffle=True)
    started = time.perf_counter()
    other.load_state_dict(state)
    took = time.perf_counter() - started
    stats = other.stats()
    assert (stats["n_samples"], stats["n_threads"], stats["fetched_bytes"]) == (0, 0, 0), stats
    assert len(other) == EPISODES * STEPS // 2
    next(other)
    return {"s": took, "bytes": len(json.dumps(state))}


def first(folder):
    """How long the first sample of a stream takes, from its name on."""
    datasets = node(folder).datasets
    started = time.perf_counter()
    sample = next(datasets.stream("large", unit="step", shuffle=True))
    took = time.perf_counter() - started
    frames.touch(sample["value"])
    return {"s": took}


def epochs(folder, name):
    """The highest anonymous memory of each epoch."""
    stream = node(folder).datasets.stream(name, unit="step", shuffle=True, ready_bytes=READY, prefetch_bytes=PREFETCH)
    peaks = []
    for _ in range(EPOCHS):
        peak = 0
        for sample in stream:
            frames.touch(sample["value"])
            peak = max(peak, anonymous())
        peaks.append(peak)
    return {"peaks": peaks}


def alone(folder, *job):
    """A job in a process of its own, whose memory is its own."""
    command = [sys.executable, __file__, str(folder), *job]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def measure(folder):
    # Once before, so that what is measured is warm.
    for job in ("opened", "first"):
        alone(folder, job)
    index, state, sample = alone(folder, "opened"), alone(folder, "resumed"), alone(folder, "first")
    small, large = (alone(folder, "epochs", it)["peaks"] for it in ("small", "large"))
    found = [
        ("open the index of 100,000 episodes", index["s"], 1.0, "s"),
        ("memory of the index of 100,000 episodes", index["bytes"] / MIB, 100.0, "MiB"),
        ("a state in the middle of 100 M samples", state["bytes"], 1023, "bytes"),
        ("resume there, without reading data", state["s"], 0.05, "s"),
        ("first sample of a warm revision", sample["s"], 0.1, "s"),
        (f"anonymous peak of a 640 × 480 stream over {EPOCHS} epochs", max(large) / MIB, (OTHER + READY + PREFETCH) / MIB, "MiB"),
        ("what later epochs take beyond the first three", max(0, max(large[3:]) - max(large[:3])) / MIB, SLACK / MIB, "MiB"),
        ("what a set of five times the size takes beyond the smaller", max(0, max(large) - max(small)) / MIB, SLACK / MIB, "MiB"),
    ]
    return [dict(zip(("what", "found", "at_most", "unit"), it)) for it in found]


def main():
    folder = pathlib.Path(sys.argv[1])
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    jobs = {"opened": opened, "resumed": resumed, "first": first, "epochs": epochs}
    if len(sys.argv) > 2:
        print(json.dumps(jobs[sys.argv[2]](folder, *sys.argv[3:])))
        return
    folder.mkdir(parents=True, exist_ok=True)
    make(folder)
    print(json.dumps(measure(folder)))


if __name__ == "__main__":
    main()
