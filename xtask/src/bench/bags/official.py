"""Reads a bag with `rosbags` and decodes every message; writes what that took as JSON."""

import json
import resource
import sys
import time
from pathlib import Path

from rosbags.highlevel import AnyReader
from importlib.metadata import version

source, target = sys.argv[1:]


def cpu_seconds():
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


wall_start, cpu_start, n_messages = time.perf_counter(), cpu_seconds(), 0
with AnyReader([Path(source)]) as reader:
    for connection, _, data in reader.messages():
        reader.deserialize(data, connection.msgtype)
        n_messages += 1
with open(target, "w") as file:
    json.dump(
        {
            "version": version("rosbags"),
            "n_messages": n_messages,
            "wall_s": time.perf_counter() - wall_start,
            "cpu_s": cpu_seconds() - cpu_start,
        },
        file,
    )
