"""Sizes, spans of time and prices, as people write them."""

from __future__ import annotations

import decimal
import re

from ._mistakes import refuse

_SIZES = {
    "": 1, "B": 1,
    "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40,
}
_SECONDS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_NUMBER = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*")


def byte_size(name: str, value: int | str) -> int:
    """Bytes: a whole number, or text such as ``"256MiB"`` or ``"1.5GB"``."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    found = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    factor = _SIZES.get(found[2].upper()) if found else None
    if found is None or factor is None:
        refuse(f"`{name}` is {value!r}, which is no size", 'write a number of bytes, or "256MiB"')
    return int(decimal.Decimal(found[1]) * factor)


def seconds(name: str, value: float | str) -> float:
    """Seconds: a number, or text such as ``"10m"``."""
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < float("inf"):
        return float(value)
    found = _NUMBER.fullmatch(value) if isinstance(value, str) else None
    factor = _SECONDS.get(found[2]) if found else None
    if found is None or factor is None:
        refuse(f"`{name}` is {value!r}, which is no span of time", 'write seconds, or "90s", "10m", "2h"')
    return float(found[1]) * factor


def price(value: float | str | decimal.Decimal | None) -> str | None:
    """Dollars with at most two places: what a float is shown as, so that 199.0 is 199.00 and nothing is rounded."""
    if value is None:
        return None
    try:
        exact = decimal.Decimal(repr(value) if isinstance(value, float) else str(value))
        places = -int(exact.normalize().as_tuple().exponent)
    except (decimal.InvalidOperation, ValueError, TypeError):
        refuse(f"`price_usd` is {value!r}, which is no price", "write dollars, such as 199.00")
    if exact < 0 or places > 2:
        refuse(f"`price_usd` is {value!r}", "give 0 or more dollars, with at most two places")
    return f"{exact:.2f}"
