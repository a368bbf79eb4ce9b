"""Shapes of operators that no convention counts, from short substitutes on torch's meta device.

torch derives the shape of a bilinear resize or of batch normalisation by tracing its decomposition
into elementary operations, which takes longer than counting all convolutions of the network; and
for the type of a sum it imports its compiler, once a process, which takes longer than both.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from vssbench.core.uncompiled import leave_shapes_uncompiled, uncompiled


def _same(x: Tensor, inplace: bool = False) -> Tensor:
    return torch.empty_like(x)


def _leaky(x: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    return torch.empty_like(x)


def _softmax(x: Tensor, dim: int, _stacklevel: int = 3, dtype: None = None) -> Tensor | None:
    return x.new_empty(x.shape) if dtype is None and -x.dim() <= dim < x.dim() else None


class _Shapeless(NamedTuple):
    """The last arguments of batch normalisation, on which no shape depends."""

    momentum: float = 0.1
    eps: float = 1e-5


def _normalised(
    x: Tensor,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    *rest: float,
    **named: float,
) -> Tensor | None:
    _Shapeless(*rest, **named)  # a TypeError for an argument that torch does not know
    own = [values for values in (mean, variance, weight, bias) if values is not None]
    fit = (
        x.dim() > 1
        and _in_order(x)
        and all(_is_plain(values) and values.shape == x.shape[1:2] for values in own)
    )
    return torch.empty_like(x) if fit and not training else None


def _prelu(x: Tensor, weight: Tensor) -> Tensor | None:
    return torch.empty_like(x) if x.dim() > 1 and weight.numel() in (1, x.shape[1]) else None


def _resized(
    x: Tensor,
    size: Any = None,
    scale_factor: Any = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor | None:
    if (
        x.dim() != 4
        or not _in_order(x)
        or mode not in ("nearest", "bilinear")
        or (size is None) == (scale_factor is None)
    ):
        return None
    if recompute_scale_factor or antialias or (mode == "nearest" and align_corners is not None):
        return None
    asked = size if scale_factor is None else scale_factor
    asked = list(asked) if isinstance(asked, tuple | list) else [asked] * 2
    if len(asked) != 2 or not all(
        isinstance(value, int if scale_factor is None else int | float) for value in asked
    ):
        return None
    sides = (
        asked
        if scale_factor is None
        else [side * factor for side, factor in zip(x.shape[2:], asked, strict=True)]
    )
    return x.new_empty((*x.shape[:2], *map(int, sides)))


def _elementwise(x: Tensor, other: Any) -> Tensor | None:
    usable = (
        _is_plain(other) or other.dim() == 0
        if isinstance(other, Tensor)
        else isinstance(other, int | float)
    )
    if not usable or torch.bool in (x.dtype, getattr(other, "dtype", None)):
        return None
    # the wider type of the two, where a tensor without sides, as a plain number, has no say beside
    # one that has some
    kind = torch.result_type(x, other)
    shape = torch.broadcast_shapes(x.shape, other.shape) if isinstance(other, Tensor) else x.shape
    if shape == x.shape:
        return torch.empty_like(x, dtype=kind)  # in x's order, whatever the other's
    if shape.numel() > max(x.numel(), other.numel()):
        return None  # of a column and a row: torch's own, so that an outer product is seen
    return x.new_empty(shape, dtype=kind) if _in_order(x) and _in_order(other) else None


def _pooled(x: Tensor, output_size: Any) -> Tensor | None:
    each = isinstance(output_size, tuple | list)
    size = list(output_size) if each else [output_size] * 2
    known = all(isinstance(side, int) or (side is None and each) for side in size)
    if x.dim() not in (3, 4) or not _in_order(x) or len(size) != 2 or not known:
        return None
    sides = (
        side if wanted is None else wanted for side, wanted in zip(x.shape[-2:], size, strict=True)
    )
    return x.new_empty((*x.shape[:-2], *sides))


def _joined(parts: Any, dim: int = 0) -> Tensor | None:
    first = parts[0]
    if not -first.dim() <= dim < first.dim() or any(part.dtype != first.dtype for part in parts):
        return None
    if any(part.dim() != first.dim() or not _in_order(part) for part in parts):
        return None
    shapes = [list(part.shape) for part in parts]
    joined = sum(shape.pop(dim) for shape in shapes)
    if any(shape != shapes[0] for shape in shapes):
        return None
    shapes[0].insert(dim % first.dim(), joined)
    return first.new_empty(shapes[0])


def _mean(x: Tensor, dim: Any = None, keepdim: bool = False) -> Tensor | None:
    asked = range(x.dim()) if dim is None else dim if isinstance(dim, tuple | list) else [dim]
    dims = {d % x.dim() for d in asked if -x.dim() <= d < x.dim()}
    if not dims or len(dims) < len(asked) or not _in_order(x):
        return None
    return x.new_empty(
        [1 if d in dims else side for d, side in enumerate(x.shape) if keepdim or d not in dims]
    )


#: function -> the output of a call in its usual form; None, or a TypeError for arguments that it
#: does not take, for any other
_SHAPES: dict[Callable[..., Any], Callable[..., Tensor | None]] = {
    F.interpolate: _resized,
    F.batch_norm: _normalised,
    F.relu: _same,
    F.leaky_relu: _leaky,
    F.prelu: _prelu,
    torch.prelu: _prelu,
    torch.sigmoid: _same,
    F.softmax: _softmax,
    F.adaptive_avg_pool2d: _pooled,
    torch.cat: _joined,
    torch.Tensor.mean: _mean,
    torch.Tensor.add: _elementwise,
    torch.Tensor.sub: _elementwise,
    torch.Tensor.mul: _elementwise,
    torch.Tensor.div: _elementwise,
}


#: those of them that multiply, sum, or pass on what is multiplied, as torch's dispatcher names them
_OPERATORS = {
    F.adaptive_avg_pool2d: torch.ops.aten._adaptive_avg_pool2d,
    torch.Tensor.mean: torch.ops.aten.mean,
    torch.Tensor.add: torch.ops.aten.add,
    torch.Tensor.sub: torch.ops.aten.sub,
    torch.Tensor.mul: torch.ops.aten.mul,
    torch.Tensor.div: torch.ops.aten.div,
}
#: takes an operator, the arguments of its call, and its output
Told = Callable[[Any, Any, Any, Tensor], object]


#: what torch.nn.init fills weights with
_FILLING = (torch.Tensor.normal_, torch.Tensor.uniform_)


class Unfilled(TorchFunctionMode):
    """Inside ``with``, weights on the meta device are not filled with random numbers: torch would
    do so by operators written in Python, for which it imports its compiler, and that takes longer
    than building the network."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in _FILLING and args[0].is_meta else func(*args, **(kwargs or {}))


class ShapesAlone(TorchFunctionMode):
    """Inside ``with``, on the meta device, these functions return a tensor of the right shape and
    type and do nothing else.

    That is so for results of floating-point numbers and a function's usual arguments. All else is
    torch's own: what makes integers and masks; most views in another order, which results follow;
    arguments by numpy's names; and what it must refuse, as an input without any pixel, a resize to
    none, or parts that do not fit. ``told`` is told of calls that torch's dispatcher does not see,
    as far as they have to do with products.
    """

    def __init__(self, told: Told = lambda operator, args, kwargs, output: None) -> None:
        super().__init__()
        leave_shapes_uncompiled()
        self._told = told

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shape = _SHAPES.get(func)
        if shape is not None and args and _are_plain(args[0]):
            with suppress(TypeError, RuntimeError):
                output = shape(*args, **(kwargs or {}))
                if output is not None and output.numel() > 0 and output.is_floating_point():
                    if func in _OPERATORS:
                        self._told(_OPERATORS[func], args, kwargs, output)
                    return output
        return func(*args, **(kwargs or {}))


def _are_plain(first: Any) -> bool:
    """Return whether a function's first argument, a tensor or several, is plain."""
    parts = [first] if isinstance(first, Tensor) else first
    return (
        isinstance(parts, list | tuple)
        and bool(parts)
        and all(isinstance(p, Tensor) and _is_plain(p) for p in parts)
    )


def _is_plain(x: Tensor) -> bool:
    """Return whether a tensor is on the meta device, each value in a place of its own."""
    return x.is_meta and 0 not in _strides(x)


def _in_order(x: Tensor) -> bool:
    """Return whether a tensor's places in memory follow the order of its sides.

    They do in a new tensor and in a crop of one.
    """
    strides = _strides(x)
    return strides == sorted(strides, reverse=True)


def _strides(x: Tensor) -> list[int]:
    return [stride for side, stride in zip(x.shape, x.stride(), strict=True) if side > 1]


@uncompiled
class ResizingAlone(TorchDispatchMode):
    """Inside ``with``, bilinear resizing on the meta device makes a tensor of the right shape and
    does nothing else; unlike within :class:`ShapesAlone` it is still called by its name, for
    counters that list the operators."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if (
            func is torch.ops.aten.upsample_bilinear2d.default
            and args[0].is_meta
            and 0 not in args[1]
        ):
            return args[0].new_empty((*args[0].shape[:2], *args[1]))
        return func(*args, **(kwargs or {}))
