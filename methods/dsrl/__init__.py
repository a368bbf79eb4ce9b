"""DSRL on every frame: a network on a small image whose output is twice its input's size (Wang et
al., CVPR 2020)."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor

from vssbench.core.errors import UsageError
from vssbench.core.segmenter import Batch, Phase, width_suffix
from vssbench.methods.dsrl.network import (
    BASES,
    BilinearUpsampling,
    DecodedImage,
    ImageDecoder,
    SemanticUpsampling,
    crop,
    feature_affinity,
    feature_transform,
)
from vssbench.methods.dsrl.originals import ORIGINALS
from vssbench.nets.perframe import PerFrameSegmenter
from vssbench.nets.resize import resize, scaled_size

BaseName = Literal["espnetv2", "deeplabv3plus101", "pspnet18", "pspnet50", "pspnet101", "bisenet"]
Form = Literal["paper", "dootmaan"]


class DSRL(PerFrameSegmenter):
    """Parameters: ``base`` network (espnetv2 of the published numbers, deeplabv3plus101, pspnet18,
    pspnet50, pspnet101, bisenet), ``sssr``, ``sisr`` and ``fa`` on or off (the ablation: +SSSR,
    +SSSR+SISR, +SSSR+SISR+FA), ``w1`` and ``w2`` weights of the SISR and the FA loss, ``form`` of
    SSSR and SISR: paper (deconvolutions, as in the authors' code) or dootmaan (that
    implementation's, of deeplabv3plus101 alone), ``scale`` of the network's input (0.5: the output
    is at the image's size), ``width`` multiplier of all channels."""

    originals = ORIGINALS
    free_parameters = ("scale", "w1", "w2")

    def __init__(
        self, classes: int, *, base: BaseName = "espnetv2",
        form: Form = "paper", sssr: bool = True,
        sisr: bool = True,
        fa: bool = True, w1: float = 0.1, w2: float = 1.0, scale: float = 0.5, width: float = 1.0,
    ) -> None:  # fmt: skip
        _check(base, form, sssr, sisr, fa, w1, w2)
        self.base = BASES[base]
        parts = "".join(
            f"+{name}" for name, on in (("SSSR", sssr), ("SISR", sisr), ("FA", fa)) if on
        )
        name = f"DSRL-{self.base.title}" if parts == "+SSSR+SISR+FA" else self.base.title + parts
        super().__init__(name, self.base.build(classes, width), classes, scale, width)
        self.w1, self.w2 = w1, w2
        self.sssr: BilinearUpsampling | SemanticUpsampling | None = None
        if sssr:
            self.sssr = (
                BilinearUpsampling()
                if form == "dootmaan"
                else SemanticUpsampling(classes, self.base.stride)
            )
        self.sisr = self._image_decoder(form, width) if sisr else None
        self.transform = (
            feature_transform(classes, self.sisr.feature_channels)
            if fa and self.sisr is not None
            else None
        )

    def _image_decoder(self, form: str, width: float) -> ImageDecoder | DecodedImage:
        channels = self.base.encoder_channels(self.net)
        return (
            DecodedImage(channels, width)
            if form == "dootmaan"
            else ImageDecoder(channels, self.base.encoder_stride, width)
        )

    @property
    def display(self) -> str:
        resolution = "" if self.scale == 0.5 and self.sssr is not None else f" {self.scale:g}x"
        return f"{self.name}{resolution}{width_suffix(self.width)}"

    def keyframe(self, image: Tensor) -> tuple[Tensor, None]:
        size = (image.shape[-2], image.shape[-1])
        low = scaled_size(*size, self.scale)
        feature, _ = self.net.features(resize(self.normalise(image), low))
        return resize(self.scores(feature, low), size), None

    def scores(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        """Turn the network's feature into logits at twice the input's size, which is ``size``.

        Without SSSR they are at the input's size.
        """
        return (
            self.net.classify(feature, size)
            if self.sssr is None
            else self.sssr(self.net.final(feature), size)
        )

    def loss(self, phase: Phase, batch: Batch) -> dict[str, Tensor]:
        """Compute L = L_ce + w1 L_mse + w2 L_fa (Eq. 5) and the base network's auxiliary losses.

        The label and SISR's target, the image in [0, 1], stay at full resolution.
        """
        size = (batch.label.shape[-2], batch.label.shape[-1])
        low = scaled_size(*size, self.scale)
        feature, extra, encoder = self.base.encode(
            self.net, resize(self.normalise(batch.image), low)
        )
        scores = self.scores(feature, low)
        terms = self.net.losses(resize(scores, size), extra, batch.label, batch.class_weights)
        if self.sisr is not None:
            structure, image = (crop(x, low) for x in self.sisr(encoder))
            terms["sisr"] = self.w1 * F.mse_loss(resize(image, size).float(), batch.image)
            if self.transform is not None:
                terms["affinity"] = self.w2 * feature_affinity(self.transform(scores), structure)
        return terms

    def training_only(self) -> tuple[str, ...]:
        present = [name for name in ("sisr", "transform") if getattr(self, name) is not None]
        return (*super().training_only(), *present)


def _check(base: str, form: str, sssr: bool, sisr: bool, fa: bool, w1: float, w2: float) -> None:
    if form == "dootmaan" and base != "deeplabv3plus101":
        raise UsageError(
            f"dsrl: form=dootmaan is of base=deeplabv3plus101 alone, not of {base}; leave form out"
        )
    if fa and not (sssr and sisr):
        raise UsageError(
            "dsrl: fa compares the features of SSSR with those of SISR; with one of them off, add "
            "fa=off"
        )
    if w1 < 0 or w2 < 0:
        raise UsageError(
            f"dsrl: w1={w1:g} and w2={w2:g} are weights of losses, 0 or more (the paper: 0.1 and 1)"
        )
