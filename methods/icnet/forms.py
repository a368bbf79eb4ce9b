"""The two PyTorch networks that are published as ICNet and differ from the paper's:
liminn/ICNet-pytorch's and open-mmlab's.

Neither is compressed. Parameters and GMACs are those of 19 classes and 720x960.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.core.segmenter import scaled_channels
from vssbench.methods.icnet.network import PSPNET_STRIDES, ICNet
from vssbench.methods.icnet.units import (
    CascadeFeatureFusion,
    ConcatenatedPyramid,
    FullResolutionBranch,
    Size,
    conv_bn,
    size_of,
    summed_pyramid,
)
from vssbench.nets.losses import cross_entropy
from vssbench.nets.resize import resize
from vssbench.nets.resnet import Dilation, ResNet, initialise_convolutions


class LiminnICNet(ICNet):
    """liminn/ICNet-pytorch: one full-width ResNet on the image at 1/2 for the medium branch and
    again at 1/4 for the low one, 28,298,376 parameters in the original's file, of which 2,049,000
    are ImageNet's classifier.

    The original runs the whole backbone on either image and throws stages 3 and 4 of the halved
    image away: 97.42 GMACs, of which 37.97 are live. Here they are not run.
    """

    def __init__(
        self, classes: int, layers: int = 50, width: float = 1.0, *, guidance: bool = True
    ) -> None:
        super().__init__()
        dilations = ((1,), (1,), (1, 2), (2, 4))
        deep = (64, 64, 128) if layers >= 50 else None
        self.backbone = ResNet(
            layers, width, strides=PSPNET_STRIDES, dilations=dilations, deep_stem=deep
        )
        _, medium, _, low = self.backbone.channels
        fused, fine = scaled_channels(128, width), scaled_channels(64, width)
        self.sub1 = FullResolutionBranch(width)
        self.fusion24 = CascadeFeatureFusion(low, medium, fused, guide_projected=True)
        self.fusion12 = CascadeFeatureFusion(fused, fine, fused, guide_projected=True)
        self.guidance24 = nn.Conv2d(fused, classes, 1, bias=False) if guidance else None
        self.guidance12 = nn.Conv2d(fused, classes, 1, bias=False) if guidance else None
        self.final = nn.Conv2d(fused, classes, 1, bias=False)
        self.feature_channels = fused
        initialise_convolutions(self)

    def coarse_branches(self, image: Tensor) -> tuple[Tensor, Tensor]:
        height, width = size_of(image)
        half = self.backbone.stem(resize(image, (height // 2, width // 2)))
        medium = self.backbone.layer2(self.backbone.layer1(half))
        *_, deepest = self.backbone(resize(image, (height // 4, width // 4)))
        return summed_pyramid(deepest), medium

    def head(self, fused: Tensor) -> Tensor:
        height, width = size_of(fused)
        return resize(fused, (2 * height, 2 * width))

    def discarded(self, size: Size) -> tuple[tuple[nn.Module, tuple[int, int, int, int]], ...]:
        """List stages 3 and 4 on the halved image, and both guidance classifiers.

        The original runs them at inference too.
        """
        medium, eighth = _halved((size[0] // 2, size[1] // 2), 3), _halved(size, 3)
        _, second, third, _ = self.backbone.channels
        heads = [(self.guidance24, medium), (self.guidance12, eighth)]
        return (
            (self.backbone.layer3, (1, second, *medium)),
            (self.backbone.layer4, (1, third, *medium)),
            *(
                (head, (1, self.feature_channels, *area))
                for head, area in heads
                if head is not None
            ),
        )


class MmsegICNet(ICNet):
    """open-mmlab/mmsegmentation: the low branch goes on from stage 2 of the medium one, halved;
    concatenated pyramid pooling, a convolution before each classifier, corners not aligned.
    47,827,833 parameters with ResNet-50, 25,174,393 with ResNet-18, the guidance heads among them;
    40.94 and 24.86 GMACs.
    """

    align_corners = False

    def __init__(
        self, classes: int, layers: int = 50, width: float = 1.0, *, guidance: bool = True
    ) -> None:
        super().__init__()
        dilations: tuple[tuple[Dilation, ...], ...] = ((1,), (1,), (1, 2), (2, 4))
        if layers < 50:  # a basic block's second convolution is not dilated
            dilations = ((1,), (1,), (1, (2, 1)), ((2, 1), (4, 1)))
        self.backbone = ResNet(
            layers,
            width,
            strides=PSPNET_STRIDES,
            dilations=dilations,
            deep_stem=(32, 32, 64),
            ceil_mode=True,
        )
        _, second, _, deepest = self.backbone.channels
        pooled, coarse, fused, fine = (scaled_channels(c, width) for c in (512, 256, 128, 64))
        self.pyramid = ConcatenatedPyramid(deepest, pooled)
        self.sub1 = FullResolutionBranch(width)
        self.sub2 = conv_bn(second, coarse, 1)
        self.sub4 = conv_bn(pooled, coarse, 1)
        self.fusion24 = _mmseg_fusion(coarse, coarse, fused)
        self.fusion12 = _mmseg_fusion(fused, fine, fused)
        self.guidance24 = (
            nn.Sequential(conv_bn(fused, fused, 3), nn.Conv2d(fused, classes, 1))
            if guidance
            else None
        )
        self.guidance12 = (
            nn.Sequential(conv_bn(fused, fused, 3), nn.Conv2d(fused, classes, 1))
            if guidance
            else None
        )
        self.last = conv_bn(fused, fused, 3)
        self.final = nn.Conv2d(fused, classes, 1)
        self.feature_channels = fused
        initialise_convolutions(self)

    def coarse_branches(self, image: Tensor) -> tuple[Tensor, Tensor]:
        medium = self.backbone.layer2(self.backbone.layer1(self.backbone.stem(_scaled_half(image))))
        deepest = self.backbone.layer4(self.backbone.layer3(_scaled_half(medium)))
        return self.sub4(self.pyramid(deepest)), self.sub2(medium)

    def head(self, fused: Tensor) -> Tensor:
        return self.last(fused)

    def compare(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Compute cross-entropy at the label's size, to which this form enlarges every branch's
        logits."""
        return cross_entropy(resize(logits, size_of(label), self.align_corners), label, weights)


def _mmseg_fusion(coarse: int, fine: int, outputs: int) -> CascadeFeatureFusion:
    return CascadeFeatureFusion(
        coarse, fine, outputs, align_corners=False, rectified=True, guide_projected=True
    )


def _scaled_half(x: Tensor) -> Tensor:
    """Halve an image by the factor and not to a size.

    Pixels of an odd side are sampled two apart, its last one is left out.
    """
    return F.interpolate(x, scale_factor=0.5, mode="bilinear", align_corners=False)


def _halved(size: Size, times: int) -> Size:
    """Return a size after so many 3x3 convolutions or poolings of stride 2 and padding 1."""
    for _ in range(times):
        size = (size[0] - 1) // 2 + 1, (size[1] - 1) // 2 + 1
    return size
