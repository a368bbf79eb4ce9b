"""PSPNet18 as AR-Seg's CamVid experiments use it: dilated ResNet-18, pyramid pooling, three x2 upsampling stages.

The feature that AR-Seg warps and fuses is the one that enters the last 1x1 convolution: 64 channels at full resolution.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.nets.losses import cross_entropy, presence_loss
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.resize import resize
from vssbench.nets.resnet import ResNet18
from vssbench.segmenter import scaled_channels


class PyramidPooling(nn.Module):
    """Zhao et al., CVPR 2017, section 3.2, in AR-Seg's form: 1x1 convolutions without BN, the input concatenated last."""

    def __init__(self, inputs: int, outputs: int, bins: tuple[int, ...] = (1, 2, 3, 6)) -> None:
        super().__init__()
        self.bins = bins
        self.stages = nn.ModuleList(nn.Conv2d(inputs, inputs, 1, bias=False) for _ in bins)
        self.bottleneck = nn.Conv2d(inputs * (len(bins) + 1), outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[-2], x.shape[-1])
        pooled = [
            resize(stage(F.adaptive_avg_pool2d(x, bins)), size, align_corners=False)
            for bins, stage in zip(self.bins, self.stages, strict=True)
        ]
        return F.relu(self.bottleneck(torch.cat([*pooled, x], 1)))


class UpsampleStage(nn.Module):
    """Bilinear x2, then 3x3 convolution, BN, PReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.PReLU()

    def forward(self, x: Tensor) -> Tensor:
        x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        return self.act(self.bn(self.conv(x)))


class PSPNet18(SegmentationNetwork):
    """AR-Seg's CamVid PSPNet18: 17,461,979 parameters at 12 classes and width 1, presence classifier included."""

    auxiliary = ("presence",)

    def __init__(self, classes: int, width: float = 1.0) -> None:
        super().__init__()
        wide, middle, narrow = (scaled_channels(c, width) for c in (1024, 256, 64))
        self.backbone = ResNet18(width, dilated=True)
        _, _, third, fourth = self.backbone.channels
        self.psp = PyramidPooling(fourth, wide)
        self.drop_psp = nn.Dropout2d(0.3)
        self.up1 = UpsampleStage(wide, middle)
        self.up2 = UpsampleStage(middle, narrow)
        self.up3 = UpsampleStage(narrow, narrow)
        self.drop_up = nn.Dropout2d(0.15)
        self.final = nn.Conv2d(narrow, classes, 1)
        self.presence = nn.Sequential(nn.Linear(third, third), nn.ReLU(inplace=True), nn.Linear(third, classes))
        self.feature_channels = narrow

    def features(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised image (N, 3, H, W) to the feature (N, 64, 8 ceil(H/8), 8 ceil(W/8)) and stage 3 of the backbone."""
        _, _, third, fourth = self.backbone(image)
        x = self.drop_psp(self.psp(fourth))
        for stage in (self.up1, self.up2, self.up3):
            x = self.drop_up(stage(x))
        return x, third

    def classify(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """The last 1x1 convolution, and the resize to the image's size (a no-op where both sides divide by 8)."""
        return resize(self.final(feature), size)

    def auxiliary_loss(self, third: Tensor, label: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Binary cross-entropy of which classes are in the picture, from the maximum over stage 3 (weight 1)."""
        return {"presence": presence_loss(self.presence(third.amax((-2, -1))), label)}

    def task_loss(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Pixelwise cross-entropy."""
        return cross_entropy(logits, label, weights)
