"""A segmentation network on every frame, at any constant scale: the base of the per-frame
methods."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from vssbench.core.errors import UsageError
from vssbench.core.segmenter import Batch, Phase, VideoSegmenter, width_suffix
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.resize import resize, scaled_size


def check_scale(name: str, scale: float) -> float:
    """Return a scale between 0.05 and 1. Raises UsageError otherwise."""
    if not 0.05 <= scale <= 1:
        raise UsageError(
            f"{name}: scale={scale:g} is not between 0.05 and 1 (1 is full resolution)"
        )
    return scale


class PerFrameSegmenter(VideoSegmenter):
    """Resizes the image by ``scale``, runs the network, resizes its logits back; a non-keyframe is
    the same work."""

    free_parameters: ClassVar[tuple[str, ...]] = ("scale",)

    def __init__(
        self, name: str, network: SegmentationNetwork, classes: int, scale: float, width: float
    ) -> None:
        super().__init__(classes)
        self.name, self.scale, self.width = name, check_scale(name, scale), width
        self.net = network

    @property
    def display(self) -> str:
        resolution = "" if self.scale == 1 else f" {self.scale:g}x"
        return f"{self.name}{resolution}{width_suffix(self.width)}"

    def keyframe(self, image: Tensor) -> tuple[Tensor, Any]:
        size = (image.shape[-2], image.shape[-1])
        logits, _ = self.net(resize(self.normalise(image), scaled_size(*size, self.scale)))
        return resize(logits, size), None

    def loss(self, phase: Phase, batch: Batch) -> dict[str, Tensor]:
        size = (batch.label.shape[-2], batch.label.shape[-1])
        low = scaled_size(*size, self.scale)
        feature, extra = self.net.features(resize(self.normalise(batch.image), low))
        logits = resize(self.net.classify(feature, low), size)
        return self.net.losses(logits, extra, batch.label, batch.class_weights)

    def training_only(self) -> tuple[str, ...]:
        return tuple(f"net.{name}" for name in self.net.auxiliary)
