"""What no convention counts by what it computes, run on torch's meta device for its output's shape alone.

torch derives the shape of a bilinear resize or of batch normalisation by tracing its decomposition into elementary operations,
which takes longer than counting all convolutions of the network; and for the type of a sum it imports its compiler, once a
process, which takes longer than both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from vssbench.uncompiled import uncompiled


def _same(x: Tensor, *_: Any, **__: Any) -> Tensor:
    return x.new_empty(x.shape)


def _resized(x: Tensor, size: Any = None, scale_factor: Any = None, *_: Any, **__: Any) -> Tensor:
    sides = x.shape[2:]
    if size is None:
        factors = scale_factor if isinstance(scale_factor, tuple | list) else [scale_factor] * len(sides)
        size = [int(side * factor) for side, factor in zip(sides, factors, strict=True)]
    elif isinstance(size, int):
        size = [size] * len(sides)
    return x.new_empty((*x.shape[:2], *size))


def _elementwise(x: Tensor, other: Any, *_: Any, **__: Any) -> Tensor:
    if not isinstance(other, Tensor):
        return x.new_empty(x.shape)
    return x.new_empty(torch.broadcast_shapes(x.shape, other.shape), dtype=torch.promote_types(x.dtype, other.dtype))


def _pooled(x: Tensor, output_size: Any, *_: Any, **__: Any) -> Tensor:
    size = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    sides = (side if wanted is None else wanted for side, wanted in zip(x.shape[-2:], size, strict=True))
    return x.new_empty((*x.shape[:-2], *sides))


def _joined(parts: Any, dim: int = 0, *_: Any, **__: Any) -> Tensor:
    shapes = [list(part.shape) for part in parts]
    joined = sum(shape.pop(dim) for shape in shapes)
    if any(shape != shapes[0] for shape in shapes):
        return parts[0].new_empty(0)  # torch's to refuse
    shapes[0].insert(dim % parts[0].dim(), joined)
    return parts[0].new_empty(shapes[0])


def _mean(x: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> Tensor:
    dims = range(x.dim()) if dim is None else [d % x.dim() for d in (dim if isinstance(dim, tuple | list) else (dim,))]
    kept = [1 if d in dims else side for d, side in enumerate(x.shape) if keepdim or d not in dims]
    return x.new_empty(kept)


_SHAPES: dict[Callable[..., Any], Callable[..., Tensor]] = {
    F.interpolate: _resized,
    F.batch_norm: _same,
    F.relu: _same,
    F.leaky_relu: _same,
    F.prelu: _same,
    torch.prelu: _same,
    torch.sigmoid: _same,
    F.softmax: _same,
    F.adaptive_avg_pool2d: _pooled,
    torch.cat: _joined,
    torch.Tensor.mean: _mean,
    torch.Tensor.add: _elementwise,
    torch.Tensor.sub: _elementwise,
    torch.Tensor.mul: _elementwise,
    torch.Tensor.div: _elementwise,
}


#: what torch.nn.init fills weights with
_FILLING = (torch.Tensor.normal_, torch.Tensor.uniform_)


class Unfilled(TorchFunctionMode):
    """Inside ``with``, weights on the meta device are not filled with random numbers: torch would do so by operators written in
    Python, for which it imports its compiler, and that takes longer than building the network."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return args[0] if func in _FILLING and args[0].is_meta else func(*args, **(kwargs or {}))


class ShapesAlone(TorchFunctionMode):
    """Inside ``with``, on the meta device, these functions return a tensor of the right shape and do nothing else.

    An input without any pixel, a resize to none, or parts that do not fit, are torch's own to refuse.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shape = _SHAPES.get(func)
        if shape is not None and args and _is_meta(args[0]):
            output = shape(*args, **(kwargs or {}))
            if output.numel() > 0:
                return output
        return func(*args, **(kwargs or {}))


def _is_meta(first: Any) -> bool:
    """Of a function's first argument, a tensor or several."""
    parts = [first] if isinstance(first, Tensor) else first
    return bool(parts) and all(isinstance(part, Tensor) and part.is_meta for part in parts)


@uncompiled
class ResizingAlone(TorchDispatchMode):
    """Inside ``with``, bilinear resizing on the meta device makes a tensor of the right shape and does nothing else; unlike
    within :class:`ShapesAlone` it is still called by its name, for counters that list the operators."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.upsample_bilinear2d.default and args[0].is_meta and 0 not in args[1]:
            return args[0].new_empty((*args[0].shape[:2], *args[1]))
        return func(*args, **(kwargs or {}))
