"""From what the native stream decodes to what is handed out: rows, pads, normalisation, style."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from ._sample import Episode, Ragged, Sample, Step


class Finish:
    """Makes samples of what the native half hands out, the same for streams and for single rows."""

    def __init__(
        self,
        is_step: bool,
        windows: Mapping[str, list[int]],
        style: Callable[[dict[str, Any], Mapping[str, Any]], dict[str, Any]] | None,
    ) -> None:
        self._is_step, self._windows, self._style = is_step, windows, style
        #: Normalisers by the name of the field.
        self.normalizers: dict[str, Callable[[Any], Any]] = {}

    def __call__(self, raw: dict[str, Any]) -> Sample | dict[str, Any]:
        """The sample of one native dict, which is used up."""
        at, pads, valid = raw.pop("__at__"), raw.pop("__pads__", {}), raw.pop("__valid__", {})
        fields: dict[str, Any] = {}
        for name, value in raw.items():
            is_row = self._is_step and name not in self._windows
            fields[name] = self._field(name, value, is_row)
            if name in self._windows:
                fields[f"{name}_is_pad"] = pads[name]
        if self._style is not None:
            return self._style(fields, at)
        if not self._is_step:
            return Episode(fields, at, valid)
        valid = {name: it if name in self._windows else row_of(it) for name, it in valid.items()}
        return Step(fields, at, valid, self._windows)

    def _field(self, name: str, value: Any, is_row: bool) -> Any:
        if isinstance(value, tuple):
            value = Ragged(*value)
        if is_row:
            value = row_of(value)
        normalizer = self.normalizers.get(name)
        return value if normalizer is None else normalizer(value)


def row_of(value: Any) -> Any:
    """The only row of a field."""
    if isinstance(value, np.ndarray):
        # Not `value[0]`, which makes a number of a row without dimensions.
        return value.reshape(value.shape[1:])
    return value[0]
