"""PSPNet in its two published forms (Zhao et al., CVPR 2017): AR-Seg's with upsampling stages, and
hszhao/semseg's.

``UpsamplingPSPNet`` is the network of AR-Seg's CamVid experiments: its feature before the last 1x1
convolution, which AR-Seg warps and fuses, has 64 channels at full resolution. ``SemsegPSPNet`` is
that of its Cityscapes experiments and of the PSPNet paper's own rows: 512 channels at stride 8.
``MmsegPSPNet`` is open-mmlab's, whose checkpoints are the most at hand.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.core.segmenter import scaled_channels
from vssbench.nets.losses import cross_entropy, presence_loss
from vssbench.nets.network import TwoPartNetwork
from vssbench.nets.resize import resize
from vssbench.nets.resnet import Dilation, ResNet, initialise_convolutions

BINS = (1, 2, 3, 6)


class PyramidPooling(nn.Module):
    """Section 3.2 in AR-Seg's form: 1x1 convolutions without BN, the input concatenated last."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Conv2d(inputs, inputs, 1, bias=False) for _ in BINS)
        self.bottleneck = nn.Conv2d(inputs * (len(BINS) + 1), outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[-2], x.shape[-1])
        pooled = [
            resize(stage(F.adaptive_avg_pool2d(x, bins)), size, align_corners=False)
            for bins, stage in zip(BINS, self.stages, strict=True)
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


class UpsamplingPSPNet(TwoPartNetwork):
    """AR-Seg's CamVid PSPNet; with ResNet-18 17,461,979 parameters at 12 classes and width 1,
    presence classifier included.

    Only from the second block on are stage 3 (dilation 2) and stage 4 (dilation 4) dilated.
    ``task`` names the submodules of the paper's N_task, ``feature_channels`` those before the last
    1x1 convolution (64).
    """

    auxiliary = ("presence",)

    def __init__(self, classes: int, layers: int = 18, width: float = 1.0) -> None:
        super().__init__()
        wide, middle, narrow = (scaled_channels(c, width) for c in (1024, 256, 64))
        self.backbone = ResNet(
            layers, width, strides=(1, 2, 1, 1), dilations=((1,), (1,), (1, 2), (1, 4))
        )
        _, _, third, fourth = self.backbone.channels
        self.psp = PyramidPooling(fourth, wide)
        self.drop_psp = nn.Dropout2d(0.3)
        self.up1 = UpsampleStage(wide, middle)
        self.up2 = UpsampleStage(middle, narrow)
        self.up3 = UpsampleStage(narrow, narrow)
        self.drop_up = nn.Dropout2d(0.15)
        self.final = nn.Conv2d(narrow, classes, 1)
        self.presence = nn.Sequential(
            nn.Linear(third, middle), nn.ReLU(inplace=True), nn.Linear(middle, classes)
        )
        self.stem_channels, self.backbone_channels, self.feature_channels = (
            self.backbone.stem_channels,
            fourth,
            narrow,
        )

    def stage_features(self, stem: Tensor) -> tuple[Tensor, Tensor]:
        _, _, third, fourth = self.backbone.stages(stem)
        return fourth, third

    def task_features(self, backbone: Tensor) -> Tensor:
        """Map (N, 512, h, w) at stride 8 to the feature (N, 64, 8 h, 8 w)."""
        x = self.drop_psp(self.psp(backbone))
        for stage in (self.up1, self.up2, self.up3):
            x = self.drop_up(stage(x))
        return x

    def classify(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply the last 1x1 convolution, and the resize to the image's size (a no-op where both
        sides divide by 8)."""
        return resize(self.final(feature), size)

    def presence_logits(self, third: Tensor) -> Tensor:
        """Return (N, classes): which classes are in the picture, from the maximum over stage 3."""
        return self.presence(third.amax((-2, -1)))

    def auxiliary_loss(self, extra: Tensor, label: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Compute binary cross-entropy of which classes are in the picture (weight 1)."""
        return {"presence": presence_loss(self.presence_logits(extra), label)}

    def task_loss(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Compute pixelwise cross-entropy."""
        return cross_entropy(logits, label, weights)


class NormalisedPooling(nn.Module):
    """Section 3.2 in hszhao/semseg's form: 1x1 convolutions with BN and ReLU, the input
    concatenated first."""

    def __init__(self, inputs: int, outputs: int, align_corners: bool) -> None:
        super().__init__()
        self.align_corners = align_corners
        self.stages = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(inputs, outputs, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            )
            for _ in BINS
        )

    def forward(self, x: Tensor) -> Tensor:
        size = (x.shape[-2], x.shape[-1])
        pooled = [
            resize(stage(F.adaptive_avg_pool2d(x, bins)), size, self.align_corners)
            for bins, stage in zip(BINS, self.stages, strict=True)
        ]
        return torch.cat([x, *pooled], 1)


class SemsegPSPNet(TwoPartNetwork):
    """hszhao/semseg's PSPNet, with the ResNet-18 that AR-Seg added to it (16,764,262 parameters at
    19 classes).

    ResNet-50 and 101 have the deep stem (64, 64, 128), and dilations 2 and 4 in every block of
    stages 3 and 4; AR-Seg's ResNet-18 has the 7x7 stem, and its blocks' first convolutions keep the
    dilation 1 in each stage's first block.
    """

    auxiliary = ("auxiliary_head",)
    auxiliary_weight = 0.4
    align_corners = True

    def __init__(self, classes: int, layers: int = 18, width: float = 1.0) -> None:
        super().__init__()
        self.backbone = self._backbone(layers, width)
        _, _, third, fourth = self.backbone.channels
        head, auxiliary = (scaled_channels(c, width) for c in self._head_channels(layers))
        pooled = fourth // len(BINS)
        self.psp = NormalisedPooling(fourth, pooled, self.align_corners)
        self.head = _head(fourth + pooled * len(BINS), head)
        self.drop = nn.Dropout2d(0.1)
        self.final = nn.Conv2d(head, classes, 1)
        self.auxiliary_head = nn.Sequential(
            *_head(third, auxiliary), nn.Dropout2d(0.1), nn.Conv2d(auxiliary, classes, 1)
        )
        self.stem_channels, self.backbone_channels, self.feature_channels = (
            self.backbone.stem_channels,
            fourth,
            head,
        )
        initialise_convolutions(self)

    @staticmethod
    def _backbone(layers: int, width: float) -> ResNet:
        if layers < 50:
            dilations: tuple[tuple[Dilation, ...], ...] = ((1,), (1,), ((1, 2), 2), ((1, 4), 4))
            return ResNet(layers, width, strides=(1, 2, 1, 1), dilations=dilations)
        return ResNet(
            layers,
            width,
            strides=(1, 2, 1, 1),
            dilations=((1,), (1,), (2,), (4,)),
            deep_stem=(64, 64, 128),
        )

    @staticmethod
    def _head_channels(layers: int) -> tuple[int, int]:
        """Return the channels of the head and of the auxiliary head."""
        return 512, 256

    def stage_features(self, stem: Tensor) -> tuple[Tensor, Tensor]:
        _, _, third, fourth = self.backbone.stages(stem)
        return fourth, third

    def task_features(self, backbone: Tensor) -> Tensor:
        """Map (N, 512, h, w) at stride 8 (2048 of ResNet-50 and 101) to the feature (N, 512, h,
        w)."""
        return self.drop(self.head(self.psp(backbone)))

    def classify(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply the last 1x1 convolution and the resize to the image's size."""
        return resize(self.final(feature), size, self.align_corners)

    def auxiliary_loss(self, extra: Tensor, label: Tensor, weights: Tensor) -> dict[str, Tensor]:
        """Compute cross-entropy of the head on stage 3, weight 0.4 (section 4)."""
        logits = resize(
            self.auxiliary_head(extra), (label.shape[-2], label.shape[-1]), self.align_corners
        )
        return {"auxiliary": self.auxiliary_weight * cross_entropy(logits, label, weights)}

    def task_loss(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Compute pixelwise cross-entropy."""
        return cross_entropy(logits, label, weights)


class MmsegPSPNet(SemsegPSPNet):
    """open-mmlab's PSPNet (12,790,086 parameters with ResNet-18 at 19 classes, 67,967,622 with
    ResNet-101).

    The deep stem (32, 32, 64); in a stage's first block half its dilation; of a basic block the
    first convolution alone is dilated; narrower heads behind ResNet-18; corners are not aligned.
    """

    align_corners = False

    @staticmethod
    def _backbone(layers: int, width: float) -> ResNet:
        basic: tuple[tuple[Dilation, ...], ...] = ((1,), (1,), (1, (2, 1)), ((2, 1), (4, 1)))
        bottleneck: tuple[tuple[Dilation, ...], ...] = ((1,), (1,), (1, 2), (2, 4))
        dilations = basic if layers < 50 else bottleneck
        return ResNet(
            layers, width, strides=(1, 2, 1, 1), dilations=dilations, deep_stem=(32, 32, 64)
        )

    @staticmethod
    def _head_channels(layers: int) -> tuple[int, int]:
        return (128, 64) if layers < 50 else (512, 256)


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


#: value of the parameter ``style`` -> the network
STYLES: dict[str, type[UpsamplingPSPNet] | type[SemsegPSPNet]] = {
    "upsample": UpsamplingPSPNet,
    "semseg": SemsegPSPNet,
    "mmseg": MmsegPSPNet,
}


def make_pspnet(classes: int, layers: int, style: str, width: float) -> tuple[TwoPartNetwork, str]:
    """Return the PSPNet of a method's parameters, and what tables call it."""
    return STYLES[style](classes, layers, width), f"PSPNet{layers}" + (
        "" if style == "upsample" else f" ({style})"
    )
