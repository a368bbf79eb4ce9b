"""Pictures moved by motion: motion-compensated prediction, residuals, and the statistics of a
field."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vssbench import native
from vssbench.codec.vectors.reader import distinct
from vssbench.core.motion import Grid, MotionField, Step, dense, grid_shape
from vssbench.core.video import Image
from vssbench.native.video import VideoKernels

Residual = npt.NDArray[np.int16]

#: pixels; no picture is as large
_FAR = np.float32(1_000_000)


@dataclass(frozen=True)
class FieldStatistics:
    """A frame's field in numbers: share of intra cells; mean and 95th percentile of the vectors'
    lengths, pixels, to the keyframe; mean absolute error in grey levels of the keyframe moved by
    the field, against the frame."""

    intra_share: float
    mean_vector: float
    p95_vector: float
    warp_error: float


def predict(step: Step, images: Mapping[int, Image], cell: int) -> npt.NDArray[np.float32]:
    """Return the motion-compensated prediction: float32 (H, W, 3), each cell from its own reference
    by its own vector.

    ``images`` holds the references, uint8 (H, W, 3), by display index. Read bilinearly; beyond the
    border the nearest pixel counts.
    """
    named = distinct(step.references)
    return _predict(step, named, [images[name] for name in named], cell)


def moved(image: Image, grid: Grid, cell: int) -> npt.NDArray[np.float32]:
    """Read an image at ``p + grid(p)``: float32 (H, W, 3), bilinear.

    Beyond the border it is the nearest pixel.
    """
    return _predict(Step(grid, np.zeros(grid.shape[:2], np.int32)), [0], [image], cell)


def _predict(
    step: Step, named: list[int], images: list[Image], cell: int
) -> npt.NDArray[np.float32]:
    kernels = native.video_kernels()
    if kernels is None:
        return plain_predict(step, named, images, cell)
    return kernels.predict(step.vectors, step.references, cell, named, images)


def plain_predict(
    step: Step, named: list[int], images: list[Image], cell: int
) -> npt.NDArray[np.float32]:
    """Run :func:`predict` in numpy, from the images called ``named``."""
    height, width = images[0].shape[:2]
    field = dense(step.vectors, cell, height, width)
    result = _moved(images[0], field)
    for name, image in zip(named[1:], images[1:], strict=True):
        chosen = dense(step.references == name, cell, height, width)
        result[chosen] = _moved(image, field)[chosen]
    return result


def _moved(image: Image, field: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Read an image through a field at every pixel, (H, W, 2)."""
    height, width = image.shape[:2]
    whole = np.floor(np.clip(field, -_FAR, _FAR))
    # the fraction of the vector, not of the position, which has fewer bits left for it
    across, down = np.moveaxis(np.clip(field, -_FAR, _FAR) - whole, -1, 0)[..., None]
    x = np.arange(width) + whole[..., 0].astype(np.intp)
    y = np.arange(height)[:, None] + whole[..., 1].astype(np.intp)
    left, right = np.clip(x, 0, width - 1), np.clip(x + 1, 0, width - 1)
    top, below = np.clip(y, 0, height - 1), np.clip(y + 1, 0, height - 1)
    upper = image[top, left] * (1 - across) + image[top, right] * across
    lower = image[below, left] * (1 - across) + image[below, right] * across
    return upper * (1 - down) + lower * down


def residual(image: Image, prediction: npt.NDArray[np.float32]) -> Residual:
    """Return the error of the prediction: image minus prediction, int16 (H, W, 3), grey levels."""
    return (image.astype(np.int16) - np.rint(prediction).astype(np.int16)).astype(np.int16)


def statistics(field: MotionField, image: Image, keyframe: Image) -> FieldStatistics:
    """Return the statistics of a frame's field, given the frame and its keyframe, uint8 (H, W,
    3)."""
    length = np.hypot(field.grid[..., 0], field.grid[..., 1])
    error = np.abs(moved(keyframe, field.grid, field.cell) - image).mean()
    return FieldStatistics(
        field.intra_share, float(length.mean()), float(np.percentile(length, 95)), float(error)
    )


@native.check_video_with
def _cases(kernels: VideoKernels) -> Iterator[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]]:
    rng = np.random.default_rng(0)
    height, width, cell = 36, 52, 8
    shape = grid_shape(height, width, cell)
    step = Step(
        rng.normal(0, 9, (*shape, 2)).astype(np.float32),
        rng.choice([3, 5], shape).astype(np.int32),
    )
    images = [rng.integers(0, 256, (height, width, 3), np.uint8) for _ in range(2)]
    predicted = kernels.predict(step.vectors, step.references, cell, [3, 5], images)
    yield "predicted pictures", predicted, plain_predict(step, [3, 5], images, cell)
