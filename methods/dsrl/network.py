"""The parts of dual super-resolution learning (DSRL; Wang et al., CVPR 2020, section 3) around a
segmentation network.

SSSR enlarges the network's scores to twice its input (section 3.2). SISR rebuilds the image at that
size from the same encoder (3.2), and the feature affinity loss makes the one's pixels as similar to
each other as the other's (3.3); both serve training alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vssbench.core.segmenter import scaled_channels
from vssbench.methods.dsrl.deeplabv3plus import Decoder, DeepLabv3Plus, initialise_heads
from vssbench.methods.dsrl.espnetv2 import ESPNetv2
from vssbench.nets.bisenet import BiSeNet
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.pspnet import SemsegPSPNet
from vssbench.nets.resize import resize

#: entries of a batch's similarity matrices that the affinity loss holds at a time (128 MiB in
#: float32)
BLOCK = 2**25


def deconvolution(inputs: int, outputs: int) -> nn.Sequential:
    """Build a doubling of the size: 3x3 transposed convolution, BN, PReLU, as in the authors'
    code."""
    enlarge = nn.ConvTranspose2d(inputs, outputs, 3, 2, padding=1, output_padding=1, bias=False)
    return nn.Sequential(enlarge, nn.BatchNorm2d(outputs), nn.PReLU(outputs))


def doubled(stride: int) -> int:
    """Count the enlargements by 2 that lead from a stride to twice the input's size."""
    return stride.bit_length()


class SemanticUpsampling(nn.Module):
    """SSSR in the authors' form: deconvolutions take the place of the network's last bilinear
    resize.

    Scores (N, classes, ceil(h / stride), ceil(w / stride)) of an image (h, w) become (N, classes, 2
    h, 2 w); ESPNetv2's are at stride 2 and take two deconvolutions. They cost 9 classes^2
    multiply-accumulates for each of their input pixels (590 million at 256x512 and 20 classes),
    which the paper's figures for its method leave out.
    """

    def __init__(self, classes: int, stride: int) -> None:
        super().__init__()
        self.stages = nn.Sequential(
            *(deconvolution(classes, classes) for _ in range(doubled(stride)))
        )

    def forward(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """``size`` is the network input's."""
        return crop(self.stages(scores), size)


class BilinearUpsampling(nn.Module):
    """SSSR in Dootmaan's form: bilinear to the input's size, and once more to twice that, corners
    aligned."""

    def forward(self, scores: Tensor, size: tuple[int, int]) -> Tensor:
        """``size`` is the network input's."""
        return resize(resize(scores, size), (2 * size[0], 2 * size[1]))


def crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the part of an enlarged feature that covers twice the input's size: odd sides were
    rounded up on the way down."""
    return x[..., : 2 * size[0], : 2 * size[1]]


class ImageDecoder(nn.Module):
    """SISR: a decoder like SSSR's on the encoder's last feature, then the reconstruction of the
    image.

    ``forward`` takes the encoder's features and gives the feature (N, ``feature_channels``, 2 h, 2
    w) that the affinity loss compares and the image (N, 3, 2 h, 2 w), sides rounded up to the
    encoder's stride. The paper gives no channels: 64 here, halved by the last two enlargements.
    """

    def __init__(self, channels: tuple[int, ...], stride: int, width: float) -> None:
        super().__init__()
        wide, middle, self.feature_channels = (scaled_channels(c, width) for c in (64, 32, 16))
        steps = doubled(stride)
        path = [*[wide] * (steps - 1), middle, self.feature_channels]
        self.project = nn.Sequential(
            nn.Conv2d(channels[0], wide, 1, bias=False), nn.BatchNorm2d(wide), nn.PReLU(wide)
        )
        self.stages = nn.Sequential(*(deconvolution(a, b) for a, b in pairwise(path)))
        self.reconstruct = nn.Sequential(
            nn.Conv2d(self.feature_channels, self.feature_channels, 3, padding=1),
            nn.PReLU(self.feature_channels),
            nn.Conv2d(self.feature_channels, 3, 3, padding=1),
        )

    def forward(self, encoder: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        feature = self.stages(self.project(encoder[0]))
        return feature, self.reconstruct(feature)


class ResidualConvolutions(nn.Module):
    """Dootmaan's unit after each enlargement: two 3x3 convolutions with a ReLU between them, and a
    1x1 as the shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        self.shortcut = nn.Conv2d(channels, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.second(torch.relu(self.first(x)))
        return residual + self.shortcut(x)


class DecodedImage(nn.Module):
    """SISR in Dootmaan's form: a second DeepLabv3+ decoder, three learned enlargements, a 1x1
    convolution to RGB.

    The affinity loss compares the image itself there. ``forward`` takes and gives what
    ImageDecoder's does.
    """

    feature_channels = 3

    def __init__(self, channels: tuple[int, ...], width: float) -> None:
        super().__init__()
        deep, low = channels
        reduced, first, second, wide = (scaled_channels(c, width) for c in (48, 256, 128, 64))
        path = (wide, wide, scaled_channels(32, width), scaled_channels(16, width))
        self.decoder = Decoder(deep, low, reduced, (first, second))
        self.project = nn.Conv2d(second, wide, 1)
        initialise_heads(self.decoder, self.project)
        self.stages = nn.Sequential(
            *(
                nn.Sequential(nn.ConvTranspose2d(a, b, 2, stride=2), ResidualConvolutions(b))
                for a, b in pairwise(path)
            )
        )
        self.reconstruct = nn.Conv2d(path[-1], 3, 1)

    def forward(self, encoder: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        deep, low = encoder
        image = self.reconstruct(self.stages(self.project(self.decoder(deep, low))))
        return image, image


def feature_transform(classes: int, channels: int) -> nn.Sequential:
    """Build the module that brings SSSR's scores to the channels of SISR's feature: 1x1
    convolution, BN, ReLU."""
    return nn.Sequential(
        nn.Conv2d(classes, channels, 1), nn.BatchNorm2d(channels), nn.ReLU(inplace=True)
    )


def feature_affinity(semantic: Tensor, structural: Tensor, subsample: int = 8) -> Tensor:
    """Compute L_fa (Eq. 3 and 4): mean over all pairs of pixels of |S_ij of the one - S_ij of the
    other|, and over the batch.

    Both features are (N, C, H, W). They are averaged over squares of ``subsample`` pixels (the
    paper's 1/8, where the last row and column may be narrower), then each pixel's vector is divided
    by its L2 norm (p = 2), so that S_ij is a cosine; the distance is L1 (q = 1). The sum runs over
    blocks of rows that are computed again in the backward pass, since 1024x2048 has 32,768 pixels
    at 1/8, and 4 GiB a matrix.
    """
    with torch.autocast(semantic.device.type, enabled=False):
        first, second = _unit_pixels(semantic, subsample), _unit_pixels(structural, subsample)
        count, pixels, _ = first.shape
        rows = max(1, BLOCK // (count * pixels))
        total = first.new_zeros(())
        for start in range(0, pixels, rows):
            block = slice(start, start + rows)
            total = total + checkpoint(
                _affinity_distance,
                first[:, block],
                first,
                second[:, block],
                second,
                use_reentrant=False,
            )
        return total / (count * pixels**2)


def _unit_pixels(feature: Tensor, subsample: int) -> Tensor:
    """Reshape (N, C, H, W) to vectors of length 1 (N, pixels, C). A vector of zeros stays one."""
    pooled = F.avg_pool2d(feature.float(), subsample, ceil_mode=True)
    return F.normalize(pooled, dim=1).flatten(2).transpose(1, 2)


def _affinity_distance(rows_a: Tensor, a: Tensor, rows_b: Tensor, b: Tensor) -> Tensor:
    return (rows_a @ a.transpose(1, 2) - rows_b @ b.transpose(1, 2)).abs().sum()


@dataclass(frozen=True)
class Base:
    """A segmentation network under DSRL: ``stride`` of its scores, ``encoder_stride`` and
    ``encoder_channels`` of the features that SISR starts from, ``encode`` gives (the feature before
    the last 1x1 convolution, what the auxiliary losses need, SISR's features)."""

    title: str
    build: Callable[[int, float], SegmentationNetwork]
    stride: int
    encoder_stride: int
    encoder_channels: Callable[[Any], tuple[int, ...]]
    encode: Callable[[Any, Tensor], tuple[Tensor, Any, tuple[Tensor, ...]]]


def _encode_espnetv2(network: ESPNetv2, image: Tensor) -> tuple[Tensor, Any, tuple[Tensor, ...]]:
    feature, last = network.features(image)
    return feature, last, (last,)


def _encode_deeplab(
    network: DeepLabv3Plus, image: Tensor
) -> tuple[Tensor, Any, tuple[Tensor, ...]]:
    feature, shared = network.features(image)
    return feature, shared, shared


def _encode_pspnet(network: SemsegPSPNet, image: Tensor) -> tuple[Tensor, Any, tuple[Tensor, ...]]:
    last, extra = network.backbone_features(image)
    return network.task_features(last), extra, (last,)


def _encode_bisenet(network: BiSeNet, image: Tensor) -> tuple[Tensor, Any, tuple[Tensor, ...]]:
    # BiSeNet has no decoder: all before its last 1x1 convolution is shared
    feature, extra = network.features(image)
    return feature, extra, (feature,)


def _pspnet(layers: int) -> Base:
    return Base(
        f"PSPNet{layers}", lambda classes, width: SemsegPSPNet(classes, layers, width), 8, 8,
        lambda network: (network.backbone_channels,), _encode_pspnet,
    )  # fmt: skip


#: value of the parameter ``base`` -> the network
BASES = {
    "espnetv2": Base(
        "ESPNetv2", ESPNetv2, 2, 16, lambda network: (network.encoder_channels,), _encode_espnetv2
    ),
    "deeplabv3plus101": Base(
        "DeepLabv3+", lambda classes, width: DeepLabv3Plus(classes, 101, width), 4, 16,
        lambda network: network.encoder_channels, _encode_deeplab,
    ),
    "pspnet18": _pspnet(18),
    "pspnet50": _pspnet(50),
    "pspnet101": _pspnet(101),
    "bisenet": Base(
        "BiSeNet18", BiSeNet, 8, 8, lambda network: (network.feature_channels,), _encode_bisenet
    ),
}  # fmt: skip
