"""ResNet-18 as a segmentation backbone: the 7x7 stem and four stages, dilated or strided (He et al., CVPR 2016)."""

from __future__ import annotations

from torch import Tensor, nn

from vssbench.segmenter import scaled_channels


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut; ``dilations`` are those of the first and the second."""

    def __init__(self, inputs: int, outputs: int, stride: int, dilations: tuple[int, int]) -> None:
        super().__init__()
        first, second = dilations
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=first, dilation=first, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=second, dilation=second, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        return self.relu(self.bn2(self.conv2(x)) + shortcut)


class ResNet18(nn.Module):
    """Features of the four stages, (N, 64 | 128 | 256 | 512 times width, ...).

    ``dilated=False``: strides 4, 8, 16, 32. ``dilated=True``: output stride 8 as in AR-Seg's PSPNet18, where only the second
    block of stage 3 (dilation 2) and of stage 4 (dilation 4) is dilated.
    """

    def __init__(self, width: float = 1.0, dilated: bool = False) -> None:
        super().__init__()
        self.channels = tuple(scaled_channels(c, width) for c in (64, 128, 256, 512))
        stem = self.channels[0]
        self.conv1 = nn.Conv2d(3, stem, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, padding=1)
        stride = 1 if dilated else 2  # of stages 3 and 4, where dilation takes the place of the stride
        self.layer1 = self._stage(stem, self.channels[0], 1)
        self.layer2 = self._stage(self.channels[0], self.channels[1], 2)
        self.layer3 = self._stage(self.channels[1], self.channels[2], stride, 2 if dilated else 1)
        self.layer4 = self._stage(self.channels[2], self.channels[3], stride, 4 if dilated else 1)
        initialise_convolutions(self)

    @staticmethod
    def _stage(inputs: int, outputs: int, stride: int, dilation: int = 1) -> nn.Sequential:
        first = BasicBlock(inputs, outputs, stride, (1, 1))
        return nn.Sequential(first, BasicBlock(outputs, outputs, 1, (dilation, dilation)))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        first = self.layer1(x)
        second = self.layer2(first)
        third = self.layer3(second)
        return first, second, third, self.layer4(third)


def initialise_convolutions(module: nn.Module) -> None:
    """He initialisation for every convolution, as the original ResNet's."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
