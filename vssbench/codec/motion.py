"""Motion vectors: from a decoder's blocks to a grid, and from frame to frame to a field that points at the keyframe.

A grid is float32 ``(gh, gw, 2)``: one vector (x, y) in pixels for each cell of ``cell`` x ``cell`` pixels. Vectors are
backward: a pixel p of this frame lies at ``p + vector`` in the frame that the vector points to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vssbench.errors import UsageError

Grid = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
_Complex = npt.NDArray[np.complex64]

#: side of a macroblock in pixels: decoders report blocks up to the last, perhaps partly hidden, macroblock
MACROBLOCK = 16
CELLS = (4, 8)
FILLS = ("nearest", "zero")
#: what is read of a decoder's vectors
_FIELDS = ("source", "w", "h", "dst_x", "dst_y", "motion_x", "motion_y", "motion_scale")


@dataclass(frozen=True)
class MotionSettings:
    """How vectors become a field to the keyframe.

    ``fill`` says what intra blocks get, which carry no vector: the nearest vector of the frame, or zero as in AR-Seg.
    ``whole_pixels`` rounds every hop to whole pixels as AR-Seg does; otherwise hops are added up at the vectors' own
    precision. Raises UsageError.
    """

    cell: int = 8
    fill: str = "nearest"
    whole_pixels: bool = False

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise UsageError(f"cell={self.cell!r} cannot be used: expected a grid of {' or '.join(map(str, CELLS))} pixels")
        if self.fill not in FILLS:
            raise UsageError(f"fill={self.fill!r} is unknown: expected {' or '.join(FILLS)}")
        if not isinstance(self.whole_pixels, bool):
            raise UsageError(f"whole_pixels={self.whole_pixels!r} cannot be used: expected true or false")


@dataclass
class MotionField:
    """Motion from a frame to its keyframe, kept as a grid of cells.

    ``grid`` float32 (gh, gw, 2) in pixels of the full image; ``intra_share`` is the share of cells for which the stream
    holds no vector in this frame (1 at a keyframe, whose field is zero).
    """

    grid: Grid
    cell: int
    height: int
    width: int
    intra_share: float

    def dense(self) -> npt.NDArray[np.float32]:
        """The field at every pixel: float32 (H, W, 2), pixels, (x, y), constant within a cell."""
        full = np.repeat(np.repeat(self.grid, self.cell, axis=0), self.cell, axis=1)
        return np.ascontiguousarray(full[: self.height, : self.width])


@dataclass
class BlockVectors:
    """One frame's own vectors on the grid: to the anchor before it, and in B-frames to the one after it.

    A cell without a vector holds zero in the grid and False in the mask.
    """

    past: Grid
    has_past: Mask
    future: Grid
    has_future: Mask

    @property
    def intra_share(self) -> float:
        """Share of the cells that have no vector at all."""
        return 1.0 - float(np.mean(self.has_past | self.has_future))


def grid_shape(height: int, width: int, cell: int) -> tuple[int, int]:
    """Rows and columns of the grid that covers an image; the last cells may reach beyond it."""
    return -(-height // cell), -(-width // cell)


def rasterise(vectors: npt.NDArray[Any] | None, height: int, width: int, cell: int) -> BlockVectors:
    """A decoder's block vectors on the grid.

    ``vectors`` is PyAV's structured array (``MotionVectors.to_ndarray()``), None for a frame that has none. H.264 blocks
    are 16x16, 16x8, 8x16 or 8x8 pixels; smaller ones are reported as 8x8.
    """
    if vectors is None:
        vectors = np.zeros(0, [(name, np.int32) for name in _FIELDS])
    to_past = vectors["source"] < 0
    past, has_past = _scatter(vectors, to_past, height, width, cell)
    future, has_future = _scatter(vectors, ~to_past, height, width, cell)
    both = has_past & has_future
    if both.any():
        # FFmpeg lists both directions for every part of a macroblock whose parts use one each: the one unused is zero
        past_moves, future_moves = past.any(-1), future.any(-1)
        has_past &= ~(both & future_moves & ~past_moves)
        has_future &= ~(both & past_moves & ~future_moves)
    return BlockVectors(past, has_past, future, has_future)


def _scatter(vectors: npt.NDArray[Any], chosen: Mask, height: int, width: int, cell: int) -> tuple[Grid, Mask]:
    rows, columns = grid_shape(height, width, cell)
    if not chosen.any():
        return np.zeros((rows, columns, 2), np.float32), np.zeros((rows, columns), np.bool_)
    if not chosen.all():
        vectors = vectors[chosen]
    # whole macroblocks, so that no block reaches outside and none needs clipping
    padded_rows, padded_columns = (-(-side // MACROBLOCK) * (MACROBLOCK // cell) for side in (height, width))
    grid = np.zeros((padded_rows * padded_columns, 2), np.float32)
    valid = np.zeros(padded_rows * padded_columns, np.bool_)
    # src_x and src_y are cut to whole pixels: only motion / scale keeps the quarter pixels
    motion = np.empty((len(vectors), 2), np.float32)
    motion[:, 0], motion[:, 1] = vectors["motion_x"], vectors["motion_y"]
    motion /= vectors["motion_scale"].astype(np.float32)[:, None]
    block_width, block_height = vectors["w"].astype(np.int32), vectors["h"].astype(np.int32)
    # dst is the block's centre
    left = (vectors["dst_x"] - block_width // 2) // cell
    top = (vectors["dst_y"] - block_height // 2) // cell
    corner = top * padded_columns + left
    shape = block_height * 256 + block_width
    for code in np.unique(shape):
        same = shape == code
        first, value = corner[same], motion[same]
        for row in range(max(1, int(code) // 256 // cell)):
            for column in range(max(1, int(code) % 256 // cell)):
                target = first + (row * padded_columns + column)
                grid[target] = value
                valid[target] = True
    return (
        grid.reshape(padded_rows, padded_columns, 2)[:rows, :columns],
        valid.reshape(padded_rows, padded_columns)[:rows, :columns],
    )


def fill_nearest(grid: Grid, valid: Mask, holes: Mask | None = None) -> Grid:
    """The grid with each hole, by default each invalid cell, replaced by the valid cell nearest to it; zero if none is.

    Exact: for each row the nearest valid column is known from one pass in either direction, and a hole takes the best of
    all rows; the cost grows with the number of holes.
    """
    holes = ~valid if holes is None else holes
    if not holes.any():
        return grid
    if not valid.any():
        return np.zeros_like(grid)
    rows, columns = valid.shape
    far = 4 * (rows + columns)  # further than any true distance, small enough to be squared
    column = np.arange(columns, dtype=np.int32)
    left = np.maximum.accumulate(np.where(valid, column, -far), axis=1)
    right = np.minimum.accumulate(np.where(valid, column, columns + far)[:, ::-1], axis=1)[:, ::-1]
    source = np.where(column - left <= right - column, left, right)
    along = (source - column) ** 2
    hole_row, hole_column = np.nonzero(holes)
    across = (np.arange(rows, dtype=np.int32)[:, None] - hole_row) ** 2
    best = np.argmin(along[:, hole_column] + across, axis=0)
    filled = grid.copy()
    filled[hole_row, hole_column] = grid[best, source[best, hole_column]]
    return filled


def compose(step: Grid, reference: Grid, cell: int, whole_pixels: bool = False) -> Grid:
    """Motion to the keyframe through a reference: ``field(p) = step(p) + reference_field(p + step(p))``.

    ``reference`` is the reference frame's own field to the keyframe. It is read between cell centres bilinearly; with
    ``whole_pixels`` the step is rounded first, and the cell is read in which the middle pixel of this cell ends. Beyond
    the border the nearest cell counts.
    """
    rows, columns, _ = step.shape
    # a vector as one complex number: a lookup then moves 8 bytes at once, much faster than rows of two floats
    flat = np.ascontiguousarray(reference).view(np.complex64).ravel()
    if whole_pixels:
        step = np.rint(step)
        x = _clamp(np.floor(np.arange(columns) + 0.5 + step[..., 0] / cell), columns).astype(np.intp)
        y = _clamp(np.floor(np.arange(rows)[:, None] + 0.5 + step[..., 1] / cell), rows).astype(np.intp)
        return step + _vectors(flat.take(y * columns + x))
    scale = np.float32(1 / cell)
    x = _clamp(np.arange(columns, dtype=np.float32) + step[..., 0] * scale, columns)
    y = _clamp(np.arange(rows, dtype=np.float32)[:, None] + step[..., 1] * scale, rows)
    # on the last row or column the neighbour would lie outside: the one before it, at weight 1, says the same
    left, top = np.minimum(x.astype(np.intp), max(columns - 2, 0)), np.minimum(y.astype(np.intp), max(rows - 2, 0))
    right, below = min(1, columns - 1), columns * min(1, rows - 1)
    corner = top * columns + left
    across, down = (x - left).astype(np.float32), (y - top).astype(np.float32)
    upper = _mix(flat.take(corner), flat.take(corner + right), across)
    lower = _mix(flat.take(corner + below), flat.take(corner + below + right), across)
    return step + _vectors(_mix(upper, lower, down))


def _mix(first: _Complex, second: _Complex, weight: npt.NDArray[np.float32]) -> _Complex:
    # exact at weights 0 and 1, which first + weight * (second - first) is not
    return (1 - weight) * first + weight * second


def _vectors(numbers: _Complex) -> Grid:
    return numbers.view(np.float32).reshape(*numbers.shape, 2)


def _clamp(position: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    return np.clip(position, 0, size - 1)


class Accumulator:
    """Follows the anchors (I- and P-frames) of a GOP and gives each frame its field to the keyframe."""

    def __init__(self, height: int, width: int, settings: MotionSettings) -> None:
        self.height, self.width, self.settings = height, width, settings
        self._anchor = np.zeros((*grid_shape(height, width, settings.cell), 2), np.float32)

    def keyframe(self) -> MotionField:
        """Begin a GOP."""
        self._anchor = np.zeros_like(self._anchor)
        return self._field(self._anchor, 1.0)

    def anchor(self, vectors: BlockVectors) -> MotionField:
        """A P-frame; frames to come refer to it."""
        self._anchor = self._through(self._filled(vectors.past, vectors.has_past), self._anchor)
        return self._field(self._anchor, vectors.intra_share)

    def between(self, vectors: BlockVectors, before: MotionField, after: MotionField) -> MotionField:
        """A B-frame between two anchors: by the past vector where there is one, else by the future one."""
        if not vectors.has_past.any():
            future = self._filled(vectors.future, vectors.has_future)
            return self._field(self._through(future, after.grid), vectors.intra_share)
        neither = ~(vectors.has_past | vectors.has_future)
        grid = self._through(self._filled(vectors.past, vectors.has_past, neither), before.grid)
        only_future = vectors.has_future & ~vectors.has_past
        if only_future.any():
            grid = np.where(only_future[..., None], self._through(vectors.future, after.grid), grid)
        return self._field(grid, vectors.intra_share)

    def _filled(self, grid: Grid, valid: Mask, holes: Mask | None = None) -> Grid:
        return fill_nearest(grid, valid, holes) if self.settings.fill == "nearest" else grid

    def _through(self, step: Grid, reference: Grid) -> Grid:
        return compose(step, reference, self.settings.cell, self.settings.whole_pixels)

    def _field(self, grid: Grid, intra_share: float) -> MotionField:
        return MotionField(grid, self.settings.cell, self.height, self.width, intra_share)
