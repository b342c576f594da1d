"""The values that `pipelines/teleop-transforms.yaml` makes of the teleoperation recording, held against numpy and Pillow over the
messages that the log's official reader returns."""
import io
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

from test_alignment import RATE_HZ, TOLERANCE_NS, Log, hold, module, nearest

JOINTS = ["shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3"]
TOPICS = [
    "/camera/depth/image_raw", "/camera/wrist/image/compressed", "/cmd/joints", "/cmd/pose", "/gripper/state", "/joint_states",
    "/points",
]


def points(message, names):
    """The fields of every point, by the layout that the message has."""
    import numpy

    types = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
    order = ">" if message.is_bigendian else "<"
    layout = numpy.dtype({
        "names": [field.name for field in message.fields],
        "formats": [order + types[field.datatype] for field in message.fields],
        "offsets": [field.offset for field in message.fields],
        "itemsize": message.point_step,
    })
    cloud = numpy.frombuffer(bytes(message.data), layout, message.width * message.height)
    return numpy.stack([cloud[name].astype(numpy.float32) for name in names], axis=1)


def columns_of(x, y, z, w):
    """The first two columns of the matrix of a quaternion of length 1, by what it does to the axes."""
    import numpy

    def rotate(vector):
        axis = numpy.array([x, y, z])
        return vector + 2 * numpy.cross(axis, numpy.cross(axis, vector) + w * vector)

    return numpy.concatenate([rotate(numpy.array([1.0, 0, 0])), rotate(numpy.array([0, 1.0, 0]))])


class Transforms(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        for name in ("numpy", "pyarrow", "mcap", "mcap_ros2", "PIL"):
            if module(name) is None:
                self.skipTest(f"{name} is not installed, so transforms are not compared")
        if "NODEDATA_BINARY" not in os.environ:
            self.skipTest("NODEDATA_BINARY is not set: run `cargo xtask test`")

    def test_values_are_those_of_numpy(self):
        import numpy
        import pyarrow.parquet

        fixtures = pathlib.Path(os.environ["NODEDATA_FIXTURES"])
        pipeline = fixtures.parent / "pipelines" / "teleop-transforms.yaml"
        with tempfile.TemporaryDirectory() as folder:
            out = pathlib.Path(folder) / "out"
            run = subprocess.run(
                [os.environ["NODEDATA_BINARY"], "run", str(pipeline), "--out", str(out)], capture_output=True, text=True)
            self.assertEqual(run.returncode, 0, run.stdout + run.stderr)
            manifest = json.loads((out / "manifest.json").read_text())
            shards = [shard["path"] for shard in manifest["shards"] if shard["stream"] == "steps"]
            table = pyarrow.concat_tables([pyarrow.parquet.read_table(out / shard) for shard in shards])
            index = pyarrow.parquet.read_table(out / manifest["index"]["episodes"]["path"])
        start = next(row["start_time_ns"] for row in index.to_pylist() if row["stream"] == "steps")
        numbers = numpy.arange(len(table), dtype=numpy.int64)
        steps = start + (2 * numbers * 10**9 + RATE_HZ) // (2 * RATE_HZ)
        self.assertEqual(table["timestamp_ns"].to_pylist(), (steps - start).tolist())

        log = Log(fixtures / "mcap" / "teleop.mcap", TOPICS)

        def chosen(topic, rule, tolerance, value):
            rows = rule(log.times[topic], steps, tolerance)
            return [None if row < 0 else value(log.messages[topic][row]) for row in rows]

        def same(column, expected, rtol=0.0, atol=0.0):
            found = table[column].to_pylist()
            self.assertEqual([it is None for it in found], [it is None for it in expected], column)
            for step, (one, other) in enumerate(zip(found, expected)):
                if other is not None:
                    one, other = numpy.asarray(one, dtype=numpy.float64), numpy.asarray(other, dtype=numpy.float64)
                    numpy.testing.assert_allclose(one, other, rtol=rtol, atol=atol, err_msg=f"{column} of step {step}")

        def by_name(message):
            return numpy.array([message.position[list(message.name).index(joint)] for joint in JOINTS])

        joints = chosen("/joint_states", nearest, TOLERANCE_NS, by_name)
        same("joints", joints)
        same("arm_deg", [None if it is None else it[:3] * (180 / numpy.pi) for it in joints])
        commands = chosen("/cmd/joints", hold, 10**9, lambda it: numpy.array(it.data))
        same("action", [None if a is None or b is None else a[:6] - b for a, b in zip(commands, joints)])
        moved = [None if it is None else numpy.zeros(6) for it in joints[:1]]
        moved += [None if a is None or b is None else b - a for a, b in zip(joints, joints[1:])]
        same("moved", moved)

        def pose(message):
            p, q = message.pose.position, message.pose.orientation
            # Joined as float32, as the pipeline says.
            p, q = (numpy.array(it, dtype=numpy.float32).astype(numpy.float64) for it in ([p.x, p.y, p.z], [q.x, q.y, q.z, q.w]))
            return numpy.concatenate([p, columns_of(*(q / numpy.linalg.norm(q)))])

        same("tcp", chosen("/cmd/pose", nearest, TOLERANCE_NS, pose), rtol=1e-6, atol=1e-7)
        same("lift", chosen("/cmd/pose", nearest, TOLERANCE_NS, lambda it: it.pose.position.z - 0.2))
        widths = chosen("/gripper/state", nearest, TOLERANCE_NS, lambda it: numpy.float32(numpy.float64(numpy.float32(it.width)) * 12.5))
        same("gripper", [None if it is None else numpy.clip(it, numpy.float32(0), numpy.float32(1)) for it in widths])

        def metres(message):
            values = numpy.frombuffer(bytes(message.data), ">u2" if message.is_bigendian else "<u2").astype(numpy.float64) / 1000
            return numpy.where(values == 0, numpy.nan, values).astype(numpy.float32).tobytes()

        self.assertEqual(table["depth"].to_pylist(), chosen("/camera/depth/image_raw", nearest, TOLERANCE_NS, metres))

        def cloud(message):
            found = points(message, ["x", "y", "z", "ring"])
            if len(found) > 32:
                found = found[numpy.arange(32) * len(found) // 32]
            return numpy.concatenate([found, numpy.full((32 - len(found), 4), numpy.nan, numpy.float32)])

        same("cloud", chosen("/points", nearest, 150_000_000, cloud))
        self.assertEqual(json.loads(table.schema.field("arm_deg").metadata[b"nodedata:names"]), JOINTS[:3])
        self.assertEqual(table.schema.field("arm_deg").metadata[b"nodedata:unit"], b"deg")
        self.assertEqual(table.schema.field("depth").metadata[b"nodedata:unit"], b"m")
        self.pictures(table["wrist"].to_pylist(), chosen("/camera/wrist/image/compressed", nearest, TOLERANCE_NS, lambda it: bytes(it.data)))

    def pictures(self, found, frames):
        """Cut out of the middle, made smaller and coded anew: near what Pillow makes, coded anew as well."""
        import numpy
        from PIL import Image

        self.assertEqual([it is None for it in found], [it is None for it in frames])
        n = 0
        for one, frame in zip(found, frames):
            if frame is None:
                continue
            picture = Image.open(io.BytesIO(one["bytes"]))
            self.assertEqual((picture.format, picture.size, picture.mode), ("JPEG", (64, 64), "RGB"))
            whole = Image.open(io.BytesIO(frame)).convert("RGB")
            left, top = (whole.width - 80) // 2, (whole.height - 80) // 2
            wanted = whole.crop((left, top, left + 80, top + 80)).resize((64, 64), Image.BILINEAR)
            far = numpy.abs(numpy.asarray(picture, dtype=numpy.int16) - numpy.asarray(wanted, dtype=numpy.int16))
            coded = io.BytesIO()
            wanted.save(coded, "JPEG", quality=90)
            by_pillow = numpy.asarray(Image.open(coded).convert("RGB"), dtype=numpy.int16)
            bound = numpy.abs(by_pillow - numpy.asarray(wanted, dtype=numpy.int16)).mean()
            self.assertLess(far.mean(), 1.5 * bound + 1.0)
            n += 1
        self.assertGreater(n, 30)


if __name__ == "__main__":
    unittest.main()
