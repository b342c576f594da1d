"""Streams: samples in an order that is written down, resumed exactly."""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native
from ._batches import Batches
from ._mistakes import known_keywords, one_of, refuse, whole
from ._finish import Finish
from ._request import Request

if TYPE_CHECKING:
    from ._dataset import Dataset
    from ._torch import IterableDataset, NodeLoader


@dataclasses.dataclass(frozen=True)
class Source:
    """One split of one revision, and what is asked of it. Pickles as that, never with what was opened."""

    dataset: Dataset
    split: str
    stream: str
    request: Request
    #: Method by the name of the field.
    normalized: tuple[tuple[str, str], ...] = ()

    def opened(self) -> Any:
        """The native split."""
        return self.dataset._native.split(self.split, self.stream)

    def finish(self, split: Any) -> Finish:
        """What becomes of its samples before they are handed out."""
        finish = self.request.finish(split)
        for field, method in self.normalized:
            finish.normalizers[field] = self.dataset.stats.normalize(field, method, stream=self.stream)
        return finish


@dataclasses.dataclass(frozen=True)
class Share:
    """Which part of every pass this process reads."""

    rank: int | None = None
    world: int | None = None
    tail: str = "drop_last"
    batch: int = 1
    worker: int = 0
    n_workers: int = 1

    def __post_init__(self) -> None:
        for name, least in (("rank", 0), ("world", 1)):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least)
        if (self.rank is None) != (self.world is None):
            refuse("`rank` and `world` go together, and one of them is not given", "give both, or none")
        if self.rank is not None and self.world is not None and self.rank >= self.world:
            refuse(f"`rank` is {self.rank}, and `world` is {self.world}", f"ranks are 0 to {self.world - 1}")

    def keywords(self) -> dict[str, Any]:
        """As the native stream takes it."""
        keywords: dict[str, Any] = {"rank": self.rank or 0, "world": self.world or 1, "tail": self.tail}
        more = {"batch": (self.batch, 1), "worker": (self.worker, 0), "n_workers": (self.n_workers, 1)}
        return keywords | {name: value for name, (value, default) in more.items() if value != default}


class Stream(Iterator[Any]):
    """An iterator over the samples of a split, or of several that are mixed, in the order `lanes/1`.

    It reads ahead on threads of its own, which start with the first sample and end with :meth:`close`, with the stream, or with
    Ctrl-C. One that came to its end may be iterated again: that is the next epoch. It may be used in a forked process and be
    pickled, and goes on there from where it stood.
    """

    def __init__(
        self,
        sources: tuple[Source, ...],
        mix: Mapping[str, Any] | None = None,
        share: Share | None = None,
        state: str | None = None,
    ) -> None:
        self._sources, self._mix, self._share = sources, mix, share or Share()
        self._is_over = False
        # For `__del__`, where the rest fails.
        self._native: Any = None
        # Mistakes are told here, not at the first sample.
        splits = [it.opened() for it in sources]
        options = [it.request.options(split) for it, split in zip(sources, splits, strict=True)]
        epoch = None if mix is not None else sources[0].request.epoch
        given = list(zip(splits, options, strict=True))
        native = _native.Stream(given, mix, epoch=epoch, **self._share.keywords())
        self._finish = [it.finish(split) for it, split in zip(sources, splits, strict=True)]
        if state is not None:
            native.load_state(state)
        self._native = native

    def __iter__(self) -> Stream:
        if self._is_over:
            self._native.next_pass()
            self._is_over = False
        return self

    def __next__(self) -> Any:
        if self._is_over:
            raise StopIteration
        try:
            raw = next(self._native)
        except StopIteration:
            self._is_over = True
            raise
        except KeyboardInterrupt:
            self.close()
            raise
        return self._finished(raw)

    def _next_batch(self) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The next batch of this share, as the native half has it: what its samples are made of, and the arrays of all of them."""
        if self._is_over:
            raise StopIteration
        try:
            raw = self._native.next_batch()
        except KeyboardInterrupt:
            self.close()
            raise
        if raw is None:
            self._is_over = True
            raise StopIteration
        return raw  # type: ignore[no-any-return]

    def _finished(self, raw: dict[str, Any]) -> Any:
        """The sample of a native dict, which is used up."""
        return self._finish[raw["__at__"]["source"]](raw)

    def __len__(self) -> int:
        """Samples of this pass that are left for this rank."""
        return int(self._native.n_left())

    def state_dict(self) -> dict[str, Any]:
        """Where the stream stands: less than 1 KB for each source, to be kept as JSON. It says nothing of ranks, workers or batches,
        so that it goes on with any others. What was read ahead is not in it: it counts what was handed out."""
        return json.loads(self._native.state())  # type: ignore[no-any-return]

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Goes on from a state. One of another manifest, another split or another order is a `StateMismatchError`."""
        self._native.load_state(json.dumps(state))
        # A state of the end of an epoch goes on with the next one.
        self._is_over = self._native.n_left() == 0

    def stats(self) -> dict[str, Any]:
        """What was delivered, fetched, decoded and waited for so far, and which samples ``on_error="skip"`` left out."""
        return dict(self._native.stats())

    def close(self) -> None:
        """Ends the threads. The stream keeps its place: used again it starts them anew."""
        self._native.close()

    def __enter__(self) -> Stream:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        # Also of one that could not be made, and while the interpreter ends.
        with contextlib.suppress(Exception):
            if self._native is not None:
                self._native.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return _resumed, (self._sources, self._mix, self._share, self._native.state(), self._is_over)

    def __repr__(self) -> str:
        told = ", ".join(f"{it.dataset.name}/{it.split}" for it in self._sources)
        return f"Stream({told}, {len(self)} left)"

    def normalize(self, field: str, method: str = "mean_std") -> Stream:
        """The same stream with a field normalised to float32 by the statistics of its revision; of a mixture each source by its own.

        ``method``: ``"mean_std"``, ``"min_max"`` or ``"quantile"``, the last two to [-1, 1].
        """
        sources = []
        for it in self._sources:
            it.dataset.stats.normalize(field, method, stream=it.stream)
            kept = tuple(pair for pair in it.normalized if pair[0] != field)
            sources.append(dataclasses.replace(it, normalized=(*kept, (field, method))))
        return self._with(sources=tuple(sources))

    @known_keywords
    def batches(self, batch_size: int, drop_last: bool = True) -> Batches:
        """Batches as NumPy arrays: see :class:`Batches`. Goes on from where this stream stands.

        Without ``drop_last`` the last batch is filled up from the beginning of the pass, and what is read again is flagged in
        ``is_repeat``: all ranks have equally many batches, of one size.
        """
        return Batches(self, batch_size, drop_last=drop_last)

    @known_keywords
    def torch(
        self,
        batch_size: int,
        drop_last: bool = True,
        collate: Callable[[list[Any]], Any] | None = None,
        *,
        pin_memory: bool = False,
    ) -> NodeLoader:
        """Batches as tensors, for training, without workers: see :class:`NodeLoader`. Goes on from where this stream stands.

        Without ``drop_last`` the last batch is filled up from the beginning of the pass, and what is read again is flagged in
        ``is_repeat``: all ranks have equally many batches, of one size.
        """
        from ._torch import NodeLoader

        return NodeLoader(self, batch_size, drop_last=drop_last, collate=collate, pin_memory=pin_memory)

    @known_keywords
    def torch_dataset(
        self, batch_size: int, drop_last: bool = True, collate: Callable[[list[Any]], Any] | None = None
    ) -> IterableDataset:
        """The same batches as an ``IterableDataset`` for ``DataLoader(dataset, batch_size=None, num_workers=4)``."""
        from ._torch import IterableDataset

        return IterableDataset(self, batch_size, drop_last=drop_last, collate=collate)

    def _with(self, sources: tuple[Source, ...] | None = None, **share: Any) -> Stream:
        """The same stream in another share, or of other sources, from where it stands."""
        state = json.dumps(self.state_dict())
        made = Stream(sources or self._sources, self._mix, dataclasses.replace(self._share, **share), state)
        made._is_over = self._is_over
        return made

    def _of_epoch(self, epoch: int) -> Stream:
        """The same stream from the beginning of an epoch."""
        sources = tuple(
            dataclasses.replace(it, request=dataclasses.replace(it.request, epoch=epoch)) for it in self._sources
        )
        return Stream(sources, self._mix, self._share)

    def _ragged(self) -> frozenset[str]:
        """Fields whose values differ in length from step to step, of any source."""
        features = [it for source in self._sources for it in source.opened().features]
        return frozenset(it["name"] for it in features if it["media"] in (None, "audio") and -1 in it["shape"])


def _resumed(
    sources: tuple[Source, ...], mix: Mapping[str, Any] | None, share: Share, state: str, is_over: bool
) -> Stream:
    stream = Stream(sources, mix, share, state)
    stream._is_over = is_over
    return stream


@known_keywords
def mix(
    streams: list[tuple[Stream, float]], seed: int = 0, stop: str | int = "longest"
) -> Stream:
    """One stream of several, each with its share of every 1,024 samples; a source that ends begins its next epoch.

    ``stop`` says when a pass is over: when every source has handed out an epoch (``"longest"``), when the first has
    (``"shortest"``), or after so many samples. The streams are read from the beginning of the epochs that they were opened with,
    and are themselves left as they are.
    """
    streams = list(streams)
    if not streams:
        refuse("there are no streams to mix", "give pairs of a stream and its weight: [(a, 0.7), (b, 0.3)]")
    for pair in streams:
        if not (isinstance(pair, tuple) and len(pair) == 2 and isinstance(pair[0], Stream)):
            refuse(f"{pair!r} is no stream with its weight", "give pairs: [(a, 0.7), (b, 0.3)]")
    if not isinstance(stop, int) or isinstance(stop, bool):
        one_of("stop", stop, ("longest", "shortest"))
    elif stop < 1:
        refuse(f"`stop` is {stop}", 'give at least 1 sample, "longest" or "shortest"')
    if any(it._mix is not None for it, _ in streams):
        refuse("one of the streams is a mixture already", "mix its streams, with the weights multiplied")
    shares = {it._share for it, _ in streams}
    if len(shares) > 1:
        refuse("the streams are not of one rank and world", "open all of them with the same `rank` and `world`")
    sources = tuple(it._sources[0] for it, _ in streams)
    weights = [float(weight) for _, weight in streams]
    mixed = {"weights": weights, "seed": whole("seed", seed), "stop": stop}
    return Stream(sources, mixed, shares.pop())
