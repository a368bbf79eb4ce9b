"""thop 0.0.31's arithmetic, the tool behind the GFLOPs of AR-Seg's tables, on networks of ours.

A multiply-accumulate counts as 1. A convolution costs its output's elements times (inputs / groups
* kernel + 1 for a bias), a transposed one the same (so that stride 2 counts four times what is
multiplied), a linear layer outputs times inputs, batch normalisation 2 per element, LeakyReLU 1 per
element, average pooling 1 per output, adaptive average pooling (whole pixels of the kernel + 1) per
output. Everything else is free: other activations, maximum pooling, resizing, softmax, warping and
every custom operation.

The tool hangs its hooks on modules, once for every name that a module is registered under, and then
sums over names: a module of n names counts n * n times. Where the authors' code gives a layer two
names is declared by :mod:`vssbench.methods.arseg.authors`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle


def _convolution(
    output: Tensor, x: Tensor, weight: Tensor, bias: Tensor | None = None, *_: Any, **__: Any
) -> int:
    return output.numel() * (weight[0].numel() + (bias is not None))


def _transposed(
    output: Tensor,
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *rest: Any,
    groups: int = 1,
    **_: Any,
) -> int:
    groups = rest[3] if len(rest) > 3 else groups  # after stride, padding and output_padding
    return output.numel() * (weight.shape[0] // groups * weight[0, 0].numel() + (bias is not None))


def _linear(output: Tensor, x: Tensor, weight: Tensor, *_: Any, **__: Any) -> int:
    return output.numel() * weight.shape[1]


def _normalisation(output: Tensor, *_: Any, **__: Any) -> int:
    return 2 * output.numel()


def _elements(output: Tensor, *_: Any, **__: Any) -> int:
    return output.numel()


def _adaptive_pooling(output: Tensor, x: Tensor, *_: Any, **__: Any) -> int:
    kernel = math.prod(
        whole // part for whole, part in zip(x.shape[2:], output.shape[2:], strict=True)
    )
    return output.numel() * (kernel + 1)


_RULES: dict[Callable[..., Any], Callable[..., int]] = {
    torch.conv2d: _convolution,
    torch.conv_transpose2d: _transposed,
    F.linear: _linear,
    F.batch_norm: _normalisation,
    F.leaky_relu: _elements,
    F.avg_pool2d: _elements,
    F.adaptive_avg_pool2d: _adaptive_pooling,
}


class ThopCounter(TorchFunctionMode):
    """Adds up what is called inside ``with``: :attr:`total`, in multiply-accumulates.

    ``times``: submodule -> how often what happens inside it counts, where that is not once.
    ``per_output``: submodule -> what each value that it returns adds.
    """

    def __init__(
        self,
        times: Mapping[nn.Module, int] | None = None,
        per_output: Mapping[nn.Module, int] | None = None,
    ) -> None:
        super().__init__()
        self.total = 0
        self._times, self._per_output = dict(times or {}), dict(per_output or {})
        self._factors = [1]
        self._handles: list[RemovableHandle] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = func(*args, **(kwargs or {}))
        if rule := _RULES.get(func):
            self.total += self._factors[-1] * rule(output, *args, **(kwargs or {}))
        return output

    def __enter__(self) -> ThopCounter:
        for module, times in self._times.items():
            self._handles.append(
                module.register_forward_pre_hook(
                    lambda *_, times=times: self._factors.append(times)
                )
            )
            self._handles.append(module.register_forward_hook(lambda *_: self._leave()))
        for module, each in self._per_output.items():
            self._handles.append(
                module.register_forward_hook(lambda *io, each=each: self._add(each * io[2].numel()))
            )
        super().__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        while self._handles:
            self._handles.pop().remove()

    def _leave(self) -> None:
        self._factors.pop()

    def _add(self, amount: int) -> None:
        self.total += amount
