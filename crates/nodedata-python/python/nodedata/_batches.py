"""Batches of a stream, as NumPy arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from ._mistakes import whole
from ._native import ConfigError
from ._sample import Episode, Ragged, Sample

if TYPE_CHECKING:
    from ._stream import Stream

#: Makes a batch of its samples, and of the arrays in which their values lie one behind the other.
Collate = Callable[[list[Any], Mapping[str, np.ndarray]], Any]


class Batches(Iterator[Any]):
    """Batches of a stream, decoded by its own threads: an iterator over dicts.

    A batch has an array of shape ``(batch, …)`` for each field of numbers or pictures, a list for text and for bytes, a list of arrays
    for episodes and for ragged fields, and ``is_repeat`` where the last batch is filled up. Pictures and frames are decoded straight to
    their places in it. Arrays are the caller's own and may be written. After the end it may be iterated again: the next epoch.
    """

    def __init__(self, stream: Stream, batch_size: int, *, drop_last: bool = True) -> None:
        self._begin(stream, batch_size, drop_last)

    def _begin(self, stream: Stream, batch_size: int, drop_last: bool, **share: Any) -> None:
        #: Samples of a batch.
        self.batch_size = whole("batch_size", batch_size, 1)
        tail = "drop_last" if drop_last else "pad"
        self._stream = stream._with(batch=self.batch_size, tail=tail, **share)
        self._collate: Collate = Together(self._stream._ragged(), flags=not drop_last)
        self._taken = Taken(self._stream)

    def __iter__(self) -> Batches:
        iter(self._stream)
        return self

    def __next__(self) -> Any:
        return self._taken.batch(self._collate)

    def __len__(self) -> int:
        """Batches of this pass that are left for this rank."""
        return (len(self._stream) + len(self._taken)) // self.batch_size

    def state_dict(self) -> dict[str, Any]:
        """Where it stands, after the batches that were handed out: as that of a stream, for any ranks and any batch size."""
        return self._taken.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state of batches, of a loader or of a stream."""
        self._stream.load_state_dict(state)
        self._taken = Taken(self._stream)

    def stats(self) -> dict[str, Any]:
        """As those of a stream."""
        return self._stream.stats()

    def close(self) -> None:
        """Ends the threads. Used again, it goes on where it stood."""
        self._stream.close()

    def __enter__(self) -> Batches:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._stream!r}, batch_size={self.batch_size})"


class Taken:
    """Takes batches of a stream. Where that is interrupted while a batch is made of its samples, they are kept and made one anew."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._raw: tuple[list[dict[str, Any]], dict[str, np.ndarray]] | None = None
        #: Where the stream stood before these.
        self._before: dict[str, Any] = {}

    def __len__(self) -> int:
        return 0 if self._raw is None else len(self._raw[0])

    def batch(self, collate: Collate) -> Any:
        """The next batch. It is whole, unless samples were left out that are damaged: then the last one may be short."""
        if self._raw is None:
            self._before = self._stream.state_dict()
            self._raw = self._stream._next_batch()
        samples, arrays = self._raw
        try:
            # Making a sample uses up what it is made of.
            batch = collate([self._stream._finished(dict(it)) for it in samples], arrays)
        except Exception:
            # What no batch can be made of is not tried again; after Ctrl-C it is.
            self._raw = None
            raise
        self._raw = None
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands after the batches that were handed out."""
        return self._stream.state_dict() if self._raw is None else self._before


class Together:
    """Makes one array of each field of some samples: the one that their values lie in, where nothing was made of them, and else a
    copy. Of episodes and of ``ragged`` fields it makes lists, also where all of a batch happen to be of one length."""

    def __init__(self, ragged: frozenset[str], *, flags: bool) -> None:
        self._ragged, self._flags = ragged, flags

    def __call__(self, samples: list[Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The batch."""
        first = samples[0]
        are_whole = isinstance(first, Episode)
        batch = {}
        for name in first:
            values = [it[name] for it in samples]
            is_list = are_whole or name in self._ragged or not isinstance(values[0], np.ndarray)
            batch[name] = values if is_list else together(name, values, arrays.get(name))
        if self._flags and isinstance(first, Sample):
            batch["is_repeat"] = np.array([it.is_repeat for it in samples], dtype=bool)
        return batch


def together(name: str, values: list[np.ndarray], array: np.ndarray | None) -> np.ndarray:
    """Values as one array: ``array``, where they are still those that lie in it."""
    first = values[0]
    if array is not None and all(it.base is not None and it.base is array.base for it in values):
        return array.reshape(len(values), *first.shape)
    if any(it.shape != first.shape for it in values):
        shapes = sorted({str(list(it.shape)) for it in values})
        hint = "give `resize` or `collate`, or leave it out of `fields`"
        raise ConfigError(f"values of `{name}` have the shapes {', '.join(shapes)}", {"feature": name}, hint)
    batch = np.empty((len(values), *first.shape), dtype=first.dtype)
    for at, value in enumerate(values):
        batch[at] = value
    return batch
