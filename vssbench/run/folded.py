"""Confusion matrices in less space: a form without loss, in which a compressor finds more.

The counts of one cell change little from frame to frame, so that a cell's lie together, by their
bytes: first the lowest byte of every frame, then the next. In the place of the diagonal stand the
sums of the rows, the pixels that are labelled as each class: they are the same in every run on the
same frames.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from vssbench.core.bounds import ARRAYS
from vssbench.core.errors import DataError

#: bytes of a count at the most: more than the pixels of any frame
_MOST_BYTES = 4


def fold(matrices: npt.NDArray) -> npt.NDArray[np.uint8] | None:
    """Return matrices (F, C, C) as bytes (B, C * C, F): of each byte of a count the C sums of rows,
    then the cells beside the diagonal, row by row. None for what is no int64 matrices of counts."""
    shape = matrices.shape
    if matrices.dtype != np.int64 or matrices.ndim != 3 or not matrices.size:
        return None
    # sums of counts within the bound are sums of no overflow
    if shape[1] != shape[2] or matrices.min() < 0 or matrices.max() >= 1 << (8 * _MOST_BYTES):
        return None
    cells = np.concatenate([matrices.sum(2), matrices[:, _beside(shape[1])]], axis=1).T
    count = -(-int(cells.max()).bit_length() // 8) or 1
    if count > _MOST_BYTES:
        return None
    return np.stack([(cells >> (8 * place) & 0xFF).astype(np.uint8) for place in range(count)])


def unfold(folded: npt.NDArray) -> npt.NDArray[np.int64]:
    """Return the matrices of which :func:`fold` made this. Raises DataError where it made it of
    none, or they are too large."""
    classes = math.isqrt(folded.shape[1]) if folded.ndim == 3 else 0
    if (
        folded.dtype != np.uint8
        or not folded.size
        or classes**2 != folded.shape[1]
        or len(folded) > _MOST_BYTES
    ):
        raise DataError(f"no folded matrices: {folded.dtype} of the shape {folded.shape}")
    ARRAYS.check(8 * folded[0].size, "its matrices")
    cells = sum(plane.T.astype(np.int64) << (8 * place) for place, plane in enumerate(folded))
    matrices = np.zeros((len(cells), classes, classes), np.int64)
    matrices[:, _beside(classes)] = cells[:, classes:]
    right = cells[:, :classes] - matrices.sum(2)
    if right.min() < 0:
        raise DataError("no folded matrices: a row has more pixels than are labelled")
    matrices[:, np.arange(classes), np.arange(classes)] = right
    return matrices


def _beside(classes: int) -> npt.NDArray[np.bool_]:
    """Return which cells of a matrix are beside its diagonal."""
    return ~np.eye(classes, dtype=bool)
