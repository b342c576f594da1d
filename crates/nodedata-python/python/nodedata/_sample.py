"""What a stream hands out: episodes and steps, as mappings from the names of fields to arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


class Ragged:
    """Rows whose first dimension differs: ``ragged[t]`` is the array of row ``t``.

    ``values`` holds the rows end to end, row ``t`` from ``offsets[t]`` to ``offsets[t + 1]``; ``offsets`` has one number more than
    there are rows. Both are arrays of their own; a row is a view of ``values``.
    """

    __slots__ = ("offsets", "values")

    def __init__(self, values: np.ndarray, offsets: np.ndarray) -> None:
        self.values, self.offsets = values, offsets

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> np.ndarray:
        n_rows = len(self)
        at = row + n_rows if row < 0 else row
        if not 0 <= at < n_rows:
            raise IndexError(f"row {row} of {n_rows}")
        return self.values[int(self.offsets[at]) : int(self.offsets[at + 1])]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[row] for row in range(len(self)))

    def __repr__(self) -> str:
        return f"Ragged({len(self)} rows, {self.values.dtype}, {self.values.shape[1:]})"


Value = np.ndarray | Ragged | list[str] | list[bytes] | str | bytes


class Validity(Mapping[str, np.ndarray]):
    """Which rows of a field hold a value: true where one is, false where it was null and the data has NaN, 0 or ``""``."""

    __slots__ = ("_fields", "_given", "_shape_of")

    def __init__(self, fields: Mapping[str, Any], given: Mapping[str, np.ndarray], shape_of: Any) -> None:
        self._fields, self._given, self._shape_of = fields, given, shape_of

    def __getitem__(self, name: str) -> np.ndarray:
        if name in self._given:
            return self._given[name]
        if name not in self._fields:
            raise KeyError(name)
        return np.ones(self._shape_of(name), dtype=bool)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)


class Sample(Mapping[str, Any]):
    """One sample of a stream: a mapping from names of fields to arrays, with where it comes from."""

    __slots__ = ("_at", "_fields", "_given")

    def __init__(self, fields: dict[str, Any], at: Mapping[str, Any], valid: Mapping[str, np.ndarray]) -> None:
        self._fields, self._at, self._given = fields, at, valid

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        told = ", ".join(f"{name}: {_told(value)}" for name, value in self._fields.items())
        return f"{type(self).__name__}({self.key!r}, {told})"

    # By what they are, not by what they hold: arrays have no one truth.
    __eq__ = object.__eq__
    __hash__ = object.__hash__

    @property
    def index(self) -> int:
        """Position of the episode in the dataset."""
        return int(self._at["index"])

    @property
    def key(self) -> str:
        """Stable name of the episode."""
        return str(self._at["key"])

    @property
    def split(self) -> str:
        """The split."""
        return str(self._at["split"])

    @property
    def task(self) -> str | None:
        """What was to be done, where the source says so."""
        return self._at["task"]  # type: ignore[no-any-return]

    @property
    def revision(self) -> str | None:
        """The revision that it was read from; ``None`` of a folder that was never published."""
        return self._at["revision"]  # type: ignore[no-any-return]

    @property
    def source(self) -> int:
        """Which source of a mixture it is of; 0 without one."""
        return int(self._at.get("source", 0))

    @property
    def is_repeat(self) -> bool:
        """Whether it was read before in this pass, to fill up the last batch."""
        return bool(self._at.get("is_repeat", False))

    @property
    def valid(self) -> Validity:
        """Which rows of each field hold a value."""
        return Validity(self._fields, self._given, self._shape_of)

    def _shape_of(self, name: str) -> tuple[int, ...]:
        return (len(self._fields[name]),)


class Episode(Sample):
    """A whole episode. Axis 0 of every array is T, its steps."""

    __slots__ = ()


class Step(Sample):
    """One step. A field with a window has the window's steps on axis 0, and beside it ``<field>_is_pad``: true where the window
    leaves the episode. Other fields are the step's own value alone."""

    __slots__ = ("_windows",)

    def __init__(
        self,
        fields: dict[str, Any],
        at: Mapping[str, Any],
        valid: Mapping[str, np.ndarray],
        windows: Mapping[str, list[int]],
    ) -> None:
        super().__init__(fields, at, valid)
        self._windows = windows

    @property
    def step(self) -> int:
        """Position in the episode."""
        return int(self._at["step"])

    def _shape_of(self, name: str) -> tuple[int, ...]:
        return (len(self._fields[name]),) if name in self._windows or name.endswith("_is_pad") else ()


def place(split: Any, told: Mapping[str, Any], episode: int, step: int | None) -> dict[str, Any]:
    """Where rows come from that no stream has read: ``told`` is what the split says of the episode at position ``episode``."""
    return {
        "index": told["index"], "key": told["key"], "task": told["task"], "split": split.name,
        "revision": split.dataset.revision, "step": step, "source": 0, "is_repeat": False, "position": episode,
    }


def _told(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}{list(value.shape)}"
    return repr(value) if isinstance(value, Ragged) else type(value).__name__
