"""From a recording to training batches: converts it, publishes it, looks at it, streams it, and goes on after a stop.

    python docs/guides/quick_start.py [RECORDING] [FOLDER]

RECORDING is anything that `node-data convert` reads, by default a LeRobot dataset of this repository; FOLDER keeps what is made, by
default a temporary one. NumPy is all that it needs beside `nodedata`.
"""

import json
import pathlib
import sys
import tempfile

import numpy as np

import nodedata
from nodedata import NodeData


def main(recording, folder):
    # Schema-checked Parquet shards, with an index of episodes and statistics.
    nodedata.convert(recording, folder / "dataset", overwrite=True)

    # A registry is a folder, a bucket (s3://…) or a server (https://…).
    node = NodeData(str(folder / "store"), author="lab")
    created = node.datasets.create(name="quick-start", license="CC-BY-4.0", tags=["tutorial"], exist_ok=True)
    upload = node.datasets.upload(created.id, files=[folder / "dataset"])
    print(f"published {created.id}@{upload.revision}")

    dataset = node.datasets.open(created.id)
    train = dataset["train"]
    print(f"{len(train)} episodes, {train.n_steps} steps at {train.fps} Hz; fields: {', '.join(it['name'] for it in train.features)}")
    numbers = next(it["name"] for it in train.features if it["dtype"] == "float32" and it["media"] is None and len(it["shape"]) == 1)
    print(f"the first episode has {numbers} of {train[0][numbers].shape}")

    # Steps in a shuffled order, each with the four next values of a field; the same samples in the same order on any machine.
    options = {"unit": "step", "fields": [numbers], "window": {numbers: range(4)}, "shuffle": True, "seed": 7}
    stream = node.datasets.stream(dataset, **options)
    half = [next(stream) for _ in range(len(stream) // 2)]

    # A state is a few hundred bytes of JSON. Another process, with any number of ranks, goes on from it.
    state = json.loads(json.dumps(stream.state_dict()))
    resumed = node.datasets.stream(dataset, **options)
    resumed.load_state_dict(state)
    rest = list(resumed)
    print(f"{len(half)} samples, then {len(rest)} after the stop; a state has {len(json.dumps(state))} bytes")

    for sample in (half[0], rest[-1]):
        assert sample[numbers].shape[0] == 4 and sample[f"{numbers}_is_pad"].dtype == np.bool_
    assert len({(it.key, it.step) for it in half + rest}) == train.n_steps, "every step once"


if __name__ == "__main__":
    given = sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[2] / "fixtures/lerobot/v30_image"
    if len(sys.argv) > 2:
        main(given, pathlib.Path(sys.argv[2]))
    else:
        with tempfile.TemporaryDirectory() as scratch:
            main(given, pathlib.Path(scratch))
