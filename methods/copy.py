"""The keyframe's labels repeated until the next keyframe: the cheapest baseline of all."""

from __future__ import annotations

from torch import Tensor

from vssbench.nets.keyframe_baseline import KeyframeBaseline


class Copy(KeyframeBaseline):
    """Parameters: ``network`` of keyframes, any per-frame method, whose weights are used; its
    parameters in brackets, as in ``network=icnet[form=mmseg]``, or beside it where they are
    ``layers``, ``style``, ``scale`` of the network's input or ``width`` multiplier of all channels.
    A non-keyframe costs nothing."""

    title = "Copy"

    def keyframe(self, image: Tensor) -> tuple[Tensor, Tensor]:
        logits, _ = super().keyframe(image)
        return logits, logits

    def nonkeyframe(self, image: Tensor, motion: Tensor | None, reference: Tensor) -> Tensor:
        return reference
