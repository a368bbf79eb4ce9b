"""CReFF with its warp and the last 1x1 convolution in one pass over tiles that stay in the cache
(AR-Seg, section 3.2, Eq. 3).

At 720x960 and 64 channels one tensor at full resolution has 177 MB: warped reference, upsampled
feature, query, key, value and the attention's result cost more in memory traffic than their 6 GMACs
cost in arithmetic. None of them is made here.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench import native
from vssbench.methods.arseg.local_attention import WINDOW, attend_rows, local_attention
from vssbench.native.threads import in_parallel, scratch
from vssbench.nets.resize import resize
from vssbench.nets.warp import warp, warp_rows

#: bytes of a tile's rings that stay in the second-level cache
_CACHE = 800_000
#: rows of a tile: its halo of warped rows and keys is made twice, so not too few, but enough tiles
#: for every thread
_TILE_ROWS = 180
#: rows of a strip of the form without a compiler
_STRIP_ROWS = 32


@dataclass(frozen=True)
class Fusion:
    """The layers and settings of a fusion.

    query, key, value: 3x3 convolutions with zero padding, depthwise for the fused forms; without
    ``classifier`` the fused feature itself is the result. ``window`` is odd; ``scale`` multiplies
    the scores; ``direct`` adds the upsampled low-resolution feature to what the attention found.
    """

    query: nn.Conv2d
    key: nn.Conv2d
    value: nn.Conv2d
    classifier: nn.Conv2d | None = None
    window: int = WINDOW
    scale: float = 1.0
    warp: str = "exact"
    direct: bool = True


def fused_creff(low: Tensor, reference: Tensor, motion: Tensor | None, fusion: Fusion) -> Tensor:
    """Return logits (N, classes, H, W) of a non-keyframe; the fused feature (N, C, H, W) where
    there is no classifier.

    low: (N, C, h, w) low-resolution feature, upsampled with aligned corners; reference: (N, C, H,
    W) keyframe feature; motion: (N, 2, H, W) backward field in pixels of the reference, None for no
    warp.
    """
    case = (low, reference, motion, fusion)
    layers = (fusion.query, fusion.key, fusion.value)
    if not (_are_depthwise(*layers) and _suits(low, reference, *layers, fusion.classifier)):
        return whole_creff(*case)
    kernels = native.library()
    return strip_creff(*case) if kernels is None else compiled_creff(kernels, *case)


def whole_creff(
    low: Tensor,
    reference: Tensor,
    motion: Tensor | None,
    fusion: Fusion,
) -> Tensor:
    """Fuse step by step, on any device and in training; see :func:`fused_creff`."""
    warped = reference if motion is None else warp(reference, motion, fusion.warp)
    up = resize(low, (reference.shape[-2], reference.shape[-1]))
    fused = local_attention(
        fusion.query(up), fusion.key(warped), fusion.value(warped), fusion.window, fusion.scale
    )
    if fusion.direct:
        fused = up + fused
    return fused if fusion.classifier is None else fusion.classifier(fused)


def strip_creff(
    low: Tensor,
    reference: Tensor,
    motion: Tensor | None,
    fusion: Fusion,
) -> Tensor:
    """Fuse in strips of rows, for a CPU without a C compiler; see :func:`fused_creff`."""
    height, width = reference.shape[-2:]
    halo, strips = fusion.window // 2 + 1, []
    reference = reference.contiguous(memory_format=torch.channels_last)
    low = low.contiguous(memory_format=torch.channels_last)
    for first in range(0, height, _STRIP_ROWS):
        last = min(first + _STRIP_ROWS, height)
        up = _upsampled_rows(low, (height, width), first - 1, last + 1)
        warped = _reference_rows(reference, motion, fusion.warp, first - halo, last + halo)
        # key rows: zero there, not the bias
        outside = (max(0, halo - 1 - first), max(0, last + halo - 1 - height))
        keys, values = (
            _zeroed_rows(_convolved(warped, layer), *outside)
            for layer in (fusion.key, fusion.value)
        )
        attended = attend_rows(
            _last(_convolved(up, fusion.query)),
            _last(keys),
            _last(values),
            fusion.window,
            fusion.scale,
        ).permute(0, 3, 1, 2)
        fused = up[:, :, 1:-1] + attended if fusion.direct else attended
        strips.append(fused if fusion.classifier is None else fusion.classifier(fused))
    return torch.cat(strips, 2)


def _last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).contiguous()


def _convolved(x: Tensor, layer: nn.Conv2d) -> Tensor:
    """Apply a depthwise 3x3 convolution to a strip with its halo rows in place.

    There is no padding above and below.
    """
    return F.conv2d(x, layer.weight, layer.bias, padding=(0, 1), groups=layer.groups)


def _zeroed_rows(x: Tensor, top: int, bottom: int) -> Tensor:
    x[:, :, :top] = 0
    x[:, :, x.shape[2] - bottom :] = 0
    return x


def _padded_rows(x: Tensor, first: int, last: int, height: int) -> Tensor:
    """Return rows of zeros put where the strip [first, last) passes the feature's borders."""
    return F.pad(x, (0, 0, max(0, -first), max(0, last - height)))


def _upsampled_rows(low: Tensor, size: tuple[int, int], first: int, last: int) -> Tensor:
    """Return rows [first, last) of the feature upsampled to ``size`` with aligned corners, zero
    outside."""
    height, width = size
    step = (low.shape[2] - 1) / (height - 1) if height > 1 else 0.0
    place = torch.arange(max(0, first), min(last, height), device=low.device) * step
    top = place.floor().clamp(max=max(0, low.shape[2] - 2)).long()
    below = (place - top)[:, None].to(low.dtype)
    rows = torch.lerp(low[:, :, top], low[:, :, (top + 1).clamp(max=low.shape[2] - 1)], below)
    return _padded_rows(resize(rows, (len(place), width)), first, last, height)


def _reference_rows(
    reference: Tensor, motion: Tensor | None, mode: str, first: int, last: int
) -> Tensor:
    """Return rows [first, last) of the warped reference, zero outside."""
    height = reference.shape[2]
    rows = slice(max(0, first), min(last, height))
    moved = (
        reference[:, :, rows]
        if motion is None
        else warp_rows(reference, motion[:, :, rows], rows.start, mode)
    )
    return _padded_rows(moved, first, last, height)


def _are_depthwise(*layers: nn.Conv2d) -> bool:
    """Return whether the convolutions are depthwise.

    They are not in the ablation's non-grouped CReFF, which is bound by arithmetic and needs no
    fusing.
    """
    return all(
        layer.groups == layer.in_channels == layer.out_channels and layer.kernel_size == (3, 3)
        for layer in layers
    )


def _suits(low: Tensor, reference: Tensor, *layers: nn.Conv2d | None) -> bool:
    """Return whether the fused forms apply: CPU, nothing to differentiate, traced by nobody."""
    tensors = [low, reference, *(layer.weight for layer in layers if layer is not None)]
    wanted = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in tensors)
    on_cpu = all(tensor.device.type == "cpu" for tensor in tensors)
    known = all(tensor.dtype in (torch.float32, torch.bfloat16) for tensor in tensors)
    return (
        on_cpu
        and known
        and not wanted
        and not torch.jit.is_tracing()
        and not torch.compiler.is_compiling()
    )


class _Arguments(ctypes.Structure):
    """``Fusion`` of creff.c."""

    _fields_ = (
        *(
            (name, ctypes.c_void_p)
            for name in ("low", "reference", "motion", "depthwise", "classifier", "out")
        ),
        *(
            (name, ctypes.c_int64)
            for name in (
                "channels",
                "height",
                "width",
                "low_height",
                "low_width",
                "window",
                "classes",
                "bf16",
                "paper",
                "direct",
            )
        ),
        ("scale", ctypes.c_float),
    )


def compiled_creff(
    kernels: ctypes.CDLL,
    low: Tensor,
    reference: Tensor,
    motion: Tensor | None,
    fusion: Fusion,
) -> Tensor:
    """Run :func:`fused_creff` by creff.c. Sums are in float32; the result has the type of the
    classifier's or of low's values."""
    classifier, window = fusion.classifier, fusion.window
    count, channels, height, width = reference.shape
    result = low.dtype if classifier is None else classifier.weight.dtype
    dtype = torch.bfloat16 if low.dtype == reference.dtype == torch.bfloat16 else torch.float32
    low = low.to(dtype).contiguous(memory_format=torch.channels_last)
    reference = reference.to(dtype).contiguous(memory_format=torch.channels_last)
    field = None if motion is None else motion.float().contiguous()
    depthwise = torch.stack(
        [_taps_and_bias(layer) for layer in (fusion.query, fusion.key, fusion.value)]
    ).contiguous()
    last = None if classifier is None else _padded_classifier(classifier)
    classes = 0 if classifier is None else classifier.out_channels
    # channels-last: the argmax over classes takes a fifth of the time it takes in NCHW
    out = torch.empty(
        (count, classes or channels, height, width), memory_format=torch.channels_last
    )
    arguments = _Arguments(
        low=low.data_ptr(),
        reference=reference.data_ptr(),
        motion=None if field is None else field.data_ptr(),
        depthwise=depthwise.data_ptr(),
        classifier=None if last is None else last.data_ptr(),
        out=out.data_ptr(),
        channels=channels,
        height=height,
        width=width,
        low_height=low.shape[-2],
        low_width=low.shape[-1],
        window=window,
        classes=classes,
        bf16=dtype == torch.bfloat16,
        paper=fusion.warp == "paper",
        direct=fusion.direct,
        scale=fusion.scale,
    )
    columns = tile_columns(channels, width, window)
    kernels.creff_scratch.restype = ctypes.c_int64
    floats = kernels.creff_scratch(ctypes.byref(arguments), ctypes.c_int64(columns))

    def tile(image: int, first: int, left: int) -> None:
        rows = min(_TILE_ROWS, height - first)
        place = (ctypes.c_int64(n) for n in (image, first, rows, left, columns))
        kernels.creff_tile(
            ctypes.byref(arguments), *place, ctypes.c_void_p(scratch(floats).data_ptr())
        )

    firsts, lefts = range(0, height, _TILE_ROWS), range(0, width, columns)
    in_parallel(
        tile, [(image, first, left) for image in range(count) for first in firsts for left in lefts]
    )
    return out.to(result)


def tile_columns(channels: int, width: int, window: int) -> int:
    """Return the columns of a tile, a multiple of 16.

    They are as many as let the rings of keys and values stay in the cache.
    """
    row = 4 * channels * (2 * (window + 2) + 11)
    most = max(16, (_CACHE // row - window - 1) // 16 * 16)
    tiles = -(-width // most)
    return -(-width // (16 * tiles)) * 16


def _taps_and_bias(layer: nn.Conv2d) -> Tensor:
    """Return a depthwise 3x3 convolution as (C, 10) float32: nine taps and the bias."""
    taps = layer.weight.detach().float().flatten(1)
    bias = taps.new_zeros(len(taps)) if layer.bias is None else layer.bias.detach().float()
    return torch.cat([taps, bias[:, None]], 1)


def _padded_classifier(layer: nn.Conv2d) -> Tensor:
    """Return a 1x1 convolution as (C + 1, classes) float32, its bias in the last row, classes
    padded to a multiple of 4."""
    weight = layer.weight.detach().float().flatten(1)
    bias = weight.new_zeros(len(weight)) if layer.bias is None else layer.bias.detach().float()
    matrix = torch.cat([weight, bias[:, None]], 1).t()
    return F.pad(matrix, (0, -len(weight) % 4)).contiguous()


@native.check_with
def _cases(kernels: ctypes.CDLL) -> Iterator[tuple[str, Tensor, Tensor]]:
    query, key, value = (nn.Conv2d(24, 24, 3, padding=1, groups=24) for _ in range(3))
    low, reference, motion = (
        torch.randn(1, 24, 7, 9),
        torch.randn(1, 24, 13, 37),
        3 * torch.randn(1, 2, 13, 37),
    )
    case = (low, reference, motion, Fusion(query, key, value, nn.Conv2d(24, 5, 1), 7, 0.5))
    yield "CReFF", compiled_creff(kernels, *case), whole_creff(*case)
