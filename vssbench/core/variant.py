"""The bracket grammar of variants, the same for methods, datasets and codecs:
``arseg[backbone=psp18,scale=0.5]``.

A value may be a variant itself, in brackets of its own: ``copy[network=icnet[form=mmseg]]``.

A variant is a plug-in's name and the parameters that differ from that plug-in's defaults. Values
are read as integer, number, boolean or word; rates may carry a suffix (``3M``, ``300k``), which is
kept as a word for the codec to read.
"""

from __future__ import annotations

import math
import re
import sys
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from vssbench.core.errors import UsageError

Value = int | float | bool | str

_NAME = re.compile(r"[A-Za-z_][\w.-]*")
_VARIANT = re.compile(r"\s*([A-Za-z_][\w.-]*)\s*(?:\[(.*)\])?\s*", re.DOTALL)
#: a word, or a variant with brackets of its own
_VALUE = re.compile(r"[^\[\]=]*|[A-Za-z_][\w.-]*\s*\[.*\]", re.DOTALL)
_INTEGER = re.compile(r"[+-]?\d+")
#: what 64 bits hold, and digits that it can have
_LARGEST, _DIGITS = (1 << 63) - 1, 20
_NUMBER = re.compile(r"[+-]?(\d+\.\d*|\.\d+|\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True)
class Variant:
    """A plug-in name with parameters. ``str(variant)`` can be typed again and parses to an equal
    variant."""

    name: str
    params: dict[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        if not self.params:
            return self.name
        params = ",".join(f"{key}={format_value(value)}" for key, value in self.params.items())
        return f"{self.name}[{params}]"

    def __hash__(self) -> int:
        # equal variants may be typed in another order
        return hash((self.name, frozenset(self.params.items())))


def parse_variant(text: str) -> Variant:
    """Read ``name`` or ``name[key=value,...]``. Raises UsageError that shows the part that does not
    read."""
    name, params = _read(text)
    return Variant(name, dict(params))


@lru_cache(maxsize=4096)
def _read(text: str) -> tuple[str, tuple[tuple[str, Value], ...]]:
    """Return a variant's name and parameters; tables of thousands of runs read the same few
    texts."""
    match = _VARIANT.fullmatch(text)
    if match is None:
        raise UsageError(f"cannot read the variant {text!r}: expected NAME or NAME[key=value,...]")
    name, inside = match.groups()
    params: dict[str, Value] = {}
    for part in _parts(inside or ""):
        if not part.strip():
            if (inside or "").strip():
                raise UsageError(
                    f"cannot read the variant {text!r}: an empty entry between the commas"
                )
            continue
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not _NAME.fullmatch(key) or not value or not _VALUE.fullmatch(value):
            raise UsageError(
                f"cannot read {part.strip()!r} in {text!r}: expected key=value, as in "
                "arseg[scale=0.5]"
            )
        if key in params:
            raise UsageError(f"{key!r} is given twice in {text!r}")
        params[key] = _nested(value) if "[" in value else parse_value(value)
    return name, tuple(params.items())


def _nested(text: str) -> str:
    """Return a variant as a value: equal ones, in whatever order they were typed, are the same
    text."""
    inner = parse_variant(text)
    return str(Variant(inner.name, dict(sorted(inner.params.items()))))


def _parts(text: str) -> list[str]:
    """Split a text at the commas that are in no brackets."""
    parts, depth = [""], 0
    for mark in text:
        depth += (mark == "[") - (mark == "]")
        if mark == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += mark
    return parts


def parse_value(text: str) -> Value:
    """Return ``true``/``false``/``on``/``off`` as booleans, then integers, then numbers, else the
    word itself."""
    lowered = text.lower()
    if lowered in ("true", "on", "yes"):
        return True
    if lowered in ("false", "off", "no"):
        return False
    if _INTEGER.fullmatch(text):
        number = int(text) if len(text) <= _DIGITS else math.inf
        return int(_bounded(text, number, _LARGEST))
    if _NUMBER.fullmatch(text):
        return _bounded(text, float(text), sys.float_info.max)
    return text


def _bounded(text: str, number: float, largest: float) -> float:
    """Return a number that its type holds. Raises UsageError for one that it does not."""
    if abs(number) > largest:
        shown = text if len(text) <= _DIGITS else f"{text[:8]}... ({len(text)} digits)"
        raise UsageError(f"the number {shown} is too large: expected at most {largest:g}")
    return number


def format_value(value: Any) -> str:
    """Return the text of a value as it is typed: booleans in lower case, numbers without a needless
    ``.0``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(float(value)).removesuffix(".0")
    return str(value)
