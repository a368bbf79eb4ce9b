"""Times and sizes as they are typed: ``90``, ``45m``, ``2h``; ``500M``, ``4G``."""

from __future__ import annotations

import re

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_BYTES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
#: bytes that a limit of memory leaves at least: below, Python itself does not start
_LEAST_MEMORY = 10**7
#: digits before the point: more than any time or size has
_DIGITS = 15
_QUANTITY = re.compile(rf"(0*[0-9]{{1,{_DIGITS}}}(?:\.[0-9]+)?)\s*([a-z]?)")


def seconds(text: str | float) -> float:
    """Return a time in seconds. Raises ValueError for what is no time above 0."""
    return _read(text, _SECONDS, "a time as 90, 45m or 2h")


def size(text: str | float) -> int:
    """Return a number of bytes. Raises ValueError for what is no size above 0."""
    return round(_read(text, _BYTES, "a size as 500M or 4G"))


def memory(text: str | float) -> int:
    """Return a limit of memory in bytes. Raises ValueError for what is no size, or is too little
    for any process."""
    count = size(text)
    if count < _LEAST_MEMORY:
        raise ValueError(
            f"{str(text)!r} is {size_in_words(count)}, less than any process takes: expected a "
            "size as 500M or 4G"
        )
    return count


def size_in_words(count: float) -> str:
    """Return a number of bytes for people: ``12 kB``, ``3.4 GB``."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _read(text: str | float, units: dict[str, int], expected: str) -> float:
    match = _QUANTITY.fullmatch(str(text).strip().lower())
    if match is None or match[2] not in units or isinstance(text, bool) or float(match[1]) == 0:
        shown = repr(text) if len(str(text)) <= 40 else f"{str(text)[:40]!r}..."
        raise ValueError(f"{shown} is not {expected}")
    return float(match[1]) * units[match[2]]
