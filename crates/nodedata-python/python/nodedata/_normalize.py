"""Normalisation by the statistics of a revision, with the formulas of LeRobot's processors."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ._mistakes import hint_of, one_of, refuse

#: What keeps features that never change from being divided by nothing.
EPSILON = 1e-8

METHODS = ("mean_std", "min_max", "quantile")


class Normalizer:
    """Maps values to about [-1, 1] or to mean 0 and deviation 1, as float32, and back with :meth:`inverse`."""

    __slots__ = ("_center", "_factor", "_shift", "feature", "method")

    def __init__(self, feature: str, method: str, center: Any, spread: Any) -> None:
        self.feature, self.method = feature, method
        spread = np.asarray(spread, dtype=np.float64)
        self._center = np.asarray(center, dtype=np.float64)
        if method == "mean_std":
            self._factor, self._shift = 1.0 / (spread + EPSILON), 0.0
        else:
            self._factor, self._shift = 2.0 / np.where(spread == 0, EPSILON, spread), -1.0

    def __call__(self, values: Any) -> np.ndarray:
        """Values normalised. Null stays NaN."""
        return np.asarray((values - self._center) * self._factor + self._shift, dtype=np.float32)

    def inverse(self, values: Any) -> np.ndarray:
        """The values that were normalised, up to the rounding of float32."""
        return np.asarray((values - self._shift) / self._factor + self._center, dtype=np.float32)

    def __repr__(self) -> str:
        return f"Normalizer({self.feature!r}, {self.method!r})"


class Stats(Mapping[str, Any]):
    """The statistics of a revision, as its ``stats.json`` has them: ``stats["steps"]["action"]["mean"]``.

    There are none of shards that were uploaded as others wrote them; converting measures every value."""

    def __init__(self, text: str) -> None:
        self._streams: dict[str, Any] = json.loads(text).get("streams", {})

    def __getitem__(self, stream: str) -> Any:
        return self._streams[stream]

    def __iter__(self) -> Iterator[str]:
        return iter(self._streams)

    def __len__(self) -> int:
        return len(self._streams)

    def normalize(self, feature: str, method: str = "mean_std", *, stream: str = "steps") -> Normalizer:
        """What normalises a feature: by mean and deviation, by least and greatest, or by the 1st and 99th percentile.

        The last two map to [-1, 1]. A feature without such statistics (pictures, text) is a `ConfigError`.
        """
        one_of("method", method, METHODS)
        if not self._streams:
            hint = "convert the data (`nodedata.convert`), which measures every value"
            refuse("the revision is of shards that were uploaded as they were, of which nobody has measured the mean", hint)
        if stream not in self._streams:
            refuse(f"there are no statistics of stream `{stream}`", hint_of(stream, self._streams))
        of_stream = self._streams[stream]
        if feature not in of_stream:
            refuse(f"there are no statistics of `{feature}`", hint_of(feature, of_stream), feature=feature)
        # Of each position where they were measured so, as LeRobot has them, and else of all values together.
        stats = of_stream[feature].get("per_element") or of_stream[feature]
        names = {"mean_std": ("mean", "std"), "min_max": ("min", "max"), "quantile": ("q01", "q99")}[method]
        lacking = [it for it in names if stats.get(it) is None]
        if lacking:
            refuse(f"the statistics of `{feature}` have no {' and no '.join(lacking)}", "take numbers", feature=feature)
        first, second = (np.asarray(stats[it], dtype=np.float64) for it in names)
        return Normalizer(feature, method, first, second if method == "mean_std" else second - first)
