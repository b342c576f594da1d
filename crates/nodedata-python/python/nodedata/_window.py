"""Which steps a window takes, and what stands where it leaves the episode."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from ._mistakes import refuse

#: How far seconds may be from a multiple of a step.
TOLERANCE_S = 1e-4
#: Steps of a window, at most.
STEPS_MAX = 65_536

Steps = Iterable[int] | Iterable[float] | str
#: Steps a second, for whoever needs them.
Rate = Callable[[], float | None]


def resolved(
    window: Mapping[str, Steps] | None, fps: Rate, tolerance_s: float, *, in_seconds: bool = False
) -> dict[str, list[int]]:
    """The distances in steps of each window, from steps, seconds, or text such as ``"0:0.5s"``.

    Where any distance of a window is a float all are seconds; with ``in_seconds`` they always are.
    """
    if window is None:
        return {}
    if not isinstance(window, Mapping):
        refuse(f"`window` is {window!r}", 'give a distance list for each field: {"action": range(16)}')
    if not 0 <= tolerance_s < math.inf:
        refuse(f"`tolerance_s` is {tolerance_s}", "give 0 or more seconds")
    return {name: _offsets(name, steps, fps, tolerance_s, in_seconds) for name, steps in window.items()}


def _offsets(name: str, steps: Steps, fps: Rate, tolerance_s: float, in_seconds: bool) -> list[int]:
    if isinstance(steps, str):
        first, behind = _range(name, steps, fps, tolerance_s)
        if first >= behind:
            refuse(
                f"window `{name}`: `{steps}` ends before it begins",
                "the end is not part of the range: `0:0.1s` at 10 steps a second is one step",
                feature=name,
            )
        return _bounded(name, list(range(first, min(behind, first + STEPS_MAX + 1))))
    try:
        distances = [it.item() if isinstance(it, np.generic) else it for it in steps]
    except TypeError:
        refuse(f"window `{name}` is {steps!r}", "give distances in steps, such as [-1, 0]", feature=name)
    for it in distances:
        if isinstance(it, bool) or not isinstance(it, (int, float)):
            refuse(f"window `{name}` has a distance {it!r}", "give steps, or seconds as floats", feature=name)
    if in_seconds or any(isinstance(it, float) for it in distances):
        return _bounded(name, _steps(name, [float(it) for it in distances], fps, tolerance_s))
    return _bounded(name, [int(it) for it in distances])


def _bounded(name: str, offsets: list[int]) -> list[int]:
    if not offsets:
        refuse(f"window `{name}` has no steps", "give at least one, such as [0]", feature=name)
    if len(offsets) > STEPS_MAX:
        refuse(f"window `{name}` has more than {STEPS_MAX} steps", 'read whole episodes, with unit="episode"')
    return offsets


def _range(name: str, text: str, fps: Rate, tolerance_s: float) -> tuple[int, int]:
    try:
        first, behind = (float(it) for it in text.strip().removesuffix("s").split(":"))
        is_range = text.strip().endswith("s")
    except ValueError:
        is_range = False
    if not is_range:
        hint = "write `0:0.5s`; steps are numbers, such as [-1, 0]"
        refuse(f"window `{name}`: `{text}` is no range of seconds", hint, feature=name)
    first_step, behind_step = _steps(name, [first, behind], fps, tolerance_s)
    return first_step, behind_step


def _steps(name: str, seconds: list[float], rate: Rate, tolerance_s: float) -> list[int]:
    """Multiples of a step. What lies between two is a mistake, and all of them are told at once."""
    fps = rate()
    if fps is None or not math.isfinite(fps) or fps <= 0:
        hint = "windows of this stream can be told in steps only"
        refuse(f"window `{name}` is in seconds, and the stream has no rate", hint, feature=name)
    found, mistakes = [], []
    for it in seconds:
        exact = it * fps
        # Beyond this a float no longer tells one step from the next.
        if not math.isfinite(exact) or abs(exact) > 2.0**53:
            mistakes.append(f"{it} s are no number of steps")
            continue
        nearest = round(exact)
        if abs(exact - nearest) / fps > tolerance_s:
            mistakes.append(f"{it} s lie between two steps; the nearest is at {nearest / fps} s (offset {nearest})")
        found.append(nearest)
    if mistakes:
        hint = f"there are {fps:g} steps a second: give multiples of one, or steps"
        refuse(f"window `{name}`: " + "\n".join(mistakes), hint, feature=name)
    return found


def reach(windows: Mapping[str, list[int]]) -> tuple[int, int]:
    """How many steps the windows reach before and behind the sample's own."""
    offsets = [it for window in windows.values() for it in window]
    return max((-it for it in offsets if it < 0), default=0), max((it for it in offsets if it > 0), default=0)
