"""BiSeNet V1 with ResNet-18 on every frame: a spatial and a context path (Yu et al., ECCV 2018)."""

from __future__ import annotations

from torch import Tensor

from vssbench.errors import UsageError
from vssbench.nets.bisenet import BiSeNet18
from vssbench.nets.resize import resize, scaled_size
from vssbench.segmenter import Batch, Phase, VideoSegmenter, width_suffix


class BiSeNet(VideoSegmenter):
    """Parameters: ``scale`` of the network's input (1 = full resolution), ``width`` multiplier of all channels."""

    free_parameters = ("scale",)

    def __init__(self, classes: int, *, scale: float = 1.0, width: float = 1.0) -> None:
        super().__init__(classes)
        if not 0.05 <= scale <= 1:
            raise UsageError(f"bisenet: scale={scale:g} is not between 0.05 and 1")
        self.scale, self.width = scale, width
        self.net = BiSeNet18(classes, width)

    @property
    def display(self) -> str:
        resolution = "" if self.scale == 1 else f" {self.scale:g}x"
        return f"BiSeNet18{resolution}{width_suffix(self.width)}"

    def keyframe(self, image: Tensor) -> tuple[Tensor, None]:
        size = (image.shape[-2], image.shape[-1])
        logits, _ = self.net(resize(self.normalise(image), scaled_size(*size, self.scale)))
        return resize(logits, size), None

    def loss(self, phase: Phase, batch: Batch) -> dict[str, Tensor]:
        size = (batch.label.shape[-2], batch.label.shape[-1])
        low = scaled_size(*size, self.scale)
        feature, contexts = self.net.features(resize(self.normalise(batch.image), low))
        logits = resize(self.net.classify(feature, low), size)
        return {
            "task": self.net.task_loss(logits, batch.label, batch.class_weights),
            **self.net.auxiliary_loss(contexts, batch.label, batch.class_weights),
        }

    def training_only(self) -> tuple[str, ...]:
        return tuple(f"net.{name}" for name in self.net.auxiliary)
