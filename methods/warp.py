"""The keyframe's labels moved by the codec's motion vectors: the cheapest baseline that follows the
motion."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from vssbench.nets.keyframe_baseline import KeyframeBaseline
from vssbench.nets.resize import resize


class Warp(KeyframeBaseline):
    """Parameters: ``network`` of keyframes, any per-frame method, whose weights are used; its
    parameters in brackets, as in ``network=icnet[form=mmseg]``, or beside it where they are
    ``layers``, ``style``, ``scale`` of the network's input or ``width`` multiplier of all channels.
    A non-keyframe costs one look-up a pixel."""

    title = "Warp"
    needs = frozenset({"motion"})

    def keyframe(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, _ = super().keyframe(image)
        logits = resize(logits, (image.shape[-2], image.shape[-1]))
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
        outputs = self.classes + (self.void is not None and self.keeps_void)
        return F.one_hot(labels, outputs).permute(0, 3, 1, 2).float()
