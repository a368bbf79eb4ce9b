"""Xception39, the light backbone of BiSeNet V1 (Yu et al., ECCV 2018, section 4.1), as the first
author's code has it."""

from __future__ import annotations

from torch import Tensor, nn

from vssbench.core.segmenter import scaled_channels
from vssbench.nets.resnet import initialise_convolutions

#: blocks of each stage
BLOCKS = (4, 8, 4)

#: channels inside the blocks of each stage; a block's output has ``EXPANSION`` times as many
CHANNELS = (16, 32, 64)
EXPANSION = 4


class SeparableConvolution(nn.Sequential):
    """Depthwise 3x3 and pointwise 1x1 convolution with BN after the second alone, then ReLU where
    ``active``."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, active: bool = True) -> None:
        super().__init__(
            nn.Conv2d(inputs, inputs, 3, stride, padding=1, groups=inputs, bias=False),
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )
        if active:
            self.append(nn.ReLU(inplace=True))


class Block(nn.Module):
    """Three separable convolutions with a shortcut, which is a separable convolution itself where
    the stride is 2."""

    def __init__(self, inputs: int, middle: int, stride: int) -> None:
        super().__init__()
        outputs = EXPANSION * middle
        self.residual = nn.Sequential(
            SeparableConvolution(inputs, middle, stride),
            SeparableConvolution(middle, middle),
            SeparableConvolution(middle, outputs, active=False),
        )
        self.shortcut = (
            SeparableConvolution(inputs, outputs, stride, active=False)
            if stride > 1
            else nn.Identity()
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.shortcut(x) + self.residual(x))


class Xception39(nn.Module):
    """Features at strides 8, 16 and 32, of ``channels`` 64, 128 and 256 at width 1 (times
    ``width``)."""

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        inputs = scaled_channels(8, width)
        self.stem = nn.Sequential(
            nn.Conv2d(3, inputs, 3, 2, padding=1, bias=False),
            nn.BatchNorm2d(inputs),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, padding=1),
        )
        stages = []
        for count, channels in zip(BLOCKS, CHANNELS, strict=True):
            middle = scaled_channels(channels, width)
            first = Block(inputs, middle, 2)
            inputs = EXPANSION * middle
            stages.append(
                nn.Sequential(first, *(Block(inputs, middle, 1) for _ in range(count - 1)))
            )
        self.layer1, self.layer2, self.layer3 = stages
        self.channels = tuple(EXPANSION * scaled_channels(c, width) for c in CHANNELS)
        initialise_convolutions(self)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        eighth = self.layer1(self.stem(x))
        sixteenth = self.layer2(eighth)
        return eighth, sixteenth, self.layer3(sixteenth)
