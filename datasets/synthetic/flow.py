"""Exact backward motion between two rendered frames."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vssbench.datasets.synthetic.render import View

#: two surfaces of one class count as the same point where their depths differ by less than this
#: part
SAME_DEPTH = 0.005


def motion(source: View, target: View, labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return where each pixel's surface point of ``source`` lies in ``target``, minus the pixel.

    Float32 (H, W, 2), (x, y) in pixels. NaN where that place is outside the target's picture, or
    where the target's pixel nearest to it shows something else: the point is hidden there.
    ``labels`` is each surface's class.
    """
    height, width = source.surface.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float64)
    homographies = target.projections @ source.inverses
    there = _apply(homographies[source.surface], x, y)
    depth = there[2] / _apply(source.inverses[source.surface], x, y)[2]
    with np.errstate(divide="ignore", invalid="ignore"):
        landed_x, landed_y = there[0] / there[2], there[1] / there[2]
    column, row = (
        np.rint(np.nan_to_num(item, nan=-1.0, posinf=-1.0, neginf=-1.0))
        for item in (landed_x, landed_y)
    )
    visible = (there[2] > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column, row = (np.where(visible, item, 0).astype(np.intp) for item in (column, row))
    shown = target.surface[row, column]
    shown_depth = 1 / _apply(target.inverses[shown], column, row)[2]
    same_place = (labels[shown] == labels[source.surface]) & (
        np.abs(shown_depth / depth - 1) < SAME_DEPTH
    )
    visible &= (shown == source.surface) | same_place
    flow = np.stack([landed_x - x, landed_y - y], axis=2)
    flow[~visible] = np.nan
    return flow.astype(np.float32)


def _apply(
    matrices: npt.NDArray[np.float64], x: npt.NDArray, y: npt.NDArray
) -> npt.NDArray[np.float64]:
    """Return one 3x3 matrix a pixel applied to (x, y, 1): (H, W, 3, 3) -> (3, H, W)."""
    return np.moveaxis(
        matrices[..., 0] * x[..., None] + matrices[..., 1] * y[..., None] + matrices[..., 2], 2, 0
    )
