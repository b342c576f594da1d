"""Reads a set of the bench with the official reader of a peer, uint8 out, and prints what that took as JSON.

    python peers.py PEER JOB SET STEPS WORKERS

PEER: `lerobot`, `mosaicml`, `litdata`, `libjpeg-turbo`. JOB: `random`, `episodes`, `windows`, `shuffle`.
"""
import inspect
import os
import sys

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import frames

peer, job, source, steps, workers = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5])


def counted(items, pixels):
    """Steps of items, which are batches where there are workers."""
    done, each = 0, frames.BATCH if workers else 1
    for item in items:
        if done >= steps:
            return
        frames.touch(pixels(item))
        done += each
        yield each


def lerobot():
    import lerobot as package
    import torch

    LeRobotDataset = frames.lerobot_dataset()
    # Earlier versions hand out float32 alone.
    has_bytes = "return_uint8" in inspect.signature(LeRobotDataset).parameters
    options = {"return_uint8": True} if has_bytes else {}
    if job == "windows":
        options["delta_timestamps"] = {"action": [it / frames.FPS for it in range(16)], frames.CAMERA: [-1 / frames.FPS, 0]}
    dataset = LeRobotDataset("lab/bench", root=source, **options)
    order = range(min(len(dataset), steps)) if job == "episodes" else frames.random_steps(len(dataset), steps)
    if workers:
        subset = torch.utils.data.Subset(dataset, list(order))
        items = torch.utils.data.DataLoader(subset, batch_size=frames.BATCH, num_workers=workers)
    else:
        items = (dataset[it] for it in order)
    return counted(items, lambda it: it[frames.CAMERA]), f"lerobot {package.__version__}{'' if has_bytes else ' (float32)'}"


def decoder():
    """libjpeg-turbo, as torchvision calls it."""
    import torch
    from torchvision.io import ImageReadMode, decode_jpeg

    torch.set_num_threads(1)
    return lambda blob: decode_jpeg(torch.frombuffer(bytearray(blob), dtype=torch.uint8), mode=ImageReadMode.RGB).permute(1, 2, 0).numpy()


def collate(items):
    import torch

    return {name: torch.stack([torch.as_tensor(it[name]) for it in items]) for name in ("cam0", "action")}


def decoding(base):
    """A dataset that decodes each sample as it is asked for."""

    class Decoding(base):
        decode = None

        def __getitem__(self, index):
            item = super().__getitem__(index)
            if Decoding.decode is None:
                Decoding.decode = decoder()
            item["cam0"] = Decoding.decode(bytes(item["cam0"]))
            return item

    return Decoding


def mosaicml():
    import streaming
    import streaming.base.util
    import torch

    streaming.base.util.clean_stale_shared_memory()
    dataset = decoding(streaming.StreamingDataset)(local=source, batch_size=1, shuffle=True, shuffle_seed=frames.SEED, shuffle_algo="py1e")
    items = torch.utils.data.DataLoader(dataset, batch_size=frames.BATCH, num_workers=workers, collate_fn=collate) if workers else dataset
    return counted(items, lambda it: it["cam0"]), f"mosaicml-streaming {streaming.__version__}"


def litdata():
    import litdata as package

    dataset = decoding(package.StreamingDataset)(source, shuffle=True, seed=frames.SEED)
    items = package.StreamingDataLoader(dataset, batch_size=frames.BATCH, num_workers=workers, collate_fn=collate) if workers else dataset
    return counted(items, lambda it: it["cam0"]), f"litdata {package.__version__}"


def limit():
    """The same bytes in memory, decoded by two threads and nothing else."""
    import concurrent.futures

    import torchvision

    blobs = [blob for _, of_episode in frames.jpegs(source) for blob in of_episode][:steps]
    decode = decoder()

    def decoded():
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            for frame in pool.map(decode, blobs):
                frames.touch(frame)
                yield 1

    return decoded(), f"torchvision {torchvision.__version__}"


if __name__ == "__main__":
    counts, version = {"lerobot": lerobot, "mosaicml": mosaicml, "litdata": litdata, "libjpeg-turbo": limit}[peer]()
    frames.timed(counts, 3 if workers else 20, version)
