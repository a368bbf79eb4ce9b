"""The keyframe's labels moved by the codec's motion vectors: the cheapest baseline that follows the
motion."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vssbench.nets.keyframe_baseline import KeyframeBaseline


class Warp(KeyframeBaseline):
    """Parameters: ``network`` of keyframes, pspnet or bisenet, whose weights are used; ``layers``
    and ``style`` of pspnet; ``scale`` of the network's input; ``width`` multiplier of all channels.
    A non-keyframe costs one look-up a pixel."""

    title = "Warp"
    needs = frozenset({"motion"})

    def keyframe(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, _ = super().keyframe(image)
        return logits, logits.argmax(1)

    def nonkeyframe(self, image: Tensor, motion: Tensor | None, reference: Tensor) -> Tensor:
        """Take each pixel's label from ``p + motion[p]`` in the keyframe, as logits of 0 and 1.

        It is the nearest pixel's label, and that of the border where the place lies outside.
        """
        assert motion is not None  # the harness grants what `needs` declares
        count, height, width = reference.shape
        x = torch.arange(width, device=motion.device) + motion[:, 0]
        y = torch.arange(height, device=motion.device)[:, None] + motion[:, 1]
        column, row = x.round().long().clamp(0, width - 1), y.round().long().clamp(0, height - 1)
        labels = (
            reference.flatten(1)
            .gather(1, (row * width + column).flatten(1))
            .view(count, height, width)
        )
        return F.one_hot(labels, self.classes).permute(0, 3, 1, 2).float()
