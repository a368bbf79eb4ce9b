"""Lists every published network that can be imported: the ``originals`` of each method's class."""

from __future__ import annotations

from functools import cache
from typing import Any

from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.weights.original import Original


@cache
def catalogue() -> tuple[Original, ...]:
    """Return all originals, in the order of their methods' names.

    A plug-in whose class does not load, or whose originals are none, is left out, and a line on
    stderr says so.
    """
    declared = registry.answers("methods", "originals", _checked).values()
    # a class may inherit another plug-in's
    return tuple({id(original): original for each in declared for original in each}.values())


def of_method(method: str) -> tuple[Original, ...]:
    """Return the originals that a method's weights can come from, whichever plug-in declares them.
    Raises UsageError where the method's own cannot be used."""
    try:
        _checked(registry.load("methods", method).originals)
    except TypeError as error:
        raise UsageError(f"the originals of {method} cannot be used: {error}") from error
    return tuple(original for original in catalogue() if original.method == method)


def _checked(declared: Any) -> tuple[Original, ...]:
    originals = tuple(declared)
    for each in originals:
        if not isinstance(each, Original):
            raise TypeError(f"expected objects of the class Original, found {each!r}")
    return originals
