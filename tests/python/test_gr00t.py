"""The values that `pipelines/lerobot-gr00t.yaml` makes of a LeRobot dataset, held against numpy, Pillow and PyAV over the files of
the dataset."""
import io
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from test_alignment import module


def rows_of_matrix(quaternions):
    """The first two rows of the matrices of quaternions x, y, z, w of any length, by the products of their numbers."""
    import numpy

    quaternions = quaternions.astype(numpy.float64)
    x, y, z, w = (quaternions / numpy.linalg.norm(quaternions, axis=1, keepdims=True)).T
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y),
        2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x),
    ]
    return numpy.stack(rows, axis=1)


class Gr00t(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        for name in ("numpy", "pyarrow", "PIL", "av"):
            if module(name) is None:
                self.skipTest(f"{name} is not installed, so fields for GR00T are not compared")
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")

    def test_values_are_those_of_numpy(self):
        import numpy
        import pyarrow
        import pyarrow.parquet

        fixtures = pathlib.Path(os.environ["NODEDATA_FIXTURES"])
        source = fixtures / "gr00t" / "v21"
        pipeline = fixtures.parent / "pipelines" / "lerobot-gr00t.yaml"
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            run = subprocess.run(
                [os.environ["NODEDATA_BINARY"], "run", str(pipeline), "--out", str(out)], capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            manifest = json.loads((out / "manifest.json").read_text())
            shards = [shard["path"] for shard in manifest["shards"] if shard["stream"] == "steps"]
            table = pyarrow.concat_tables([pyarrow.parquet.read_table(out / shard) for shard in shards])

        files = sorted((source / "data" / "chunk-000").iterdir())
        given = pyarrow.concat_tables([pyarrow.parquet.read_table(it) for it in files])
        self.assertEqual(len(table), len(given))
        self.assertEqual(len(table), 36)
        modality = json.loads((source / "meta" / "modality.json").read_text())
        vectors = {"state": "observation.state", "action": "action"}

        def part(group, name):
            """A slice as the document of GR00T says it."""
            bounds = modality[group][name]
            return numpy.array(given[vectors[group]].to_pylist(), numpy.float32)[:, bounds["start"]:bounds["end"]]

        def same(column, expected, atol=0.0):
            found = table[column].to_pylist()
            self.assertEqual(sum(it is None for it in found), 0, column)
            found = numpy.array(found, numpy.float32)
            self.assertEqual(found.shape, expected.shape, column)
            numpy.testing.assert_allclose(found, expected, rtol=0, atol=atol, err_msg=column)

        same("state.single_arm", part("state", "single_arm"))
        same("state.gripper", part("state", "gripper"))
        same("state.eef_position", part("state", "eef_position"))
        same("state.eef_rotation", rows_of_matrix(part("state", "eef_rotation")), atol=2e-7)
        same("action.single_arm", part("action", "single_arm") - part("state", "single_arm"))
        same("action.gripper", part("action", "gripper"))
        tasks = [json.loads(line) for line in (source / "meta" / "tasks.jsonl").read_text().splitlines()]
        texts = {it["task_index"]: it["task"] for it in tasks}
        described = [texts[it] for it in given["task_index"].to_pylist()]
        self.assertEqual(table["annotation.human.task_description"].to_pylist(), described)
        wanted = {f"{group}.{name}" for group, of in modality.items() for name in of}
        self.assertEqual(wanted - set(table.column_names), set())
        videos = sorted((source / "videos" / "chunk-000" / modality["video"]["front"]["original_key"]).iterdir())
        self.pictures(table["video.front"].to_pylist(), videos)

    def pictures(self, found, videos):
        """Frames as PyAV decodes them, made of another size by Pillow, and coded."""
        import av
        import numpy
        from PIL import Image

        frames = []
        for path in videos:
            with av.open(str(path)) as video:
                frames += [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        self.assertEqual(len(found), len(frames))
        for step, (one, frame) in enumerate(zip(found, frames)):
            picture = Image.open(io.BytesIO(one["bytes"]))
            self.assertEqual((picture.format, picture.size, picture.mode), ("JPEG", (224, 224), "RGB"), step)
            wanted = Image.fromarray(frame).resize((224, 224), Image.BILINEAR)
            coded = io.BytesIO()
            wanted.save(coded, "JPEG", quality=95)
            by_pillow = numpy.asarray(Image.open(coded).convert("RGB"), dtype=numpy.int16)
            wanted = numpy.asarray(wanted, dtype=numpy.int16)
            far = numpy.abs(numpy.asarray(picture, dtype=numpy.int16) - wanted).mean()
            self.assertLess(far, 1.5 * numpy.abs(by_pillow - wanted).mean() + 1.0, step)


if __name__ == "__main__":
    unittest.main()
