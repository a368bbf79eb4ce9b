"""BiSeNet V1 (Yu et al., ECCV 2018, section 3): a spatial and a context path, in the forms of four
published codes.

The paper leaves open how features are enlarged, what the modules' attention is made of and how wide
the heads are; ``FORMS`` lists how each code fills that in. :mod:`vssbench.methods.bisenet.figure`
is the form that takes the paper's figure literally.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.core.segmenter import scaled_channels
from vssbench.nets.losses import cross_entropy, dice_loss, ohem_cross_entropy, probability_ohem
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.resize import resize
from vssbench.nets.resnet import ResNet, initialise_convolutions
from vssbench.nets.xception39 import Xception39

#: a loss of (logits, label, weights of the classes)
Criterion = Callable[[Tensor, Tensor, Tensor], Tensor]

#: values of the parameter ``loss``: that of the published numbers, hard example mining as the
#: form's code has it, cross-entropy of all pixels, dice
Loss = Literal["authors", "ohem", "ce", "dice"]


@dataclass(frozen=True)
class Channels:
    """Channels at width 1: the spatial path's inner layers, its end and the context path, the fused
    feature, both heads."""

    spatial: int = 64
    path: int = 128
    fused: int = 256
    head: int = 256
    auxiliary: int = 64
    deep_stem: tuple[int, int, int] | None = None


@dataclass(frozen=True)
class Form:
    """One code's reading of the paper.

    ``channels`` by backbone. ``enlarge``: the context path's features grow by ``nearest_double``
    (nearest x2, then bilinear where the next feature has another size), ``bilinear`` or ``nearest``
    to the next feature's size. ``gate``: the fusion's attention, a key of ``GATES``. ``aligned``:
    corners of the logits' and auxiliary logits' bilinear resizing. ``factor``: logits grow by this
    factor first and then to the image's size, 1 for at once. ``dropout`` in the heads.
    ``label_stride``: training compares logits with labels at stride 8 (8), or both at the image's
    size (1). ``ohem``: the code's kind of hard example mining; ``loss``: that of the published
    numbers.
    """

    channels: Mapping[str, Channels]
    enlarge: str = "nearest_double"
    gate: str = "normalised"
    aligned: bool = False
    factor: int = 8
    dropout: float = 0.0
    label_stride: int = 1
    ohem: Criterion = ohem_cross_entropy
    loss: str = "ohem"

    def criterion(self, loss: str) -> Criterion:
        """Return the function of a value of ``Loss``."""
        if loss == "authors":
            loss = self.loss
        return {"ohem": self.ohem, "ce": cross_entropy, "dice": dice_loss}[loss]


_WIDE = Channels(spatial=256, path=512, fused=1024, head=1024, auxiliary=256)
_NARROW = Channels(head=64, auxiliary=128)

#: value of the parameter ``form`` -> what it means: CoinCheung/BiSeNet and AR-Seg; ycszen/TorchSeg,
#: by the paper's first author, at full and at real-time labels; open-mmlab/mmsegmentation
FORMS = {
    "coincheung": Form(dict.fromkeys(("resnet18", "resnet34", "resnet50", "resnet101",
    "xception39"), Channels())),
    "torchseg": Form(
        {
            "resnet18": Channels(head=64, auxiliary=256),
            "resnet101": Channels(auxiliary=256, deep_stem=(64, 64, 128)),
            "xception39": _NARROW,
        },
        "bilinear", "plain", aligned=True, ohem=probability_ohem,
    ),
    "torchseg_speed": Form(
        {"resnet18": _NARROW, "xception39": _NARROW},
        "bilinear", "plain", aligned=True, factor=1, label_stride=8, ohem=probability_ohem,
    ),
    "mmseg": Form(
        {"resnet18": Channels(), "resnet50": _WIDE, "resnet101": _WIDE},
        "nearest", "rectified", factor=1, dropout=0.1, loss="ce",
    ),
}  # fmt: skip


class ConvBNReLU(nn.Sequential):
    """Convolution without bias, batch normalisation, ReLU."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int = 1) -> None:
        super().__init__(
            nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(outputs),
            nn.ReLU(inplace=True),
        )


class ChannelGate(nn.Sequential):
    """sigmoid(BN(1x1 convolution of the global mean)): (N, channels, h, w) to (N, channels, 1,
    1)."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.Sigmoid(),
        )


class RectifiedGate(nn.Sequential):
    """A ChannelGate with a ReLU before the sigmoid: no channel is scaled by less than 0.5."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
            nn.ReLU(inplace=True),
            nn.Sigmoid(),
        )


class PlainGate(nn.Sequential):
    """Fig. 2c: global mean, 1x1 convolution, ReLU, 1x1 convolution, sigmoid; no batch
    normalisation."""

    def __init__(self, channels: int, bias: bool = False) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, channels, 1, bias=bias),
            nn.ReLU(inplace=True),
            nn.Conv2d(channels, channels, 1, bias=bias),
            nn.Sigmoid(),
        )


#: a form's ``gate`` -> the attention of its feature fusion module
GATES: dict[str, type[ChannelGate] | type[RectifiedGate] | type[PlainGate]] = {
    "normalised": ChannelGate,
    "rectified": RectifiedGate,
    "plain": PlainGate,
}


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
    """Backbone to stride 32, global average pooling, ARMs at strides 16 and 32, merged upwards to
    stride 8."""

    def __init__(self, backbone: str, form: Form, width: float) -> None:
        super().__init__()
        self.enlarge = form.enlarge
        plan = form.channels[backbone]
        self.backbone = make_backbone(backbone, width, plan.deep_stem)
        third, fourth = self.backbone.channels[-2:]
        channels = scaled_channels(plan.path, width)
        self.arm16 = AttentionRefinement(third, channels)
        self.arm32 = AttentionRefinement(fourth, channels)
        self.head16 = ConvBNReLU(channels, channels, 3)
        self.head32 = ConvBNReLU(channels, channels, 3)
        self.average = ConvBNReLU(fourth, channels, 1)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return features at strides 8 and 16; with ``nearest_double`` the first has twice the
        second's size, even if odd sizes make that one more than the eighth of the image."""
        f8, f16, f32 = self.backbone(image)[-3:]
        x32 = self.arm32(f32) + self.average(f32.mean((-2, -1), keepdim=True))
        if self.enlarge == "nearest_double":
            x32 = self.head32(resize(_doubled(x32), _size(f16)))
            return self.head16(_doubled(self.arm16(f16) + x32)), x32
        x32 = self.head32(self._enlarged(x32, f16))
        return self.head16(self._enlarged(self.arm16(f16) + x32, f8)), x32

    def _enlarged(self, x: Tensor, like: Tensor) -> Tensor:
        if self.enlarge == "nearest":
            return F.interpolate(x, size=_size(like), mode="nearest")
        return resize(x, _size(like))


class FeatureFusion(nn.Module):
    """FFM (Fig. 2c): concatenation, convolution, and a gated copy added to itself."""

    def __init__(self, inputs: int, outputs: int, gate: nn.Module, kernel: int = 1) -> None:
        super().__init__()
        self.conv = ConvBNReLU(inputs, outputs, kernel)
        self.gate = gate

    def forward(self, spatial: Tensor, context: Tensor) -> Tensor:
        fused = self.conv(torch.cat([spatial, context], 1))
        return fused + fused * self.gate(fused)


class AuxiliaryHead(nn.Sequential):
    """3x3 convolution, dropout in a form that has it, and classifier; used in training alone."""

    def __init__(self, inputs: int, middle: int, classes: int, dropout: float = 0.0) -> None:
        super().__init__(ConvBNReLU(inputs, middle, 3))
        if dropout:
            self.append(nn.Dropout2d(dropout))
        self.append(nn.Conv2d(middle, classes, 1))


class BiSeNet(SegmentationNetwork):
    """BiSeNet V1 in a form of ``FORMS`` with one of the form's backbones; ``loss`` is one of
    ``Loss``.

    The feature enters the last 1x1 convolution: 256 or 64 channels at stride 8. ``label_stride`` is
    8 where the form trains with labels at stride 8.
    """

    auxiliary = ("auxiliary8", "auxiliary16")

    def __init__(
        self,
        classes: int,
        width: float = 1.0,
        backbone: str = "resnet18",
        form: str = "coincheung",
        loss: str = "authors",
    ) -> None:
        super().__init__()
        self.form = FORMS[form]
        plan = self.form.channels[backbone]
        sizes = (plan.spatial, plan.path, plan.fused, plan.head, plan.auxiliary)
        stem, path, fused, head, auxiliary = (scaled_channels(c, width) for c in sizes)
        self.criterion = self.form.criterion(loss)
        self.label_stride = self.form.label_stride
        self.context = ContextPath(backbone, self.form, width)
        self.spatial = nn.Sequential(
            ConvBNReLU(3, stem, 7, 2),
            ConvBNReLU(stem, stem, 3, 2),
            ConvBNReLU(stem, stem, 3, 2),
            ConvBNReLU(stem, path, 1),
        )
        self.fusion = FeatureFusion(2 * path, fused, GATES[self.form.gate](fused))
        self.head = ConvBNReLU(fused, head, 3)
        self.drop = nn.Dropout2d(self.form.dropout)
        self.final = nn.Conv2d(head, classes, 1)
        self.auxiliary8 = AuxiliaryHead(path, auxiliary, classes, self.form.dropout)
        self.auxiliary16 = AuxiliaryHead(path, auxiliary, classes, self.form.dropout)
        self.feature_channels = head
        initialise_convolutions(self)

    def features(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Turn a normalised image (N, 3, H, W) into the feature (N, feature_channels, H/8, W/8) and
        the context path's two outputs."""
        context8, context16 = self.context(image)
        spatial = resize(self.spatial(image), _size(context8))
        return self.drop(self.head(self.fusion(spatial, context8))), (context8, context16)

    def classify(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Apply the last 1x1 convolution, then x8 bilinear and the resize to the image's size where
        that differs, or both at once."""
        logits = self.final(feature)
        if self.form.factor == 1:
            return resize(logits, size, align_corners=False)
        logits = F.interpolate(
            logits, scale_factor=self.form.factor, mode="bilinear", align_corners=self.form.aligned
        )
        return resize(logits, size)

    def auxiliary_loss(
        self, extra: tuple[Tensor, Tensor], label: Tensor, weights: Tensor
    ) -> dict[str, Tensor]:
        """Compute the task's loss on the two heads of the context path (Eq. 2, alpha = 1)."""
        heads = {"auxiliary8": self.auxiliary8(extra[0]), "auxiliary16": self.auxiliary16(extra[1])}
        return {
            name: self.task_loss(resize(logits, _size(label), self.form.aligned), label, weights)
            for name, logits in heads.items()
        }

    def task_loss(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Return the loss of the logits, by default that of the form's published numbers.

        That is mostly online hard example mining.
        """
        return self.criterion(logits, label, weights)


class BiSeNet18(BiSeNet):
    """AR-Seg's and CoinCheung's BiSeNet V1-ResNet18: 13,423,012 parameters at 12 classes and width
    1, 13,273,740 without the auxiliary heads.

    The feature that AR-Seg warps and fuses is the one that enters the last 1x1 convolution: 256
    channels at stride 8.
    """

    def __init__(self, classes: int, width: float = 1.0, loss: str = "authors") -> None:
        super().__init__(classes, width, loss=loss)


def make_backbone(
    name: str, width: float, deep_stem: tuple[int, int, int] | None = None
) -> ResNet | Xception39:
    """Build ``xception39`` or ``resnetN``; the last three of its outputs have strides 8, 16 and
    32."""
    if name == "xception39":
        return Xception39(width)
    return ResNet(int(name.removeprefix("resnet")), width, deep_stem=deep_stem)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")


def _size(x: Tensor) -> tuple[int, int]:
    return x.shape[-2], x.shape[-1]
