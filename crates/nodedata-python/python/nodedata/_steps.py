"""Steps by their number: map-style access for samplers of one's own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _window
from ._mistakes import hint_of, refuse, within
from ._native import NotFoundError
from ._request import Request
from ._sample import place

if TYPE_CHECKING:
    from ._dataset import Dataset


class Steps(Sequence[Any]):
    """The steps of a split, numbered from 0 in the order of the table of episodes, then by step."""

    def __init__(self, dataset: Dataset, split: str, stream: str, request: Request) -> None:
        self.dataset, self.name, self.stream = dataset, split, stream
        self._request = request
        self._native = dataset._native.split(split, stream)
        self._finish = request.finish(self._native)
        features = {it["name"]: it for it in self._native.features}
        self._windows = request.windows(self._native)
        # As what each field is read.
        self._how = _how(request.wanted(self._native), features)
        self._check(features)
        # Fields by their windows: those of one are read in one call, which decodes steps, cameras and groups of frames side by side.
        self._reads: dict[tuple[int, ...], list[str]] = {}
        for name in self._how:
            self._reads.setdefault(tuple(self._windows.get(name, (0,))), []).append(name)
        self._number(np.asarray(self._native.lengths, dtype=np.int64))
        self._threads = request.threads or _n_cores()

    def __reduce__(self) -> tuple[Any, ...]:
        return Steps, (self.dataset, self.name, self.stream, self._request)

    def _check(self, features: Mapping[str, Mapping[str, Any]]) -> None:
        """Every name that is none."""
        named: dict[str, Mapping[str, Any]] = {"fields": self._how, "window": self._windows, "resize": self._request.resize or {}}
        for keyword, names in named.items():
            known = features if keyword == "fields" else self._how
            for name in names:
                if name not in known:
                    refuse(f"`{keyword}` names `{name}`, which is no field", hint_of(name, known), feature=name)
        for name in self._windows:
            if self._request.pad == "nan" and not str(features[name]["dtype"]).startswith("float"):
                message = f"`pad` is 'nan', and values of `{name}` are {features[name]['dtype']}"
                refuse(message, "pad with 'edge', 'zero' or 'drop'", feature=name)

    def _number(self, lengths: np.ndarray) -> None:
        before, behind = _window.reach(self._windows) if self._request.pad == "drop" else (0, 0)
        self._first = max(self._request.drop_first, before)
        left_out = self._first + max(self._request.drop_last, behind)
        positions = self._selected(len(lengths))
        kept = np.maximum(lengths[positions] - left_out, 0)
        self._positions, self._lengths = positions, lengths
        self._ends = np.cumsum(kept)

    def _selected(self, n_episodes: int) -> np.ndarray:
        if self._request.episodes is None:
            return np.arange(n_episodes)
        keys: dict[str, int] = {}
        if any(isinstance(it, str) for it in self._request.episodes):
            keys = {self._native.head(it)["key"]: it for it in range(n_episodes)}
        found = set()
        for it in self._request.episodes:
            if isinstance(it, str) and it not in keys:
                raise NotFoundError(f"there is no episode `{it}` in `{self.name}`", None, hint_of(it, keys))
            position = keys[it] if isinstance(it, str) else it
            if position >= n_episodes:
                message = f"there is no episode {position}: `{self.name}` has {n_episodes}"
                raise NotFoundError(message, None, "they are counted from 0")
            found.add(position)
        return np.asarray(sorted(found), dtype=np.int64)

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, number: Any) -> Any:
        if isinstance(number, slice):
            return self.__getitems__(range(*number.indices(len(self))))
        if isinstance(number, (list, tuple, np.ndarray)):
            return self.__getitems__(number)
        return self.__getitems__([number])[0]

    def __getitems__(self, numbers: Iterable[int]) -> list[Any]:
        """Several steps, decoded side by side: what torch's loaders ask a dataset for when it has this method."""
        places = [self._located(it) for it in numbers]
        if not places:
            return []
        raw: list[dict[str, Any]] = [{} for _ in places]
        valid: list[dict[str, np.ndarray]] = [{} for _ in places]
        pads: list[dict[str, np.ndarray]] = [{} for _ in places]
        last = np.asarray([self._lengths[episode] for episode, _ in places])[:, None] - 1
        for window, names in self._reads.items():
            offsets = np.asarray(window, dtype=np.int64) + np.asarray([[step] for _, step in places])
            steps = np.clip(offsets, 0, last)
            samples = [(episode, rows) for (episode, _), rows in zip(places, steps.tolist(), strict=True)]
            how = {it: self._how[it] for it in names}
            resize = {it: size for it, size in (self._request.resize or {}).items() if it in how} or None
            found = self._native.rows_of(samples, how, resize, self._request.axes, self._threads)
            for nth, values in enumerate(found):
                valid[nth] |= values.pop("__valid__")
                raw[nth] |= values
                pads[nth] |= {it: steps[nth] != offsets[nth] for it in names if it in self._windows}
        return [self._finished(*it) for it in zip(places, raw, valid, pads, strict=True)]

    def _located(self, number: Any) -> tuple[int, int]:
        """The episode's position in the split, and the step."""
        at = within("step", number, len(self))
        nth = int(np.searchsorted(self._ends, at, side="right"))
        start = int(self._ends[nth - 1]) if nth else 0
        return int(self._positions[nth]), at - start + self._first

    def _finished(self, at: tuple[int, int], raw: dict[str, Any], valid: dict[str, np.ndarray], pads: dict[str, np.ndarray]) -> Any:
        if self._request.pad in ("zero", "nan"):
            for name, is_pad in pads.items():
                raw[name] = _blanked(raw[name], is_pad, self._request.pad)
        # In the order of the fields, not of the reads.
        ordered = {name: raw[name] for name in self._how}
        where = place(self, self._native.head(at[0]), *at)
        return self._finish(ordered | {"__pads__": pads, "__valid__": valid, "__at__": where})


def _n_cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _how(wanted: Any, features: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """Fields with as what they are read: by default all that are not there for others, decoded where this build decodes them."""
    if isinstance(wanted, dict):
        return wanted
    if wanted is not None:
        return dict.fromkeys(wanted, "decoded")
    shown = [it for it in features.values() if not it["aside"]]
    return {it["name"]: "decoded" if it["decoded"] else "bytes" for it in shown}


def _blanked(values: Any, is_pad: np.ndarray, pad: str) -> Any:
    """Zeros, NaN or nothing where a window leaves the episode."""
    if not is_pad.any():
        return values
    if isinstance(values, np.ndarray):
        values[is_pad] = 0 if pad == "zero" else np.nan
        return values
    if isinstance(values, tuple):
        given, offsets = values
        rows = [given[int(offsets[it]) : int(offsets[it + 1])] for it in range(len(offsets) - 1)]
        rows = [it[:0] if padded else it for it, padded in zip(rows, is_pad, strict=True)]
        return np.concatenate(rows), np.concatenate([[0], np.cumsum([len(it) for it in rows])]).astype(offsets.dtype)
    blank = type(values[0])()
    return [blank if padded else it for it, padded in zip(values, is_pad, strict=True)]
