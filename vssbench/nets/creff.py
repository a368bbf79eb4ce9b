"""CReFF, the cross-resolution feature fusion of AR-Seg (section 3.2), and the variants of its ablation (Table 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.nets.local_attention import local_attention
from vssbench.nets.resize import resize

#: how the keyframe's feature is fused: local attention (F_LA), attention over all cells at 1/32 (F_GA), a convolution (F_Conv)
KINDS = ("local", "global", "conv")

#: the global attention sees the feature at this share of the image's sides
GLOBAL_STRIDE = 32


class CReFF(nn.Module):
    """Fuses an upsampled low-resolution feature with the warped keyframe feature; 30 C parameters in its published form.

    ``kind`` is one of ``KINDS``; ``grouped`` makes the convolutions of query, key and value depthwise; ``direct`` adds the
    upsampled low-resolution feature to the result; ``scaled`` divides the scores by sqrt(C), as the paper's Eq. 3 does and the
    authors' code does not. ``stride`` is the feature's own, which the global attention needs.
    """

    def __init__(
        self,
        channels: int,
        window: int = 7,
        kind: str = "local",
        grouped: bool = True,
        direct: bool = True,
        scaled: bool = False,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.window, self.kind, self.grouped, self.direct, self.stride = window, kind, grouped, direct, stride
        self.scale = channels**-0.5 if scaled else 1.0
        if kind == "conv":
            self.mix = nn.Conv2d(2 * channels, channels, 3, padding=1, bias=False)
            nn.init.kaiming_normal_(self.mix.weight, a=1)
        else:
            groups = channels if grouped else 1
            self.query, self.key, self.value = (_convolution(channels, groups) for _ in range(3))

    def forward(self, low: Tensor, reference: Tensor) -> Tensor:
        """Low-resolution feature (N, C, h, w) and warped keyframe feature (N, C, H, W): the fused feature (N, C, H, W)."""
        low = resize(low, (reference.shape[-2], reference.shape[-1]))
        if self.kind == "conv":
            found = self.mix(torch.cat([low, reference], 1))
        else:
            query, key, value = self.query(low), self.key(reference), self.value(reference)
            if self.kind == "local":
                found = local_attention(query, key, value, self.window, self.scale)
            else:
                found = self._global_attention(query, key, value)
        return low + found if self.direct else found

    def _global_attention(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """Every cell of a grid at 1/32 of the image attends to all; the result is upsampled (the paper gives no detail)."""
        size = (query.shape[-2], query.shape[-1])
        height, width = (max(1, side * self.stride // GLOBAL_STRIDE) for side in size)
        grid = (height, width)
        tokens = [F.adaptive_avg_pool2d(x, grid).flatten(2).transpose(1, 2) for x in (query, key, value)]
        weights = torch.softmax((tokens[0] @ tokens[1].transpose(1, 2)).float() * self.scale, -1).to(value.dtype)
        found = (weights @ tokens[2]).transpose(1, 2).unflatten(2, grid)
        return resize(found, size)


def _convolution(channels: int, groups: int) -> nn.Conv2d:
    """A 3x3 convolution with zero bias, initialised as the authors' is."""
    convolution = nn.Conv2d(channels, channels, 3, padding=1, groups=groups)
    nn.init.kaiming_normal_(convolution.weight, a=1)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return convolution
