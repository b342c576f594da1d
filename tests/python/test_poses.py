"""Poses of frames in the steps of the teleoperation recording, held against a tree of transforms rebuilt here with matrices of numpy over
the messages that the log's official reader returns."""
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from test_alignment import module, recordings

PIPELINE = """
version: 1
source: {path: %s}
steps: {clock: {rate_hz: 30}, time: header.stamp, upsample: true}
fields:
  joints: {from: /joint_states.position}
  tool: {pose: {of: tool, in: base}}
  seen: {pose: {of: base, in: camera_0_optical, from: [/tf, /tf_static]}}
  world: {pose: {of: camera_0_optical, in: world}}
  near: {pose: {of: tool, in: base}, tolerance_ms: 40}
"""


def matrix(x, y, z, qx, qy, qz, qw):
    import numpy

    length = numpy.sqrt(qx * qx + qy * qy + qz * qz + qw * qw)
    x_, y_, z_, w = qx / length, qy / length, qz / length, qw / length
    return numpy.array([
        [1 - 2 * (y_ * y_ + z_ * z_), 2 * (x_ * y_ - z_ * w), 2 * (x_ * z_ + y_ * w), x],
        [2 * (x_ * y_ + z_ * w), 1 - 2 * (x_ * x_ + z_ * z_), 2 * (y_ * z_ - x_ * w), y],
        [2 * (x_ * z_ - y_ * w), 2 * (y_ * z_ + x_ * w), 1 - 2 * (x_ * x_ + y_ * y_), z],
        [0, 0, 0, 1],
    ])


def turned(axis, angle):
    """Rodrigues' formula."""
    import numpy

    cross = numpy.array([[0, -axis[2], axis[1]], [axis[2], 0, -axis[0]], [-axis[1], axis[0], 0]])
    return numpy.eye(3) + numpy.sin(angle) * cross + (1 - numpy.cos(angle)) * cross @ cross


def between(one, other, share):
    """The line between two places, and the shortest turn between two rotations."""
    import numpy

    relative = one[:3, :3].T @ other[:3, :3]
    angle = numpy.arccos(numpy.clip((numpy.trace(relative) - 1) / 2, -1, 1))
    mixed = numpy.eye(4)
    mixed[:3, 3] = one[:3, 3] + (other[:3, 3] - one[:3, 3]) * share
    axis = numpy.array([relative[2, 1] - relative[1, 2], relative[0, 2] - relative[2, 0], relative[1, 0] - relative[0, 1]])
    length = numpy.linalg.norm(axis)
    mixed[:3, :3] = one[:3, :3] @ (turned(axis / length, angle * share) if length > 1e-12 else numpy.eye(3))
    return mixed


class Transforms:
    """Every transform of a recording, by the frame that it places."""

    def __init__(self, path):
        from mcap.reader import NonSeekingReader
        from mcap_ros2.decoder import DecoderFactory

        self.moving, self.fixed = {}, {}
        with open(path, "rb") as file:
            reader = NonSeekingReader(file, decoder_factories=[DecoderFactory()])
            topics = ["/tf", "/tf_static"]
            for _, channel, _, decoded in reader.iter_decoded_messages(topics=topics, log_time_order=False):
                for it in decoded.transforms:
                    way, turn = it.transform.translation, it.transform.rotation
                    placed = matrix(way.x, way.y, way.z, turn.x, turn.y, turn.z, turn.w)
                    stamp = it.header.stamp.sec * 10**9 + it.header.stamp.nanosec
                    if channel.topic == "/tf_static":
                        self.fixed[it.child_frame_id] = (it.header.frame_id, placed)
                    else:
                        self.moving.setdefault(it.child_frame_id, []).append((stamp, it.header.frame_id, placed))
        for samples in self.moving.values():
            samples.sort(key=lambda it: it[0])

    def parent(self, frame, time, tolerance):
        """The parent of a frame and how it stands there; a frame without any is `None`, and one without any now `False`."""
        if frame not in self.moving:
            return self.fixed.get(frame)
        samples = self.moving[frame]
        after = sum(it[0] <= time for it in samples)
        if after and samples[after - 1][0] == time:
            return samples[after - 1][1:]
        if after in (0, len(samples)):
            return False
        (first, parent, one), (last, _, other) = samples[after - 1], samples[after]
        period = (samples[-1][0] - samples[0][0]) / (len(samples) - 1)
        near = last - first <= 10 * period if tolerance is None else time - first <= tolerance and last - time <= tolerance
        return (parent, between(one, other, (time - first) / (last - first))) if near else False

    def up(self, frame, time, tolerance):
        import numpy

        placed = numpy.eye(4)
        frames = {frame: placed}
        while step := self.parent(frame, time, tolerance):
            frame, placed = step[0], step[1] @ placed
            frames[frame] = placed
        return frames

    def pose(self, of, within, time, tolerance=None):
        import numpy

        up, down = self.up(of, time, tolerance), self.up(within, time, tolerance)
        common = next((it for it in up if it in down), None)
        return None if common is None else numpy.linalg.inv(down[common]) @ up[common]


class Poses(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        for name in ("numpy", "pyarrow", "mcap", "mcap_ros2"):
            if module(name) is None:
                self.skipTest(f"{name} is not installed, so poses are not compared")
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")

    def test_poses_are_those_of_a_tree_of_matrices(self):
        n_compared = 0
        for path in recordings():
            transforms = Transforms(path)
            # The others have no frames that stay where they are.
            if not transforms.fixed:
                continue
            n_compared += 1
            with self.subTest(recording=path.name), tempfile.TemporaryDirectory() as folder:
                self.check(path, transforms, pathlib.Path(folder))
        self.assertGreater(n_compared, 0)

    def check(self, path, transforms, folder):
        import numpy
        import pyarrow.parquet

        (folder / "pipeline.yaml").write_text(PIPELINE % path)
        run = subprocess.run(
            [os.environ["NODEDATA_BINARY"], "run", str(folder / "pipeline.yaml"), "--out", str(folder / "out")],
            capture_output=True, text=True)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
        manifest = json.loads((folder / "out" / "manifest.json").read_text())
        shards = [shard["path"] for shard in manifest["shards"] if shard["stream"] == "steps"]
        table = pyarrow.concat_tables([pyarrow.parquet.read_table(folder / "out" / shard) for shard in shards])
        index = pyarrow.parquet.read_table(folder / "out" / manifest["index"]["episodes"]["path"])
        start = next(row["start_time_ns"] for row in index.to_pylist() if row["stream"] == "steps")
        times = [start + it for it in table["timestamp_ns"].to_pylist()]
        asked = {
            "tool": ("tool", "base", None), "seen": ("base", "camera_0_optical", None),
            "world": ("camera_0_optical", "world", None), "near": ("tool", "base", 40_000_000),
        }
        for column, (of, within, tolerance) in asked.items():
            found = table[column].to_pylist()
            expected = [transforms.pose(of, within, time, tolerance) for time in times]
            self.assertEqual([it is None for it in found], [it is None for it in expected], column)
            self.assertTrue(any(it is not None for it in found), column)
            for one, other in zip(found, expected):
                if one is not None:
                    numpy.testing.assert_allclose(matrix(*one), other, atol=1e-9, err_msg=column)
                    self.assertAlmostEqual(sum(it * it for it in one[3:]), 1, places=12)
                    self.assertGreaterEqual(one[6], 0)
        self.assertTrue(any(it is None for it in table["near"].to_pylist()))


if __name__ == "__main__":
    unittest.main()
