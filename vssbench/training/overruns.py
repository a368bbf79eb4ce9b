"""Finds convolutions whose weights' gradient some kernels compute beyond its memory.

On a CPU torch leaves convolutions to oneDNN, of which some releases (3.12 in torch 2.13) do two
things wrong in channels-last: they read beyond a buffer for dilated convolutions in bf16 whose
channels are no multiple of 16, and write beyond one for strided 1x1 convolutions of fewer than 16
channels. The gradient may be right all the same, so that no comparison tells; but the process
crashes now and then, or goes on with what lay behind the buffer changed. In NCHW they do neither.
"""

from __future__ import annotations

from torch import nn

#: channels that oneDNN's kernels take at a time
_BLOCK = 16


def overrunning(model: nn.Module, device: str, precision: str) -> dict[str, nn.Module]:
    """Return the convolutions of a network, by their names, whose weights are not trained in
    channels-last on this device in this precision."""
    if device != "cpu":
        return {}
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d)
        and module.weight.requires_grad
        and (_writes_beyond(module) or (precision == "bf16" and _reads_beyond(module)))
    }


def _reads_beyond(layer: nn.Conv2d) -> bool:
    dilated = max(layer.dilation) > 1 and max(layer.stride) == 1
    return dilated and layer.in_channels // layer.groups % _BLOCK != 0


def _writes_beyond(layer: nn.Conv2d) -> bool:
    strided = max(layer.kernel_size) == 1 and max(layer.stride) > 1
    return strided and layer.in_channels // layer.groups < _BLOCK
