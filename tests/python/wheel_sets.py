"""Small datasets for the tests of the wheel: shards that pyarrow wrote, with what they hold, and a store to publish them in."""
import atexit
import base64
import faulthandler
import hashlib
import io
import json
import os
import pathlib
import shutil
import sys
import tempfile

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.parquet

from nodedata import NodeData

# No test hangs for ever: what is stuck says where, and ends.
faulthandler.dump_traceback_later(900, exit=True)

LONG = os.environ.get("NODEDATA_TEST_LONG") == "1"
OWNER = "acme"
FPS = 10
STEP_NS = 10**9 // FPS

# A token that no server has made.
TOKEN = "ndp_" + base64.urlsafe_b64encode(b"a secret of thirty-two bytes ...").decode().rstrip("=")
# As pyarrow has the struct of coded pictures.
MEDIA = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def picture(episode, step, size):
    """A smooth picture that says which it is."""
    height, width = size
    rows, columns = np.mgrid[0:height, 0:width]
    red = (rows * 255 // max(height - 1, 1) + 7 * step) % 256
    green = np.full(size, (40 * episode + 3 * step) % 256)
    blue = columns * 255 // max(width - 1, 1)
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def noise(episode, step, size):
    """A picture that no coder makes smaller."""
    return np.random.default_rng([episode, step]).integers(0, 256, (*size, 3), dtype=np.uint8)


def depth(episode, step, size):
    """Distances of more than 8 bits."""
    height, width = size
    return (np.arange(height * width, dtype=np.uint32).reshape(size) * 37 + 1000 * episode + step).astype(np.uint16) & 0x0FFF


def coded(pixels, coding):
    """The bytes of a picture."""
    out = io.BytesIO()
    options = {"quality": 92, "subsampling": 0} if coding == "jpeg" else {}
    PIL.Image.fromarray(pixels).save(out, coding, **options)
    return out.getvalue()


def decoded(blob):
    """What Pillow makes of the bytes of a picture."""
    return np.asarray(PIL.Image.open(io.BytesIO(blob)))


class Set:
    """Episodes of the lengths given, and what each of their steps holds."""

    def __init__(self, lengths, size=None, coding="png", split="train", first=0, pictures=picture):
        self.lengths, self.size, self.coding, self.split, self.first = lengths, size, coding, split, first
        self.pictures = pictures

    def numbers(self, episode):
        """State and action of an episode: every value tells episode, step and position."""
        steps = np.arange(self.lengths[episode - self.first], dtype=np.float32)
        base = (1000 * episode + steps)[:, None] + np.arange(7, dtype=np.float32) / 8
        return base.astype(np.float32), (base / 4).astype(np.float32)

    def is_null(self, episode):
        """Where `reward` has no value."""
        return np.arange(self.lengths[episode - self.first]) % 4 == 3

    def points(self, episode, step):
        """A list of any length."""
        return np.arange((episode + step) % 4, dtype=np.float32) + step

    def note(self, episode, step):
        """A text."""
        return f"episode {episode}, step {step}"

    def episodes(self):
        """The numbers of the episodes."""
        return range(self.first, self.first + len(self.lengths))

    def table(self, episodes):
        """The rows of some episodes."""
        columns = {name: [] for name in ("episode_index", "timestamp_ns", "state", "action", "count", "reward", "points", "note")}
        rgb, distance = [], []
        for episode in episodes:
            state, action = self.numbers(episode)
            nulls = self.is_null(episode)
            for step in range(len(state)):
                columns["episode_index"].append(episode)
                columns["timestamp_ns"].append(step * STEP_NS)
                columns["state"].append(state[step])
                columns["action"].append(action[step])
                columns["count"].append(step - 3)
                columns["reward"].append(None if nulls[step] else step / 2)
                columns["points"].append(self.points(episode, step))
                columns["note"].append(self.note(episode, step))
                if self.size is not None:
                    rgb.append({"bytes": coded(self.pictures(episode, step, self.size), self.coding), "path": None})
                    distance.append({"bytes": coded(depth(episode, step, self.size), "png"), "path": None})
        types = {
            "episode_index": pa.int64(), "timestamp_ns": pa.int64(), "state": pa.list_(pa.float32(), 7),
            "action": pa.list_(pa.float32(), 7), "count": pa.int16(), "reward": pa.float64(),
            "points": pa.list_(pa.float32()), "note": pa.string(),
        }
        arrays = {name: pa.array(values, types[name]) for name, values in columns.items()}
        if self.size is not None:
            arrays |= {"rgb": pa.array(rgb, MEDIA), "depth": pa.array(distance, MEDIA)}
        return pa.table(arrays)

    def schema(self):
        """The `schema.json` of it."""
        fields = {
            "timestamp_ns": {"type": "int64", "shape": [-1]},
            "state": {"type": "float32", "shape": [-1, 7]},
            "action": {"type": "float32", "shape": [-1, 7]},
            "count": {"type": "int16", "shape": [-1]},
            "reward": {"type": "float64", "shape": [-1], "nullable": True},
            "points": {"type": "float32", "shape": [-1, -1]},
            "note": {"type": "string", "shape": [-1]},
        }
        if self.size is not None:
            fields["rgb"] = {"type": "uint8", "shape": [-1, *self.size, 3], "encoding": self.coding}
            fields["depth"] = {"type": "uint16", "shape": [-1, *self.size], "encoding": "png"}
        return {"splits": [self.split], "fields": fields, "time": {"field": "timestamp_ns", "unit": "ns", "fps": FPS}}

    def write(self, folder, per_shard=3, **options):
        """Writes `shards/`, `schema.json` and `sample_index.json` into a folder."""
        shards = folder / "shards"
        shards.mkdir(parents=True, exist_ok=True)
        episodes = list(self.episodes())
        entries = []
        for number, start in enumerate(range(0, len(episodes), per_shard)):
            path = shards / f"{self.split}-{self.first:05}-{number:05}.parquet"
            of_shard = episodes[start : start + per_shard]
            table = self.table(of_shard)
            pa.parquet.write_table(table, path, **({"write_page_index": True, "row_group_size": 64} | options))
            row = 0
            for episode in of_shard:
                rows = self.lengths[episode - self.first]
                entries.append({
                    "episode": episode, "key": str(episode), "split": self.split, "shard": path.name, "row": row, "rows": rows,
                })
                row += rows
        (folder / "schema.json").write_text(json.dumps(self.schema()))
        (folder / "sample_index.json").write_text(json.dumps({"inline_episodes": entries}))
        return shards


def digest(array):
    """SHA-256 of type, shape and bytes, as the truth of the fixtures has it."""
    array = np.ascontiguousarray(array)
    return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()


def scratch(prefix="node-data-wheel-"):
    """A folder that goes with the process."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix=prefix))
    owner = os.getpid()
    # Not by a child that was forked.
    atexit.register(lambda: os.getpid() == owner and shutil.rmtree(folder, ignore_errors=True))
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    return folder


def published(name, data, folder=None, **options):
    """A folder with a store in which the set is published as `acme/<name>`, and the client of it."""
    folder = folder or scratch()
    data.write(folder / name, **options)
    node = NodeData(str(folder / "store"), author=OWNER)
    made = node.datasets.create(name=name, license="CC-BY-4.0", exist_ok=True)
    node.datasets.upload(made.id, files=[folder / name / "shards"], schema=folder / name / "schema.json")
    return node, folder


def lerobot_sets():
    """LeRobot's datasets of the fixtures, and of the corpora where those are there, each with what LeRobot itself read of it."""
    here = pathlib.Path(__file__).resolve()
    fixtures = pathlib.Path(os.environ.get("NODEDATA_FIXTURES", here.parents[1] / "../fixtures")) / "lerobot"
    found = {it.name.removesuffix(".truth.json"): it for it in sorted(fixtures.glob("*.truth.json"))}
    sets = {name: (fixtures / name, truth) for name, truth in found.items()}
    corpus = here.parents[3] / "shared" / "corpora" / "episodes"
    for truth in sorted((corpus / "truth").glob("lerobot_*.json")):
        name = truth.stem.removeprefix("lerobot_")
        if (corpus / "lerobot" / name).is_dir():
            sets.setdefault(name, (corpus / "lerobot" / name, truth))
    return {name: (folder, json.loads(truth.read_text())) for name, (folder, truth) in sets.items()}


def positions(samples):
    """Which steps a stream hands out: episode and step each, as the numbers themselves tell it."""
    found = []
    for sample in samples:
        told = float(sample["state"][0])
        found.append((sample.index, sample.step))
        if (int(told) // 1000, int(told) % 1000) != (int(sample.key), sample.step):
            raise AssertionError(f"{sample.key}, {sample.step} holds {told}")
    return found


def environment(folder, **more):
    """For a process of its own."""
    paths = [str(pathlib.Path(__file__).parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    return os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": os.pathsep.join(paths)} | more


PYTHON = sys.executable
