"""Steps of a log whose camera is coded video, held against what PyAV decodes of the messages."""
import io
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from test_alignment import module, nearest


def field_of(message, wanted):
    """The bytes of a field of a protobuf message, by its number."""
    def varint(at):
        value, shift = 0, 0
        while True:
            byte = message[at]
            value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
            if not byte & 0x80:
                return value, at

    at = 0
    while at < len(message):
        tag, at = varint(at)
        if tag & 7 == 0:
            _, at = varint(at)
            continue
        assert tag & 7 == 2, tag
        length, at = varint(at)
        if tag >> 3 == wanted:
            return message[at:at + length]
        at += length
    return b""


class VideoTopics(unittest.TestCase):
    def setUp(self):
        for name in ("numpy", "pyarrow", "mcap", "PIL", "av"):
            if module(name) is None:
                self.skipTest(f"{name} is not installed, so video topics are not compared")
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")

    def test_pictures_are_those_of_another_decoder(self):
        import av
        import numpy
        import pyarrow.parquet
        from mcap.reader import make_reader
        from PIL import Image

        log = pathlib.Path(os.environ["NODEDATA_FIXTURES"]) / "mcap" / "special" / "foxglove_video_h264.mcap"
        times, frames = [], []
        decoder = av.CodecContext.create("h264", "r")
        with open(log, "rb") as file:
            for _, _, message in make_reader(file).iter_messages():
                times.append(message.log_time)
                frames += decoder.decode(av.Packet(field_of(message.data, 3)))
        frames += decoder.decode(None)
        frames = [it.to_ndarray(format="rgb24") for it in frames]
        self.assertEqual((len(times), len(frames)), (60, 60))
        for rate in ("10", "30"):
            with tempfile.TemporaryDirectory() as folder:
                out = pathlib.Path(folder) / "out"
                command = [os.environ["NODEDATA_BINARY"], "convert", str(log), "--rate", rate, "--decode", "/video=png", "--out", str(out)]
                run = subprocess.run(command, capture_output=True, text=True)
                self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
                manifest = json.loads((out / "manifest.json").read_text())
                shards = [shard["path"] for shard in manifest["shards"] if shard["stream"] == "steps"]
                rows = [row for shard in shards for row in pyarrow.parquet.read_table(out / shard).to_pylist()]
                index = pyarrow.parquet.read_table(out / manifest["index"]["episodes"]["path"]).to_pylist()
            start = next(row["start_time_ns"] for row in index if row["stream"] == "steps")
            steps = numpy.array([start + row["timestamp_ns"] for row in rows], numpy.int64)
            self.assertGreaterEqual(len(steps), 19 if rate == "10" else 59)
            chosen = nearest(numpy.array(times, numpy.int64), steps, 2**62)
            for step, (row, idx) in enumerate(zip(rows, chosen)):
                found = numpy.asarray(Image.open(io.BytesIO(row["video"]["bytes"])), dtype=numpy.int16)
                # Colours are rounded in other ways; another frame of this scene is farther.
                far = numpy.abs(found - frames[idx].astype(numpy.int16))
                self.assertLess(far.mean(), 1.5, f"step {step} is not frame {idx}")


if __name__ == "__main__":
    unittest.main()
