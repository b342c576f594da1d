"""One revision, opened: its splits, its episodes and single steps."""

from __future__ import annotations

import dataclasses
import json
import os
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from . import _native, _tables
from ._mistakes import known_keywords, refuse, whole, within
from ._native import StateMismatchError, WithdrawnRevisionWarning
from ._finish import Finish
from ._normalize import Stats
from ._request import Request
from ._sample import Episode, Sample, Step, place
from ._steps import Steps


@dataclasses.dataclass(frozen=True)
class Opening:
    """How a dataset was opened, to be opened again by another process. Holds no token: that one's own environment does."""

    location: str | None
    author: str | None
    reference: str
    cache: Mapping[str, Any] | None

    def registry(self) -> Any:
        """The registry; ``None`` where the dataset is a folder."""
        return None if self.location is None else _native.open_registry(self.location, None, self.author)

    def reader(self, registry: Any) -> Any:
        """What reads it."""
        if registry is None:
            return _native.open_folder(self.reference)
        return registry.open(self.reference, None, self.cache)


class Dataset:
    """A revision of a dataset, resolved once: ``latest`` stays what it was when it was opened.

    ``dataset["train"][i]`` is an episode; ``dataset.steps("train")`` are its steps for a map-style loader. Pickles as its address.
    """

    def __init__(self, native: Any, opening: Opening, registry: Any) -> None:
        self._native, self._opening, self._registry = native, opening, registry
        self._stats: Stats | None = None
        # Once it is known, in a tuple: every sample tells it.
        self._revision: tuple[str | None] | None = None
        if native.is_withdrawn:
            text = f"{self.name} is withdrawn; `datasets.log` says why"
            warnings.warn(text, WithdrawnRevisionWarning, stacklevel=3)

    def __reduce__(self) -> tuple[Any, ...]:
        return _reopened, (self._opening, self._native.revision, self._native.manifest_digest)

    def __getitem__(self, split: str) -> Split:
        """A split of the steps, or of the one stream that there is."""
        return self.split(split)

    def __iter__(self) -> Iterator[str]:
        return iter(self.splits)

    def __len__(self) -> int:
        return len(self.splits)

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, splits={self.splits})"

    @property
    def name(self) -> str:
        """``owner/name@revision``, or the folder."""
        return self._opening.reference if self.id is None else f"{self.id}@{self.revision}"

    @property
    def id(self) -> str | None:
        """``owner/name``; ``None`` of a folder that was never published."""
        return self._native.id  # type: ignore[no-any-return]

    @property
    def revision(self) -> str | None:
        """The number of the revision."""
        if self._revision is None:
            self._revision = (self._native.revision,)
        return self._revision[0]

    @property
    def schema(self) -> dict[str, Any]:
        """``schema.json``: type, shape and meaning of every field."""
        return json.loads(self._native.schema)  # type: ignore[no-any-return]

    @property
    def splits(self) -> list[str]:
        """The splits."""
        return list(self._native.splits)

    @property
    def streams(self) -> list[str]:
        """The streams: ``steps``, or the topics of logs."""
        return list(self._native.streams)

    @property
    def stats(self) -> Stats:
        """Counts, ranges, means, deviations and quantiles of every field."""
        if self._stats is None:
            self._stats = Stats(self._native.stats)
        return self._stats

    @property
    def card(self) -> str | None:
        """The text of its README."""
        return self._native.card  # type: ignore[no-any-return]

    def split(self, name: str, stream: str | None = None) -> Split:
        """The episodes of a split in one stream. Those that the revision excludes are not in it."""
        return Split(self, name, self._stream(stream))

    def _stream(self, stream: str | None) -> str:
        """The stream that is meant where none is named."""
        streams = self.streams
        return stream if stream is not None else streams[0] if len(streams) == 1 else "steps"

    def episodes(self, split: str, stream: str | None = None) -> Any:
        """The table of episodes, as Arrow: an object with ``__arrow_c_stream__``, which ``pyarrow.table``, ``polars.DataFrame`` and
        DuckDB take."""
        return self.split(split, stream)._native.arrow_episodes()

    @known_keywords
    def steps(
        self,
        split: str,
        *,
        stream: str | None = None,
        fields: Any = None,
        episodes: Any = None,
        drop_first: int = 0,
        drop_last: int = 0,
        window: Mapping[str, Any] | None = None,
        delta_timestamps: Mapping[str, Any] | None = None,
        tolerance_s: float = 1e-4,
        pad: str = "edge",
        resize: Any = None,
        layout: str | None = None,
        threads: int | None = None,
        style: str = "nodedata",
    ) -> Steps:
        """All steps of a split by their number, for samplers of one's own: ``len(steps)``, ``steps[i]``, and ``steps[[i, j]]`` for
        several at once, which are decoded side by side. Keywords mean what they mean for ``datasets.stream``."""
        opened = self.split(split, stream)
        request = Request.of(
            unit="step", fields=fields, episodes=episodes, drop_first=drop_first, drop_last=drop_last, window=window,
            delta_timestamps=delta_timestamps, tolerance_s=tolerance_s, pad=pad, resize=resize, layout=layout,
            threads=threads, style=style,
        )
        return Steps(self, opened.name, opened.stream, request)

    def files(self) -> list[dict[str, Any]]:
        """The files of the revision: ``path``, ``bytes`` and ``b3``, the BLAKE3 of each."""
        return list(self._native.files())

    def diff(self, other: str | Dataset) -> dict[str, Any]:
        """What differs between another revision and this one: a number such as ``"1.1.0"``, or a dataset."""
        registry, own = self._published("compared")
        if isinstance(other, Dataset):
            their = other._published("compared")[1]
        else:
            their = other if "/" in other else f"{self.id}@{other}"
        return dict(registry.diff(their, own))

    def verify(self, sample: float | None = None, *, seed: int = 0) -> dict[str, Any]:
        """Reads the revision and holds every byte against its digest, and its rows against what its tables say.

        ``sample`` from 0 to 1 reads that share of the grains of 256 KiB of each shard, at least one, and all other files; rows are then
        not hashed again, and with 0 it looks only whether all bytes are there. ``seed`` says which grains: one seed always draws the
        same, others draw others. ``bytes`` of ``total_bytes`` in what is returned were read.
        """
        registry, own = self._published("verified")
        return dict(registry.verify(own, sample, whole("seed", seed)))

    def pull(
        self,
        out: str | os.PathLike[str],
        overwrite: bool = False,
        progress: Callable[[dict[str, Any]], bool | None] | None = None,
    ) -> dict[str, Any]:
        """Brings all files to a folder, which appears in one step. ``progress``: as for ``datasets.upload``."""
        registry, own = self._published("pulled")
        return dict(registry.pull(own, os.fspath(out), overwrite, progress))

    def _published(self, what: str) -> tuple[Any, str]:
        """The registry, and what the revision is called there."""
        if self._registry is None:
            refuse(f"a folder is not {what}", "open the revision with `NodeData().datasets.open`")
        return self._registry, f"{self.id}@{self.revision}"

    def local_folder(self) -> Path:
        """A folder with all files: the one that was opened, or one in the cache of this machine to which they are pulled first."""
        if self._registry is None:
            return Path(self._opening.reference)
        digest: str = self._native.manifest_digest
        folder = _tables.cache_folder() / digest.removeprefix("b3:")
        self.pull(folder)
        return folder

    def arrow(self, split: str = "train", stream: str | None = None) -> Any:
        """All rows as a ``pyarrow.dataset.Dataset`` over the shards, which are pulled to the cache first. Needs pyarrow."""
        opened = self.split(split, stream)
        return _tables.arrow(self.local_folder(), opened.name, opened.stream)

    def duckdb(self, connection: Any) -> list[str]:
        """Makes a view for every split in a DuckDB connection, and one a topic where there are several streams; returns their names."""
        return _tables.duckdb(connection, self.local_folder(), self.splits, self.streams)

    def to_hf(self, **keywords: Any) -> Any:
        """What ``datasets.load_dataset`` makes of it; keywords are passed on. Needs ``datasets``."""
        return _tables.hugging_face(self.local_folder(), keywords)


class Split(Sequence[Episode]):
    """The episodes of a split in one stream, in the order of the table of episodes."""

    def __init__(self, dataset: Dataset, name: str, stream: str) -> None:
        self.dataset, self.name, self.stream = dataset, name, stream
        self._native = dataset._native.split(name, stream)
        self._finishes: dict[bool, Finish] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        return Split, (self.dataset, self.name, self.stream)

    def __len__(self) -> int:
        return int(self._native.n_episodes)

    def __getitem__(self, position: Any) -> Any:
        """The episode at a position, whole; of a slice a list."""
        if isinstance(position, slice):
            return [self[it] for it in range(*position.indices(len(self)))]
        episode = self._position(position)
        told = self._native.head(episode)
        return self._read(False, episode, told, 0, int(told["n_steps"]), None, None)

    @known_keywords
    def episode(self, position: int, *, fields: Any = None, resize: Any = None) -> Episode:
        """One episode with some of its fields."""
        request = Request.of(fields=fields, resize=resize)
        episode = self._position(position)
        told = self._native.head(episode)
        return self._read(  # type: ignore[return-value]
            False, episode, told, 0, int(told["n_steps"]), request.fields, request.resize
        )

    @known_keywords
    def frame(self, position: int, step: int, *, fields: Any = None, resize: Any = None) -> Step:
        """One step of an episode: one ranged read, one frame decoded of each camera."""
        request = Request.of(fields=fields, resize=resize)
        episode = self._position(position)
        told = self._native.head(episode)
        at = within("step", step, int(told["n_steps"]))
        return self._read(  # type: ignore[return-value]
            True, episode, told, at, at + 1, request.fields, request.resize
        )

    @property
    def n_steps(self) -> int:
        """Steps of all episodes."""
        return int(self._native.n_steps)

    @property
    def lengths(self) -> Any:
        """Steps of each episode, as int64."""
        return self._native.lengths

    @property
    def fps(self) -> float | None:
        """Steps a second: what the schema says, or what all times keep to; ``None`` where there is no one rate."""
        return self._native.fps  # type: ignore[no-any-return]

    @property
    def features(self) -> list[dict[str, Any]]:
        """Name, type, shape and medium of each field."""
        return list(self._native.features)

    def __repr__(self) -> str:
        return f"Split({self.dataset.name}/{self.name}, {len(self)} episodes, {self.n_steps} steps)"

    def _position(self, position: Any) -> int:
        return within("episode", position, len(self))

    def _read(
        self, is_step: bool, episode: int, told: Mapping[str, Any], start: int, stop: int, fields: Any, resize: Any
    ) -> Sample | dict[str, Any]:
        raw = self._native.rows(episode, start, stop, fields, resize)
        finish = self._finishes.get(is_step)
        if finish is None:
            finish = self._finishes[is_step] = Finish(is_step, {}, None)
        raw["__at__"] = place(self, told, episode, start if is_step else None)
        return finish(raw)


def open_folder(path: str | os.PathLike[str]) -> Dataset:
    """Opens the folder of a dataset: what ``convert`` or ``pull`` wrote."""
    absolute = os.path.abspath(os.fspath(path))
    return Dataset(_native.open_folder(absolute), Opening(None, None, absolute, None), None)


def _reopened(opening: Opening, revision: str | None, digest: str) -> Dataset:
    """In another process: the same manifest, or a mistake."""
    registry = opening.registry()
    native = opening.reader(registry)
    if native.manifest_digest != digest:
        message = f"{opening.reference} is not the dataset that was pickled: it has another manifest"
        raise StateMismatchError(message, {"dataset": opening.reference, "revision": revision}, "open it anew")
    with warnings.catch_warnings():
        # Whoever opened it was warned.
        warnings.simplefilter("ignore", WithdrawnRevisionWarning)
        return Dataset(native, opening, registry)
