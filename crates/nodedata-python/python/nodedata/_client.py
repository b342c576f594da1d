"""A registry: datasets created, uploaded to, looked at and streamed."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from . import _native
from ._dataset import Dataset, Opening
from ._mistakes import known_keywords, one_of, refuse, whole
from ._quantities import byte_size, price, seconds
from ._request import Request
from ._stream import Share, Source, Stream

Documents = list[dict[str, Any]]
Progress = Callable[[dict[str, Any]], bool | None]


@dataclasses.dataclass(frozen=True)
class Created:
    """A dataset of a registry, as ``create`` hands it out."""

    #: ``owner/name``.
    id: str
    #: What the registry says of it.
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)


class Upload(NamedTuple):
    """What an upload came to."""

    #: The revision that holds it.
    revision: str
    #: Whether all of it was published before, so that no revision was made.
    unchanged: bool
    #: Bytes that were sent: what the registry had already was not.
    sent_bytes: int


class NodeData:
    """A registry of datasets: a folder, a bucket (``s3://``, ``gs://``, ``az://``) or a server (``https://``).

    ``store=None`` is what ``NODEDATA_STORE`` says, or the user's own folder. ``author`` is who does what is done, and the owner of
    datasets that are named without one; ``None`` is what ``NODEDATA_USER`` says, or the user's name. A server is sent ``token``, or
    else what ``NODEDATA_TOKEN`` holds, or what ``node-data login`` keeps. Nothing is asked of a server yet.
    """

    @known_keywords
    def __init__(self, store: str | os.PathLike[str] | None = None, *, token: str | None = None, author: str | None = None) -> None:
        self._native = _native.open_registry(None if store is None else os.fspath(store), token, author)
        #: Its datasets.
        self.datasets = Datasets(self._native)

    def __reduce__(self) -> tuple[Any, ...]:
        # Without the token: another process takes it from its own environment.
        return _opened, (self.location, self.author)

    @property
    def location(self) -> str:
        """Where the registry is."""
        return str(self._native.location)

    @property
    def author(self) -> str:
        """Who does what is done."""
        return str(self._native.author)

    def __repr__(self) -> str:
        return f"NodeData({self.location!r}, author={self.author!r})"


def _opened(location: str, author: str) -> NodeData:
    return NodeData(location, author=author)


class Datasets:
    """The datasets of a registry."""

    def __init__(self, native: Any) -> None:
        self._native = native

    def __reduce__(self) -> tuple[Any, ...]:
        return _datasets_of, (self._native.location, self._native.author)

    @known_keywords
    def create(
        self,
        name: str,
        modality: Iterable[str] | None = None,
        license: str | None = None,
        description_path: str | os.PathLike[str] | None = None,
        price_usd: float | None = None,
        tags: Iterable[str] | None = None,
        pii: str | Iterable[str] | None = None,
        visibility: str = "private",
        exist_ok: bool = False,
        *,
        title: str | None = None,
        robot: Mapping[str, str] | None = None,
    ) -> Created:
        """Creates a dataset with what is known of it; the first upload takes that over where it says nothing else.

        ``license`` is an SPDX expression, ``description_path`` a README. ``pii`` is the data class and what the data shows of people:
        ``["biometric", "face"]``; ``None`` says that nobody has said it. ``visibility`` is ``"private"`` or ``"public"``. With
        ``exist_ok`` a dataset that is there with the same facts is no mistake; with other facts it is a `ConflictError`.
        """
        one_of("visibility", visibility, ("private", "public"))
        facts = self._native.create(
            name=name,
            modality=_words("modality", modality),
            license=license,
            readme=None if description_path is None else os.fspath(description_path),
            price_usd=price(price_usd),
            tags=_words("tags", tags),
            title=title,
            robot=None if robot is None else dict(robot),
            pii=[pii] if isinstance(pii, str) else _words("pii", pii),
            visibility=visibility,
            exist_ok=exist_ok,
        )
        return Created(facts["id"], facts)

    @known_keywords
    def upload(
        self,
        id: str,
        files: str | os.PathLike[str] | Iterable[str | os.PathLike[str]],
        schema: str | os.PathLike[str] | None = None,
        sample_index: str | os.PathLike[str] | None = None,
        *,
        mode: str = "add",
        bump: str = "auto",
        retry_for: float | str = "10m",
        progress: Progress | None = None,
    ) -> Upload:
        """Uploads shards, folders of shards or a converted dataset, and publishes all that the dataset holds then as one revision.

        ``mode="add"`` keeps what is published, ``"replace"`` puts the files in its place. ``bump`` is ``"auto"``, ``"major"``,
        ``"minor"``, ``"patch"`` or a number. A registry that does not answer is asked again for ``retry_for``. ``progress`` is called
        with a dict of counts; when it returns ``False`` the upload stops (`InterruptedRun`) and what was sent is kept.
        """
        one_of("mode", mode, ("add", "replace"))
        paths = [files] if isinstance(files, (str, os.PathLike)) else files
        done = self._native.upload(
            id,
            [os.fspath(it) for it in paths],
            None if schema is None else os.fspath(schema),
            None if sample_index is None else os.fspath(sample_index),
            mode,
            bump,
            seconds("retry_for", retry_for),
            progress,
        )
        return Upload(done["revision"], done["unchanged"], done["sent_bytes"])

    @known_keywords
    def open(self, ref: str, revision: str | None = None, *, cache: Any = None) -> Dataset:
        """Opens a revision: ``owner/name``, ``owner/name@1.2.0`` or the number beside it. What is named ``latest``, or not at all, is
        resolved once. ``cache`` is where ranges of far registries are kept: a folder, a size such as ``"200GB"``, both as
        ``"folder:200GB"``, or ``False`` for nowhere; stores that are folders are mapped and need none."""
        kept = _cache(cache)
        registry = self._native
        native = registry.open(ref, revision, kept)
        opening = Opening(registry.location, registry.author, f"{native.id}@{native.revision}", kept)
        return Dataset(native, opening, registry)

    @known_keywords
    def stream(
        self,
        ref: str | Dataset,
        *,
        split: str = "train",
        revision: str | None = None,
        stream: str | None = None,
        unit: str | None = None,
        fields: Any = None,
        episodes: Any = None,
        drop_first: int = 0,
        drop_last: int = 0,
        window: Mapping[str, Any] | None = None,
        delta_timestamps: Mapping[str, Any] | None = None,
        tolerance_s: float = 1e-4,
        pad: str = "edge",
        shuffle: bool | str = False,
        seed: int = 0,
        epoch: int = 0,
        lanes: int | None = None,
        block: int | None = None,
        rank: int | None = None,
        world: int | None = None,
        resize: Any = None,
        layout: str | None = None,
        threads: int | None = None,
        prefetch_bytes: int | str = "256MiB",
        ready_bytes: int | str = "128MiB",
        max_sample_bytes: int | str | None = None,
        video_cache_bytes: int | str | None = None,
        decoded_cache: int | str | None = None,
        cache: Any = None,
        on_error: str = "raise",
        style: str = "nodedata",
    ) -> Stream:
        """Streams a split of a revision: whole episodes (``unit="episode"``, the default) or steps (``unit="step"``).

        What is read:
          ``stream``: ``"steps"``, or a topic of a log. ``fields``: names, or names with ``"bytes"`` for coded bytes as they are;
          all by default. ``episodes``: keys, or positions in the split. ``drop_first``, ``drop_last``: steps left out of each episode.
          ``resize``: height and width for each field of pictures.

        Windows:
          ``window={"rgb": [-1, 0], "action": range(16)}`` in steps, or in seconds as floats and as ``"0:0.5s"``, which must be
          multiples of a step within ``tolerance_s``. No window leaves its episode: ``pad`` says what stands there (``"edge"``,
          ``"zero"``, ``"nan"``), and ``<field>_is_pad`` where; ``"drop"`` leaves such steps out.

        Order:
          File order, or with ``shuffle`` that of ``lanes/1``, which follows from ``seed``, ``epoch``, ``lanes`` and ``block`` alone;
          ``"uniform"`` is one shuffle of the whole epoch however large it is. Rank ``rank`` of ``world`` takes every ``world``-th
          sample; places that do not fill all ranks are left out. Without both, all is read here; ``.torch()`` asks torch.

        Speed and memory:
          ``threads`` that decode (all cores), coded bytes fetched ahead, decoded bytes that are ready, the largest sample, decoded
          groups of video that are kept, and with ``decoded_cache`` decoded frames on disk. ``cache``: as for ``open``. Memory of
          large arrays that nobody has any more is used for samples that come, 256 MiB of it at most, until ``close()``.

        ``on_error="skip"`` leaves damaged samples out and counts them in ``stats()``; ranks may then end with fewer samples than
        others. ``layout="chw"`` puts channels first.
        ``style="lerobot"`` hands out LeRobot's items, with ``delta_timestamps`` as it takes them.
        """
        request = Request.of(
            unit=unit, fields=fields, episodes=episodes, drop_first=drop_first, drop_last=drop_last, window=window,
            delta_timestamps=delta_timestamps, tolerance_s=tolerance_s, pad=pad, shuffle=shuffle, seed=seed, epoch=epoch,
            lanes=lanes, block=block, resize=resize, layout=layout, threads=threads, prefetch_bytes=prefetch_bytes,
            ready_bytes=ready_bytes, max_sample_bytes=max_sample_bytes, video_cache_bytes=video_cache_bytes,
            decoded_cache=decoded_cache, on_error=on_error, style=style,
        )
        share = Share(rank, world)
        if isinstance(ref, Dataset):
            if revision is not None or cache is not None:
                refuse("`revision` and `cache` are given for a dataset that is open", "give its name instead")
            dataset = ref
        else:
            dataset = self.open(ref, revision, cache=cache)
        return Stream((Source(dataset, split, dataset._stream(stream), request),), share=share)

    def list(self) -> Documents:
        """The datasets that may be seen, each with what is known of it."""
        return [dict(it) for it in self._native.list()]

    def show(self, ref: str) -> dict[str, Any]:
        """The manifest of a revision, and what became of it since."""
        return dict(self._native.show(ref))

    def log(self, id: str) -> Documents:
        """The revisions of a dataset, the newest first: who made each, when, and what became of it since."""
        return [dict(it) for it in self._native.log(id)]

    def tag(self, id: str, revision: str | None, name: str) -> None:
        """Names a revision: ``acme/x@name`` is it from now on. Of ``None`` the name is taken away."""
        self._native.tag(id, revision, name)

    def withdraw(self, ref: str, reason: str) -> None:
        """Says that a revision is not to be used. Its bytes stay, and who opens it is warned."""
        self._native.withdraw(ref, reason)

    def diff(self, a: str, b: str) -> dict[str, Any]:
        """What differs between two revisions."""
        return dict(self._native.diff(a, b))

    def verify(self, ref: str, sample: float | None = None, *, seed: int = 0) -> dict[str, Any]:
        """Reads a revision and holds every byte against its digest; see :meth:`Dataset.verify`."""
        return dict(self._native.verify(ref, sample, whole("seed", seed)))

    def pull(
        self, ref: str, out: str | os.PathLike[str], overwrite: bool = False, progress: Progress | None = None
    ) -> dict[str, Any]:
        """Brings all files of a revision to a folder, which appears in one step. ``progress``: as for ``upload``."""
        return dict(self._native.pull(ref, os.fspath(out), overwrite, progress))


def _datasets_of(location: str, author: str) -> Datasets:
    return _opened(location, author).datasets


def _words(name: str, words: Iterable[str] | None) -> list[str] | None:
    if words is None:
        return None
    if isinstance(words, (str, bytes)):
        refuse(f"`{name}` is {words!r}", f"give a list: [{words!r}]")
    return list(words)


def _cache(cache: Any) -> dict[str, Any] | None:
    """As the native half takes it: the user's own folder where nothing is said."""
    if cache is None or cache is True:
        return None
    if cache is False:
        return {"off": True}
    if isinstance(cache, int):
        return {"max_bytes": byte_size("cache", cache)}
    if not isinstance(cache, (str, os.PathLike)):
        refuse(f"`cache` is {cache!r}", 'give a folder, a size such as "200GB", "folder:200GB", or False')
    text = os.path.expanduser(os.fspath(cache))
    folder, colon, size = text.rpartition(":")
    if text[:1].isdigit() and os.sep not in text:
        return {"max_bytes": byte_size("cache", text)}
    if colon and size[:1].isdigit():
        return {"folder": os.path.abspath(folder), "max_bytes": byte_size("cache", size)}
    return {"folder": os.path.abspath(text)}
