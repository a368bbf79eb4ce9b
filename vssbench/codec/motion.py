"""Motion on a grid of cells: the step of one picture to those it refers to, filled, and composed to
its keyframe.

A grid is float32 ``(gh, gw, 2)``: one vector (x, y) in pixels for each cell of ``cell`` x ``cell``
pixels. A pixel p of this frame lies at ``p + vector`` in the picture that the vector points to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from vssbench import native
from vssbench.codec.vectors.reader import BlockVectors, distinct
from vssbench.core.errors import UsageError
from vssbench.core.motion import NONE, Grid, Step
from vssbench.core.parameters import check_choices
from vssbench.native.video import VideoKernels

Mask = npt.NDArray[np.bool_]
_Complex = npt.NDArray[np.complex64]

#: side of a grid's cells in pixels, and what cells without a vector get
Cell = Literal[4, 8]
Fill = Literal["nearest", "zero"]


@dataclass(frozen=True)
class MotionSettings:
    """The settings by which vectors become a field to the keyframe.

    ``cell`` is the side of the grid's cells in pixels. ``fill`` says what intra blocks get, which
    carry no vector: the nearest vector of the frame, or zero as in AR-Seg. ``whole_pixels`` rounds
    every hop to whole pixels as AR-Seg does; otherwise hops are added up at the vectors' own
    precision. Raises UsageError.
    """

    cell: Cell = 8
    fill: Fill = "nearest"
    whole_pixels: bool = False

    def __post_init__(self) -> None:
        check_choices(type(self), vars(self))
        if not isinstance(self.whole_pixels, bool):
            raise UsageError(
                f"whole_pixels={self.whole_pixels!r} cannot be used: expected true or false"
            )


def settle(index: int, blocks: BlockVectors, fill: str) -> Step:
    """Return one vector for each cell of the picture ``index``: of two the one into the picture
    nearer in time, in holes by ``fill``.

    ``nearest`` takes vector and reference of the nearest cell that has one, ``zero`` no motion from
    the picture ``blocks.past``, as both do where no cell has a vector.
    """
    kernels = native.video_kernels()
    if kernels is None:
        return plain_settle(index, blocks, fill)
    return Step(
        *kernels.settle(blocks.vectors, blocks.references, index, blocks.past, fill == "nearest")
    )


def plain_settle(index: int, blocks: BlockVectors, fill: str) -> Step:
    """Run :func:`settle` in numpy."""
    vectors, references = blocks.vectors[0], blocks.references[0]
    for other, its_references in zip(blocks.vectors[1:], blocks.references[1:], strict=True):
        nearer = (its_references != NONE) & (
            (references == NONE) | (np.abs(its_references - index) < np.abs(references - index))
        )
        vectors = np.where(nearer[..., None], other, vectors)
        references = np.where(nearer, its_references, references)
    valid = references != NONE
    if valid.all():
        return Step(vectors, references)
    if fill == "nearest" and valid.any():
        source = nearest_valid(valid)
        return Step(_vectors(_numbers(vectors).take(source)), references.ravel().take(source))
    return Step(
        np.where(valid[..., None], vectors, np.float32(0)),
        np.where(valid, references, np.int32(blocks.past)),
    )


def nearest_valid(valid: Mask) -> npt.NDArray[np.intp]:
    """Return for each cell the flat index of the valid cell nearest to it (of equals the first by
    row), itself where it is valid.

    Exact: for each row the nearest valid column is known from one pass in either direction, and a
    hole takes the best of all rows; the cost grows with the number of holes. At least one cell must
    be valid.
    """
    rows, columns = valid.shape
    result = np.arange(rows * columns).reshape(rows, columns)
    far = 4 * (rows + columns)  # further than any true distance, small enough to be squared
    column = np.arange(columns, dtype=np.int32)
    left = np.maximum.accumulate(np.where(valid, column, -far), axis=1)
    right = np.minimum.accumulate(np.where(valid, column, columns + far)[:, ::-1], axis=1)[:, ::-1]
    source = np.where(column - left <= right - column, left, right)
    along = (source - column) ** 2
    hole_row, hole_column = np.nonzero(~valid)
    across = (np.arange(rows, dtype=np.int32)[:, None] - hole_row) ** 2
    best = np.argmin(along[:, hole_column] + across, axis=0)
    result[hole_row, hole_column] = best * columns + source[best, hole_column]
    return result


def compose(step: Step, fields: Mapping[int, Grid], cell: int, whole_pixels: bool = False) -> Grid:
    """Return motion to the keyframe through the references: ``field(p) = step(p) +
    reference_field(p + step(p))``.

    ``fields`` holds each reference's own field to the keyframe by display index. It is read between
    cell centres bilinearly; with ``whole_pixels`` the step is rounded first, and the cell is read
    in which the middle pixel of this cell ends. Beyond the border the nearest cell counts.
    """
    kernels = native.video_kernels()
    if kernels is None:
        return plain_compose(step, fields, cell, whole_pixels)
    named = distinct(step.references)
    return kernels.compose(
        step.vectors, step.references, cell, whole_pixels, named, [fields[name] for name in named]
    )


def plain_compose(
    step: Step, fields: Mapping[int, Grid], cell: int, whole_pixels: bool = False
) -> Grid:
    """Run :func:`compose` in numpy."""
    named: list[int] = np.unique(step.references).tolist()
    if len(named) == 1:
        return _through(step.vectors, fields[named[0]], cell, whole_pixels)
    result = np.empty_like(step.vectors)
    for reference in named:
        chosen = step.references == reference
        result[chosen] = _through(step.vectors, fields[reference], cell, whole_pixels)[chosen]
    return result


def _through(step: Grid, reference: Grid, cell: int, whole_pixels: bool) -> Grid:
    """Compose the fields where all cells refer to one picture; see :func:`compose`."""
    rows, columns, _ = step.shape
    flat = _numbers(reference).ravel()
    if whole_pixels:
        step = np.rint(step)
        x = _clamp(np.floor(np.arange(columns) + 0.5 + step[..., 0] / cell), columns).astype(
            np.intp
        )
        y = _clamp(np.floor(np.arange(rows)[:, None] + 0.5 + step[..., 1] / cell), rows).astype(
            np.intp
        )
        return step + _vectors(flat.take(y * columns + x))
    scale = np.float32(1 / cell)
    x = _clamp(np.arange(columns, dtype=np.float32) + step[..., 0] * scale, columns)
    y = _clamp(np.arange(rows, dtype=np.float32)[:, None] + step[..., 1] * scale, rows)
    # on the last row or column the neighbour would lie outside: the one before it, at weight 1,
    # says the same
    left, top = (
        np.minimum(x.astype(np.intp), max(columns - 2, 0)),
        np.minimum(y.astype(np.intp), max(rows - 2, 0)),
    )
    right, below = min(1, columns - 1), columns * min(1, rows - 1)
    corner = top * columns + left
    across, down = (x - left).astype(np.float32), (y - top).astype(np.float32)
    upper = _mix(flat.take(corner), flat.take(corner + right), across)
    lower = _mix(flat.take(corner + below), flat.take(corner + below + right), across)
    return step + _vectors(_mix(upper, lower, down))


def _mix(first: _Complex, second: _Complex, weight: npt.NDArray[np.float32]) -> _Complex:
    # exact at weights 0 and 1, which first + weight * (second - first) is not
    return (1 - weight) * first + weight * second


def _numbers(grid: Grid) -> _Complex:
    """Return each vector as one complex number, for faster lookup.

    A lookup then moves 8 bytes at once, much faster than rows of two floats.
    """
    return np.ascontiguousarray(grid).view(np.complex64)[..., 0]


def _vectors(numbers: _Complex) -> Grid:
    return np.ascontiguousarray(numbers).view(np.float32).reshape(*numbers.shape, 2)


def _clamp(position: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    return np.clip(position, 0, size - 1)


@native.check_video_with
def _cases(kernels: VideoKernels) -> Iterator[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]]:
    rng = np.random.default_rng(0)
    shape, cell = (5, 7), 8
    vectors = rng.normal(0, 9, (2, *shape, 2)).astype(np.float32)
    references = rng.choice([-1, -1, 3, 5], (2, *shape)).astype(np.int32)
    step = Step(*kernels.settle(vectors, references, 4, 3, True))
    settled = plain_settle(4, BlockVectors(vectors, references, 3), "nearest")
    yield "settled vectors", step.vectors, settled.vectors
    yield "settled references", step.references, settled.references
    fields = {name: rng.normal(0, 9, (*shape, 2)).astype(np.float32) for name in (3, 5)}
    for whole_pixels in (False, True):
        composed = kernels.compose(
            step.vectors, step.references, cell, whole_pixels, [3, 5], list(fields.values())
        )
        yield "composed vectors", composed, plain_compose(settled, fields, cell, whole_pixels)
