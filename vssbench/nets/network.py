"""Interface of the segmentation networks that AR-Seg and the per-frame methods run.

A network gives a feature, and has a last convolution on top of it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn

from vssbench.nets.resnet import ResNet


class SegmentationNetwork(nn.Module, ABC):
    """A network split before its last 1x1 convolution, at the feature that AR-Seg warps and fuses.

    ``feature_channels`` are that feature's channels, ``final`` is the last convolution,
    ``auxiliary`` names the submodules that serve training alone.
    """

    auxiliary: ClassVar[tuple[str, ...]]
    feature_channels: int
    final: nn.Module

    @abstractmethod
    def features(self, image: Tensor) -> tuple[Tensor, Any]:
        """Turn a normalised image (N, 3, H, W) into the feature (N, feature_channels, h, w), and
        what the auxiliary losses need."""

    @abstractmethod
    def classify(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Turn the feature into logits (N, classes, *size)."""

    @abstractmethod
    def auxiliary_loss(self, extra: Any, label: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Return terms of the loss from the second output of :meth:`features`."""

    @abstractmethod
    def task_loss(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Compute the loss of the logits: label (N, H, W), weights (classes,)."""

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return (logits at the image's size, feature)."""
        feature, _ = self.features(image)
        return self.classify(feature, (image.shape[-2], image.shape[-1])), feature

    def losses(
        self, logits: Tensor, extra: Any, label: Tensor, weights: Tensor
    ) -> dict[str, Tensor]:
        """Return all terms of the loss by name."""
        return {
            "task": self.task_loss(logits, label, weights),
            **self.auxiliary_loss(extra, label, weights),
        }


class TwoPartNetwork(SegmentationNetwork):
    """A network that falls into N_feat, its backbone, and N_task (DFF's terms): AR-Seg's ablation
    fuses between the two.

    ``backbone_channels`` are those of the feature that enters N_task, ``stem_channels`` those
    behind the backbone's stem.
    """

    backbone: ResNet
    backbone_channels: int
    stem_channels: int

    def features(self, image: Tensor) -> tuple[Tensor, Any]:
        return self.features_from_stem(self.backbone.stem(image))

    def features_from_stem(self, stem: Tensor) -> tuple[Tensor, Any]:
        """Return the same from the stem's feature (N, stem_channels, H/4, W/4)."""
        backbone, extra = self.stage_features(stem)
        return self.task_features(backbone), extra

    def backbone_features(self, image: Tensor) -> tuple[Tensor, Any]:
        """Run N_feat: normalised image to (N, backbone_channels, h, w), and what the auxiliary
        losses need."""
        return self.stage_features(self.backbone.stem(image))

    @abstractmethod
    def stage_features(self, stem: Tensor) -> tuple[Tensor, Any]:
        """Run N_feat from the stem's feature on."""

    @abstractmethod
    def task_features(self, backbone: Tensor) -> Tensor:
        """Run N_task without its last convolution: (N, backbone_channels, h, w) to the feature."""
