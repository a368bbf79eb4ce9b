"""Decoded pictures to RGB: BT.601, chroma interpolated at every pixel, rounded well.

libswscale does this right, but slowly. The compiled kernel gives the same bits in a sixth of the
time. Where chroma samples lie is written in a stream, and libswscale heeds it, but PyAV does not
tell: so the first pictures of a stream are converted by libswscale, until one tells which siting
gives its bits. A stream that neither fits stays with libswscale.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from vssbench import native
from vssbench.codec.encode import COLOUR_RANGE, COLOUR_SPACE, PIXEL_FORMAT
from vssbench.core.video import Image
from vssbench.data.opening import TO_RGB
from vssbench.native.video import VideoKernels

Plane = npt.NDArray[np.uint8]
Weights = npt.NDArray[np.int32]

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


class ToRgb:
    """Converts the pictures of one stream. The result has ``height`` x ``width`` pixels, the upper
    left ones of the picture."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._sitings: list[Weights] = [CENTRE, LEFT]

    def __call__(self, picture: av.VideoFrame, height: int, width: int) -> Image:
        """Convert a picture to RGB: uint8 (height, width, 3)."""
        kernels = native.video_kernels() if self._sitings and _suits(picture) else None
        if kernels is None:
            return self._slow(picture, height, width)
        planes = _planes(picture)
        if len(self._sitings) == 1:
            return kernels.rgb(planes, self._sitings[0], height, width)
        image = self._slow(picture, height, width)
        self._sitings = [
            weights for weights in self._sitings if _equal(kernels, planes, weights, image)
        ]
        return image

    def _slow(self, picture: av.VideoFrame, height: int, width: int) -> Image:
        rgb = self._reformatter.reformat(
            picture,
            format="rgb24",
            src_colorspace=COLOUR_SPACE,
            src_color_range=COLOUR_RANGE,
            interpolation=TO_RGB,
        )
        return np.ascontiguousarray(rgb.to_ndarray()[:height, :width])


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
