"""Lists every published network that can be imported: the ``originals`` of each method's class."""

from __future__ import annotations

from functools import cache

from vssbench.core import registry
from vssbench.weights.original import Original


@cache
def catalogue() -> tuple[Original, ...]:
    """All originals, in the order of their methods' names."""
    found: list[Original] = []
    for name in registry.plugins("methods"):
        found.extend(registry.load("methods", name).originals)
    return tuple(found)


def of_method(method: str) -> tuple[Original, ...]:
    """The originals that a method's weights can come from."""
    return tuple(original for original in catalogue() if original.method == method)
