"""Robot data as it was published: read any revision, and stream it in an order that is written down."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Any

from . import _native
from ._batches import Batches
from ._client import Created, Datasets, NodeData, Progress, Upload
from ._dataset import Dataset, Split, open_folder
from ._native import (
    ConfigError,
    ConflictError,
    CorruptError,
    DeniedError,
    InterruptedRun,
    LimitError,
    NodeDataError,
    NotFoundError,
    SchemaError,
    StateMismatchError,
    StoreError,
    UnsupportedError,
    WithdrawnRevisionWarning,
)
from ._normalize import Normalizer, Stats
from ._sample import Episode, Ragged, Sample, Step
from ._steps import Steps
from ._stream import Stream, mix

__all__ = [
    "Batches",
    "ConfigError",
    "ConflictError",
    "CorruptError",
    "Created",
    "Dataset",
    "Datasets",
    "DeniedError",
    "Episode",
    "InterruptedRun",
    "LimitError",
    "NodeData",
    "NodeDataError",
    "Normalizer",
    "NotFoundError",
    "Ragged",
    "Sample",
    "SchemaError",
    "Split",
    "StateMismatchError",
    "Stats",
    "Step",
    "Steps",
    "StoreError",
    "Stream",
    "UnsupportedError",
    "Upload",
    "WithdrawnRevisionWarning",
    "__version__",
    "build_info",
    "convert",
    "inspect",
    "mix",
    "open_folder",
    "run",
    "validate",
]

__version__: str = _native.build_info()["version"]


def convert(src: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], out: str | os.PathLike[str], **options: Any) -> dict[str, Any]:
    """Converts recordings to a dataset in the folder ``out``, and returns the report.

    ``options`` are the flags of ``node-data convert`` with ``_`` for ``-``: ``topic=["/camera/*"]``, ``rate=30``,
    ``split="train=0.9,val=0.1"``, ``decode={"rgb": "jpeg"}``, ``on_error="salvage"``, ``overwrite=True``; and ``progress``.
    """
    return dict(_native.convert(_sources(src), os.fspath(out), options))


def inspect(src: str | os.PathLike[str] | Iterable[str | os.PathLike[str]], **options: Any) -> dict[str, Any]:
    """What recordings hold, without converting them. ``options`` are the flags of ``node-data inspect``."""
    return dict(_native.inspect(_sources(src), options))


def run(pipeline: str | os.PathLike[str], progress: Progress | None = None, **options: Any) -> dict[str, Any]:
    """Runs a pipeline file, and returns the report. ``progress`` is called with a dict of counts; when it returns ``False`` the run
    stops (`InterruptedRun`), and a later one goes on from there.

    ``options`` are flags of ``node-data run``: ``out="dataset"``, ``set=["name=value"]``, ``overwrite=True``, ``threads=4``, and
    ``dry_run=True``, which says what would be done.
    """
    return dict(_native.run(os.fspath(pipeline), progress, **options))


def validate(path: str | os.PathLike[str], deep: bool = False, progress: Progress | None = None) -> dict[str, Any]:
    """Checks a dataset's folder against its manifest; with ``deep`` every row and picture too."""
    return dict(_native.validate(os.fspath(path), deep, progress))


def build_info() -> dict[str, Any]:
    """The version, the decoders (``av1_asm``: whether AV1 has its assembly; ``libavcodec``: the version that was found, or ``None``), and the features of this build."""
    return {**_native.build_info(), "libavcodec": _native.libavcodec_version()}


def _sources(src: str | os.PathLike[str] | Iterable[str | os.PathLike[str]]) -> list[str]:
    return [os.fspath(it) for it in ([src] if isinstance(src, (str, os.PathLike)) else src)]
