"""Decoded pictures to RGB, by their colour tags, and images to grey: the only place for either.

Chroma is interpolated at every pixel, and values are rounded well. libswscale does this right, but
slowly. For 8-bit 4:2:0 in BT.601, as all encodes of this project are, the compiled kernel gives the
same bits in a sixth of the time. Where chroma samples lie is written in a stream, and libswscale
heeds it, but PyAV does not tell: so the first pictures of a stream are converted by libswscale,
until one tells which siting gives its bits. A stream that neither fits stays with libswscale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from PIL import Image as Pillow

from vssbench import native
from vssbench.core.video import Image
from vssbench.native.video import VideoKernels

Plane = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int32]

#: what our encodes are: planes of 8 bits, 4:2:0
PIXEL_FORMAT = "yuv420p"
#: rounded well (the default darkens by about one grey level); chroma is taken to lie midway between
#: the pixels it covers where nothing else is said
TO_RGB = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
#: code point of FFmpeg for what is not told
UNSPECIFIED = 2
#: matrix coefficients of H.273 -> libswscale's; 8 (YCgCo) and rarer ones it does not know
_MATRICES = {
    1: Colorspace.ITU709, 4: Colorspace.FCC, 5: Colorspace.ITU601, 6: Colorspace.ITU601,
    7: Colorspace.SMPTE240M,
    9: Colorspace.BT2020, 10: Colorspace.BT2020,
}  # fmt: skip
#: untagged pictures of so many lines, or of more columns than these, are BT.709's
HD_LINES, SD_COLUMNS = 720, 1024
#: shares of red, green and blue in luma by BT.601, which grey images are made by
GREY_SHARES = (0.299, 0.587, 0.114)

#: weights, in quarters, of chroma at an even column (the sample before, its own) and at an odd one
#: (its own, the one after)
CENTRE = np.array([1, 3, 3, 1], np.int32)
LEFT = np.array([0, 4, 2, 2], np.int32)
#: BT.601 in limited range: libswscale's factors, 13 bits of fraction
_LUMA, _BLACK, _RED_BY_V, _GREEN_BY_V, _GREEN_BY_U, _BLUE_BY_U = (
    9539,
    8192,
    13075,
    -6660,
    -3209,
    16525,
)
_SHIFT, _LARGEST = 22, (1 << 30) - 1
#: chroma is summed up in sixteenths, of which libswscale has 32 parts each
_GREY, _FINE = 2048, 32


@dataclass(frozen=True)
class Tags:
    """Tags of a picture's colours: the matrix, and the range of its values, limited or full."""

    matrix: Colorspace
    range: ColorRange


#: our own encodes; converted and tagged alike, since builds of FFmpeg differ in what they take an
#: untagged stream for
BT601 = Tags(Colorspace.ITU601, ColorRange.MPEG)


def untagged(height: int, width: int) -> Colorspace:
    """Return the matrix that players assume for a picture without any, by its size as it is
    coded: BT.709 from 720 lines or 1025 columns on, else BT.601."""
    high = height >= HD_LINES or width > SD_COLUMNS
    return Colorspace.ITU709 if high else Colorspace.ITU601


def tags_of(picture: av.VideoFrame, matrix: int = UNSPECIFIED, whole: int = 0) -> Tags:
    """Return a picture's tags: its own, else the file's (FFmpeg's code points ``matrix`` and
    ``whole``), else those that its size and format suggest: limited range, but full for RGB and
    JPEG."""
    code = next(
        (each for each in (int(picture.colorspace), matrix) if each != UNSPECIFIED), UNSPECIFIED
    )
    full = (int(picture.color_range) or whole) == ColorRange.JPEG
    full |= picture.format.is_rgb or picture.format.name.startswith("yuvj")
    return Tags(
        _MATRICES.get(code, untagged(picture.height, picture.width)),
        ColorRange.JPEG if full else ColorRange.MPEG,
    )


class ToRgb:
    """Converts the pictures of one stream by the tags that ``tags`` tells of each, BT.601 in
    limited range for all of them where it is not given.

    The result has ``height`` x ``width`` pixels, the upper left ones of the picture.
    """

    def __init__(self, tags: Callable[[av.VideoFrame], Tags] | None = None) -> None:
        self._tags = tags
        self._reformatter = VideoReformatter()
        self._sitings: list[Weights] = [CENTRE, LEFT]

    def __call__(self, picture: av.VideoFrame, height: int, width: int) -> Image:
        """Convert a picture to RGB: uint8 (height, width, 3)."""
        tags = BT601 if self._tags is None else self._tags(picture)
        fast = self._sitings and tags == BT601 and _suits(picture)
        kernels = native.video_kernels() if fast else None
        if kernels is None:
            return self._slow(picture, height, width, tags)
        planes = _planes(picture)
        if len(self._sitings) == 1:
            return kernels.rgb(planes, self._sitings[0], height, width)
        image = self._slow(picture, height, width, tags)
        self._sitings = [
            weights for weights in self._sitings if _equal(kernels, planes, weights, image)
        ]
        return image

    def _slow(self, picture: av.VideoFrame, height: int, width: int, tags: Tags) -> Image:
        rgb = self._reformatter.reformat(
            picture,
            format="rgb24",
            src_colorspace=tags.matrix,
            src_color_range=tags.range,
            interpolation=TO_RGB,
        )
        return np.ascontiguousarray(rgb.to_ndarray()[:height, :width])


def rgb(picture: av.VideoFrame, matrix: Colorspace | None = None) -> Image:
    """Convert one picture to RGB, uint8 (H, W, 3), by its tags, or by another matrix than they
    say."""
    tags = tags_of(picture)
    if matrix is not None:
        tags = Tags(matrix, tags.range)
    return ToRgb(lambda _: tags)(picture, picture.height, picture.width)


def grey(image: Image) -> Plane:
    """Return an RGB image, uint8 (H, W, 3), in grey, uint8 (H, W): its luma by BT.601 in full
    range."""
    return np.asarray(Pillow.fromarray(image).convert("L"))


def luma(picture: av.VideoFrame) -> Plane:
    """Return the picture's luma plane as it is coded, uint8 (H, W), not copied where it has one of
    8 bits; else the picture in grey."""
    first = picture.format.components[0]
    if not (
        first.is_luma
        and first.bits == 8
        and (picture.format.is_planar or len(picture.format.components) == 1)
    ):
        picture = picture.reformat(format="gray")
    plane: Any = picture.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return rows[: picture.height, : picture.width]


def _equal(kernels: VideoKernels, planes: list[Plane], weights: Weights, image: Image) -> bool:
    return np.array_equal(kernels.rgb(planes, weights, *image.shape[:2]), image)


def _suits(picture: av.VideoFrame) -> bool:
    return (
        picture.format.name == PIXEL_FORMAT and picture.width % 2 == 0 and picture.height % 2 == 0
    )


def _planes(picture: av.VideoFrame) -> list[Plane]:
    """Return Y, U, V of a 4:2:0 picture in the decoder's memory.

    Rows are contiguous, with the decoder's padding between them.
    """
    buffers: list[Any] = list(picture.planes)
    rows = [
        np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:, : plane.width]
        for plane in buffers
    ]
    return [row[: plane.height] for row, plane in zip(rows, picture.planes, strict=True)]


def plain_rgb(planes: list[Plane], weights: Weights) -> Image:
    """Convert planes to RGB in numpy, with the kernel's results.

    libswscale's 32-bit overflow in impossible colours is included.
    """
    u, v = (
        _FINE * (_down(_across(plane.astype(np.int32), weights)) - _GREY) for plane in planes[1:]
    )
    luma = (planes[0].astype(np.int32) * 512 - _BLACK) * _LUMA + (1 << _SHIFT - 1)
    channels = (
        luma + v * _RED_BY_V,
        luma + v * _GREEN_BY_V + u * _GREEN_BY_U,
        luma + u * _BLUE_BY_U,
    )
    return np.stack(
        [(np.clip(channel, 0, _LARGEST) >> _SHIFT).astype(np.uint8) for channel in channels], -1
    )


def _across(plane: npt.NDArray[Any], weights: Weights) -> npt.NDArray[Any]:
    """Interpolate chroma at every column, in quarters."""
    wide = np.pad(plane, ((0, 0), (1, 1)), mode="edge")
    before, own, after = wide[:, :-2], wide[:, 1:-1], wide[:, 2:]
    pair = np.stack(
        [weights[0] * before + weights[1] * own, weights[2] * own + weights[3] * after], -1
    )
    return pair.reshape(len(plane), -1)


def _down(rows: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Interpolate chroma at every row, a quarter of its unit.

    Samples lie midway between two rows.
    """
    high = np.pad(rows, ((1, 1), (0, 0)), mode="edge")
    return np.stack([high[:-2] + 3 * rows, 3 * rows + high[2:]], 1).reshape(2 * len(rows), -1)


@native.check_video_with
def _cases(kernels: VideoKernels) -> Iterator[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]]:
    rng = np.random.default_rng(0)
    height, width = 36, 52
    sizes = ((height, width), *[(height // 2, width // 2)] * 2)
    planes = [rng.integers(0, 256, size, np.uint8) for size in sizes]
    # one row less, as where an encoder padded the picture
    converted = kernels.rgb(planes, CENTRE, height - 1, width)
    yield "RGB pictures", converted, plain_rgb(planes, CENTRE)[: height - 1]
