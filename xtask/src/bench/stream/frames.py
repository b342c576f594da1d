"""The seeded episodes that all readers of the bench read, and how a job is timed."""
import io
import json
import os
import pathlib
import resource
import threading
import time

import numpy as np

EPISODES, STEPS, FPS, SEED = 20, 100, 30, 7
HEIGHT, WIDTH = 480, 640
CAMERA = "observation.images.cam0"
# With workers: batches through shared memory, as training does.
BATCH = 32


def smooth(rng, cell):
    """A field of values from -1 to 1 that changes over about `cell` pixels."""
    rows, columns = HEIGHT // cell + 2, 2 * WIDTH // cell + 2
    grid = rng.standard_normal((rows, columns)).astype(np.float32)
    y = np.linspace(0, rows - 1.001, HEIGHT, dtype=np.float32)
    x = np.linspace(0, columns - 1.001, 2 * WIDTH, dtype=np.float32)
    top, left = y.astype(int), x.astype(int)
    down, right = (y - top)[:, None], (x - left)[None, :]
    upper = grid[top][:, left] * (1 - right) + grid[top][:, left + 1] * right
    lower = grid[top + 1][:, left] * (1 - right) + grid[top + 1][:, left + 1] * right
    return np.clip((upper * (1 - down) + lower * down) / 2.5, -1, 1)


class Episode:
    """A textured scene that drifts, with moving discs and a sensor's noise: about 50 KB a frame as JPEG."""

    def __init__(self, number):
        self.rng = np.random.default_rng([SEED, number])
        ground = sum(smooth(self.rng, cell) * strength for cell, strength in ((160, 60), (40, 30), (9, 14)))
        tint = self.rng.uniform(0.5, 1.0, 3).astype(np.float32)
        self.ground = ground[..., None] * tint + 120
        self.discs = [
            (self.rng.uniform(40, 90), self.rng.uniform(0, 255, 3), self.rng.uniform(0, 6.3), self.rng.uniform(0.01, 0.05)) for _ in range(4)
        ]
        self.rows, self.columns = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)

    def frame(self, step):
        shift = int(step * 1.5) % WIDTH
        image = self.ground[:, shift : shift + WIDTH].copy()
        for radius, color, phase, speed in self.discs:
            y = HEIGHT / 2 + np.sin(phase + speed * step) * HEIGHT / 3
            x = WIDTH / 2 + np.cos(phase * 1.7 + speed * step) * WIDTH / 3
            image[(self.rows - y) ** 2 + (self.columns - x) ** 2 < radius**2] = color
        noise = np.random.default_rng([SEED, 99, step]).standard_normal((HEIGHT, WIDTH), dtype=np.float32)
        return np.clip(image + 3 * noise[..., None], 0, 255).astype(np.uint8)


def numbers(episode):
    """State and action of all steps."""
    walk = np.cumsum(np.random.default_rng([SEED, 1000 + episode]).standard_normal((STEPS, 14)) * 0.02, axis=0).astype(np.float32)
    return walk[:, :7], walk[:, 7:]


def jpegs(folder):
    """The coded frames of each episode, made once."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(EPISODES):
        path = folder / f"{number:05}.npz"
        if not path.exists():
            import PIL.Image

            made, episode = [], Episode(number)
            for step in range(STEPS):
                out = io.BytesIO()
                PIL.Image.fromarray(episode.frame(step)).save(out, "JPEG", quality=90)
                made.append(np.frombuffer(out.getvalue(), np.uint8))
            with open(f"{path}.new", "wb") as file:
                np.savez(file, *made)
            os.replace(f"{path}.new", path)
        with np.load(path) as kept:
            yield number, [kept[f"arr_{step}"].tobytes() for step in range(STEPS)]


def lerobot_dataset():
    """The class of LeRobot's datasets, wherever this version has it."""
    try:
        from lerobot.datasets import LeRobotDataset
    except ImportError:
        from lerobot.datasets.lerobot_dataset import LeRobotDataset
    return LeRobotDataset


def random_steps(count, steps):
    """Numbers of steps, the same for every reader."""
    return np.random.default_rng([SEED, 5]).integers(0, count, steps).tolist()


def touch(values):
    """Looks at one value, so that lazy readers have to decode."""
    return int(values.reshape(-1)[-1])


class Peak(threading.Thread):
    """The highest anonymous memory of this process and of those that it started, in looks 20 ms apart."""

    def __init__(self):
        super().__init__(daemon=True)
        self.bytes, self.is_over = 0, threading.Event()

    @staticmethod
    def processes():
        left = [os.getpid()]
        while left:
            pid = left.pop()
            yield pid
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    left += [int(it) for it in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
            except OSError:
                continue

    def run(self):
        while not self.is_over.wait(0.02):
            found = 0
            for pid in self.processes():
                try:
                    status = pathlib.Path(f"/proc/{pid}/status").read_text()
                except OSError:
                    continue
                found += sum(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))
            self.bytes = max(self.bytes, found)


def cpu_seconds():
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def timed(steps, warm, version):
    """Runs an iterator of counts of steps to its end, after some that are not timed, and prints what it took as JSON."""
    steps = iter(steps)
    peak = Peak()
    peak.start()
    for _ in range(warm):
        next(steps)
    wall, cpu = time.perf_counter(), cpu_seconds()
    count = sum(steps)
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    peak.is_over.set()
    peak.join()
    print(json.dumps({"version": version, "n_steps": count, "wall_s": wall, "cpu_s": cpu, "anon_peak_bytes": peak.bytes}), flush=True)
    # Workers that are in the middle of something keep nobody waiting.
    os._exit(0)
