"""ICNet (Zhao et al., ECCV 2018, arXiv 1704.08545): a cascade of the image at 1/4, 1/2 and full
size.

``ICNet`` is what the published networks of that name have in common, ``PaperICNet`` that of the
paper and of the authors' Caffe models (hszhao/ICNet). The two PyTorch ones are in
:mod:`vssbench.methods.icnet.forms`.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

from torch import Tensor, nn

from vssbench.core.errors import UsageError
from vssbench.core.segmenter import scaled_channels
from vssbench.methods.icnet.units import (
    CascadeFeatureFusion,
    DeconvolutionFusion,
    FullResolutionBranch,
    Size,
    conv_bn,
    nearest_labels,
    overlapping_pool,
    shrunk,
    size_of,
    summed_pyramid,
    zoomed,
)
from vssbench.nets.losses import cross_entropy
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.resize import resize
from vssbench.nets.resnet import Bottleneck, ResNet, initialise_convolutions

#: weight of the two coarser predictions in the cascade label guidance (sections 3.4 and 5.1); the
#: finest has 1
GUIDANCE_WEIGHT = 0.4

#: PSPNet's backbone: stages 3 and 4 dilated instead of strided
PSPNET_STRIDES = (1, 2, 1, 1)
PSPNET_DILATIONS = ((1,), (1,), (2,), (4,))

Branches = Literal["sub4", "sub24", "sub124"]
#: the last branch that predicts (Table 2) -> the submodules that it leaves idle
BRANCHES = {
    "sub4": ("fusion24", "sub1", "fusion12", "guidance12", "final"),
    "sub24": ("sub1", "fusion12", "guidance24", "final"),
    "sub124": ("guidance24", "guidance12"),
}

Fusion = Literal["cff", "dc3", "dc5", "dc7"]
#: what joins two branches: CFF, or Table 3's deconvolutions of 3, 5 and 7 pixels
FUSIONS = {"cff": 0, "dc3": 3, "dc5": 5, "dc7": 7}


class ICNet(SegmentationNetwork):
    """Three branches joined by two fusion units. ``guidance24`` and ``guidance12`` predict from the
    coarser branches in training (None where ``guidance`` is off); at inference they are absent
    (section 3.4).

    A subclass gives the two coarse branches, :meth:`coarse_branches`, and what follows the second
    fusion, :meth:`head`.
    """

    auxiliary = ("guidance24", "guidance12")
    align_corners = True

    sub1: FullResolutionBranch
    fusion24: nn.Module
    fusion12: nn.Module
    guidance24: nn.Module | None
    guidance12: nn.Module | None

    @abstractmethod
    def coarse_branches(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Turn a normalised image (N, 3, H, W) into the low branch's feature at about 1/32 and the
        medium branch's at about 1/16."""

    @abstractmethod
    def head(self, fused: Tensor) -> Tensor:
        """Turn the fused feature at 1/8 into the one before the last 1x1 convolution."""

    def features(self, image: Tensor) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Return, too, the features of the guidance classifiers, at about 1/16 and 1/8."""
        low, medium = self.coarse_branches(image)
        fused, guide24 = self.fusion24(low, medium)
        fused, guide12 = self.fusion12(fused, self.sub1(image))
        return self.head(fused), (guide24, guide12)

    def classify(self, feature: Tensor, size: Size) -> Tensor:
        """Apply the last 1x1 convolution and the resize to the image's size."""
        return resize(self.final(feature), size, self.align_corners)

    def idle(self) -> tuple[str, ...]:
        """Return the submodules that an inference does not run."""
        return self.auxiliary

    def discarded(self, size: Size) -> tuple[tuple[nn.Module, tuple[int, int, int, int]], ...]:
        """List the modules that the original's code runs at inference without using the result.

        For one image of ``size``: pairs of one of our modules and the shape (N, C, h, w) of the
        input that it is run on there.
        """
        return ()

    def task_loss(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Compute pixelwise cross-entropy at the logits' own size, about 1/4: weight 1 of the
        cascade label guidance."""
        return self.compare(logits, label, weights)

    def auxiliary_loss(
        self, extra: tuple[Tensor, Tensor], label: Tensor, weights: Tensor
    ) -> dict[str, Tensor]:
        """Compute cross-entropy at about 1/16 and 1/8, weight 0.4 each (section 3.4). Nothing where
        the guidance is off."""
        heads = {"guidance24": self.guidance24, "guidance12": self.guidance12}
        return {
            name: GUIDANCE_WEIGHT * self.compare(head(feature), label, weights)
            for (name, head), feature in zip(heads.items(), extra, strict=True)
            if head is not None
        }

    def compare(self, logits: Tensor, label: Tensor, weights: Tensor) -> Tensor:
        """Compute cross-entropy of a branch's logits (N, classes, h, w) with the label (N, H, W),
        made as small as they are."""
        return cross_entropy(logits, nearest_labels(label, size_of(logits)), weights)


class PaperICNet(ICNet):
    """The paper's network. The medium branch is the backbone on the halved image up to conv3_1, at
    1/16; the low branch is the rest of the backbone on that feature halved again, so that both
    share the first convolutions (section 3.2).

    ``layers`` of the ResNet (50 in the paper); ``keep`` is the rate of kernels that the compression
    keeps in the backbone (section 3.5: 0.5; 1 is PSPNet's own width). At 0.5 and 19 classes it has
    6,685,715 parameters with BN merged and 29.81 GMACs at 1025x2049. The sizes are those of Caffe's
    layers, which fit without a resize where both sides are 32k + 1; other sizes are resized to what
    is there. ``branches`` and ``fusion`` are the ablations of Tables 2 and 3.
    """

    def __init__(
        self,
        classes: int,
        layers: int = 50,
        width: float = 1.0,
        *,
        keep: float = 0.5,
        branches: str = "sub124",
        fusion: str = "cff",
        guidance: bool = True,
    ) -> None:
        super().__init__()
        if branches != "sub124" and (fusion != "cff" or not guidance):
            raise UsageError(
                f"icnet: branches={branches} predicts from a classifier of the cascade label "
                "guidance: it needs fusion=cff and guidance=on"
            )
        self.branches = branches
        deep = (64, 64, 128) if layers >= 50 else (32, 32, 64)
        self.backbone = ResNet(
            layers,
            keep * width,
            strides=PSPNET_STRIDES,
            dilations=PSPNET_DILATIONS,
            deep_stem=deep,
            ceil_mode=True,
        )
        _stride_first(self.backbone.layer2[0])
        _, medium, _, deepest = self.backbone.channels
        low, fused = scaled_channels(512, keep * width), scaled_channels(128, width)
        self.reduce = conv_bn(deepest, low, 1)
        self.sub1 = FullResolutionBranch(width)
        fusion24 = _fusion(fusion, low, medium, fused)
        fusion12 = _fusion(fusion, fused, scaled_channels(64, width), fused)
        self.fusion24, self.fusion12 = fusion24, fusion12
        self.guidance24 = nn.Conv2d(fusion24.guidance_channels, classes, 1) if guidance else None
        self.guidance12 = nn.Conv2d(fusion12.guidance_channels, classes, 1) if guidance else None
        self.final = nn.Conv2d(fused, classes, 1)
        self.feature_channels = fused
        initialise_convolutions(self)

    def coarse_branches(self, image: Tensor) -> tuple[Tensor, Tensor]:
        first, *rest = self.backbone.layer2
        medium = first(
            self.backbone.layer1(self.backbone.stem(resize(image, shrunk(size_of(image)))))
        )
        x = resize(medium, shrunk(size_of(medium)))
        for block in rest:
            x = block(x)
        x = self.backbone.layer4(self.backbone.layer3(x))
        return self.reduce(summed_pyramid(x, overlapping_pool)), medium

    def head(self, fused: Tensor) -> Tensor:
        return resize(fused, zoomed(size_of(fused)))

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Return (logits at the image's size, feature), predicted from the branch asked for (Table
        2)."""
        if self.branches == "sub124":
            return super().forward(image)
        feature, medium = self.coarse_branches(image)
        if self.branches == "sub24":
            feature, _ = self.fusion24(feature, medium)
        feature = resize(feature, zoomed(size_of(feature)))
        classifier = self.guidance24 if self.branches == "sub4" else self.guidance12
        assert classifier is not None  # refused by __init__
        return resize(classifier(feature), size_of(image)), feature

    def idle(self) -> tuple[str, ...]:
        return BRANCHES[self.branches]


def _fusion(
    name: str, coarse: int, fine: int, outputs: int
) -> CascadeFeatureFusion | DeconvolutionFusion:
    kernel = FUSIONS[name]
    return (
        DeconvolutionFusion(coarse, fine, outputs, kernel)
        if kernel
        else CascadeFeatureFusion(coarse, fine, outputs)
    )


def _stride_first(block: nn.Module) -> None:
    """Move a bottleneck's stride from its 3x3 convolution to the 1x1 before it, where Caffe's
    ResNets have it."""
    if isinstance(block, Bottleneck):
        block.conv1.stride, block.conv2.stride = block.conv2.stride, block.conv1.stride
