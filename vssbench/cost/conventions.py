"""The conventions in which a cost can be counted, by the name that the command line and every
output give: ``macs``, and those that methods bring (``conventions`` of their classes)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

from vssbench.core import registry
from vssbench.core.variant import Variant
from vssbench.cost import gmacs
from vssbench.cost.gmacs import Cost


@dataclass(frozen=True)
class Convention:
    """A way to count. ``count(variant, classes, height, width)`` takes any method; ``summary`` is
    one line for the foot of a table."""

    count: Callable[[Variant, int, int, int], Cost]
    summary: str


MACS = Convention(
    gmacs.count,
    "1 multiply-accumulate = 1; convolutions, matrix products, local attention, the warp's "
    "taps; nothing that inference does not run",
)


@cache
def conventions() -> dict[str, Convention]:
    """Return every convention by name, ``macs`` first.

    A plug-in whose class does not load, or whose conventions are none, is left out, and a line on
    stderr says so.
    """
    known = {"macs": MACS}
    for method, declared in registry.answers("methods", "conventions", _checked).items():
        for name, convention in declared.items():
            if known.setdefault(name, convention) != convention:
                registry.leave_out(
                    "conventions", f"{name} of {method}", "another one has that name"
                )
    return known


def _checked(declared: object) -> Mapping[str, Convention]:
    if isinstance(declared, Mapping) and all(
        isinstance(name, str) and isinstance(value, Convention) for name, value in declared.items()
    ):
        return declared
    raise TypeError(f"expected a dict of names and Conventions, found {declared!r}")
