"""Items as ``LeRobotDataset`` hands them out, for code that was written for them."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np

from ._mistakes import hint_of, refuse

#: Columns that every item has; all but the text come from the data where it has them, and else from where the step lies.
BUILT_IN = ("episode_index", "frame_index", "index", "timestamp", "task_index", "task")
#: Columns of ours beside those of the source.
_OURS = ("step_index", "timestamp_ns")


def wanted(features: list[dict[str, Any]], fields: list[str] | dict[str, str] | None) -> list[str] | dict[str, str]:
    """The fields that items are made of: those asked for, or all but ours."""
    names = [it["name"] for it in features]
    built_in = [it for it in (*BUILT_IN, "timestamp_ns") if it in names]
    if isinstance(fields, dict):
        told = {name: how for name, how in fields.items() if name not in BUILT_IN or name in names}
        return told | {it: "decoded" for it in built_in if it not in told}
    if fields is None:
        fields = [it["name"] for it in features if not it["aside"] and it["name"] not in _OURS]
    given = [it for it in fields if it not in BUILT_IN or it in names]
    return given + [it for it in built_in if it not in given]


class Style:
    """Makes LeRobot's item of the fields of a step."""

    def __init__(self, split: Any, fields: list[str] | dict[str, str] | None) -> None:
        self._split = split
        self._media = {it["name"] for it in split.features if it["media"] in ("image", "depth", "video")}
        names = {it["name"] for it in split.features}
        self._own = [it for it in _OURS if fields is None or it not in fields]
        self._starts = np.concatenate([[0], np.cumsum(np.asarray(split.lengths, dtype=np.int64))])
        self._tasks: dict[str, int] | None = None
        self._lacks = [it for it in BUILT_IN if it not in names]

    def __call__(self, fields: dict[str, Any], at: Mapping[str, Any]) -> dict[str, Any]:
        item = {name: self._value(name, value) for name, value in fields.items() if name not in self._own}
        step = int(at["step"])
        item["episode_index"] = np.asarray(at["index"], dtype=np.int64)
        if "frame_index" in self._lacks:
            item["frame_index"] = np.asarray(step, dtype=np.int64)
        if "index" in self._lacks:
            item["index"] = np.asarray(self._starts[int(at["position"])] + step, dtype=np.int64)
        if "timestamp" in self._lacks:
            item["timestamp"] = np.asarray(self._seconds(fields, step), dtype=np.float32)
        task = item.get("task") or at["task"] or ""
        if "task_index" in self._lacks:
            item["task_index"] = np.asarray(self._task_index(task), dtype=np.int64)
        item["task"] = task
        return item

    def _value(self, name: str, value: Any) -> Any:
        """LeRobot makes tensors of Python's numbers, so that floats are float32 and whole numbers int64."""
        if name in self._media or not isinstance(value, np.ndarray):
            return value
        if value.dtype.kind == "f":
            return value.astype(np.float32, copy=False)
        return value.astype(np.int64, copy=False) if value.dtype.kind in "iu" else value

    def _seconds(self, fields: dict[str, Any], step: int) -> float:
        if "timestamp_ns" in fields:
            return float(np.asarray(fields["timestamp_ns"]).reshape(-1)[0]) / 1e9
        return step / self._fps

    @functools.cached_property
    def _fps(self) -> float:
        """Steps a second, looked up once."""
        fps = self._split.fps
        if fps is None:
            refuse("the stream has no times and no rate, and LeRobot's items have a timestamp", 'style="nodedata"')
        return float(fps)

    def _task_index(self, task: str) -> int:
        """Tasks are numbered as the episodes name them."""
        if self._tasks is None:
            episodes = (self._split.head(it)["task"] or "" for it in range(self._split.n_episodes))
            self._tasks = {name: number for number, name in enumerate(dict.fromkeys(episodes))}
        if task not in self._tasks:
            refuse(f"no episode has the task {task!r}", hint_of(task, self._tasks))
        return self._tasks[task]
