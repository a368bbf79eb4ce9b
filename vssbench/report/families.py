"""Families of methods: variants that differ in nothing but the scale at which their network works,
as 0.3x to 1.0x of AR-Seg's Figure 4a."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.variant import Variant, parse_variant
from vssbench.report.rows import Row

SCALE = "scale"


@cache
def family_of(method: str) -> Variant:
    """Return a method without its scale, its parameters in alphabetical order."""
    variant = parse_variant(method)
    others = {name: value for name, value in sorted(variant.params.items()) if name != SCALE}
    return Variant(variant.name, others)


@cache
def scale_of(method: str) -> float | None:
    """Return the scale of a method: that typed, else its plug-in's default; None where it has
    none."""
    variant = parse_variant(method)
    value = variant.params.get(SCALE)
    if value is None:
        try:
            value = registry.resolved("methods", variant).get(SCALE)
        except UsageError:  # a method that is not installed here, or had other parameters
            return None
    return float(value) if isinstance(value, int | float) else None


def family_name(rows: Sequence[Row]) -> str:
    """Return the name of a family: its members' without the scale (AR-PSP18 of AR0.5-PSP18 and
    AR0.6-PSP18), or as typed where these differ in more."""
    names = {unscaled(row) for row in rows}
    return names.pop() if len(names) == 1 else str(family_of(rows[0]["method"]))


def unscaled(row: Row) -> str:
    """Return the name of a row's method without its scale."""
    name, scale = str(row["display"]), scale_of(row["method"])
    for text in () if scale is None else (f" {scale:g}x", f" {scale:.1f}x", f"{scale:.1f}"):
        if text in name:
            return name.replace(text, "", 1)
    return name
