"""Parts of the ICNets: fusion units, pyramid poolings, the cascade's labels.

See Zhao et al., ECCV 2018.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.core.segmenter import FastForm, scaled_channels
from vssbench.fast.pooled_conv import PooledConv
from vssbench.nets.resize import resize

#: sides of the pooled maps, in cells (PSPNet, section 3.2)
BINS = (1, 2, 3, 6)

Size = tuple[int, int]


def size_of(x: Tensor) -> Size:
    """Return height and width of (N, C, H, W)."""
    return x.shape[-2], x.shape[-1]


def shrunk(size: Size) -> Size:
    """Halve a size as Caffe's Interp layer does, (n - 1) // 2 + 1.

    That is exactly every second pixel of an odd side.
    """
    return (size[0] - 1) // 2 + 1, (size[1] - 1) // 2 + 1


def zoomed(size: Size) -> Size:
    """Double a size as Caffe's Interp layer does, 2 (n - 1) + 1.

    These are the old pixels with a new one between each two.
    """
    return 2 * size[0] - 1, 2 * size[1] - 1


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    dilation: int = 1,
    rectified: bool = True,
) -> nn.Sequential:
    """Build a convolution without bias, padded to keep the size, batch normalisation and, where
    ``rectified``, ReLU."""
    padding = kernel // 2 * dilation
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=padding, dilation=dilation, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if rectified else nn.Sequential(*layers)


class FullResolutionBranch(nn.Sequential):
    """The branch of the full image (section 3.2): three 3x3 convolutions of stride 2, to (N, 64,
    H/8, W/8) at width 1."""

    def __init__(self, width: float) -> None:
        narrow, wide = scaled_channels(32, width), scaled_channels(64, width)
        channels = ((3, narrow), (narrow, narrow), (narrow, wide))
        super().__init__(*(conv_bn(inputs, outputs, 3, stride=2) for inputs, outputs in channels))


class CascadeFeatureFusion(nn.Module):
    """CFF (section 3.3, Fig. 3): the coarse feature F1 enlarged bilinearly to the fine one's size
    and convolved 3x3 with dilation 2, the fine feature F2 projected 1x1, BN on either, their sum,
    ReLU.

    Returns (the fused feature, the feature that the guidance classifier reads). The paper's text
    puts that classifier on the enlarged F1 (``guide_projected`` false), the PyTorch codes on the
    convolved one. ``rectified``: open-mmlab's form, with a ReLU on either projection.
    ``guidance_channels`` are those of the second output.
    """

    def __init__(
        self,
        coarse: int,
        fine: int,
        outputs: int,
        *,
        align_corners: bool = True,
        rectified: bool = False,
        guide_projected: bool = False,
    ) -> None:
        super().__init__()
        self.coarse = conv_bn(coarse, outputs, 3, dilation=2, rectified=rectified)
        self.fine = conv_bn(fine, outputs, 1, rectified=rectified)
        self.align_corners, self.guide_projected = align_corners, guide_projected
        self.guidance_channels = outputs if guide_projected else coarse

    def forward(self, coarse: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
        enlarged = resize(coarse, size_of(fine), self.align_corners)
        projected = self.coarse(enlarged)
        fused = F.relu(projected + self.fine(fine), inplace=True)
        return fused, projected if self.guide_projected else enlarged


class DeconvolutionFusion(nn.Module):
    """The alternative to CFF in Table 3 (DC3, DC5, DC7): a deconvolution of that kernel.

    It takes the place of enlargement and convolution.

    Returns as :class:`CascadeFeatureFusion` does; the guidance classifier reads the deconvolved
    feature. The deconvolution gives 2n - 1 pixels of n, which is the fine feature's size for images
    of 32k + 1 pixels and is resized to it otherwise.
    """

    def __init__(self, coarse: int, fine: int, outputs: int, kernel: int) -> None:
        super().__init__()
        deconvolution = nn.ConvTranspose2d(
            coarse, outputs, kernel, stride=2, padding=kernel // 2, bias=False
        )
        self.coarse = nn.Sequential(deconvolution, nn.BatchNorm2d(outputs))
        self.fine = conv_bn(fine, outputs, 1, rectified=False)
        self.guidance_channels = outputs

    def forward(self, coarse: Tensor, fine: Tensor) -> tuple[Tensor, Tensor]:
        projected = resize(self.coarse(coarse), size_of(fine))
        return F.relu(projected + self.fine(fine), inplace=True), projected


def summed_pyramid(
    x: Tensor, pool: Callable[[Tensor, int], Tensor] = F.adaptive_avg_pool2d
) -> Tensor:
    """Apply pyramid pooling without parameters: the pooled maps, enlarged with aligned corners,
    added to the input."""
    total = x
    for bins in BINS:
        total = total + resize(pool(x, bins), size_of(x))
    return total


def overlapping_pool(x: Tensor, bins: int) -> Tensor:
    """Return means over ``bins`` x ``bins`` equal windows, which overlap so as to cover every pixel
    (icnet_cityscapes.prototxt).

    For the 33x65 map of a 1025x2049 image these are the published windows, 17x33 of stride 16x32
    for two bins, for three 13x25 of 10x20, for six 8x15 of 5x10; a map with a side of less than
    seven pixels is pooled adaptively.
    """
    height, width = size_of(x)
    if bins == 1 or min(height, width) <= BINS[-1]:
        return F.adaptive_avg_pool2d(x, bins)
    (tall, down), (wide, across) = _window(height, bins), _window(width, bins)
    return F.avg_pool2d(x, (tall, wide), (down, across))


def _window(length: int, bins: int) -> tuple[int, int]:
    """Return (side, stride) of the windows along one side of the map; three bins take twice the
    stride of six."""
    stride = 2 * ((length - 1) // 6) if bins == 3 else (length - 1) // bins
    return length - (bins - 1) * stride, stride


class ConcatenatedPyramid(nn.Module):
    """Pyramid pooling as open-mmlab's ICNet has it: each pooled map through a 1x1 convolution, BN
    and ReLU, all maps and then the input concatenated, a 3x3 convolution of them to ``outputs``
    channels. Corners are not aligned."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList(conv_bn(inputs, outputs, 1) for _ in BINS)
        self.bottleneck = conv_bn(inputs + len(BINS) * outputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        maps = [
            resize(stage(F.adaptive_avg_pool2d(x, bins)), size_of(x), align_corners=False)
            for bins, stage in zip(BINS, self.stages, strict=True)
        ]
        return self.bottleneck(torch.cat([*maps, x], 1))


def _fast_pyramid(pyramid: ConcatenatedPyramid) -> dict[nn.Module, nn.Module]:
    """Convolve the pooled maps where they are small."""
    convolution, *rest = pyramid.bottleneck
    assert isinstance(convolution, nn.Conv2d)
    fast = PooledConv(pyramid.stages, convolution, first=False, align_corners=False)
    return {pyramid: nn.Sequential(fast, *rest)}


FAST_FORMS = (FastForm(ConcatenatedPyramid, _fast_pyramid),)


def nearest_labels(label: Tensor, size: Size) -> Tensor:
    """Return the label (N, H, W) at a branch's size: that of the pixel which lies nearest to each
    logit, class numbers never mixed.

    The corners are aligned, since the logits are enlarged with aligned corners at inference: at 1/4
    of 4n + 1 pixels this is every fourth label.
    """
    rows, columns = (
        _nearest(length, count, label.device)
        for length, count in zip(size_of(label), size, strict=True)
    )
    return label[..., rows[:, None], columns]


def _nearest(length: int, count: int, device: torch.device) -> Tensor:
    """Return indices of ``count`` of ``length`` pixels, both ends among them; in whole numbers, so
    that no rounding differs."""
    if count == 1:
        return torch.zeros(1, dtype=torch.long, device=device)
    return (2 * torch.arange(count, device=device) * (length - 1) + count - 1) // (2 * (count - 1))
