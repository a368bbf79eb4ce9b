"""ResNet-18, 50 and 101 as segmentation backbones: either stem, any strides and dilations (He et
al., CVPR 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.core.errors import UsageError
from vssbench.core.segmenter import scaled_channels

#: layers -> blocks of each stage
BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}

#: of a block: one number for all its 3x3 convolutions, or those of the first and the second of a
#: basic block
Dilation = int | tuple[int, int]

#: strides and dilations of the four stages; a stage's last dilation repeats for its remaining
#: blocks
STRIDED = ((1, 2, 2, 2), ((1,), (1,), (1,), (1,)))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; ``dilation`` may be a pair, that of the first and of
    the second."""

    expansion = 1

    def __init__(self, inputs: int, planes: int, stride: int, dilation: Dilation) -> None:
        super().__init__()
        first, second = dilation if isinstance(dilation, tuple) else (dilation, dilation)
        self.conv1 = nn.Conv2d(inputs, planes, 3, stride, padding=first, dilation=first, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, 3, padding=second, dilation=second, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, planes, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class Bottleneck(nn.Module):
    """1x1 to ``planes``, 3x3 with the stride and the dilation, 1x1 to four times ``planes``, with a
    shortcut."""

    expansion = 4

    def __init__(self, inputs: int, planes: int, stride: int, dilation: Dilation) -> None:
        super().__init__()
        if isinstance(dilation, tuple):
            raise UsageError(
                f"a bottleneck block has one 3x3 convolution and takes one dilation, not {dilation}"
            )
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(
            planes, planes, 3, stride, padding=dilation, dilation=dilation, bias=False
        )
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(inputs, planes * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        return self.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet(nn.Module):
    """Features of the four stages, ``channels[i]`` each (64, 128, 256, 512 times the block's
    expansion, times ``width``).

    ``deep_stem``: channels of three 3x3 convolutions that take the 7x7 one's place (hszhao/semseg
    and others), None for the 7x7. ``strides`` and ``dilations`` are those of the stages, see
    ``STRIDED`` (output strides 4, 8, 16, 32). The names of the tensors are torchvision's, but for a
    deep stem, which is the sequence ``conv1``.
    """

    def __init__(
        self,
        layers: int = 18,
        width: float = 1.0,
        *,
        strides: Sequence[int] = STRIDED[0],
        dilations: Sequence[Sequence[Dilation]] = STRIDED[1],
        deep_stem: tuple[int, int, int] | None = None,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        if layers not in BLOCKS:
            raise UsageError(
                f"there is no ResNet-{layers} here: expected {', '.join(map(str, BLOCKS))} layers"
            )
        self.layers, self.width, self.deep_stem = layers, width, deep_stem
        block = BasicBlock if layers < 50 else Bottleneck
        planes = tuple(scaled_channels(c, width) for c in (64, 128, 256, 512))
        self.channels = tuple(c * block.expansion for c in planes)
        if deep_stem is None:
            inputs = planes[0]
            self.conv1: nn.Module = nn.Conv2d(3, inputs, 7, 2, padding=3, bias=False)
        else:
            first, second, inputs = (scaled_channels(c, width) for c in deep_stem)
            self.conv1 = deep_convolutions(first, second, inputs)
        self.stem_channels = inputs
        self.bn1 = nn.BatchNorm2d(inputs)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1, ceil_mode=ceil_mode)
        stages = []
        for count, outputs, stride, pattern in zip(
            BLOCKS[layers], planes, strides, dilations, strict=True
        ):
            blocks = []
            for number in range(count):
                dilation = pattern[min(number, len(pattern) - 1)]
                blocks.append(block(inputs, outputs, stride if number == 0 else 1, dilation))
                inputs = outputs * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        initialise_convolutions(self)

    def stem(self, x: Tensor) -> Tensor:
        """Run the stem: (N, 3, H, W) to its feature at stride 4."""
        return self.maxpool(self.relu(self.bn1(self.conv1(x))))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.stages(self.stem(x))

    def stages(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return the four stages' features, from the stem's."""
        first = self.layer1(x)
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)


def deep_convolutions(first: int, second: int, third: int) -> nn.Sequential:
    """Build three 3x3 convolutions, the first of stride 2, with BN and ReLU between them (the last
    pair is the caller's)."""
    return nn.Sequential(
        nn.Conv2d(3, first, 3, 2, padding=1, bias=False),
        nn.BatchNorm2d(first),
        nn.ReLU(inplace=True),
        nn.Conv2d(first, second, 3, padding=1, bias=False),
        nn.BatchNorm2d(second),
        nn.ReLU(inplace=True),
        nn.Conv2d(second, third, 3, padding=1, bias=False),
    )


class Shortcut(nn.Sequential):
    """A strided 1x1 convolution and BN, for a block that changes channels or size."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.stride == 1:
            return super().forward(x)
        # torch 2.13 on CPU crashes in the backward pass of a strided 1x1 convolution over 8
        # channels-last channels; the same convolution of the pixels that the stride keeps does not
        convolution, norm = self
        assert isinstance(convolution, nn.Conv2d)
        return norm(F.conv2d(x[..., :: self.stride, :: self.stride], convolution.weight))


def _shortcut(inputs: int, outputs: int, stride: int) -> Shortcut | None:
    return None if stride == 1 and inputs == outputs else Shortcut(inputs, outputs, stride)


def initialise_convolutions(module: nn.Module) -> None:
    """Apply He initialisation for every convolution, as the original ResNet's."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
