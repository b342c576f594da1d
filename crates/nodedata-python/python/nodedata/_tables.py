"""The rows of a revision as tables for other libraries, which are imported here and nowhere else."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ._mistakes import hint_of, refuse


def cache_folder() -> Path:
    """Where revisions are pulled to for other libraries."""
    root = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(root) / "nodedata" / "pulled"


def shards(folder: Path) -> dict[tuple[str, str], list[Path]]:
    """The shards of a folder, by stream and split, in their order."""
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    found: dict[tuple[str, str], list[Path]] = {}
    for shard in manifest["shards"]:
        found.setdefault((shard["stream"], shard["split"]), []).append(folder / shard["path"])
    return found


def _shards_of(folder: Path, split: str, stream: str) -> list[Path]:
    found = shards(folder)
    if (stream, split) not in found:
        named = [it for of, it in found if of == stream]
        refuse(f"split `{split}` of stream `{stream}` has no shards", hint_of(split, named))
    return found[stream, split]


def arrow(folder: Path, split: str, stream: str) -> Any:
    """A ``pyarrow.dataset.Dataset`` over the shards of a split."""
    import pyarrow.dataset

    return pyarrow.dataset.dataset([str(it) for it in _shards_of(folder, split, stream)], format="parquet")


def duckdb(connection: Any, folder: Path, splits: list[str], streams: list[str]) -> list[str]:
    """A view for every split that has shards, named after the stream too where there are several."""
    names = []
    for (stream, split), paths in shards(folder).items():
        if split not in splits or stream not in streams:
            continue
        name = split if len(streams) == 1 else f"{stream}/{split}"
        files = ", ".join("'" + str(it).replace("'", "''") + "'" for it in paths)
        quoted = '"' + name.replace('"', '""') + '"'
        connection.execute(f"create or replace view {quoted} as select * from read_parquet([{files}])")
        names.append(name)
    return names


def hugging_face(folder: Path, keywords: dict[str, Any]) -> Any:
    """What ``datasets`` makes of the folder, whose card tells it the splits."""
    import datasets

    return datasets.load_dataset(str(folder), **keywords)
