"""What is asked of a stream: its keywords, checked, and as the native half takes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from . import _lerobot, _window
from ._mistakes import one_of, refuse, whole
from ._finish import Finish
from ._quantities import byte_size

_SIZES = ("prefetch_bytes", "ready_bytes", "max_sample_bytes", "video_cache_bytes", "decoded_cache")
_WORDS: dict[str, tuple[Any, ...]] = {
    "unit": (None, "episode", "step"),
    "pad": ("edge", "zero", "nan", "drop"),
    "shuffle": (False, True, "uniform"),
    "layout": (None, "hwc", "chw"),
    "on_error": ("raise", "skip"),
    "style": ("nodedata", "lerobot"),
}


@dataclasses.dataclass(frozen=True)
class Request:
    """The keywords of one source. What is ``None`` follows from the dataset, or is the engine's own default."""

    unit: str | None = None
    fields: list[str] | dict[str, str] | None = None
    episodes: list[int | str] | None = None
    drop_first: int = 0
    drop_last: int = 0
    window: Mapping[str, Any] | None = None
    delta_timestamps: Mapping[str, Any] | None = None
    tolerance_s: float = _window.TOLERANCE_S
    pad: str = "edge"
    shuffle: bool | str = False
    seed: int = 0
    epoch: int = 0
    lanes: int | None = None
    block: int | None = None
    resize: dict[str, tuple[int, int]] | None = None
    layout: str | None = None
    threads: int | None = None
    prefetch_bytes: int | None = None
    ready_bytes: int | None = None
    max_sample_bytes: int | None = None
    video_cache_bytes: int | None = None
    decoded_cache: int | None = None
    on_error: str = "raise"
    style: str = "nodedata"

    @classmethod
    def of(cls, **keywords: Any) -> Request:
        """Checks every keyword by itself and those that exclude each other."""
        for name, allowed in _WORDS.items():
            if name in keywords:
                one_of(name, keywords[name], allowed)
        for name, least in (("drop_first", 0), ("drop_last", 0), ("seed", 0), ("epoch", 0)):
            if name in keywords:
                keywords[name] = whole(name, keywords[name], least)
        for name in ("lanes", "block", "threads"):
            if keywords.get(name) is not None:
                keywords[name] = whole(name, keywords[name], 1)
        for name in _SIZES:
            if keywords.get(name) is not None:
                keywords[name] = byte_size(name, keywords[name])
        keywords["fields"] = _fields(keywords.get("fields"))
        keywords["resize"] = _resize(keywords.get("resize"))
        keywords["episodes"] = _episodes(keywords.get("episodes"))
        request = cls(**keywords)
        request._check()
        # Iterators would be empty the second time, and streams are pickled.
        return dataclasses.replace(
            request, window=_listed(request.window), delta_timestamps=_listed(request.delta_timestamps)
        )

    def _check(self) -> None:
        if self.delta_timestamps is not None and self.style != "lerobot":
            refuse("`delta_timestamps` is LeRobot's word", 'give `window` in seconds, or style="lerobot"')
        if self.delta_timestamps is not None and self.window is not None:
            refuse("both `window` and `delta_timestamps` are given", "give one of them")
        if self.style == "lerobot":
            if self.unit == "episode":
                refuse('style="lerobot" hands out steps, and `unit` is "episode"', "leave `unit` out")
            if self.pad not in ("edge", "drop"):
                refuse(f"LeRobot does not pad with {self.pad!r}", 'pad with "edge", or style="nodedata"')
            if self.layout == "hwc":
                refuse('LeRobot hands out frames as "chw", and `layout` is "hwc"', "leave `layout` out")
        window = self.window if self.delta_timestamps is None else self.delta_timestamps
        if window is not None and not isinstance(window, Mapping):
            refuse(f"`window` is {window!r}", 'give distances for each field: {"action": range(16)}')
        for name, it in (window or {}).items():
            if not isinstance(it, (str, Iterable)):
                refuse(f"window `{name}` is {it!r}", "give distances in steps, such as [-1, 0]", feature=name)
        if window and not self.is_step:
            refuse("`window` is given, and whole episodes are read", 'windows are those of steps: unit="step"')

    @property
    def is_step(self) -> bool:
        """Whether a sample is a step. Episodes are, unless somebody says otherwise."""
        return self.unit == "step" or (self.unit is None and self.style == "lerobot")

    @property
    def axes(self) -> str:
        """Where frames have their channels: last, or first, as LeRobot has them."""
        return self.layout or ("chw" if self.style == "lerobot" else "hwc")

    def windows(self, split: Any) -> dict[str, list[int]]:
        """The windows in steps of a split."""
        def fps() -> float | None:
            return split.fps  # type: ignore[no-any-return]

        if self.delta_timestamps is not None:
            return _window.resolved(self.delta_timestamps, fps, self.tolerance_s, in_seconds=True)
        return _window.resolved(self.window, fps, self.tolerance_s)

    def wanted(self, split: Any) -> list[str] | dict[str, str] | None:
        """The fields to be read: what is asked for, with what LeRobot's items are made of."""
        if self.style == "lerobot":
            return _lerobot.wanted(split.features, self.fields)
        return self.fields

    def options(self, split: Any) -> dict[str, Any]:
        """The keywords of the native stream; what is the engine's own default is not there."""
        windows = self.windows(split)
        options: dict[str, Any] = {
            "unit": "step" if self.is_step else "episode",
            "pad": self.pad,
            "layout": self.axes,
            "shuffle": self.shuffle,
            "seed": self.seed,
            "epoch": self.epoch,
            "drop_first": self.drop_first,
            "drop_last": self.drop_last,
            "on_error": self.on_error,
        }
        if windows:
            options["windows"] = list(windows.items())
        given: dict[str, Any] = {"fields": self.wanted(split), "resize": self.resize, "episodes": self.episodes}
        given |= {"lanes": self.lanes, "block": self.block, "threads": self.threads}
        given |= {name: getattr(self, name) for name in _SIZES}
        return options | {name: value for name, value in given.items() if value is not None}

    def finish(self, split: Any) -> Finish:
        """What becomes of a native sample before it is handed out."""
        style = _lerobot.Style(split, self.fields) if self.style == "lerobot" else None
        return Finish(self.is_step, self.windows(split), style)


def _listed(window: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Windows whose distances may be gone through more than once."""
    if window is None:
        return None
    return {name: it if isinstance(it, str) else list(it) for name, it in window.items()}


def _fields(fields: Any) -> list[str] | dict[str, str] | None:
    if fields is None:
        return None
    if isinstance(fields, (str, bytes)):
        refuse(f"`fields` is {fields!r}", f"give a list of names: [{fields!r}]")
    if isinstance(fields, Mapping):
        for name, how in fields.items():
            one_of(f"fields[{name!r}]", how, ("decoded", "bytes"))
        return dict(fields)
    names = list(fields)
    for it in names:
        if not isinstance(it, str):
            refuse(f"`fields` has a name {it!r}", "give names of fields")
    return names


def _resize(resize: Any) -> dict[str, tuple[int, int]] | None:
    if resize is None:
        return None
    if not isinstance(resize, Mapping):
        refuse(f"`resize` is {resize!r}", 'give a size for each field: {"rgb": (224, 224)}')
    sizes = {}
    for name, size in resize.items():
        try:
            height, width = size
        except (TypeError, ValueError):
            refuse(f"`resize` of `{name}` is {size!r}", "give height and width: (224, 224)", feature=name)
        sizes[name] = (whole(f"resize[{name!r}]", height, 1), whole(f"resize[{name!r}]", width, 1))
    return sizes


def _episodes(episodes: Any) -> list[int | str] | None:
    if episodes is None:
        return None
    if isinstance(episodes, (str, bytes)):
        refuse(f"`episodes` is {episodes!r}", f"give a list of keys or positions: [{episodes!r}]")
    return [it if isinstance(it, str) else whole("episodes", it) for it in episodes]
