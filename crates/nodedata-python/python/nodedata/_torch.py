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

from ._batches import Batches, Collate, Taken, Together
from ._mistakes import refuse, whole
from ._native import ConfigError
from ._sample import Ragged
from ._stream import Stream


class NodeLoader(Batches):
    """Batches of a stream as tensors, decoded by its own threads: no worker processes, and no pickling of pictures.

    A batch is a dict: a tensor of shape ``(batch, …)`` for each field of numbers or pictures, a list for text and for bytes, a list
    of tensors for episodes and for ragged fields, and ``is_repeat`` where the last batch is filled up. Pictures and frames are decoded
    straight to their places in it; with ``pin_memory`` it is copied once, to memory that a GPU reads from. With ``collate`` it is what
    that makes of a list of samples, whose arrays lie in those of the batch. Rank and world are those of ``torch.distributed``, or of
    ``RANK`` and ``WORLD_SIZE``, unless the stream was opened with its own. After the end it may be iterated again: the next epoch. It
    has what :class:`Batches` has.
    """

    def __init__(
        self,
        stream: Stream,
        batch_size: int,
        *,
        drop_last: bool = True,
        collate: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
    ) -> None:
        self._begin(stream, batch_size, drop_last, **_share_of(stream))
        if collate is not None and pin_memory:
            refuse("both `collate` and `pin_memory` are given", "pin the memory in `collate`")
        self._collate = _collated(self._stream, drop_last, collate, pin_memory=pin_memory)


class IterableDataset(torch.utils.data.IterableDataset[Any]):
    """The batches of a stream for ``DataLoader(dataset, batch_size=None, num_workers=n)``, in the same order for every ``n``.

    Workers share the cache on disk; worker ``w`` of ``n`` makes the batches ``k`` with ``k mod n = w``. Each pass of a worker that
    stays (``persistent_workers``) is the next epoch; workers that are started anew for every pass need :meth:`set_epoch`.
    ``StatefulDataLoader`` takes its state from the workers, and therefore goes on with the same number of them only; `NodeLoader`
    goes on with any.
    """

    def __init__(
        self,
        stream: Stream,
        batch_size: int,
        *,
        drop_last: bool = True,
        collate: Callable[[list[Any]], Any] | None = None,
    ) -> None:
        super().__init__()
        self.batch_size = whole("batch_size", batch_size, 1)
        tail = "drop_last" if drop_last else "pad"
        self._stream = stream._with(batch=self.batch_size, tail=tail, **_share_of(stream))
        self._collate = _collated(self._stream, drop_last, collate, pin_memory=False)
        self._of_worker: Stream | None = None

    def __len__(self) -> int:
        """Batches of this pass for this rank, of all workers."""
        return len(self._stream) // self.batch_size

    def __iter__(self) -> Iterator[Any]:
        taken = Taken(iter(self._opened()))
        while True:
            try:
                batch = taken.batch(self._collate)
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


class Own:
    """Has somebody's own function make batches of samples."""

    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self._collate = collate

    def __call__(self, samples: list[Any], _: Mapping[str, np.ndarray]) -> Any:
        """The batch."""
        return self._collate(samples)


class Tensors:
    """Makes tensors of the arrays of a batch, which have the same memory."""

    def __init__(self, together: Together, *, pin_memory: bool) -> None:
        self._together, self._pin_memory = together, pin_memory

    def __call__(self, samples: list[Any], arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """The batch."""
        return {name: self._value(name, value) for name, value in self._together(samples, arrays).items()}

    def _value(self, name: str, value: Any) -> Any:
        if isinstance(value, np.ndarray):
            _check(name, value.dtype)
            tensor = torch.from_numpy(value)
            return tensor.pin_memory() if self._pin_memory else tensor
        if isinstance(value[0], Ragged):
            return [[torch.from_numpy(row) for row in it] for it in value]
        return [torch.from_numpy(it) for it in value] if isinstance(value[0], np.ndarray) else value


def _collated(stream: Stream, drop_last: bool, collate: Callable[[list[Any]], Any] | None, *, pin_memory: bool) -> Collate:
    if collate is not None:
        return Own(collate)
    return Tensors(Together(stream._ragged(), flags=not drop_last), pin_memory=pin_memory)


def _check(name: str, dtype: np.dtype[Any]) -> None:
    """Whether torch has such a type."""
    if not isinstance(getattr(torch, dtype.name, None), torch.dtype):
        raise ConfigError(f"torch has no type for `{name}`, which is {dtype}", {"feature": name}, "leave it out of `fields`")


def _share_of(stream: Stream) -> dict[str, Any]:
    """The rank that makes batches of a stream here, and of how many."""
    rank, world = _ranks(stream)
    if world > 1 and any(it.request.on_error == "skip" for it in stream._sources):
        text = 'with on_error="skip" ranks may end with different numbers of batches; those that wait for each other must end together'
        warnings.warn(text, stacklevel=5)
    return {"rank": rank, "world": world}


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
