"""Motion from a frame to its keyframe, as a codec hands it to whoever uses it.

A grid is float32 ``(gh, gw, 2)``: one vector (x, y) in pixels for each cell of ``cell`` x ``cell``
pixels. A pixel p of this frame lies at ``p + vector`` in the picture that the vector points to.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

#: reference of a cell that has no vector
NONE = -1

Grid = npt.NDArray[np.float32]
Vectors = npt.NDArray[np.float32]
References = npt.NDArray[np.int32]


class PictureVectors(Protocol):
    """A picture's own block vectors as its stream has them; codecs make them.

    ``vectors`` float32 (L, gh, gw, 2): pixels (x, y); a pixel p of a cell lies at ``p + vector`` in
    the picture that ``references`` int32 (L, gh, gw) names by its index in display order, NONE
    where the cell has no vector. ``past`` is the nearest earlier picture that this one may refer
    to, NONE in a keyframe; ``intra_share`` the share of the cells that have no vector at all;
    ``named`` the pictures that the vectors point at.
    """

    @property
    def vectors(self) -> Vectors: ...
    @property
    def references(self) -> References: ...
    @property
    def past(self) -> int: ...
    @property
    def intra_share(self) -> float: ...
    @property
    def named(self) -> list[int]: ...


@dataclass(frozen=True, eq=False)
class Step:
    """One vector a cell, none missing: ``vectors`` (gh, gw, 2) into the pictures that
    ``references`` (gh, gw) names."""

    vectors: Grid
    references: References


@dataclass
class MotionField:
    """Motion from a frame to its keyframe, kept as a grid of cells.

    ``grid`` float32 (gh, gw, 2) in pixels of the full image; ``intra_share`` is the share of cells
    for which the stream holds no vector in this frame (1 at a keyframe, whose field is zero).
    ``blocks`` are the frame's own vectors as the stream has them, ``step`` the same with holes
    filled, one a cell; both None at a keyframe.
    """

    grid: Grid
    cell: int
    height: int
    width: int
    intra_share: float
    blocks: PictureVectors | None = None
    step: Step | None = None

    def dense(self) -> npt.NDArray[np.float32]:
        """Return the field at every pixel: float32 (H, W, 2), pixels, (x, y), constant within a
        cell."""
        return dense(self.grid, self.cell, self.height, self.width)


def dense(grid: npt.NDArray[Any], cell: int, height: int, width: int) -> npt.NDArray[Any]:
    """Return a grid (gh, gw, ...) at every pixel: (H, W, ...), constant within a cell."""
    full = np.repeat(np.repeat(grid, cell, axis=0), cell, axis=1)
    return np.ascontiguousarray(full[:height, :width])


def grid_shape(height: int, width: int, cell: int) -> tuple[int, int]:
    """Return rows and columns of the grid that covers an image; the last cells may reach beyond
    it."""
    return -(-height // cell), -(-width // cell)
