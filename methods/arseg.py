"""AR-Seg: low-resolution non-keyframes fused with the keyframe's features moved by the codec's vectors (CVPR 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.errors import UsageError, WeightsError
from vssbench.nets.bisenet import BiSeNet18
from vssbench.nets.creff import CReFF
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.pspnet import UpsamplingPSPNet
from vssbench.nets.resize import resize, scaled_size
from vssbench.nets.warp import resize_motion, warp
from vssbench.perframe import check_scale
from vssbench.segmenter import Batch, Phase, VideoSegmenter, width_suffix

#: backbone parameter -> (network, its name in the paper's tables, the per-frame method that holds the same network)
BACKBONES: dict[str, tuple[type[UpsamplingPSPNet] | type[BiSeNet18], str, str]] = {
    "psp18": (UpsamplingPSPNet, "PSP18", "pspnet"),
    "bise18": (BiSeNet18, "Bise18", "bisenet"),
}


class ARSeg(VideoSegmenter):
    """Parameters: ``backbone`` psp18 or bise18, ``scale`` of non-keyframes, ``window`` of the local attention, ``warp``
    exact or paper (the authors' half-pixel mismatch), ``width`` multiplier of all channels.

    A keyframe passes through the full-resolution network, and its feature before the last 1x1 convolution is the reference.
    Another frame passes through a second network of the same shape at low resolution; the reference is warped by the codec's
    vectors to that frame, CReFF fuses the two, and the keyframe network's own last convolution classifies (section 3).
    """

    needs = frozenset({"motion"})
    free_parameters = ("scale", "warp")

    def __init__(
        self,
        classes: int,
        *,
        backbone: str = "psp18",
        scale: float = 0.5,
        window: int = 7,
        warp: str = "exact",
        width: float = 1.0,
    ) -> None:
        super().__init__(classes)
        if backbone not in BACKBONES:
            raise UsageError(f"arseg: unknown backbone {backbone!r}; expected one of {', '.join(BACKBONES)}")
        if window < 1 or window % 2 == 0:
            raise UsageError(f"arseg: window={window} is not an odd number (the paper uses 3, 7 and 11)")
        if warp not in ("exact", "paper"):
            raise UsageError(f"arseg: unknown warp {warp!r}; expected exact or paper")
        network, self._paper_name, self._per_frame = BACKBONES[backbone]
        self.backbone, self.scale, self.window, self.warp, self.width = (
            backbone,
            check_scale("arseg", scale),
            window,
            warp,
            width,
        )
        self.high: SegmentationNetwork = network(classes, width=width)
        self.low: SegmentationNetwork = network(classes, width=width)
        self.low.final = nn.Identity()  # the last 1x1 convolution is shared: the keyframe network's classifies both
        self.fusion = CReFF(self.high.feature_channels, window)

    @property
    def display(self) -> str:
        return f"AR{self.scale:.1f}-{self._paper_name}{width_suffix(self.width)}"

    def keyframe(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.high(self.normalise(image))

    def nonkeyframe(self, image: Tensor, motion: Tensor | None, reference: Tensor) -> Tensor:
        assert motion is not None  # the harness grants what `needs` declares
        size = (image.shape[-2], image.shape[-1])
        low, _ = self.low.features(resize(self.normalise(image), scaled_size(*size, self.scale)))
        return self.high.classify(self.fuse(low, motion, reference), size)

    def fuse(self, low: Tensor, motion: Tensor, reference: Tensor) -> Tensor:
        """CReFF of a low-resolution feature and the reference, moved by ``motion`` (N, 2, H, W) in image pixels."""
        size = (reference.shape[-2], reference.shape[-1])
        return self.fusion(low, warp(reference, resize_motion(motion, size), self.warp))

    def phases(self) -> Sequence[Phase]:
        """HR network; then, with it frozen, the LR network alone; then LR network and CReFF (train_pair.py of the authors)."""
        return (
            Phase("hr", 1.0, frozen=("low", "fusion")),
            Phase("lr", 0.5, frozen=("high", "fusion")),
            Phase("fusion", 0.5, data="pairs", frozen=("high",)),
        )

    def begin_phase(self, phase: Phase) -> None:
        """The LR network starts from the HR network's weights, which it resembles more than ImageNet's."""
        if phase.name == "lr":
            high = {name: value for name, value in self.high.state_dict().items() if not name.startswith("final.")}
            self.low.load_state_dict(high)

    def loss(self, phase: Phase, batch: Batch) -> dict[str, Tensor]:
        image = self.normalise(batch.image)
        size = (image.shape[-2], image.shape[-1])
        if phase.name == "hr":
            feature, extra = self.high.features(image)
            return self.high.losses(self.high.classify(feature, size), extra, batch.label, batch.class_weights)
        low_size = scaled_size(*size, self.scale)
        feature, extra = self.low.features(resize(image, low_size))
        if phase.name == "lr":
            logits = resize(self.high.classify(feature, low_size), size)
            return self.low.losses(logits, extra, batch.label, batch.class_weights)
        assert batch.keyframe is not None
        assert batch.motion is not None
        with torch.no_grad():  # feature similarity training (section 3.3): the HR network's feature of the same frame
            reference, _ = self.high.features(self.normalise(batch.keyframe))
            target, _ = self.high.features(image)
        fused = self.fuse(feature, batch.motion, reference)
        terms = self.low.losses(self.high.classify(fused, size), extra, batch.label, batch.class_weights)
        return {**terms, "feature": F.mse_loss(fused.float(), target.float())}

    def initialise(self, state: dict[str, Tensor], source: dict[str, str]) -> tuple[str, ...]:
        """From a per-frame network's weights: at scale 1 for both networks (replaces phase hr), at a lower scale for the
        low-resolution network alone (replaces phase lr)."""
        if source.get("name") == "arseg":
            self.load_state_dict(state)
            return ("hr", "lr")
        if source.get("name") != self._per_frame:
            raise WeightsError(
                f"arseg[backbone={self.backbone}] starts from weights of {self._per_frame} or arseg, "
                f"and this file holds {source.get('method', 'an unknown method')}"
            )
        network = {name.removeprefix("net."): value for name, value in state.items()}
        low = {name: value for name, value in network.items() if not name.startswith("final.")}
        self.low.load_state_dict(low)
        if float(source.get("scale", 1)) < 1:
            return ("lr",)
        self.high.load_state_dict(network)
        return ("hr",)

    def training_only(self) -> tuple[str, ...]:
        return tuple(f"{branch}.{name}" for branch in ("high", "low") for name in self.high.auxiliary)
