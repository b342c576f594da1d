"""Decodes every frame of video files to an array of RGB with PyAV, in one pass; writes what that took as JSON."""

import json
import resource
import sys
import time

import av
import numpy  # noqa: F401  Loading it is no part of decoding.

target, *files = sys.argv[1:]


def cpu_seconds():
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


wall_start, cpu_start = time.perf_counter(), cpu_seconds()
n_frames = n_bytes = 0
for path in files:
    with av.open(path) as container:
        for frame in container.decode(video=0):
            n_bytes += frame.to_ndarray(format="rgb24").nbytes
            n_frames += 1
with open(target, "w") as file:
    json.dump(
        {
            "version": av.__version__,
            "n_frames": n_frames,
            "n_bytes": n_bytes,
            "wall_s": time.perf_counter() - wall_start,
            "cpu_s": cpu_seconds() - cpu_start,
        },
        file,
    )
