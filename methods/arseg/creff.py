"""CReFF, the cross-resolution feature fusion of AR-Seg (section 3.2), and the variants of its
ablation (Table 3)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.methods.arseg.local_attention import WINDOW, local_attention
from vssbench.nets.resize import resize

#: how the keyframe's feature is fused: local attention (F_LA), attention to a whole grid at 1/32
#: (F_GA), a convolution (F_Conv)
KINDS = ("local", "global", "conv")

#: the global attention sees the feature at this share of the image's sides
GLOBAL_STRIDE = 32


class CReFF(nn.Module):
    """Fuses an upsampled low-resolution feature with the warped keyframe feature; 30 C parameters
    in its published form.

    ``kind`` is one of ``KINDS``; ``grouped`` makes the convolutions of query, key and value
    depthwise; ``direct`` adds the upsampled low-resolution feature to what was attended to;
    ``scaled`` divides the scores by sqrt(C), as the paper's Eq. 3 does and the authors' code does
    not. ``stride`` is the feature's own, which the global attention needs.
    """

    def __init__(
        self,
        channels: int,
        window: int = WINDOW,
        kind: str = "local",
        grouped: bool = True,
        direct: bool = True,
        scaled: bool = False,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.window, self.kind, self.grouped, self.direct, self.stride = (
            window,
            kind,
            grouped,
            direct,
            stride,
        )
        self.scale = channels**-0.5 if scaled else 1.0
        if kind == "conv":
            self.mix = _convolution(2 * channels, channels, 1)
            return
        groups = channels if grouped else 1
        self.query, self.key, self.value = (
            _convolution(channels, channels, groups) for _ in range(3)
        )
        if kind == "global":
            self.project = nn.ModuleDict(
                {name: nn.Linear(channels, channels) for name in ("query", "key", "value", "out")}
            )

    def forward(self, low: Tensor, reference: Tensor) -> Tensor:
        """Fuse a low-resolution feature (N, C, h, w) and a warped keyframe feature (N, C, H, W)
        into one (N, C, H, W)."""
        low = resize(low, (reference.shape[-2], reference.shape[-1]))
        if self.kind == "conv":
            return self.mix(torch.cat([low, reference], 1))
        if self.kind == "global":
            attended = self._global_attention(self.query(low), self.value(reference))
        else:
            attended = local_attention(
                self.query(low), self.key(reference), self.value(reference), self.window, self.scale
            )
        return low + attended if self.direct else attended

    def _global_attention(self, query: Tensor, value: Tensor) -> Tensor:
        """Let every pixel attend to a grid at 1/32 of the image, one head. As in the authors' code,
        the keys are taken from the feature that the value's convolution has passed already."""
        count, channels, height, width = query.shape
        grid = (
            max(1, height * self.stride // GLOBAL_STRIDE),
            max(1, width * self.stride // GLOBAL_STRIDE),
        )
        tokens = [_tokens(x) for x in (query, resize(self.key(value), grid), resize(value, grid))]
        projected = [
            self.project[name](x)[:, None]
            for name, x in zip(("query", "key", "value"), tokens, strict=True)
        ]
        attended = self.project["out"](F.scaled_dot_product_attention(*projected)[:, 0])
        return attended.transpose(1, 2).reshape(count, channels, height, width)


def _tokens(x: Tensor) -> Tensor:
    """Reshape (N, C, h, w) to (N, h*w, C)."""
    return x.flatten(2).transpose(1, 2)


def _convolution(inputs: int, outputs: int, groups: int) -> nn.Conv2d:
    """Build a 3x3 convolution with zero bias, initialised as the authors' is."""
    convolution = nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups)
    nn.init.kaiming_normal_(convolution.weight, a=1)
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return convolution
