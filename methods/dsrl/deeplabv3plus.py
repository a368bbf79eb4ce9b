"""DeepLabv3+ with ResNet-101 at output stride 16 (Chen et al., ECCV 2018), in the form of
jfzhang95/pytorch-deeplab-xception.

Dootmaan's implementation of DSRL is built on that code. Layer 4 keeps the stride of layer 3, its
three blocks dilated by 2, 4 and 8. Every bilinear resize aligns corners.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vssbench.core.segmenter import scaled_channels
from vssbench.nets.losses import cross_entropy
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.resize import resize
from vssbench.nets.resnet import ResNet

#: dilations of the 3x3 convolutions in the atrous pyramid at output stride 16
RATES = (6, 12, 18)


def conv_bn_relu(inputs: int, outputs: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    """Build a convolution without bias, batch normalisation, ReLU; the size is kept."""
    padding = dilation * (kernel // 2)
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


class AtrousPyramid(nn.Module):
    """ASPP: a 1x1 convolution, three dilated 3x3 and the image's mean, side by side, then a 1x1 and
    dropout."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                conv_bn_relu(inputs, outputs, 1),
                *(conv_bn_relu(inputs, outputs, 3, rate) for rate in RATES),
            ]
        )
        self.average = conv_bn_relu(inputs, outputs, 1)
        self.merge = conv_bn_relu(outputs * (len(RATES) + 2), outputs, 1)
        self.drop = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.average(x.mean((-2, -1), keepdim=True)).expand(-1, -1, *x.shape[-2:])
        merged: Tensor = self.drop(
            self.merge(torch.cat([*(branch(x) for branch in self.branches), mean], 1))
        )
        return merged


class Decoder(nn.Module):
    """The decoder without its last 1x1 convolution: ``deep`` is enlarged to ``low``, both go
    through two 3x3 convolutions.

    ``low`` channels are first reduced to ``reduced``; ``middle`` are the channels of the two 3x3
    convolutions.
    """

    def __init__(self, deep: int, low: int, reduced: int, middle: tuple[int, int]) -> None:
        super().__init__()
        first, second = middle
        self.reduce = conv_bn_relu(low, reduced, 1)
        self.first = conv_bn_relu(deep + reduced, first, 3)
        self.second = conv_bn_relu(first, second, 3)
        self.drops = nn.ModuleList([nn.Dropout(0.5), nn.Dropout(0.1)])

    def forward(self, deep: Tensor, low: Tensor) -> Tensor:
        """Map (N, deep, H/16, W/16) and (N, low, H/4, W/4) to (N, second, H/4, W/4)."""
        x = torch.cat([resize(deep, (low.shape[-2], low.shape[-1])), self.reduce(low)], 1)
        decoded: Tensor = self.drops[1](self.second(self.drops[0](self.first(x))))
        return decoded


class DeepLabv3Plus(SegmentationNetwork):
    """59,343,795 parameters at 19 classes and width 1; the feature before the last 1x1 convolution
    has 256 channels at stride 4. ``encoder_channels`` are those of the two features that the
    decoder starts from: the atrous pyramid's, at stride 16, and layer 1's, at stride 4.
    """

    auxiliary = ()

    def __init__(self, classes: int, layers: int = 101, width: float = 1.0) -> None:
        super().__init__()
        deep, reduced = scaled_channels(256, width), scaled_channels(48, width)
        self.backbone = ResNet(
            layers, width, strides=(1, 2, 2, 1), dilations=((1,), (1,), (1,), (2, 4, 8))
        )
        low, _, _, last = self.backbone.channels
        self.aspp = AtrousPyramid(last, deep)
        self.decoder = Decoder(deep, low, reduced, (deep, deep))
        self.final = nn.Conv2d(deep, classes, 1)
        self.feature_channels = deep
        self.encoder_channels = (deep, low)
        initialise_heads(self.aspp, self.decoder, self.final)

    def features(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Turn a normalised image (N, 3, H, W) into the feature (N, 256, H/4, W/4) and the
        encoder's two, sides rounded up."""
        low, _, _, last = self.backbone(image)
        deep = self.aspp(last)
        return self.decoder(deep, low), (deep, low)

    def classify(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply the last 1x1 convolution and the resize to the image's size."""
        return resize(self.final(feature), size)

    def auxiliary_loss(
        self, extra: tuple[Tensor, Tensor], label: Tensor, weights: Tensor
    ) -> dict[str, Tensor]:
        """Return no terms: DeepLabv3+ is trained by its own output alone."""
        return {}

    def task_loss(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Compute pixelwise cross-entropy."""
        return cross_entropy(logits, label, weights)


def initialise_heads(*modules: nn.Module) -> None:
    """Apply He initialisation by the number of inputs, which this code uses outside the
    backbone."""
    for module in modules:
        for layer in module.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
