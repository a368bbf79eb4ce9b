"""Every original that can be imported: the tuples ``ORIGINALS`` of this package's modules."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache

from vssbench import originals
from vssbench.originals.original import Original


@cache
def catalogue() -> tuple[Original, ...]:
    """All originals, in the order of their modules' names."""
    found: list[Original] = []
    for info in pkgutil.iter_modules(originals.__path__):
        module = importlib.import_module(f"{originals.__name__}.{info.name}")
        found.extend(getattr(module, "ORIGINALS", ()))
    return tuple(found)


def of_method(method: str) -> tuple[Original, ...]:
    """The originals that a method's weights can come from."""
    return tuple(original for original in catalogue() if original.method == method)
