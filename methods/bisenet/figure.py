"""BiSeNet V1 with the modules as the paper's Fig. 2 draws them, in the form of ooooverflow/BiSeNet.

The spatial path is three 3x3 convolutions of stride 2. The ARMs have no convolution but the 1x1 of
their attention; the deeper one's output is multiplied by its stage's global mean. Both are enlarged
to stride 8 at once, and the FFM leads straight to as many channels as there are classes. The last
1x1 convolution comes after the enlargement to the image's size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.core.segmenter import scaled_channels
from vssbench.nets.bisenet import ConvBNReLU, Criterion, FeatureFusion, PlainGate, make_backbone
from vssbench.nets.losses import cross_entropy, dice_loss, ohem_cross_entropy
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.resize import resize
from vssbench.nets.resnet import initialise_convolutions

#: value of the parameter ``loss`` -> the function; the published numbers were made with dice
CRITERIA: dict[str, Criterion] = {
    "authors": dice_loss,
    "dice": dice_loss,
    "ce": cross_entropy,
    "ohem": ohem_cross_entropy,
}


class PlainRefinement(nn.Sequential):
    """ARM's attention: sigmoid(1x1 convolution with bias of the global mean), (N, channels, h, w)
    to (N, channels, 1, 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Conv2d(channels, channels, 1), nn.Sigmoid())


class FigureBiSeNet(SegmentationNetwork):
    """12,067,136 parameters with ResNet-18 at 19 classes and width 1, 12,052,506 without the
    auxiliary classifiers.

    The original counts 514,536 more, which it never runs: ImageNet's classifier and the batch
    normalisations of its ARMs. The feature has as many channels as there are classes, at stride 8.
    """

    auxiliary = ("auxiliary16", "auxiliary32")
    label_stride = 1

    def __init__(
        self, classes: int, width: float = 1.0, backbone: str = "resnet18", loss: str = "authors"
    ) -> None:
        super().__init__()
        first, second, third = (scaled_channels(c, width) for c in (64, 128, 256))
        self.criterion = CRITERIA[loss]
        self.backbone = make_backbone(backbone, width)
        deep, deeper = self.backbone.channels[-2:]
        self.spatial = nn.Sequential(
            ConvBNReLU(3, first, 3, 2),
            ConvBNReLU(first, second, 3, 2),
            ConvBNReLU(second, third, 3, 2),
        )
        self.arm16, self.arm32 = PlainRefinement(deep), PlainRefinement(deeper)
        self.fusion = FeatureFusion(
            third + deep + deeper, classes, PlainGate(classes, bias=True), kernel=3
        )
        self.final = nn.Conv2d(classes, classes, 1)
        self.auxiliary16, self.auxiliary32 = (
            nn.Conv2d(deep, classes, 1),
            nn.Conv2d(deeper, classes, 1),
        )
        self.feature_channels = classes
        initialise_convolutions(self)

    def features(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Turn a normalised image (N, 3, H, W) into the feature (N, classes, H/8, W/8) and the
        context path's features at stride 8."""
        spatial = self.spatial(image)
        f16, f32 = self.backbone(image)[-2:]
        size = (spatial.shape[-2], spatial.shape[-1])
        context16 = resize(f16 * self.arm16(f16), size, align_corners=False)
        context32 = resize(
            f32 * self.arm32(f32) * f32.mean((-2, -1), keepdim=True), size, align_corners=False
        )
        return self.fusion(spatial, torch.cat([context16, context32], 1)), (context16, context32)

    def classify(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply x8 bilinear, the last 1x1 convolution, and the resize to the image's size where
        that differs."""
        return resize(
            self.final(
                F.interpolate(feature, scale_factor=8, mode="bilinear", align_corners=False)
            ),
            size,
        )

    def auxiliary_loss(
        self, extra: tuple[Tensor, Tensor], label: Tensor, weights: Tensor
    ) -> dict[str, Tensor]:
        """Compute the task's loss on a 1x1 classifier of either stage of the context path (Eq. 2,
        alpha = 1)."""
        size = (label.shape[-2], label.shape[-1])
        logits = {
            "auxiliary16": self.auxiliary16(extra[0]),
            "auxiliary32": self.auxiliary32(extra[1]),
        }
        return {
            name: self.task_loss(resize(value, size, False), label, weights)
            for name, value in logits.items()
        }

    def task_loss(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Compute dice, unless another was asked for."""
        return self.criterion(logits, label, weights)
