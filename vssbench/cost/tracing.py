"""fvcore reads a graph that torch.jit traces; here the trace is taken on the meta device, without a
single multiplication.

torch traces a convolution as ``aten::_convolution`` from inside the CPU's kernel, which the meta
device does not have; there the trace would miss every convolution. Within
:class:`TracedConvolutions` they are called by that name from the start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from vssbench.core.uncompiled import uncompiled


class _Geometry(NamedTuple):
    """The arguments of a transposed convolution after its bias, in the order of torch."""

    stride: Any = 1
    padding: Any = 0
    output_padding: Any = 0
    groups: int = 1
    dilation: Any = 1


def _many(value: int | Sequence[int], weight: Tensor) -> list[int]:
    """Return one number for each side of the kernel."""
    return [value] * (weight.dim() - 2) if isinstance(value, int) else list(value)


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> Tensor:
    if isinstance(padding, str):
        around = _same(weight, _many(dilation, weight)) if padding == "same" else []
        x, padding = F.pad(x, around), 0
    return _traced(x, weight, bias, _Geometry(stride, padding, 0, groups, dilation), False)


def _same(weight: Tensor, dilation: list[int]) -> list[int]:
    """Return zeros before and after, with which a convolution keeps the size.

    The last side comes first.
    """
    missing = [step * (side - 1) for step, side in zip(dilation, weight.shape[2:], strict=True)]
    return [amount for total in reversed(missing) for amount in (total // 2, total - total // 2)]


def _transposed(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, *rest: Any, **named: Any
) -> Tensor:
    return _traced(x, weight, bias, _Geometry(*rest, **named), True)


def _traced(
    x: Tensor, weight: Tensor, bias: Tensor | None, geometry: _Geometry, transposed: bool
) -> Tensor:
    sides = (geometry.stride, geometry.padding, geometry.dilation, geometry.output_padding)
    stride, padding, dilation, output_padding = (_many(value, weight) for value in sides)
    flags = (False, False, False, False)  # of cuDNN
    return torch._convolution(
        *(x, weight, bias, stride, padding, dilation, transposed, output_padding),
        geometry.groups,
        *flags,
    )


_NAMES: dict[Any, Callable[..., Tensor]] = {
    **dict.fromkeys((torch.conv1d, torch.conv2d, torch.conv3d), _convolution),
    **dict.fromkeys(
        (torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d), _transposed
    ),
}


class _Names(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _NAMES.get(func, func)(*args, **(kwargs or {}))


@uncompiled
class _Shapes(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.ops.aten._convolution.default:
            return torch.ops.aten.convolution.default(*args[:9])
        return func(*args, **(kwargs or {}))


class TracedConvolutions(ExitStack):
    """Inside ``with``, on the meta device, torch.jit's trace holds the convolutions."""

    def __enter__(self) -> TracedConvolutions:
        super().__enter__()
        self.enter_context(_Names())
        self.enter_context(_Shapes())
        return self
