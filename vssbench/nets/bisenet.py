"""BiSeNet V1 with ResNet-18 (Yu et al., ECCV 2018, section 3), in the form that AR-Seg and CoinCheung/BiSeNet share."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.nets.losses import ohem_cross_entropy
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.resize import resize
from vssbench.nets.resnet import ResNet, initialise_convolutions
from vssbench.segmenter import scaled_channels


class ConvBNReLU(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class ChannelGate(nn.Sequential):
    """sigmoid(BN(1x1 convolution of the global mean)): (N, inputs, h, w) to (N, outputs, 1, 1)."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.Sigmoid(),
        )


class AttentionRefinement(nn.Module):
    """ARM (Fig. 2b): a 3x3 convolution, then every channel scaled by its gate."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(inputs, outputs, 3)
        self.gate = ChannelGate(outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x * self.gate(x)


class ContextPath(nn.Module):
    """ResNet-18 to stride 32, global average pooling, ARMs at strides 16 and 32, merged upwards to stride 8."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self.backbone = ResNet(18, width)
        _, _, third, fourth = self.backbone.channels
        channels = scaled_channels(128, width)
        self.arm16 = AttentionRefinement(third, channels)
        self.arm32 = AttentionRefinement(fourth, channels)
        self.head16 = ConvBNReLU(channels, channels, 3)
        self.head32 = ConvBNReLU(channels, channels, 3)
        self.average = ConvBNReLU(fourth, channels, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Features at strides 8 and 16."""
        _, _, f16, f32 = self.backbone(image)
        x32 = self.arm32(f32) + self.average(f32.mean((-2, -1), keepdim=True))
        x32 = resize(F.interpolate(x32, scale_factor=2, mode="nearest"), (f16.shape[-2], f16.shape[-1]))
        x32 = self.head32(x32)
        x16 = self.arm16(f16) + x32
        return self.head16(F.interpolate(x16, scale_factor=2, mode="nearest")), x32


class FeatureFusion(nn.Module):
    """FFM (Fig. 2c): concatenation, 1x1 convolution, and a gated copy added to itself."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = ConvBNReLU(inputs, outputs, 1)
        self.gate = ChannelGate(outputs)

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        fused = self.conv(torch.cat([spatial, context], 1))
        return fused + fused * self.gate(fused)


class AuxiliaryHead(nn.Sequential):
    """3x3 convolution and classifier, used in training alone."""

    def __init__(self, inputs: int, middle: int, classes: int) -> None:
        super().__init__(ConvBNReLU(inputs, middle, 3), nn.Conv2d(middle, classes, 1))


class BiSeNet18(SegmentationNetwork):
    """BiSeNet V1-ResNet18: 13,423,012 parameters at 12 classes and width 1, 13,273,740 without the auxiliary heads.

    The feature that AR-Seg warps and fuses is the one that enters the last 1x1 convolution: 256 channels at stride 8.
    """

    auxiliary = ("auxiliary8", "auxiliary16")

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__()
        stem, path, fused = (scaled_channels(c, width) for c in (64, 128, 256))
        self.context = ContextPath(width)
        self.spatial = nn.Sequential(
            ConvBNReLU(3, stem, 7, 2),
            ConvBNReLU(stem, stem, 3, 2),
            ConvBNReLU(stem, stem, 3, 2),
            ConvBNReLU(stem, path, 1),
        )
        self.fusion = FeatureFusion(2 * path, fused)
        self.head = ConvBNReLU(fused, fused, 3)
        self.final = nn.Conv2d(fused, classes, 1)
        self.auxiliary8 = AuxiliaryHead(path, stem, classes)
        self.auxiliary16 = AuxiliaryHead(path, stem, classes)
        self.feature_channels = fused
        initialise_convolutions(self)

    def features(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Normalised image (N, 3, H, W) to the feature (N, 256, H/8, W/8) and the context path's two outputs."""
        context8, context16 = self.context(image)
        spatial = resize(self.spatial(image), (context8.shape[-2], context8.shape[-1]))
        return self.head(self.fusion(spatial, context8)), (context8, context16)

    def classify(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """The last 1x1 convolution, x8 bilinear, then the resize to the image's size where that differs."""
        logits = F.interpolate(self.final(feature), scale_factor=8, mode="bilinear", align_corners=False)
        return resize(logits, size)

    def auxiliary_loss(self, contexts: tuple[Tensor, Tensor], label: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """OHEM on the two heads of the context path (Eq. 2, alpha = 1)."""
        size = (label.shape[-2], label.shape[-1])
        eight, sixteen = contexts
        return {
            "auxiliary8": self.task_loss(resize(self.auxiliary8(eight), size, False), label, weights),
            "auxiliary16": self.task_loss(resize(self.auxiliary16(sixteen), size, False), label, weights),
        }

    def task_loss(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Online hard example mining with the threshold 0.7."""
        return ohem_cross_entropy(logits, label, weights)
