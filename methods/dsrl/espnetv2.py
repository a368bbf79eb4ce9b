"""ESPNetv2 (Mehta et al., CVPR 2019) as a segmentation network, in the form of its authors'
EdgeNets code.

DSRL's published numbers were made with it: s = 2.0 and the 20 outputs of Cityscapes (19 classes and
one for the rest) have 789,242 parameters there, and 674.46 million multiply-accumulates at 256x512,
which EdgeNets prints as 674.78 since it adds a half for each value that gets a bias. 480 of the
parameters are activations that its forward pass never reaches; they are absent here.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.core.segmenter import scaled_channels
from vssbench.nets.losses import cross_entropy
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.resize import resize
from vssbench.nets.resnet import initialise_convolutions

#: of an EESP block; the grouped convolutions have as many groups
BRANCHES = 4
#: dilations of the branches: the paper limits the receptive field of a 3x3 to 7 at stride 16, and
#: falls back to dilation 1
DILATIONS = (1, 2, 3, 4)
DEEP_DILATIONS = (1, 1, 2, 3)
#: EESP blocks after the downsampling at strides 8 and 16
REPEATS = (3, 7)
#: scales of the decoder's pyramid, and the least side of a scaled feature
SCALES = (2.0, 1.5, 1.0, 0.5, 0.1)
LEAST_SIDE = 5


def conv_bn_prelu(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Build a convolution without bias, batch normalisation, PReLU with a slope per channel."""
    convolution = nn.Conv2d(
        inputs, outputs, kernel, stride, padding=kernel // 2, groups=groups, bias=False
    )
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.PReLU(outputs))


class EESP(nn.Module):
    """Extremely efficient spatial pyramid (Fig. 1c): reduce, depthwise dilated branches summed
    upwards, grouped merge.

    ``forward`` gives (N, outputs, h, w), at half the sides with ``stride`` 2, without the last
    activation and shortcut.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        narrow = outputs // BRANCHES
        self.reduce = conv_bn_prelu(inputs, narrow, 1, groups=BRANCHES)
        self.branches = nn.ModuleList(
            nn.Conv2d(narrow, narrow, 3, stride, padding=d, dilation=d, groups=narrow, bias=False)
            for d in dilations
        )
        self.activate = nn.Sequential(nn.BatchNorm2d(outputs), nn.PReLU(outputs))
        self.merge = nn.Sequential(
            nn.Conv2d(outputs, outputs, 1, groups=BRANCHES, bias=False), nn.BatchNorm2d(outputs)
        )

    def forward(self, x: Tensor) -> Tensor:
        reduced = self.reduce(x)
        pyramid = [self.branches[0](reduced)]
        for branch in self.branches[1:]:
            # hierarchical feature fusion: each dilation is added to the smaller ones, against
            # gridding
            pyramid.append(branch(reduced) + pyramid[-1])
        merged: Tensor = self.merge(self.activate(torch.cat(pyramid, 1)))
        return merged


class ResidualEESP(nn.Module):
    """EESP at stride 1 with a shortcut and PReLU."""

    def __init__(self, channels: int, dilations: tuple[int, ...]) -> None:
        super().__init__()
        self.eesp = EESP(channels, channels, 1, dilations)
        self.act = nn.PReLU(channels)

    def forward(self, x: Tensor) -> Tensor:
        activated: Tensor = self.act(self.eesp(x) + x)
        return activated


class DownSampler(nn.Module):
    """Strided EESP (Fig. 2): average pooling beside an EESP of stride 2, and a long-range shortcut
    from the image.

    ``forward`` takes the feature and the image pooled to the output's size (N, 3, h, w).
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.eesp = EESP(inputs, outputs - inputs, 2, DILATIONS)
        self.reinforce = nn.Sequential(
            conv_bn_prelu(3, 3, 3), nn.Conv2d(3, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )  # fmt: skip
        self.act = nn.PReLU(outputs)

    def forward(self, x: Tensor, image: Tensor) -> Tensor:
        halved = torch.cat([halve(x), self.eesp(x)], 1)
        activated: Tensor = self.act(halved + self.reinforce(image))
        return activated


def halve(x: Tensor) -> Tensor:
    """Apply 3x3 average pooling of stride 2; odd sides are rounded up, as by the strided
    convolutions."""
    return F.avg_pool2d(x, 3, 2, padding=1)


class Encoder(nn.Module):
    """Levels 1 to 4 of the classification network: features at strides 2, 4, 8 and 16 with
    ``channels[i]`` channels.

    s = 2.0 has 32, 128, 256 and 512; other widths keep them multiples of 16, growing, since an EESP
    block divides its share into four branches and these into four groups.
    """

    def __init__(self, width: float) -> None:
        super().__init__()
        channels = [16 * max(1, round(32 * width / 16))]
        for paper in (128, 256, 512):
            channels.append(max(16 * round(paper * width / 16), channels[-1] + 16))
        first, second, third, fourth = self.channels = tuple(channels)
        self.level1 = conv_bn_prelu(3, first, 3, 2)
        self.level2 = DownSampler(first, second)
        self.down3 = DownSampler(second, third)
        self.level3 = nn.Sequential(*(ResidualEESP(third, DILATIONS) for _ in range(REPEATS[0])))
        self.down4 = DownSampler(third, fourth)
        self.level4 = nn.Sequential(
            *(ResidualEESP(fourth, DEEP_DILATIONS) for _ in range(REPEATS[1]))
        )

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        image4 = halve(halve(image))
        image8 = halve(image4)
        first = self.level1(image)
        second = self.level2(first, image4)
        third = self.level3(self.down3(second, image8))
        return first, second, third, self.level4(self.down4(third, halve(image8)))


class PyramidPooling(nn.Module):
    """EdgeNets' efficient pyramid pooling without its last 1x1 convolution: (N, inputs, h, w) to
    (N, outputs, h, w).

    The projected feature goes through a depthwise convolution at each of ``SCALES``; the results
    are shuffled so that one grouped convolution mixes the five scales of each channel.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.project = conv_bn_prelu(inputs, outputs, 1)
        self.stages = nn.ModuleList(
            nn.Conv2d(outputs, outputs, 3, padding=1, groups=outputs, bias=False) for _ in SCALES
        )
        pyramid = outputs * len(SCALES)
        self.activate = nn.Sequential(nn.BatchNorm2d(pyramid), nn.PReLU(pyramid))
        self.shuffle = nn.ChannelShuffle(len(SCALES))
        self.merge = conv_bn_prelu(pyramid, outputs, 3, groups=outputs)

    def forward(self, x: Tensor) -> Tensor:
        x = self.project(x)
        size = (x.shape[-2], x.shape[-1])
        pyramid = []
        for scale, stage in zip(SCALES, self.stages, strict=True):
            scaled = (
                max(LEAST_SIDE, math.ceil(size[0] * scale)),
                max(LEAST_SIDE, math.ceil(size[1] * scale)),
            )
            if scale < 1:
                pyramid.append(resize(stage(F.adaptive_avg_pool2d(x, scaled)), size))
            elif scale > 1:
                pyramid.append(F.adaptive_avg_pool2d(stage(resize(x, scaled)), size))
            else:
                pyramid.append(stage(x))
        merged: Tensor = self.merge(self.shuffle(self.activate(torch.cat(pyramid, 1))))
        return merged


class Lateral(nn.Module):
    """From encoder to decoder: a grouped 3x3 convolution, its channels gated by the feature's
    global mean."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.gate = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.conv = conv_bn_prelu(inputs, outputs, 3, groups=math.gcd(inputs, outputs))

    def forward(self, x: Tensor) -> Tensor:
        gated: Tensor = self.conv(x) * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))
        return gated


class DecoderStage(nn.Module):
    """Bilinear enlargement to the encoder's feature, which is added; BN, PReLU and a pyramid."""

    def __init__(self, skip: int, channels: int, pyramid: int) -> None:
        super().__init__()
        self.lateral = Lateral(skip, channels)
        self.activate = nn.Sequential(nn.BatchNorm2d(channels), nn.PReLU(channels))
        self.pyramid = PyramidPooling(channels, pyramid)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        # twice the size in the original, which is the encoder feature's where the image's sides
        # divide by 16
        enlarged = resize(x, (skip.shape[-2], skip.shape[-1]))
        pooled: Tensor = self.pyramid(self.activate(self.lateral(skip) + enlarged))
        return pooled


class ESPNetv2(SegmentationNetwork):
    """ESPNetv2 s = 2.0 at width 1; the feature before the last 1x1 convolution has half as many
    channels as there are classes, 16 at most, at stride 2. ``encoder_channels`` are those of the
    encoder's last feature, at stride 16.
    """

    auxiliary = ()

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__()
        narrow = max(1, min(classes // 2, scaled_channels(16, width)))
        fourth, third, second = (scaled_channels(c, width) for c in (64, 48, 32))
        self.encoder = Encoder(width)
        skip2, skip4, skip8, self.encoder_channels = self.encoder.channels
        self.pyramid = PyramidPooling(self.encoder_channels, narrow)
        self.expand16 = _expand(narrow, fourth)
        self.stage8 = DecoderStage(skip8, fourth, narrow)
        self.expand8 = _expand(narrow, third)
        self.stage4 = DecoderStage(skip4, third, narrow)
        self.expand4 = _expand(narrow, second)
        self.stage2 = DecoderStage(skip2, second, narrow)
        self.final = nn.Conv2d(narrow, classes, 1)
        self.feature_channels = narrow
        initialise_convolutions(self)

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a normalised image (N, 3, H, W) into the feature (N, feature_channels, H/2, W/2) and
        the encoder's last feature (N, encoder_channels, H/16, W/16), sides rounded up."""
        first, second, third, fourth = self.encoder(image)
        x = self.stage8(self.expand16(self.pyramid(fourth)), third)
        x = self.stage4(self.expand8(x), second)
        return self.stage2(self.expand4(x), first), fourth

    def classify(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply the last 1x1 convolution and the resize to the image's size."""
        return resize(self.final(feature), size)

    def auxiliary_loss(self, extra: Tensor, label: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Return no terms: ESPNetv2 is trained by its own output alone."""
        return {}

    def task_loss(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Compute pixelwise cross-entropy."""
        return cross_entropy(logits, label, weights)


def _expand(inputs: int, outputs: int) -> nn.Sequential:
    """Build the 1x1 convolution that ends a pyramid, with BN and PReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs), nn.PReLU(outputs)
    )
