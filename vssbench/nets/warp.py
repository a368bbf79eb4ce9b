"""Bilinear backward warping of features by a motion field, exact where the motion is zero.

``exact``: a pixel p of the output is the input at ``p + motion[p]``, zero outside; zero motion is
the identity bit for bit, which ``grid_sample`` is not, since it passes through normalised
coordinates. ``paper``: AR-Seg's published warpFeature, whose grid is normalised by W-1 but sampled
without aligned corners, so that zero motion shifts by up to half a pixel. Their resizing of the
field to the feature differs too (:func:`resize_motion_paper`).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import register_flop_formula

from vssbench.core.uncompiled import uncompiled


def resize_motion(
    motion: Tensor, size: tuple[int, int], image_size: tuple[int, int] | None = None
) -> Tensor:
    """Return a field (N, 2, H, W) in pixels of an H x W image as a field (N, 2, *size) in pixels of
    a feature of that size.

    Each feature cell takes the mean of the vectors that it covers; both axes are scaled by their
    own ratio.
    """
    height, width = image_size or (motion.shape[-2], motion.shape[-1])
    if motion.shape[-2:] != size:
        motion = F.adaptive_avg_pool2d(motion, size)
    ratio = torch.tensor(
        [size[1] / width, size[0] / height], dtype=motion.dtype, device=motion.device
    )
    return motion * ratio.view(1, 2, 1, 1)


def resize_motion_paper(motion: Tensor, size: tuple[int, int], training: bool = False) -> Tensor:
    """Run :func:`resize_motion` as AR-Seg's published code does it.

    Bilinear between aligned corners at evaluation (evaluation.py), so that a cell takes the vectors
    of the pixels at one place and not the mean of all that it covers; the nearest in ``training``
    (train_pair.py). Both axes are scaled by the ratio of the heights, which is the width's own only
    where the feature has the image's proportions.
    """
    motion = motion * (size[0] / motion.shape[-2])
    if motion.shape[-2:] == size:
        return motion
    if training:
        return F.interpolate(motion, size=size, mode="nearest")
    return F.interpolate(motion, size=size, mode="bilinear", align_corners=True)


def warp(feature: Tensor, motion: Tensor, mode: str = "exact") -> Tensor:
    """Return (N, C, h, w) moved by a backward field (N, 2, h, w) in pixels of the feature; zero
    outside the feature."""
    if mode == "paper":
        return _warp_paper(feature, motion)
    return torch.ops.vssbench.warp(feature, motion.float())


def warp_rows(feature: Tensor, motion: Tensor, first: int, mode: str = "exact") -> Tensor:
    """Return rows ``first`` to ``first + rows`` of :func:`warp`, for the field (N, 2, rows, w) of
    those rows; without a gradient."""
    if mode == "paper":
        return _warp_paper(feature, motion, first)
    rows, (taps, _, _) = _rows(feature), _taps(motion.float(), first, feature.shape[-2])
    out = rows.new_zeros(len(taps[0][0]), rows.shape[1])
    for index, weight in taps:
        out += rows.index_select(0, index) * weight[:, None].to(rows.dtype)
    return _images(out, motion.shape[-2:])


def _warp_paper(feature: Tensor, motion: Tensor, first: int = 0) -> Tensor:
    height, width = feature.shape[-2:]
    motion = motion.float()
    x = torch.arange(width, device=motion.device) + motion[:, 0]
    y = torch.arange(first, first + motion.shape[-2], device=motion.device)[:, None] + motion[:, 1]
    grid = torch.stack([2 * x / max(width - 1, 1) - 1, 2 * y / max(height - 1, 1) - 1], -1)
    # grid_sample wants both of one type; a place in half precision would be off by whole pixels
    moved = F.grid_sample(
        feature.float(), grid, mode="bilinear", padding_mode="zeros", align_corners=False
    )
    return moved.to(feature.dtype)


def _taps(
    motion: Tensor, first: int = 0, height: int | None = None
) -> tuple[list[tuple[Tensor, Tensor]], Tensor, Tensor]:
    """Return row index and weight of the four neighbours, and the fractional parts.

    Indices are (N * rows * w); weight is 0 outside the feature.

    The field (N, 2, rows, w) begins at row ``first`` of a feature of ``height`` rows.
    """
    count, _, rows, width = motion.shape
    height = height or rows
    whole = motion.floor()
    fraction_x, fraction_y = (motion - whole).unbind(1)
    # far beyond the border every tap is outside; the clamp keeps the integers representable
    whole = whole.clamp(-4.0 * max(height, width), 4.0 * max(height, width)).long()
    left = torch.arange(width, device=motion.device) + whole[:, 0]
    top = torch.arange(first, first + rows, device=motion.device)[:, None] + whole[:, 1]
    first_row = torch.arange(count, device=motion.device).view(-1, 1, 1) * (height * width)
    taps = []
    for dy in (0, 1):
        for dx in (0, 1):
            y, x = top + dy, left + dx
            inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
            index = first_row + y.clamp(0, height - 1) * width + x.clamp(0, width - 1)
            weight = (fraction_y if dy else 1 - fraction_y) * (fraction_x if dx else 1 - fraction_x)
            taps.append((index.flatten(), torch.where(inside, weight, 0.0).flatten()))
    return taps, fraction_x, fraction_y


def _rows(feature: Tensor) -> Tensor:
    """Return (N, C, h, w) as (N*h*w, C): a view where the feature is channels-last."""
    return feature.permute(0, 2, 3, 1).reshape(-1, feature.shape[1])


def _images(rows: Tensor, size: tuple[int, ...]) -> Tensor:
    """Return (N*h*w, C) as (N, C, *size), channels-last in memory."""
    return rows.view(-1, *size, rows.shape[1]).permute(0, 3, 1, 2)


@uncompiled
@torch.library.custom_op("vssbench::warp", mutates_args=())
def _warp(feature: Tensor, motion: Tensor) -> Tensor:
    return warp_rows(feature, motion, 0)


@_warp.register_fake
def _(feature: Tensor, motion: Tensor) -> Tensor:
    return torch.empty_like(feature, memory_format=torch.channels_last)


def _save(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    ctx.save_for_backward(*inputs)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
    feature, motion = ctx.saved_tensors
    taps, fraction_x, fraction_y = _taps(motion)
    gradient_rows = _rows(gradient)
    to_feature = to_motion = None
    if ctx.needs_input_grad[0]:
        rows = torch.zeros_like(gradient_rows)
        for index, weight in taps:
            rows.index_add_(0, index, gradient_rows * weight[:, None].to(rows.dtype))
        to_feature = _images(rows, feature.shape[-2:])
    if ctx.needs_input_grad[1]:
        to_motion = _motion_gradient(feature, motion, gradient_rows, taps, fraction_x, fraction_y)
    return to_feature, to_motion


def _motion_gradient(
    feature: Tensor,
    motion: Tensor,
    gradient_rows: Tensor,
    taps: list[tuple[Tensor, Tensor]],
    fx: Tensor,
    fy: Tensor,
) -> Tensor:
    """Return the gradient of the sampled value along x and y: differences of the neighbours,
    weighted across the other axis."""
    rows, flat_x, flat_y = _rows(feature), fx.flatten(), fy.flatten()
    # a tap outside the feature has value 0 whatever its fractions; its weight alone does not say so
    # at fraction 0
    height, width = motion.shape[-2:]
    x0 = (torch.arange(width, device=motion.device) + motion[:, 0].floor()).flatten()
    y0 = (torch.arange(height, device=motion.device)[:, None] + motion[:, 1].floor()).flatten()
    products = []
    for (index, _), (dy, dx) in zip(taps, ((0, 0), (0, 1), (1, 0), (1, 1)), strict=True):
        x, y = x0 + dx, y0 + dy
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        product = (rows.index_select(0, index).float() * gradient_rows.float()).sum(1)
        products.append(torch.where(inside, product, 0.0))
    v00, v01, v10, v11 = products
    along_x = (1 - flat_y) * (v01 - v00) + flat_y * (v11 - v10)
    along_y = (1 - flat_x) * (v10 - v00) + flat_x * (v11 - v01)
    return torch.stack([along_x.view_as(fx), along_y.view_as(fy)], 1)


_warp.register_autograd(_backward, setup_context=_save)


@register_flop_formula(torch.ops.vssbench.warp)
def _warp_flops(
    feature_shape: Any, motion_shape: Any, *args: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    """Count four taps a value: 4 multiply-accumulates, 8 FLOPs."""
    count, channels, _, _ = feature_shape
    return 8 * count * channels * motion_shape[-2] * motion_shape[-1]
