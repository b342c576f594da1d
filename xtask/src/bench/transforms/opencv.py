"""Makes frames of 224×224 of a file of frames of 640×480 and JPEG of those, with OpenCV on one thread; writes what that took as JSON."""

import json
import resource
import struct
import sys
import time

import cv2
import numpy

kind, frames, target = sys.argv[1:]
cv2.setNumThreads(1)


def cpu_seconds():
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


wall_start, cpu_start = time.perf_counter(), cpu_seconds()
with open(frames, "rb") as file:
    content = file.read()
n_frames = n_bytes = at = 0
while at < len(content):
    (length,) = struct.unpack_from("<I", content, at)
    frame = numpy.frombuffer(content, numpy.uint8, length, at + 4)
    at += 4 + length
    if kind == "jpeg":
        small = cv2.resize(cv2.imdecode(frame, cv2.IMREAD_COLOR), (224, 224), interpolation=cv2.INTER_AREA)
    else:
        small = cv2.resize(frame.reshape(480, 640, 3), (224, 224), interpolation=cv2.INTER_AREA)
        # OpenCV writes JPEG of blue, green and red. There are fewer pixels to turn round now.
        small = cv2.cvtColor(small, cv2.COLOR_RGB2BGR)
    is_coded, coded = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert is_coded
    n_frames += 1
    n_bytes += len(coded)
with open(target, "w") as file:
    json.dump(
        {
            "version": cv2.__version__,
            "n_frames": n_frames,
            "n_bytes": n_bytes,
            "wall_s": time.perf_counter() - wall_start,
            "cpu_s": cpu_seconds() - cpu_start,
        },
        file,
    )
