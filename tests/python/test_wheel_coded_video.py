"""Pictures that a pipeline codes as H.264 are read as the frames that they were: by step, by episode and by streams. Run by
`cargo xtask test`."""
import json
import os
import shutil
import unittest

import numpy as np
import pyarrow.parquet

import nodedata
from nodedata import NodeData
from wheel_sets import decoded, lerobot_sets, scratch

CAMERA = "observation.images.front"
PROGRAM = os.environ.get("NODEDATA_FFMPEG") or shutil.which("ffmpeg")


@unittest.skipIf(PROGRAM is None, "no `ffmpeg` program, so no video is coded")
class CodedVideo(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder, source = scratch(), lerobot_sets()["v30_image"][0]
        (folder / "p.yaml").write_text(
            f"version: 1\nsource: {json.dumps(str(source))}\nsteps: {{clock: {{rate_hz: 10}}}}\n"
            f"fields:\n  front: {{from: {CAMERA}, transform: {{encode: {{as: h264:12, group: 4}}}}}}\n  action: action\nsplits: {{by: source}}\n"
        )
        nodedata.run(folder / "p.yaml", out=folder / "out", threads=2)
        cls.dataset = nodedata.open_folder(folder / "out")
        files = sorted((source / "data").rglob("*.parquet"))
        cls.pictures = [decoded(row[CAMERA]["bytes"]) for file in files for row in pyarrow.parquet.read_table(file).to_pylist()]

    def same(self, found, wanted):
        self.assertEqual((found.shape, found.dtype), (wanted.shape, np.uint8))
        noise = np.square(found.astype(np.float64) - wanted).mean()
        self.assertLess(noise, 255 * 255 / 10**2.8, "less than 28 dB")

    def test_steps_in_any_order_are_the_pictures_of_the_source(self):
        steps = self.dataset.steps("train")
        self.assertEqual(len(steps), len(self.pictures))
        for place in [17, 3, 35, 0, 18, 2]:
            self.same(steps[place]["front"], self.pictures[place])

    def test_streams_hand_out_the_same_frames(self):
        streamed = list(NodeData().datasets.stream(self.dataset, unit="step"))
        self.assertEqual(len(streamed), len(self.pictures))
        for step, wanted in zip(streamed, self.pictures):
            self.same(step["front"], wanted)


if __name__ == "__main__":
    unittest.main()
