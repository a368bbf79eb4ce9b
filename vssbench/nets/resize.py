"""Bilinear resizing in the two sampling conventions that the field mixes."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def resize(x: Tensor, size: tuple[int, int], align_corners: bool = True) -> Tensor:
    """Map (N, C, h, w) to (N, C, *size), bilinear. No work where the size is right already.

    AR-Seg resizes images and logits with aligned corners (its evaluation.py), and so does this
    project by default.
    """
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=align_corners)


def scaled_size(height: int, width: int, scale: float) -> tuple[int, int]:
    """Return the low resolution of AR-Seg: ``int(H * s), int(W * s)``; 0.7 of 720 is 503 there,
    since 0.7 has no exact form."""
    return int(height * scale), int(width * scale)
