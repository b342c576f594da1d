"""Pictures that a pipeline codes as H.264, held against the pictures of the source as Pillow has them, decoded by PyAV (FFmpeg)."""
import io
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

from test_alignment import module

CAMERAS = ("observation.images.front", "observation.images.wrist")


def has_encoder():
    """Whether there is a program that codes."""
    program = os.environ.get("NODEDATA_FFMPEG") or shutil.which("ffmpeg")
    if program is None:
        return False
    told = subprocess.run([program, "-hide_banner", "-encoders"], capture_output=True, text=True)
    return "libx264" in told.stdout


class CodedVideo(unittest.TestCase):
    def setUp(self):
        for name in ("numpy", "pyarrow", "PIL", "av"):
            if module(name) is None:
                self.skipTest(f"{name} is not installed, so coded video is not compared")
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")
        if not has_encoder():
            self.skipTest("no `ffmpeg` program with libx264, so no video is coded")

    def test_frames_are_those_of_the_source(self):
        import av
        import numpy
        import pyarrow.parquet
        from PIL import Image

        source = pathlib.Path(os.environ["NODEDATA_FIXTURES"]) / "lerobot" / "v30_image"
        files = sorted((source / "data").rglob("*.parquet"))
        given = [row for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]
        fields = "".join(
            f"  {camera.rsplit('.', 1)[1]}: {{from: {camera}, transform: {{encode: {{as: h264:12, group: 4}}}}}}\n" for camera in CAMERAS
        )
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            (folder / "p.yaml").write_text(
                f"version: 1\nsource: {json.dumps(str(source))}\nsteps: {{clock: {{rate_hz: 10}}}}\nfields:\n{fields}splits: {{by: source}}\n"
            )
            command = [os.environ["NODEDATA_BINARY"], "run", str(folder / "p.yaml"), "--out", str(folder / "out")]
            run = subprocess.run(command, capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            manifest = json.loads((folder / "out" / "manifest.json").read_text())
            shards = [shard["path"] for shard in manifest["shards"] if shard["stream"] == "steps"]
            rows = [row for shard in shards for row in pyarrow.parquet.read_table(folder / "out" / shard).to_pylist()]
            index = pyarrow.parquet.read_table(folder / "out" / manifest["index"]["video"]["path"]).to_pylist()

        self.assertEqual((len(rows), len(given)), (36, 36))
        for camera in CAMERAS:
            name = camera.rsplit(".", 1)[1]
            for entry in (it for it in index if it["feature"] == name):
                places = [idx for idx, row in enumerate(rows) if row["episode_index"] == entry["episode_index"]]
                self.assertEqual((entry["codec"], entry["frames"], entry["fps"]), ("h264", len(places), 10.0))
                self.assertEqual((entry["width"], entry["height"]), (96, 96))
                marked = [step for step, idx in enumerate(places) if rows[idx][f"{name}.keyframe"]]
                self.assertEqual(marked, list(range(0, len(places), 4)))
                self.assertEqual(entry["keyframes"], marked)
                decoder = av.CodecContext.create("h264", "r")
                frames = [frame for idx in places for frame in decoder.decode(av.Packet(rows[idx][name]))]
                frames += decoder.decode(None)
                self.assertEqual(len(frames), len(places))
                self.assertEqual([it for it, frame in enumerate(frames) if frame.key_frame], marked)
                for frame, idx in zip(frames, places):
                    found = frame.to_ndarray(format="rgb24").astype(numpy.float64)
                    wanted = Image.open(io.BytesIO(given[idx][camera]["bytes"])).convert("RGB")
                    noise = numpy.square(found - numpy.asarray(wanted, numpy.float64)).mean()
                    # 28 dB; another frame of this scene, or colours of another matrix, are farther.
                    self.assertLess(noise, 255 * 255 / 10 ** 2.8, f"{name}, row {idx}")


if __name__ == "__main__":
    unittest.main()
