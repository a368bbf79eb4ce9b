"""Bilinear x2, 3x3 convolution, batch norm and PReLU as one step with a quarter of the
multiplications (inference).

A 1x1 convolution and a bilinear upsampling commute, both being linear, one over channels and one
over places. So the nine taps of the convolution are applied at low resolution, and their products
are upsampled, shifted and summed. The three upsampling stages of AR-Seg's PSPNet18 have half of its
multiplications.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench import native
from vssbench.native.threads import in_parallel, scratch

PANEL = 32  # of upsampled_conv.c
#: output channels of a tile: the products of its nine taps stay in the cache
_GROUP = 64
_TILE_COLUMNS, _TILE_ROWS = 46, 45


class UpsampledConv(nn.Module):
    """``act(conv(interpolate(x, scale_factor=2)))`` of (N, C, h, w), bilinear, corners not aligned:
    (N, D, 2 h, 2 w).

    ``conv`` is a 3x3 convolution with padding 1, its batch norm folded into it already; ``slope``
    is PReLU's, one number or one a channel; 0 is ReLU, 1 no activation. The compiled kernel is used
    on a CPU, else the plain form.
    """

    slope: Tensor
    matrix: Tensor

    def __init__(self, conv: nn.Conv2d, slope: Tensor) -> None:
        super().__init__()
        self.conv = conv
        self.register_buffer(
            "slope",
            slope.detach().float().flatten().expand(conv.out_channels).clone(),
            persistent=False,
        )
        self.register_buffer("matrix", packed_taps(conv.weight.detach().float()), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        kernels = native.library() if self._suits(x) else None
        return self.plain(x) if kernels is None else self.compiled(kernels, x)

    def _suits(self, x: Tensor) -> bool:
        tracing = torch.jit.is_tracing() or torch.compiler.is_compiling()
        known = x.dtype in (torch.float32, torch.bfloat16)
        return (
            x.device.type == self.matrix.device.type == "cpu"
            and known
            and not torch.is_grad_enabled()
            and not tracing
        )

    def plain(self, x: Tensor) -> Tensor:
        """Compute the three steps one by one."""
        x = self.conv(F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False))
        return F.prelu(x, self.slope.to(x.dtype))

    def compiled(self, kernels: ctypes.CDLL, x: Tensor) -> Tensor:
        """Compute by upsampled_conv.c, with sums in float32.

        The result is channels-last and has x's type.
        """
        count, inputs, height, width = x.shape
        outputs = self.conv.out_channels
        source = x.float().contiguous(memory_format=torch.channels_last)
        out = torch.empty(
            (count, outputs, 2 * height, 2 * width),
            dtype=x.dtype,
            memory_format=torch.channels_last,
        )
        group = group_of(outputs)
        padding = (0, -outputs % group)
        bias = torch.zeros(outputs) if self.conv.bias is None else self.conv.bias.detach().float()
        bias, slope = F.pad(bias, padding), F.pad(self.slope, padding)
        pointers = (tensor.data_ptr() for tensor in (source, self.matrix, bias, slope, out))
        step = _Upsampling(
            *pointers, height, width, inputs, outputs, group, x.dtype == torch.bfloat16
        )
        columns, rows = min(width, _TILE_COLUMNS), min(height, _TILE_ROWS)
        kernels.upsampled_conv_scratch.restype = ctypes.c_int64
        floats = kernels.upsampled_conv_scratch(ctypes.byref(step), ctypes.c_int64(columns))

        def tile(image: int, number: int, first: int, left: int) -> None:
            size = (first, min(rows, height - first), left, min(columns, width - left))
            place = (ctypes.c_int64(n) for n in (image, number, *size))
            kernels.upsampled_conv_tile(
                ctypes.byref(step), *place, ctypes.c_void_p(scratch(floats).data_ptr())
            )

        places = [
            (first, left) for first in range(0, height, rows) for left in range(0, width, columns)
        ]
        groups = range(-(-outputs // group))
        in_parallel(
            tile,
            [
                (image, number, *place)
                for image in range(count)
                for number in groups
                for place in places
            ],
        )
        return out


class _Upsampling(ctypes.Structure):
    """``Upsampling`` of upsampled_conv.c."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in ("input", "weights", "bias", "slope", "out")),
        *(
            (name, ctypes.c_int64)
            for name in ("height", "width", "inputs", "outputs", "group", "bf16")
        ),
    )


def group_of(outputs: int) -> int:
    """Return output channels of a tile: all, padded to whole panels, or 64 of them."""
    return min(_GROUP, -(-outputs // PANEL) * PANEL)


def packed_taps(weight: Tensor) -> Tensor:
    """Weight (D, C, 3, 3) as (groups, 9 * group / PANEL, C, PANEL), whose columns are (tap, channel
    of the group).

    Flat, since ``Module.to(memory_format=...)`` would reorder four dimensions.
    """
    outputs, inputs = weight.shape[:2]
    group = group_of(outputs)
    groups = -(-outputs // group)
    taps = F.pad(weight.flatten(2), (0, 0, 0, 0, 0, groups * group - outputs)).view(
        groups, group, inputs, 9
    )
    columns = taps.permute(0, 3, 1, 2).reshape(groups, 9 * group // PANEL, PANEL, inputs)
    return columns.transpose(2, 3).flatten()


@native.check_with
def _cases(kernels: ctypes.CDLL) -> Iterator[tuple[str, Tensor, Tensor]]:
    stage = UpsampledConv(nn.Conv2d(24, 40, 3, padding=1), torch.tensor(0.25))
    x = torch.randn(1, 24, 5, 7)
    yield "the upsampled convolution", stage.compiled(kernels, x), stage.plain(x)
