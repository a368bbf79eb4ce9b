"""A convolution of pyramid pooling's output without making that output (PSPNet, section 3.2;
inference).

Pyramid pooling concatenates the feature with upsampled averages over 1, 4, 9 and 36 bins. The
convolution that follows spends half or more of its multiplications on those, though they hold but
50 vectors. Convolution and upsampling being linear, its taps are applied to the 50 vectors, and one
matrix product with the upsampling's weights gives what they add at every place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.nets.resize import resize

BINS = (1, 2, 3, 6)


class PooledConv(nn.Module):
    """``conv(cat([x, *up(stage(pool(x)))]))`` for (N, C, h, w), or with x last where ``first`` is
    False.

    ``stages``: for each of 1, 2, 3 and 6 bins a side, what the averages (N, C, bins, bins) pass
    through. ``conv``: stride 1 and a kernel k x k with zero padding (k - 1) / 2, so that its output
    has x's size.
    """

    def __init__(
        self, stages: nn.ModuleList, conv: nn.Conv2d, first: bool, align_corners: bool
    ) -> None:
        super().__init__()
        self.stages, self.conv, self.first, self.align_corners = stages, conv, first, align_corners
        self._spread: dict[tuple[int, int], Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        pooled = [
            stage(F.adaptive_avg_pool2d(x, bins))
            for stage, bins in zip(self.stages, BINS, strict=True)
        ]
        weight = self.conv.weight
        own = weight.shape[1] - sum(part.shape[1] for part in pooled)
        to_x, to_pooled = weight.split([own, weight.shape[1] - own], 1)
        if not self.first:
            to_pooled, to_x = weight.split([weight.shape[1] - own, own], 1)
        result = F.conv2d(x, to_x, self.conv.bias, padding=self.conv.padding)
        result = result.contiguous(memory_format=torch.channels_last)
        rows = result.permute(0, 2, 3, 1).flatten(1, 2)
        rows.baddbmm_(
            self._weights(x, rows.dtype), self._products(pooled, to_pooled).to(rows.dtype)
        )
        return result

    def _products(self, pooled: list[Tensor], weight: Tensor) -> Tensor:
        """Return (N, 50 taps, D): every bin through every tap of the kernel, in the order of
        :meth:`_weights`."""
        parts = []
        for part, taps in zip(
            pooled, weight.split([part.shape[1] for part in pooled], 1), strict=True
        ):
            matrix = taps.flatten(2).permute(1, 2, 0).flatten(1)  # (C, taps D)
            parts.append(
                (part.flatten(2).transpose(1, 2) @ matrix.to(part.dtype))
                .unflatten(2, (-1, len(weight)))
                .flatten(1, 2)
            )
        return torch.cat(parts, 1)

    def _weights(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        """Return (N, h w, 50 taps): how much a bin's product through a tap adds at a place; 0 where
        the tap lies in the padding."""
        size = (x.shape[-2], x.shape[-1])
        if size not in self._spread:
            kernel, columns = self.conv.kernel_size[0], []
            for bins in BINS:
                basis = torch.eye(bins * bins, device=x.device).view(-1, 1, bins, bins)
                spread = resize(basis, size, align_corners=self.align_corners)
                columns.append(F.unfold(spread, kernel, padding=kernel // 2).flatten(0, 1))
            # of one size, that of the video
            self._spread = {size: torch.cat(columns).t().contiguous()}
        return self._spread[size].to(dtype).expand(len(x), -1, -1)
