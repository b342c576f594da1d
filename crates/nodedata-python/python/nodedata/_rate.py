"""How many steps a second a stream has, from its schema or from its times."""

from __future__ import annotations

from typing import Any

import numpy as np

#: The clock of a table of steps.
_TIME = "timestamp_ns"
#: Episodes whose times are looked at, the longest among them.
_EPISODES = 16
#: How far a step may lie from where the rate puts it.
_TOLERANCE_NS = 100_000


def rate(split: Any) -> float | None:
    """Steps a second: what the schema says, or else the one rate of all times that are looked at; ``None`` where they keep none."""
    if split.fps is not None:
        return float(split.fps)
    if all(it["name"] != _TIME for it in split.features):
        return None
    lengths = np.asarray(split.lengths, dtype=np.int64)
    if len(lengths) == 0 or lengths.max() < 2:
        return None
    spread = np.linspace(0, len(lengths) - 1, min(_EPISODES, len(lengths))).astype(np.int64)
    fps: float | None = None
    for episode in (int(np.argmax(lengths)), *(int(it) for it in spread)):
        times = np.asarray(split.rows(episode, 0, int(lengths[episode]), [_TIME])[_TIME], dtype=np.int64)
        times = times - times[:1]
        if fps is None:
            # The longest one tells best. Rates that people set have few digits.
            exact = (len(times) - 1) * 1e9 / max(int(times[-1]), 1)
            fps = next((it for it in (round(exact), round(exact, 3)) if _keeps(times, it)), exact)
        if not _keeps(times, fps):
            return None
    return None if fps is None else float(fps)


def _keeps(times: np.ndarray, fps: float) -> bool:
    """Whether every step lies where the rate puts it."""
    return fps > 0 and bool(np.all(np.abs(times - np.arange(len(times)) * (1e9 / fps)) <= _TOLERANCE_NS))
