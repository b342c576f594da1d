"""The mistakes that Python itself finds; the exceptions are those of the native half."""

from __future__ import annotations

import difflib
import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, ParamSpec, TypeVar

from ._native import ConfigError

P = ParamSpec("P")
R = TypeVar("R")


def refuse(message: str, hint: str | None = None, **where: object) -> NoReturn:
    """Raises what is wrong with what the caller gave."""
    raise ConfigError(message, where, hint)


def near(name: str, known: Iterable[str]) -> str | None:
    """The known name that looks most like another one."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return found[0] if found else None


def hint_of(name: str, known: Iterable[str]) -> str:
    """What the user may have meant, or all there is."""
    known = list(known)
    found = near(name, known)
    return f"did you mean `{found}`?" if found else "there are " + ", ".join(f"`{it}`" for it in known)


def one_of(name: str, value: object, allowed: tuple[Any, ...]) -> Any:
    """A value of a closed set."""
    # `1 == True`, so that equality alone would let numbers through.
    if any(value is it or (isinstance(value, str) and value == it) for it in allowed):
        return value
    words = [it for it in allowed if isinstance(it, str)]
    found = near(value, words) if isinstance(value, str) else None
    listed = ", ".join(repr(it) for it in allowed if it is not None)
    refuse(f"`{name}` is {value!r}", f"did you mean {found!r}?" if found else f"use one of {listed}")


def whole(name: str, value: object, least: int = 0) -> int:
    """A whole number of at least ``least``."""
    try:
        number = value.__index__()  # type: ignore[attr-defined]
    except AttributeError:
        refuse(f"`{name}` is {value!r}", "give a whole number")
    if isinstance(value, bool) or number < least:
        refuse(f"`{name}` is {value!r}", f"give a whole number of at least {least}")
    return int(number)


def within(name: str, value: object, count: int) -> int:
    """The position of one of ``count`` things; negative ones count from the end.

    Raises ``IndexError`` as lists do, by which loops know where to end."""
    at = whole(name, value, -(1 << 63))
    if not -count <= at < count:
        raise IndexError(f"{name} {at} of {count}")
    return at % count


def known_keywords(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a keyword that is none a `ConfigError` with the one that was meant, as every other unknown name."""
    known = [
        it.name
        for it in inspect.signature(function).parameters.values()
        if it.name != "self" and it.kind in (it.POSITIONAL_OR_KEYWORD, it.KEYWORD_ONLY)
    ]

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        for name in kwargs:
            if name not in known:
                refuse(f"`{function.__name__}` has no keyword `{name}`", hint_of(name, known))
        return function(*args, **kwargs)

    return checked
