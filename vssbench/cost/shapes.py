"""What no convention counts by what it computes, run on torch's meta device for its output's shape alone.

torch derives the shape of a bilinear resize or of batch normalisation by tracing its decomposition into elementary operations,
which takes longer than counting all convolutions of the network.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode


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


_SHAPES: dict[Callable[..., Any], Callable[..., Tensor]] = {
    F.interpolate: _resized,
    F.batch_norm: _same,
    F.relu: _same,
    F.leaky_relu: _same,
    F.prelu: _same,
}


class ShapesAlone(TorchFunctionMode):
    """Inside ``with``, on the meta device, these functions return a tensor of the right shape and do nothing else.

    An input without any pixel, or a resize to none, is torch's own to refuse.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        shape = _SHAPES.get(func)
        if shape is not None and args and args[0].is_meta:
            output = shape(*args, **(kwargs or {}))
            if output.numel() > 0:
                return output
        return func(*args, **(kwargs or {}))


class ResizingAlone(TorchDispatchMode):
    """Inside ``with``, bilinear resizing on the meta device makes a tensor of the right shape and does nothing else; unlike
    within :class:`ShapesAlone` it is still called by its name, for counters that list the operators."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten.upsample_bilinear2d.default and args[0].is_meta and 0 not in args[1]:
            return args[0].new_empty((*args[0].shape[:2], *args[1]))
        return func(*args, **(kwargs or {}))
