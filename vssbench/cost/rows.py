"""The row of a method in a table of costs."""

from __future__ import annotations

from typing import Any

from vssbench.core.errors import UsageError
from vssbench.core.variant import Variant
from vssbench.cost.conventions import conventions
from vssbench.cost.gmacs import count, meta_model, parameters


def counted(
    variant: Variant, classes: int, size: tuple[int, int], gop: int, convention: str
) -> dict[str, Any]:
    """Return the parameters of a method and its GMACs on each kind of frame and over a GOP.

    ``size`` is (height, width); ``uncounted`` lists the operators that may multiply and have no
    formula. Raises UsageError for an unknown convention, or a size that the
    network does not take.
    """
    known = conventions()
    if convention not in known:
        raise UsageError(f"unknown convention {convention!r}: expected {', '.join(known)}")
    its = known[convention].count(variant, classes, *size)
    plain = its if convention == "macs" else count(variant, classes, *size)
    model = meta_model(variant, classes)
    return {
        "method": str(variant),
        "display": model.display,
        "convention": convention,
        "params": its.params,
        "params_training": parameters(model).training,
        "gmacs_key": its.gmacs_key,
        "gmacs_nonkey": its.gmacs_nonkey,
        "gmacs_gop": its.gmacs_gop(gop),
        "uncounted": list(plain.uncounted),
    }
