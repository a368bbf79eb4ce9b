"""AR-Seg: low-resolution non-keyframes fused with the keyframe's features moved by the codec's
vectors (CVPR 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.segmenter import Batch, Phase, VideoSegmenter, width_suffix
from vssbench.methods.arseg.conventions import CONVENTIONS
from vssbench.methods.arseg.creff import KINDS, CReFF
from vssbench.methods.arseg.fused_creff import Fusion, fused_creff
from vssbench.methods.arseg.local_attention import WINDOW
from vssbench.methods.arseg.originals import ORIGINALS
from vssbench.nets.bisenet import BiSeNet18
from vssbench.nets.network import SegmentationNetwork, TwoPartNetwork
from vssbench.nets.perframe import check_scale
from vssbench.nets.pspnet import STYLES
from vssbench.nets.resize import resize, scaled_size
from vssbench.nets.warp import resize_motion, resize_motion_paper, warp

#: backbone parameter -> (its name in the paper's tables, the per-frame method that holds the same
#: network)
BACKBONES = {"psp18": ("PSP18", "pspnet"), "bise18": ("Bise18", "bisenet")}

# of the choices of a parameter the first is what the published numbers were made with, but for
# ``warp`` (see the class)
Backbone = Literal["psp18", "bise18"]
Style = Literal["upsample", "semseg"]
FusionName = Literal["local", "global", "conv", "none", "warp"]
Warp = Literal["exact", "paper", "off"]
Location = Literal["c1x1", "ntask", "nfeat"]
FeatureSimilarity = Literal["mse", "kl", "kl_predictions", "none"]


class ARSeg(VideoSegmenter):
    """A keyframe passes through the full-resolution network, whose feature before the last 1x1
    convolution is the reference. Another frame passes through a second network of the same shape at
    low resolution; the reference is warped by the codec's vectors to that frame, CReFF fuses the
    two, and the keyframe network's own last convolution classifies (section 3).

    Parameters: ``backbone`` psp18 or bise18; ``style`` of psp18, upsample (the CamVid experiments:
    64 channels at full resolution are fused) or semseg (Cityscapes: 512 channels at stride 8);
    ``scale`` of non-keyframes; ``width`` multiplier of all channels.

    Those of the ablation (Table 3): ``fusion`` local (local attention in a ``window``), global (at
    1/32), conv, none (the low-resolution network alone), warp (the moved keyframe feature alone);
    ``grouped`` depthwise convolutions of query, key and value; ``direct`` connection of the
    low-resolution feature; ``scaled`` scores (Eq. 3; the authors' code has none); ``location`` of
    the fusion, before c1x1, ntask or nfeat (behind the stem, as in the authors' code); ``warp``
    exact, paper (the authors' code, half a pixel off) or off; ``shared`` last convolution; ``fst``,
    the feature similarity training: mse, kl (of the features, as in the authors' code),
    kl_predictions, or none.

    ``start`` of the low-resolution network's training: hr (the trained keyframe network's weights)
    or own (what ``--init`` gave it, from ImageNet in the authors' code, but for bise18 on
    Cityscapes; random weights without).
    """

    originals = ORIGINALS
    conventions = CONVENTIONS

    needs = frozenset({"motion"})
    free_parameters = ("scale", "warp", "scaled", "direct", "fst", "start")

    def __init__(
        self,
        classes: int,
        *,
        backbone: Backbone = "psp18",
        style: Style = "upsample",
        scale: float = 0.5,
        window: int = WINDOW,
        fusion: FusionName = "local",
        grouped: bool = True,
        direct: bool = True,
        scaled: bool = False,
        location: Location = "c1x1",
        warp: Warp = "exact",
        shared: bool = True,
        fst: FeatureSimilarity = "mse",
        start: Literal["hr", "own"] = "hr",
        width: float = 1.0,
    ) -> None:
        super().__init__(classes)
        _check_together(backbone, style, location, fusion, window)
        self.backbone, self.style, self.window, self.warp, self.width = (
            backbone,
            style,
            window,
            warp,
            width,
        )
        self.scale = check_scale("arseg", scale)
        self.mode, self.location, self.shared, self.fst = fusion, location, shared, fst
        self.start = start
        self._paper_name, self._per_frame = BACKBONES[backbone]
        self._changed = [
            f"{key} {_word(value)}"
            for key, value, usual in (
                ("style", style, "upsample"), ("window", window, WINDOW),
                ("fusion", fusion, "local"), ("grouped", grouped, True),
                ("direct", direct, True), ("scaled", scaled, False), ("before", location, "c1x1"),
                ("warp", "off" if warp == "off" else "on", "on"), ("shared C1x1", shared, True),
                ("FST", fst, "mse"),
            )
            if value != usual
        ]  # fmt: skip
        self.high, self.low = self._network(), self._network()
        if shared:
            # the keyframe network's last 1x1 convolution classifies both
            self.low.final = nn.Identity()
        if fusion in KINDS:
            channels, stride = self._fused_feature()
            self.fusion = CReFF(channels, window, fusion, grouped, direct, scaled, stride)
        if warp == "off" or fusion == "none":
            self.needs = frozenset()

    def _network(self) -> SegmentationNetwork:
        if self.backbone == "bise18":
            return BiSeNet18(self.classes, width=self.width)
        return STYLES[self.style](self.classes, 18, self.width)

    def _fused_feature(self) -> tuple[int, int]:
        """Return the channels and the stride of the feature that CReFF fuses."""
        if self.location != "c1x1":
            assert isinstance(self.high, TwoPartNetwork)
            return (
                (self.high.stem_channels, 4)
                if self.location == "nfeat"
                else (self.high.backbone_channels, 8)
            )
        return self.high.feature_channels, 1 if (self.backbone, self.style) == (
            "psp18",
            "upsample",
        ) else 8

    @property
    def display(self) -> str:
        changes = f" ({', '.join(self._changed)})" if self._changed else ""
        return f"AR{self.scale:.1f}-{self._paper_name}{changes}{width_suffix(self.width)}"

    def keyframe(self, image: Tensor) -> tuple[Tensor, Tensor]:
        image = self.normalise(image)
        size = (image.shape[-2], image.shape[-1])
        if self.location == "c1x1":
            return self.high(image)
        assert isinstance(self.high, TwoPartNetwork)
        stem = self.high.backbone.stem(image)
        backbone, _ = self.high.stage_features(stem)
        reference = stem if self.location == "nfeat" else backbone
        return self.high.classify(self.high.task_features(backbone), size), reference

    def nonkeyframe(self, image: Tensor, motion: Tensor | None, reference: Tensor) -> Tensor:
        image = self.normalise(image)
        size = (image.shape[-2], image.shape[-1])
        if self.mode == "none":
            low_size = scaled_size(*size, self.scale)
            low, _ = self.low.features(resize(image, low_size))
            return resize(self._classify(low, low_size), size)
        if (self.mode, self.location) != ("local", "c1x1") or not self.fusion.grouped:
            return self._classify(self._fused_features(image, motion, reference)[0], size)
        low, _ = self.low.features(resize(image, scaled_size(*size, self.scale)))
        return self._fused_logits(low, motion, reference, size)

    def _fused_logits(
        self, low: Tensor, motion: Tensor | None, reference: Tensor, size: tuple[int, int]
    ) -> Tensor:
        """Compute logits of a non-keyframe in one pass over the image.

        The pass is the warp, CReFF and, where the feature has the logits' size, the last
        convolution.
        """
        if self.warp != "off":
            assert motion is not None  # the harness grants what `needs` declares
            motion = self._resized_motion(motion, (reference.shape[-2], reference.shape[-1]))
        branch, fusion = self.high if self.shared else self.low, self.fusion
        final = branch.final if self.backbone == "psp18" else None
        assert final is None or isinstance(final, nn.Conv2d)
        parts = Fusion(
            fusion.query, fusion.key, fusion.value, final, fusion.window, fusion.scale,
            "exact" if self.warp == "off" else self.warp, fusion.direct,
        )  # fmt: skip
        fused = fused_creff(low, reference, None if self.warp == "off" else motion, parts)
        return branch.classify(fused, size) if final is None else resize(fused, size)

    def _classify(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        return (self.high if self.shared else self.low).classify(feature, size)

    def _moved(self, reference: Tensor, motion: Tensor | None) -> Tensor:
        """Move the keyframe's feature to this frame's place.

        ``motion`` (N, 2, H, W) is in image pixels.
        """
        if self.warp == "off":
            return reference
        assert motion is not None  # the harness grants what `needs` declares
        size = (reference.shape[-2], reference.shape[-1])
        return warp(reference, self._resized_motion(motion, size), self.warp)

    def _resized_motion(self, motion: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the field at a feature's size, as ``warp`` says: our own way or the authors'."""
        if self.warp == "paper":
            return resize_motion_paper(motion, size, self.training)
        return resize_motion(motion, size)

    def _fused_features(
        self, image: Tensor, motion: Tensor | None, reference: Tensor
    ) -> tuple[Tensor, Any]:
        """Return the feature before the last convolution of a non-keyframe, and what the auxiliary
        losses need."""
        if self.mode == "warp":
            return self._moved(reference, motion), None
        small = resize(image, scaled_size(image.shape[-2], image.shape[-1], self.scale))
        if self.location == "c1x1":
            low, extra = self.low.features(small)
            return self.fuse(low, motion, reference), extra
        assert isinstance(self.low, TwoPartNetwork)
        if self.location == "nfeat":
            return self.low.features_from_stem(
                self.fuse(self.low.backbone.stem(small), motion, reference)
            )
        backbone, extra = self.low.backbone_features(small)
        return self.low.task_features(self.fuse(backbone, motion, reference)), extra

    def fuse(self, low: Tensor, motion: Tensor | None, reference: Tensor) -> Tensor:
        """Fuse by CReFF a low-resolution feature with the keyframe's, moved by ``motion``.

        ``motion`` is (N, 2, H, W) in image pixels.
        """
        return self.fusion(low, self._moved(reference, motion))

    def phases(self) -> Sequence[Phase]:
        """Return the phases of training: the HR network, the LR network, the LR network with CReFF.

        The HR network is frozen in the latter two; the order is that of the authors' train_pair.py.
        """
        fusion = ("fusion",) if self.mode in KINDS else ()
        phases = [Phase("hr", 1.0, frozen=("low", *fusion))]
        if self.mode != "warp":
            phases.append(Phase("lr", 0.5, frozen=("high", *fusion)))
        if fusion:
            phases.append(Phase("fusion", 0.5, data="pairs", frozen=("high",)))
        return phases

    def begin_phase(self, phase: Phase) -> None:
        """Start the LR network from the HR network's weights.

        It resembles these more than ImageNet's.
        """
        if phase.name == "lr" and self.start == "hr":
            self._copy_to_low(self.high.state_dict())

    def _copy_to_low(self, state: dict[str, Tensor]) -> None:
        self.low.load_state_dict(
            {n: v for n, v in state.items() if not (self.shared and n.startswith("final."))}
        )

    def loss(self, phase: Phase, batch: Batch) -> dict[str, Tensor]:
        image = self.normalise(batch.image)
        size = (image.shape[-2], image.shape[-1])
        if phase.name == "hr":
            feature, extra = self.high.features(image)
            return self.high.losses(
                self.high.classify(feature, size), extra, batch.label, batch.class_weights
            )
        if phase.name == "lr":
            logits, feature, extra = self._low(image)
        else:
            assert batch.keyframe is not None
            with torch.no_grad():
                _, reference = self.keyframe(batch.keyframe)
            feature, extra = self._fused_features(image, batch.motion, reference)
            logits = self._classify(feature, size)
        terms = self.low.losses(logits, extra, batch.label, batch.class_weights)
        return {**terms, **self._similarity(image, feature, logits)}

    def _low(self, image: Tensor) -> tuple[Tensor, Tensor, Any]:
        """Return the LR network alone, of a normalised image: logits, its feature, what its
        auxiliary losses need."""
        size = (image.shape[-2], image.shape[-1])
        low_size = scaled_size(*size, self.scale)
        feature, extra = self.low.features(resize(image, low_size))
        return resize(self._classify(feature, low_size), size), feature, extra

    def validation_logits(self, phase: Phase, batch: Batch) -> Tensor:
        """See VideoSegmenter. Phase lr trains the LR network alone, which no keyframe shows."""
        if phase.name == "lr":
            return self._low(self.normalise(batch.image))[0]
        return super().validation_logits(phase, batch)

    def _similarity(self, image: Tensor, feature: Tensor, logits: Tensor) -> dict[str, Tensor]:
        """Compute the losses of feature similarity training (section 3.3): the HR network's feature
        of the same frame is the target of a squared error, or of a divergence of features or
        predictions. With fusion and, as in the authors' code, without."""
        if self.fst == "none":
            return {}
        with torch.no_grad():
            target, _ = self.high.features(image)
        fused = resize(feature, (target.shape[-2], target.shape[-1]))
        if self.fst == "mse":
            return {"feature": F.mse_loss(fused.float(), target.float())}
        # train_pair.py of the authors takes the features for logarithms of probabilities
        if self.fst == "kl":
            return {
                "feature": F.kl_div(
                    target.float(), fused.float(), reduction="none", log_target=True
                ).mean()
            }
        with torch.no_grad():
            teacher = (
                self.high.classify(target, (logits.shape[-2], logits.shape[-1]))
                .float()
                .log_softmax(1)
            )
        divergence = F.kl_div(
            logits.float().log_softmax(1), teacher, reduction="none", log_target=True
        )
        return {"feature": divergence.sum(1).mean()}

    def initialise(self, state: dict[str, Tensor], source: dict[str, str]) -> tuple[str, ...]:
        """Begin from a per-frame network's weights: at scale 1 for both networks (replaces phase
        hr), at a lower scale for the low-resolution network alone (replaces phase lr). From
        AR-Seg's own: both are replaced."""
        if source.get("name") == "arseg":
            return ("hr", "lr") if self._load(state, source) else ()
        if source.get("name") != self._per_frame:
            raise WeightsError(
                f"arseg[backbone={self.backbone}] starts from weights of {self._per_frame} or "
                f"arseg, and this file holds {source.get('method', 'an unknown method')}"
            )
        network = {name.removeprefix("net."): value for name, value in state.items()}
        self._copy_to_low(network)
        if float(source.get("scale", 1)) < 1:
            return ("lr",)
        self.high.load_state_dict(network)
        return ("hr",)

    def training_only(self) -> tuple[str, ...]:
        auxiliary = tuple(
            f"{branch}.{name}" for branch in ("high", "low") for name in self.high.auxiliary
        )
        return (*auxiliary, "low") if self.mode == "warp" else auxiliary


def _check_together(backbone: str, style: str, location: str, fusion: str, window: int) -> None:
    """Refuse what does not exist together. Raises UsageError."""
    if window < 1 or window % 2 == 0:
        raise UsageError(
            f"arseg: window={window} is not an odd number (the paper uses 3, 7 and 11)"
        )
    if backbone == "bise18" and style != "upsample":
        raise UsageError(
            f"arseg: style={style} is a form of psp18; leave it out with backbone=bise18"
        )
    if backbone == "bise18" and location != "c1x1":
        raise UsageError(
            f"arseg: location={location} is known of psp18 alone (the paper's ablation); bise18 "
            "fuses before c1x1"
        )
    if fusion in ("none", "warp") and location != "c1x1":
        raise UsageError(
            f"arseg: fusion={fusion} fuses nothing, so that location={location} has no meaning; "
            "leave it out"
        )


def _word(value: str | int | bool) -> str:
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
