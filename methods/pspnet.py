"""PSPNet with ResNet-18 on every frame, at any constant scale (Zhao et al., CVPR 2017; AR-Seg's per-frame baseline)."""

from __future__ import annotations

from torch import Tensor

from vssbench.errors import UsageError
from vssbench.nets.pspnet import PSPNet18
from vssbench.nets.resize import resize, scaled_size
from vssbench.segmenter import Batch, Phase, VideoSegmenter, width_suffix


class PSPNet(VideoSegmenter):
    """Parameters: ``scale`` of the network's input (1 = full resolution), ``width`` multiplier of all channels."""

    free_parameters = ("scale",)

    def __init__(self, classes: int, *, scale: float = 1.0, width: float = 1.0) -> None:
        super().__init__(classes)
        if not 0.05 <= scale <= 1:
            raise UsageError(f"pspnet: scale={scale:g} is not between 0.05 and 1")
        self.scale, self.width = scale, width
        self.net = PSPNet18(classes, width)

    @property
    def display(self) -> str:
        resolution = "" if self.scale == 1 else f" {self.scale:g}x"
        return f"PSPNet18{resolution}{width_suffix(self.width)}"

    def keyframe(self, image: Tensor) -> tuple[Tensor, None]:
        size = (image.shape[-2], image.shape[-1])
        logits, _ = self.net(resize(self.normalise(image), scaled_size(*size, self.scale)))
        return resize(logits, size), None

    def loss(self, phase: Phase, batch: Batch) -> dict[str, Tensor]:
        size = (batch.label.shape[-2], batch.label.shape[-1])
        low = scaled_size(*size, self.scale)
        feature, third = self.net.features(resize(self.normalise(batch.image), low))
        logits = resize(self.net.classify(feature, low), size)
        return {
            "task": self.net.task_loss(logits, batch.label, batch.class_weights),
            **self.net.auxiliary_loss(third, batch.label, batch.class_weights),
        }

    def training_only(self) -> tuple[str, ...]:
        return tuple(f"net.{name}" for name in self.net.auxiliary)
