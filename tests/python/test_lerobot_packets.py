"""Video passes through LeRobot conversion untouched: the samples in the shards are the packets that PyAV (FFmpeg)
demuxes from the source's files, byte for byte, and decode to its frames. Run by `cargo xtask test`."""
import importlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

CONVERT_SECONDS_MAX = 60


def module(name):
    """A reader, or None where it cannot be imported; its tests are then skipped with the reason."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


av = module("av")
pq = module("pyarrow.parquet")
np = module("numpy")


class SourceVideo:
    """One mp4 file as PyAV reads it."""

    def __init__(self, path):
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            self.extradata = bytes(stream.codec_context.extradata)
            self.codec = stream.codec_context.name
            self.size = (stream.codec_context.width, stream.codec_context.height)
            # The last packet is empty: it flushes the decoder.
            packets = [it for it in container.demux(stream) if it.size > 0]
            # In decode order: place in presentation order, key frame or not, bytes.
            shown = sorted(range(len(packets)), key=lambda it: packets[it].pts)
            place = {packet: position for position, packet in enumerate(shown)}
            self.packets = [(place[idx], it.is_keyframe, bytes(it)) for idx, it in enumerate(packets)]
        with av.open(str(path)) as container:
            self.frames = [it.to_ndarray() for it in container.decode(container.streams.video[0])]

    def between(self, first, n_frames):
        """Packets of a range of frames, in decode order."""
        return [it for it in self.packets if first <= it[0] < first + n_frames]


class LeRobotPackets(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        scratch = tempfile.TemporaryDirectory(prefix="node-data-lerobot-")
        cls.addClassCleanup(scratch.cleanup)
        cls.folder = pathlib.Path(scratch.name)

    def setUp(self):
        # Not in setUpClass: a class skipped there is missing from the number of tests that ran.
        for name, found in {"av": av, "pyarrow": pq, "numpy": np}.items():
            if found is None:
                self.skipTest(f"{name} is not installed, so nothing about passed-through video is proved")
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")

    def test_fixtures(self):
        n_videos = 0
        for name in ("v21_simple", "v30_video_h264"):
            n_videos += self.check(fixtures() / name)
        self.assertEqual(n_videos, 8)

    def test_corpus(self):
        corpus = pathlib.Path(__file__).resolve().parents[3] / "shared/corpora/episodes/lerobot"
        if not corpus.is_dir():
            self.skipTest("corpus folder absent: episodes/lerobot")
        sets = [it for it in sorted(corpus.iterdir()) if any(it.rglob("*.mp4"))]
        self.assertGreaterEqual(len(sets), 8)
        for source in sets:
            self.assertGreater(self.check(source), 0)

    def test_frames_stored_in_another_order(self):
        """B-frames, which no dataset of the official writer's defaults has."""
        for encoder, options in {
            "libx264": {"bf": "3", "g": "6", "x264-params": "b-adapt=0:keyint=6:scenecut=0"},
            "libx265": {"x265-params": "bframes=3:b-adapt=0:keyint=6:log-level=error"},
        }.items():
            source = self.folder / f"source-{encoder}"
            reencoded(source, encoder, options, "yuv420p")
            self.assertEqual(self.check(source, has_reordering=True), 6)

    def test_distances(self):
        """12-bit gray H.265 without loss, as the official writer stores depth."""
        source = self.folder / "source-depth"
        options = {"x265-params": "lossless=1:keyint=2:bframes=0:log-level=error"}
        reencoded(source, "libx265", options, "gray12le")
        self.assertEqual(self.check(source), 6)

    def check(self, source, has_reordering=False):
        """Converts a dataset and compares every video; returns how many there were."""
        out = self.folder / f"{source.name}-converted"
        shutil.rmtree(out, ignore_errors=True)
        subprocess.run(
            [os.environ["NODEDATA_BINARY"], "convert", str(source), "--out", str(out)],
            check=True, capture_output=True, timeout=CONVERT_SECONDS_MAX)
        rows = [row for shard in sorted((out / "data").glob("*.parquet")) for row in pq.read_table(shard).to_pylist()]
        by_file = {}
        for entry in pq.read_table(out / "index/video.parquet").to_pylist():
            by_file.setdefault((entry["feature"], entry["source"]), []).append(entry)
        for (feature, name), episodes in by_file.items():
            with self.subTest(dataset=source.name, video=name):
                video = SourceVideo(source / name)
                passed = b""
                for entry in sorted(episodes, key=lambda it: it["first_frame"]):
                    steps = [it for it in rows if it["episode_index"] == entry["episode_index"]]
                    passed += self.check_episode(feature, entry, steps, video, has_reordering)
                self.assertEqual(sum(it["frames"] for it in episodes), len(video.packets), "frames of all episodes")
                self.assertEqual(passed, b"".join(it[2] for it in video.packets), "the whole file")
        mp4s = {str(it.relative_to(source)) for it in source.rglob("*.mp4")}
        self.assertEqual({name for _, name in by_file}, mp4s, "every video of the source")
        return len(mp4s)

    def check_episode(self, feature, entry, steps, video, has_reordering):
        """Compares the samples of one episode; returns their bytes in decode order."""
        self.assertEqual(entry["codec_config"], video.extradata)
        self.assertEqual((entry["width"], entry["height"]), video.size)
        keyframes = [step for step, row in enumerate(steps) if row[f"{feature}.keyframe"]]
        self.assertEqual(entry["keyframes"], keyframes)
        self.assertEqual(entry["frames"], len(steps))
        self.assertEqual([it["step_index"] for it in steps], list(range(len(steps))))
        wanted = video.between(entry["first_frame"], entry["frames"])
        self.assertEqual(len(wanted), len(steps))
        order = f"{feature}.decode_index"
        self.assertEqual(order in steps[0], has_reordering, "decode order is told where it differs")
        coded = sorted(steps, key=lambda it: it.get(order, it["step_index"]))
        if has_reordering:
            self.assertEqual([it[order] for it in coded], list(range(len(steps))))
            self.assertNotEqual([it[order] for it in steps], list(range(len(steps))), "frames are stored in another order")
        for step, (place, is_keyframe, packet) in zip(coded, wanted):
            self.assertEqual(step["step_index"], place - entry["first_frame"], "presentation order")
            self.assertEqual(step[f"{feature}.keyframe"], is_keyframe, f"step {step['step_index']}")
            self.assertEqual(step[feature], packet, f"step {step['step_index']}")
        self.check_decoding(feature, entry, coded, video)
        return b"".join(it[feature] for it in coded)

    def check_decoding(self, feature, entry, coded, video):
        """The samples of the episode alone, with the configuration of the index, give the frames of the file."""
        decoder = av.CodecContext.create(video.codec, "r")
        decoder.extradata = entry["codec_config"]
        frames = []
        for step in coded:
            packet = av.Packet(step[feature])
            packet.pts = step["step_index"]
            frames += decoder.decode(packet)
        frames += decoder.decode(None)
        self.assertEqual([it.pts for it in frames], list(range(len(coded))))
        for frame, wanted in zip(frames, video.frames[entry["first_frame"]:]):
            self.assertTrue(np.array_equal(frame.to_ndarray(), wanted), f"frame {frame.pts}")


def fixtures():
    return pathlib.Path(os.environ["NODEDATA_FIXTURES"]) / "lerobot"


def reencoded(folder, encoder, options, pix_fmt):
    """A copy of the fixture of version 2.1 whose videos hold as many frames, coded anew."""
    shutil.copytree(fixtures() / "v21_simple", folder)
    lengths = {}
    for line in (folder / "meta/episodes.jsonl").read_text().splitlines():
        episode = json.loads(line)
        lengths[episode["episode_index"]] = episode["length"]
    for path in folder.rglob("*.mp4"):
        with av.open(str(path), "w") as container:
            stream = container.add_stream(encoder, rate=10, options=options)
            stream.width, stream.height, stream.pix_fmt = 64, 64, pix_fmt
            for idx in range(lengths[int(path.stem.removeprefix("episode_"))]):
                y, x = np.mgrid[0:64, 0:64]
                pixels = np.stack([x * 3 + idx * 5, y * 2, (x + y + idx * 11)], axis=-1).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(stream.encode(None))


if __name__ == "__main__":
    unittest.main()
