"""CReFF, the cross-resolution feature fusion of AR-Seg (section 3.2): local attention onto the warped keyframe feature."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vssbench.nets.local_attention import local_attention
from vssbench.nets.resize import resize


class CReFF(nn.Module):
    """30 C parameters: three depthwise 3x3 convolutions for query, key and value.

    As in the authors' code, the scores are not divided by sqrt(C) (the paper's Eq. 3 does), and the result is added to the
    upsampled low-resolution feature without a projection.
    """

    def __init__(self, channels: int, window: int = 7) -> None:
        super().__init__()
        self.window = window
        self.query, self.key, self.value = (_depthwise(channels) for _ in range(3))

    def forward(self, low: Tensor, reference: Tensor) -> Tensor:
        """Low-resolution feature (N, C, h, w) and warped keyframe feature (N, C, H, W): the fused feature (N, C, H, W)."""
        low = resize(low, (reference.shape[-2], reference.shape[-1]))
        query, key, value = self.query(low), self.key(reference), self.value(reference)
        return low + local_attention(query, key, value, self.window)


def _depthwise(channels: int) -> nn.Conv2d:
    """A 3x3 convolution of each channel by itself, initialised as the authors' is."""
    bias = nn.Parameter(torch.zeros(channels))
    convolution = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)
    convolution.bias = bias
    nn.init.kaiming_normal_(convolution.weight, a=1)
    return convolution
