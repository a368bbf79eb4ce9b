"""BiSeNet V1 on every frame: a spatial and a context path (Yu et al., ECCV 2018)."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from vssbench.core.errors import UsageError
from vssbench.core.segmenter import Batch, Phase
from vssbench.methods.bisenet.figure import FigureBiSeNet
from vssbench.methods.bisenet.originals import ORIGINALS
from vssbench.nets.bisenet import FORMS, BiSeNet18, Loss
from vssbench.nets.bisenet import BiSeNet as Network
from vssbench.nets.perframe import PerFrameSegmenter
from vssbench.nets.resize import resize, scaled_size

Backbone = Literal["resnet18", "resnet34", "resnet50", "resnet101", "xception39"]
Form = Literal["coincheung", "torchseg", "torchseg_speed", "mmseg", "ooooverflow"]
#: form -> its backbones, the first of which is the default's
BACKBONES = {name: tuple(form.channels) for name, form in FORMS.items()} | {
    "ooooverflow": ("resnet18", "resnet101")
}

#: backbone -> what the paper's tables add to the method's name
NAMES = {"xception39": "-Xception39"} | {
    f"resnet{layers}": str(layers) for layers in (18, 34, 50, 101)
}


class BiSeNet(PerFrameSegmenter):
    """Parameters: ``backbone`` resnet18, resnet34, resnet50, resnet101 or xception39; ``form``
    coincheung (CoinCheung/BiSeNet and AR-Seg), torchseg (the first author's code), torchseg_speed
    (its real-time rows: labels at stride 8), mmseg or ooooverflow (the modules as Fig. 2 draws
    them), each with the backbones that its code has; ``loss`` authors (that of the form's published
    numbers), ohem, ce or dice; ``scale`` of the network's input (1 = full resolution); ``width``
    multiplier of all channels."""

    originals = ORIGINALS
    free_parameters = ("scale", "loss")
    net: Network | FigureBiSeNet

    def __init__(
        self,
        classes: int,
        *,
        backbone: Backbone = "resnet18",
        form: Form = "coincheung",
        loss: Loss = "authors",
        scale: float = 1.0,
        width: float = 1.0,
    ) -> None:
        if backbone not in BACKBONES[form]:
            raise UsageError(
                f"bisenet: form={form} has no backbone {backbone!r}; expected one of "
                f"{', '.join(BACKBONES[form])}"
            )
        name = f"BiSeNet{NAMES[backbone]}" + ("" if form == "coincheung" else f" ({form})")
        super().__init__(
            name, _network(classes, width, backbone, form, loss), classes, scale, width
        )

    def loss(self, phase: Phase, batch: Batch) -> dict[str, Tensor]:
        """Return the named terms of a batch's loss, as for every per-frame method.

        With ``torchseg_speed`` logits at stride 8 are compared with every eighth pixel of the
        label.
        """
        if self.net.label_stride == 1:
            return super().loss(phase, batch)
        low = scaled_size(batch.label.shape[-2], batch.label.shape[-1], self.scale)
        feature, extra = self.net.features(resize(self.normalise(batch.image), low))
        stride = self.net.label_stride
        label = batch.label[:, ::stride, ::stride]
        logits = resize(self.net.final(feature), (label.shape[-2], label.shape[-1]))
        return self.net.losses(logits, extra, label, batch.class_weights)


def _network(
    classes: int, width: float, backbone: str, form: str, loss: str
) -> Network | FigureBiSeNet:
    if form == "ooooverflow":
        return FigureBiSeNet(classes, width, backbone, loss)
    if (form, backbone) == ("coincheung", "resnet18"):
        return BiSeNet18(classes, width, loss)
    return Network(classes, width, backbone, form, loss)
