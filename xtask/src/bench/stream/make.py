"""Makes a set of the bench with the official writer of a peer, from the same seeded frames.

    python make.py KIND OUT JPEGS

KIND: `jpegs`, `lerobot-jpeg`, `lerobot-h264`, `lerobot-av1`, `mosaicml`, `litdata`.
"""
import inspect
import json
import os
import pathlib
import shutil
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("SVT_LOG", "0")

import numpy as np

import frames


def lerobot(out, coded, kind):
    """As LeRobot codes by default; of pictures the PNG files that it writes are replaced by the JPEG bytes of all other sets."""
    import pyarrow
    import pyarrow.parquet
    LeRobotDataset = frames.lerobot_dataset()
    is_video = kind != "jpeg"
    # Writing large PNG files only to replace them is slow.
    shape = (frames.HEIGHT, frames.WIDTH, 3) if is_video else (8, 8, 3)
    features = {
        "observation.state": {"dtype": "float32", "shape": (7,), "names": None},
        "action": {"dtype": "float32", "shape": (7,), "names": None},
        frames.CAMERA: {"dtype": "video" if is_video else "image", "shape": shape, "names": ["height", "width", "channels"]},
    }
    more = encoder(LeRobotDataset, {"av1": "libsvtav1", "h264": "h264"}[kind]) if is_video else {}
    made = LeRobotDataset.create(repo_id="lab/bench", fps=frames.FPS, root=out, use_videos=is_video, features=features, **more)
    for number in range(frames.EPISODES):
        state, action = frames.numbers(number)
        episode = frames.Episode(number)
        for step in range(frames.STEPS):
            frame = episode.frame(step) if is_video else np.full(shape, step % 255, np.uint8)
            made.add_frame({"observation.state": state[step], "action": action[step], "task": f"pick {number % 5}", frames.CAMERA: frame})
        made.save_episode()
    made.finalize()
    if is_video:
        return
    blobs = dict(frames.jpegs(coded))
    for path in sorted((out / "data").rglob("*.parquet")):
        table = pyarrow.parquet.read_table(path)
        places = zip(table["episode_index"].to_pylist(), table["frame_index"].to_pylist(), strict=True)
        values = [{"bytes": blobs[episode][step], "path": None} for episode, step in places]
        at = table.column_names.index(frames.CAMERA)
        field = table.schema.field(frames.CAMERA)
        pyarrow.parquet.write_table(table.set_column(at, field, pyarrow.array(values, field.type)), path, row_group_size=100)
    info = json.loads((out / "meta/info.json").read_text())
    info["features"][frames.CAMERA]["shape"] = [frames.HEIGHT, frames.WIDTH, 3]
    (out / "meta/info.json").write_text(json.dumps(info, indent=4))


def encoder(dataset, codec):
    """How its writer is told of a codec, which later versions do otherwise."""
    if "vcodec" in inspect.signature(dataset.create).parameters:
        return {"vcodec": codec}
    from lerobot.configs import RGBEncoderConfig

    return {"rgb_encoder": RGBEncoderConfig(vcodec=codec)}


def samples(coded):
    """One sample a step."""
    for number, blobs in frames.jpegs(coded):
        state, action = frames.numbers(number)
        for step, blob in enumerate(blobs):
            yield {"state": state[step], "action": action[step], "episode": number, "step": step, "cam0": blob}


def mosaicml(out, coded):
    from streaming import MDSWriter

    columns = {"state": "ndarray:float32:7", "action": "ndarray:float32:7", "episode": "int", "step": "int", "cam0": "bytes"}
    with MDSWriter(out=str(out), columns=columns, size_limit=64 << 20) as writer:
        for sample in samples(coded):
            writer.write(sample)


def litdata(out, coded):
    from litdata.streaming.writer import BinaryWriter

    out.mkdir(parents=True)
    writer = BinaryWriter(str(out), chunk_bytes="64MB")
    for number, sample in enumerate(samples(coded)):
        writer.add_item(number, sample)
    writer.done()
    writer.merge()


def main(kind, out, coded):
    if kind == "jpegs":
        for _ in frames.jpegs(coded):
            pass
        return
    # Appears whole.
    half = out.with_name(f"{out.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    if kind.startswith("lerobot-"):
        lerobot(half, coded, kind.removeprefix("lerobot-"))
    else:
        {"mosaicml": mosaicml, "litdata": litdata}[kind](half, coded)
    os.rename(half, out)


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
