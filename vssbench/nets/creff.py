"""CReFF, the cross-resolution feature fusion of AR-Seg (section 3.2): local attention onto the warped keyframe feature."""

from __future__ import annotations

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
        self.query, self.key, self.value = (nn.Conv2d(channels, channels, 3, padding=1, groups=channels) for _ in range(3))
        for convolution in (self.query, self.key, self.value):
            nn.init.kaiming_normal_(convolution.weight, a=1)
            nn.init.zeros_(convolution.bias)

    def forward(self, low: Tensor, reference: Tensor) -> Tensor:
        """Low-resolution feature (N, C, h, w) and warped keyframe feature (N, C, H, W): the fused feature (N, C, H, W)."""
        low = resize(low, (reference.shape[-2], reference.shape[-1]))
        query, key, value = self.query(low), self.key(reference), self.value(reference)
        return low + local_attention(query, key, value, self.window)
