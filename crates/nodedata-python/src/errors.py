"""The exceptions of the package, as `nodedata` hands them on.

Each has `kind` (a word), `where` (a dict with any of `dataset`, `revision`, `shard`, `path`, `row`, `episode`, `key`, `step`,
`feature`, `byte`, `topic`, `line`, `column`) and `hint` (what to do next, or None). All of it is in the text, too, and survives
`pickle`.
"""


class NodeDataError(Exception):
    """What the package raises."""

    kind = "Error"

    def __init__(self, message="", where=None, hint=None):
        # Not that of the next class: `OSError` takes two arguments and more for something else.
        Exception.__init__(self, message, where, hint)
        self.message = message
        self.where = dict(where) if where else {}
        self.hint = hint

    def __str__(self):
        text = str(self.message)
        place = _place(self.where)
        if place:
            text += f"\n  --> {place}"
        if self.hint:
            text += f"\nhint: {self.hint}"
        return text


class ConfigError(NodeDataError, ValueError):
    """An argument, or a file of the user's, is wrong."""

    kind = "Config"


class NotFoundError(NodeDataError, LookupError):
    """What was asked for is not there."""

    kind = "NotFound"


class DeniedError(NodeDataError, PermissionError):
    """The registry, or the system, refuses."""

    kind = "Denied"


class CorruptError(NodeDataError):
    """Bytes are not what they should be."""

    kind = "Corrupt"


class SchemaError(NodeDataError):
    """Rows do not follow their schema."""

    kind = "SchemaMismatch"


class UnsupportedError(NodeDataError):
    """The bytes are sound, and this build cannot read them."""

    kind = "Unsupported"


class LimitError(NodeDataError, MemoryError):
    """A limit would be passed."""

    kind = "Limit"


class ConflictError(NodeDataError):
    """Somebody else came first, with something else."""

    kind = "Conflict"


class StoreError(NodeDataError, OSError):
    """Reading or writing failed; trying again may help."""

    kind = "Io"


class StateMismatchError(NodeDataError):
    """The state is of another stream than the one that is to go on from it."""

    kind = "StateMismatch"


class InterruptedRun(NodeDataError):
    """The run was stopped; what it finished is kept."""

    kind = "Interrupted"


class WithdrawnRevisionWarning(UserWarning):
    """A revision is read that was withdrawn."""


def _place(where):
    dataset, revision = where.get("dataset"), where.get("revision")
    parts = []
    if dataset is not None:
        parts.append(f"{dataset}@{revision}" if revision is not None else f"{dataset}")
    for name in ("shard", "path"):
        if where.get(name) is not None:
            parts.append(f"{where[name]}")
    for name in ("line", "column", "byte", "topic", "row", "episode", "key", "step", "feature"):
        if where.get(name) is not None:
            parts.append(f"{name} {where[name]}")
    return ", ".join(parts)


__all__ = [
    name
    for name, value in list(globals().items())
    if isinstance(value, type) and issubclass(value, (NodeDataError, Warning))
]

# Where programs find them, and `pickle` with them.
for _name in __all__:
    globals()[_name].__module__ = "nodedata"
