"""The same plug-in as someone else may type it."""

from __future__ import annotations

from vssbench.core import registry
from vssbench.core.variant import Variant


def in_full(kind: str, variant: Variant) -> Variant:
    """Return a plug-in with every parameter, the last one first."""
    parameters = registry.resolved(kind, variant)
    return Variant(variant.name, dict(reversed(parameters.items())))
