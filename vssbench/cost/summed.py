"""Products of two tensors that are summed afterwards: a matrix product that is written out, such as
the cost volume ``(a * b).sum(1)``.

Value by value a product is left out by rule, and so is a sum; one after the other they are what
``macs`` counts. Where one factor is the same all along the sum (a gate before a pooling), or both
are one tensor (a variance), it is none.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

#: by this name such a product is told
SUMMED = "(a * b).sum"
_ATEN = torch.ops.aten
_PRODUCTS = (_ATEN.mul, _ATEN.mul_, _ATEN.addcmul, _ATEN.addcmul_)
#: of a product and a number, or of two products, this is a product still
_KEPT = (
    _ATEN.neg, _ATEN.neg_, _ATEN.add, _ATEN.add_, _ATEN.sub, _ATEN.sub_, _ATEN.clone,
    _ATEN._to_copy,
)  # fmt: skip
_DIVIDED = (_ATEN.div, _ATEN.div_)
_SUMS = (_ATEN.sum, _ATEN.mean, _ATEN.nansum)
#: and the number of sides of their windows
_POOLINGS = {
    _ATEN.avg_pool1d: 1, _ATEN.avg_pool2d: 2, _ATEN.avg_pool3d: 3, _ATEN._adaptive_avg_pool2d: 2,
    _ATEN._adaptive_avg_pool3d: 3,
}  # fmt: skip
#: sides, the last of which is -1
Sides = frozenset[int]


class Products:
    """Follows products through calls of torch's dispatcher to the sums that are made of them."""

    def __init__(self) -> None:
        #: a tensor of products -> the sides along which both factors vary
        self._varying: Any = WeakTensorKeyDictionary()

    def are_summed(self, func: Any, args: Any, kwargs: Any, output: Any) -> bool:
        """Return whether a call sums products, and note the products that it makes or passes on."""
        packet = getattr(func, "_overloadpacket", func)
        if packet in _SUMS or packet in _POOLINGS:
            return bool(self._of(args[0]) & _summed(packet, args, kwargs))
        if not isinstance(output, Tensor):
            return False
        sides: Sides = frozenset()
        if packet in _PRODUCTS:
            sides = _both_vary(args[-2:]) | self._of(*args)
        elif packet in _KEPT:
            sides = self._of(*args)
        elif packet in _DIVIDED:
            sides = self._of(args[0])
        elif getattr(func, "is_view", False) or packet is _ATEN._unsafe_view:
            sides = _carried(self._of(args[0]), args[0], output)
        if sides:
            self._varying[output] = sides
        return False

    def _of(self, *tensors: Any) -> Sides:
        known = (self._varying.get(each) for each in tensors if isinstance(each, Tensor))
        return frozenset().union(*filter(None, known))


def _both_vary(factors: Iterable[Any]) -> Sides:
    """Return the sides along which two tensors vary, none where they are one."""
    first, second = factors
    if not (isinstance(first, Tensor) and isinstance(second, Tensor)) or first is second:
        return frozenset()
    shared = range(-min(first.dim(), second.dim()), 0)
    return frozenset(side for side in shared if first.shape[side] > 1 and second.shape[side] > 1)


def _summed(packet: Any, args: Any, kwargs: Any) -> Sides:
    """Return the sides of a tensor that are summed."""
    count = args[0].dim()
    if packet in _POOLINGS:
        return frozenset(range(-_POOLINGS[packet], 0))
    given = args[1] if len(args) > 1 else (kwargs or {}).get("dim")
    if given is None or given == []:
        return frozenset(range(-count, 0))
    sides = [given] if isinstance(given, int) else list(given)
    return frozenset(side if side < 0 else side - count for side in sides)


def _carried(sides: Sides, before: Tensor, after: Tensor) -> Sides:
    """Return the sides of a view along which both factors vary; by their sizes, where they vary
    along some alone."""
    if not sides:
        return sides
    sizes = {before.shape[side] for side in sides}
    others = {
        size for side, size in zip(range(-before.dim(), 0), before.shape, strict=True)
        if side not in sides and size > 1
    }  # fmt: skip
    return frozenset(
        side for side, size in zip(range(-after.dim(), 0), after.shape, strict=True)
        if size > 1 and (not others or (size in sizes and size not in others))
    )  # fmt: skip
