"""What the guide and the quick start show works as it stands, with pictures of a corpus set at 224 × 224. Run by `cargo xtask
test`."""
import json
import os
import pathlib
import re
import subprocess
import unittest

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet

import nodedata
from wheel_sets import MEDIA, PYTHON, coded, decoded, environment, scratch

ROOT = pathlib.Path(os.environ.get("NODEDATA_ROOT", pathlib.Path(__file__).parent / "../..")).resolve()
SOURCE = ROOT / "fixtures" / "lerobot" / "v30_image"
SIZE = (224, 224)
# Blocks of Python in the guide that say why they are not run. A new one is counted here.
NOT_RUN = 1

# As the package is promised to be used, word for word.
CREATE = '''
from nodedata import NodeData
node = NodeData(store=None, token=None, author=None)
dataset = node.datasets.create(name="panda-arm-grasp-100k", modality=["rgb", "depth", "proprioception", "action"], license="CC-BY-4.0",
                               description_path="./README.md", price_usd=199.00, tags=["manipulation"], pii=None, visibility="private", exist_ok=True)
node.datasets.upload(dataset.id, files=["./shards/"], schema="./schema.json", sample_index="./sample_index.json")
'''
STREAM = '''
for episode in node.datasets.stream("acme/panda-arm-grasp-100k", split="train"):
    rgb = episode["rgb"]                                       # (T, 224, 224, 3) uint8
    seen.append(episode)
'''


def corpus_set(folder):
    """The corpus set as shards that a user of pyarrow would write, its pictures at 224 × 224; and what it holds."""
    tables = [pyarrow.parquet.read_table(it) for it in sorted((SOURCE / "data").rglob("*.parquet"))]
    table = pa.concat_tables(tables)
    truth, entries = {}, []
    (folder / "shards").mkdir(parents=True)
    for episode in sorted(set(table["episode_index"].to_pylist())):
        rows = table.filter(pa.compute.equal(table["episode_index"], episode))
        frames = [decoded(it["bytes"]) for it in rows["observation.images.front"].to_pylist()]
        frames = [np.asarray(PIL.Image.fromarray(it).resize(SIZE[::-1])) for it in frames]
        distances = [it.sum(axis=2, dtype=np.uint16) * 16 for it in frames]
        state, action = (np.array(rows[name].to_pylist(), dtype=np.float32) for name in ("observation.state", "action"))
        truth[episode] = {"rgb": np.stack(frames), "depth": np.stack(distances), "proprioception": state, "action": action}
        columns = {
            "episode_index": pa.array([episode] * len(frames), pa.int64()),
            "timestamp_ns": pa.array([it * 10**8 for it in range(len(frames))], pa.int64()),
            "rgb": pa.array([{"bytes": coded(it, "png"), "path": None} for it in frames], MEDIA),
            "depth": pa.array([{"bytes": coded(it, "png"), "path": None} for it in distances], MEDIA),
            "proprioception": pa.array(list(state), pa.list_(pa.float32(), 7)),
            "action": pa.array(list(action), pa.list_(pa.float32(), 7)),
        }
        name = f"train-{episode:05}.parquet"
        pyarrow.parquet.write_table(pa.table(columns), folder / "shards" / name, write_page_index=True)
        entries.append({"episode": episode, "key": f"grasp-{episode}", "split": "train", "shard": name, "row": 0, "rows": len(frames)})
    fields = {
        "timestamp_ns": {"type": "int64", "shape": [-1]},
        "rgb": {"type": "uint8", "shape": [-1, *SIZE, 3], "encoding": "png"},
        "depth": {"type": "uint16", "shape": [-1, *SIZE], "encoding": "png"},
        "proprioception": {"type": "float32", "shape": [-1, 7]},
        "action": {"type": "float32", "shape": [-1, 7]},
    }
    (folder / "schema.json").write_text(json.dumps({"splits": ["train"], "fields": fields}))
    (folder / "sample_index.json").write_text(json.dumps({"inline_episodes": entries}))
    (folder / "lerobot").symlink_to(SOURCE)
    (folder / "README.md").write_text("# Grasps\n\nThree episodes of a corpus set.\n")
    return truth


class Snippets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = scratch()
        cls.truth = corpus_set(cls.folder)
        cls.addClassCleanup(os.chdir, os.getcwd())
        os.chdir(cls.folder)
        for name, value in {"NODEDATA_STORE": str(cls.folder / "store"), "NODEDATA_USER": "acme"}.items():
            os.environ[name] = value
            cls.addClassCleanup(os.environ.pop, name)

    def test_publish_and_stream_word_for_word(self):
        names = {"seen": []}
        exec(CREATE, names)
        self.assertEqual(names["dataset"].id, "acme/panda-arm-grasp-100k")
        exec(STREAM, names)
        self.assertEqual([it.key for it in names["seen"]], [f"grasp-{it}" for it in self.truth])
        for episode, (number, told) in zip(names["seen"], self.truth.items(), strict=True):
            length = len(told["rgb"])
            self.assertEqual((episode["rgb"].shape, episode["rgb"].dtype), ((length, *SIZE, 3), np.uint8))
            self.assertEqual((episode["depth"].shape, episode["depth"].dtype), ((length, *SIZE), np.uint16))
            self.assertEqual((episode.index, episode.split, episode.revision), (number, "train", "1.0.0"))
            for name, values in told.items():
                self.assertEqual(episode[name].dtype, values.dtype)
                np.testing.assert_array_equal(episode[name], values, name)
        # Done again nothing changes.
        exec(CREATE.replace("upload", "show").partition("node.datasets.show")[0], names)
        self.assertEqual([it["dataset"] for it in names["node"].datasets.list()], ["acme/panda-arm-grasp-100k"])
        manifest = names["node"].datasets.show("panda-arm-grasp-100k")["revision"]
        self.assertEqual((manifest["license"], manifest["tags"]), ("CC-BY-4.0", ["manipulation"]))
        self.assertIn("199", json.dumps(manifest["price"]))
        self.assertIn("Three episodes", names["node"].datasets.open("panda-arm-grasp-100k").card)

    def test_the_blocks_of_the_guide_run_in_their_order(self):
        os.environ["NODEDATA_STORE"] = str(self.folder / "guide")
        lines = (ROOT / "docs/guides/python.md").read_text().splitlines()
        names, number, not_run, ran = {}, 0, 0, 0
        while number < len(lines):
            if lines[number] != "```python":
                number += 1
                continue
            end = lines.index("```", number)
            if re.fullmatch(r"<!-- not run: .+ -->", lines[number - 1]):
                not_run += 1
            else:
                block = "\n" * (number + 1) + "\n".join(lines[number + 1 : end])
                exec(compile(block, "docs/guides/python.md", "exec"), names)
                ran += 1
            number = end + 1
        self.assertEqual(not_run, NOT_RUN)
        self.assertGreaterEqual(ran, 6)
        self.assertLess(len(names["text"]), 1024)

    def test_the_quick_start_runs(self):
        script = ROOT / "docs/guides/quick_start.py"
        out = self.folder / "quick"
        out.mkdir()
        done = subprocess.run([PYTHON, str(script), str(SOURCE), str(out)], capture_output=True, text=True, timeout=300, env=environment(self.folder))
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("published lab/quick-start@1.0.0", done.stdout)
        self.assertIn("18 samples, then 18 after the stop", done.stdout)

    def test_the_build_tells_itself(self):
        told = nodedata.build_info()
        self.assertEqual(told["version"], nodedata.__version__)
        self.assertIn("av1", json.dumps(told))
        version = told["libavcodec"]
        self.assertTrue(version is None or version.split(".")[0] in ("59", "60", "61", "62"), version)
        script = "import nodedata; print(nodedata.build_info()['libavcodec'])"
        for variable, expected in (("off", "None"), ("/no/such/libavcodec.so", None)):
            told = subprocess.run(
                [PYTHON, "-c", script], capture_output=True, text=True, timeout=60, env={**environment(self.folder), "NODEDATA_LIBAVCODEC": variable}
            )
            if expected is None:
                self.assertNotEqual(told.returncode, 0, told.stdout)
                self.assertIn(variable, told.stderr)
            else:
                self.assertEqual(told.stdout.strip(), expected, told.stderr)


if __name__ == "__main__":
    unittest.main()
