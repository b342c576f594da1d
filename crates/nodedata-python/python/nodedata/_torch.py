"""Streams for PyTorch, which is imported here and nowhere else."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed
import torch.utils.data

from ._mistakes import refuse, whole
from ._native import ConfigError
from ._sample import Episode, Ragged, Sample
from ._stream import Stream

Collate = Callable[[list[Any]], Any]


class NodeLoader(Iterator[Any]):
    """Batches of a stream, decoded by its own threads: no worker processes, and no pickling of pictures.

    A batch is a dict: a tensor of shape ``(batch, …)`` for each field of numbers or pictures, a list for text and for bytes, a list
    of tensors for episodes and for ragged fields, and ``is_repeat`` where the last batch is filled up. With ``collate`` it is what
    that makes of a list of samples. Rank and world are those of ``torch.distributed``, or of ``RANK`` and ``WORLD_SIZE``, unless the
    stream was opened with its own. After the end it may be iterated again: the next epoch.
    """

    def __init__(
        self,
        stream: Stream,
        batch_size: int,
        *,
        drop_last: bool = True,
        collate: Collate | None = None,
        pin_memory: bool = False,
    ) -> None:
        #: Samples of a batch.
        self.batch_size = whole("batch_size", batch_size, 1)
        self._drop_last = drop_last
        self._stream = _share_of(stream, self.batch_size, drop_last)
        if collate is not None and pin_memory:
            refuse("both `collate` and `pin_memory` are given", "pin the memory in `collate`")
        self._collate = collate or Batches(self._stream._ragged(), flags=not drop_last, pin_memory=pin_memory)
        self._taken = self._from_here()

    def __iter__(self) -> NodeLoader:
        iter(self._stream)
        return self

    def __next__(self) -> Any:
        return self._taken.batch()

    def _from_here(self) -> Taken:
        return Taken(self._stream, self.batch_size, self._drop_last, self._collate)

    def __len__(self) -> int:
        """Batches of this pass that are left for this rank."""
        return (len(self._stream) + len(self._taken)) // self.batch_size

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands, after the batches that were handed out: as that of a stream, for any ranks and any batch size."""
        return self._taken.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state of a loader or of a stream."""
        self._stream.load_state_dict(state)
        self._taken = self._from_here()

    def stats(self) -> dict[str, Any]:
        """As those of a stream."""
        return self._stream.stats()

    def close(self) -> None:
        """Ends the threads. Used again, the loader goes on where it stood."""
        self._stream.close()

    def __enter__(self) -> NodeLoader:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"NodeLoader({self._stream!r}, batch_size={self.batch_size})"


class IterableDataset(torch.utils.data.IterableDataset[Any]):
    """The batches of a stream for ``DataLoader(dataset, batch_size=None, num_workers=n)``, in the same order for every ``n``.

    Workers share the cache on disk; worker ``w`` of ``n`` makes the batches ``k`` with ``k mod n = w``. Each pass of a worker that
    stays (``persistent_workers``) is the next epoch; workers that are started anew for every pass need :meth:`set_epoch`.
    ``StatefulDataLoader`` takes its state from the workers, and therefore goes on with the same number of them only; `NodeLoader`
    goes on with any.
    """

    def __init__(
        self, stream: Stream, batch_size: int, *, drop_last: bool = True, collate: Collate | None = None
    ) -> None:
        super().__init__()
        self.batch_size = whole("batch_size", batch_size, 1)
        self._drop_last = drop_last
        self._stream = _share_of(stream, self.batch_size, drop_last)
        self._collate = collate or Batches(self._stream._ragged(), flags=not drop_last, pin_memory=False)
        self._of_worker: Stream | None = None

    def __len__(self) -> int:
        """Batches of this pass for this rank, of all workers."""
        return len(self._stream) // self.batch_size

    def __iter__(self) -> Iterator[Any]:
        taken = Taken(iter(self._opened()), self.batch_size, self._drop_last, self._collate)
        while True:
            try:
                batch = taken.batch()
            except StopIteration:
                return
            yield batch

    def set_epoch(self, epoch: int) -> None:
        """Begins this epoch with the next pass. To be called in the process of the ``DataLoader``, before it starts its workers."""
        self._stream = self._stream._of_epoch(whole("epoch", epoch))
        self._of_worker = None

    def state_dict(self) -> dict[str, Any]:
        """Where this worker stands."""
        return self._opened().state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from the state of the same worker of as many."""
        self._opened().load_state_dict(state)

    def _opened(self) -> Stream:
        """The worker's own part of the stream."""
        if self._of_worker is None:
            worker = torch.utils.data.get_worker_info()
            of = (0, 1) if worker is None else (worker.id, worker.num_workers)
            self._of_worker = self._stream._with(worker=of[0], n_workers=of[1])
        return self._of_worker

    def __getstate__(self) -> dict[str, Any]:
        # Workers make their own.
        return self.__dict__ | {"_of_worker": None}


class Taken:
    """Makes batches of the samples of a stream. Where that fails or is interrupted in the middle of a batch, its samples are kept and
    are the beginning of the next one."""

    def __init__(self, stream: Stream, size: int, drop_last: bool, collate: Collate) -> None:
        self._stream, self._size, self._drop_last, self._collate = stream, size, drop_last, collate
        self._samples: list[Any] = []
        #: Where the stream stood before these.
        self._before: dict[str, Any] = {}

    def __len__(self) -> int:
        return len(self._samples)

    def batch(self) -> Any:
        """The next batch. It is whole, unless samples were left out that are damaged: then the last one may be short."""
        if not self._samples:
            self._before = self._stream.state_dict()
        try:
            while len(self._samples) < self._size:
                self._samples.append(next(self._stream))
        except StopIteration:
            if not self._samples or self._drop_last:
                self._samples = []
                raise
        try:
            batch = self._collate(self._samples)
        except Exception:
            # What no batch can be made of is not tried again; after Ctrl-C it is.
            self._samples = []
            raise
        self._samples = []
        return batch

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands after the batches that were handed out."""
        return self._before if self._samples else self._stream.state_dict()


class Batches:
    """Makes one tensor of each field of some samples: every sample is copied once, to its place in the batch. Of episodes and of
    ``ragged`` fields it makes lists, also where all of a batch happen to be of one length."""

    def __init__(self, ragged: frozenset[str], *, flags: bool, pin_memory: bool) -> None:
        self._ragged, self._flags, self._pin_memory = ragged, flags, pin_memory

    def __call__(self, samples: list[Any]) -> dict[str, Any]:
        """The batch."""
        first = samples[0]
        are_whole = isinstance(first, Episode)
        batch = {name: self._field(name, [it[name] for it in samples], are_whole) for name in first}
        if self._flags and isinstance(first, Sample):
            batch["is_repeat"] = torch.tensor([it.is_repeat for it in samples])
        return batch

    def _field(self, name: str, values: list[Any], are_whole: bool) -> Any:
        first = values[0]
        if isinstance(first, Ragged):
            return [[torch.from_numpy(row) for row in it] for it in values]
        if not isinstance(first, np.ndarray):
            return values
        if are_whole or name in self._ragged:
            return [torch.from_numpy(it) for it in values]
        if any(it.shape != first.shape for it in values):
            shapes = sorted({str(list(it.shape)) for it in values})
            hint = "give `resize` or `collate`, or leave it out of `fields`"
            raise ConfigError(f"values of `{name}` have the shapes {', '.join(shapes)}", {"feature": name}, hint)
        batch = torch.empty((len(values), *first.shape), dtype=_dtype(name, first.dtype), pin_memory=self._pin_memory)
        out = batch.numpy()
        for at, value in enumerate(values):
            out[at] = value
        return batch


def _dtype(name: str, dtype: np.dtype[Any]) -> torch.dtype:
    found = getattr(torch, dtype.name, None)
    if not isinstance(found, torch.dtype):
        raise ConfigError(f"torch has no type for `{name}`, which is {dtype}", {"feature": name}, "leave it out of `fields`")
    return found


def _share_of(stream: Stream, batch_size: int, drop_last: bool) -> Stream:
    """The part of a stream that this rank makes batches of."""
    rank, world = _ranks(stream)
    if world > 1 and any(it.request.on_error == "skip" for it in stream._sources):
        text = 'with on_error="skip" ranks may end with different numbers of batches; those that wait for each other must end together'
        warnings.warn(text, stacklevel=5)
    return stream._with(rank=rank, world=world, batch=batch_size, tail="drop_last" if drop_last else "pad")


def _ranks(stream: Stream) -> tuple[int, int]:
    """The stream's own rank and world, or those of the processes that train together."""
    share = stream._share
    if share.rank is not None and share.world is not None:
        return share.rank, share.world
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    try:
        return int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    except ValueError:
        found = {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE")}
        refuse(f"RANK and WORLD_SIZE are {found}", "set both to whole numbers, or open the stream with `rank` and `world`")
