"""Paints a scene as one camera sees it: colour, and which surface shows at each pixel."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vssbench.datasets.synthetic.canvas import Air, Canvas
from vssbench.datasets.synthetic.geometry import (
    NEAR,
    Camera,
    Matrix,
    clip_near,
    intrinsics,
    project,
)
from vssbench.datasets.synthetic.raster import Mask, Numbers, Planes
from vssbench.datasets.synthetic.ripmap import Atlas
from vssbench.datasets.synthetic.surfaces import Scene, Table

#: surfaces of fewer pixels than this, and stains of the ground that are less high, are left out
LEAST_AREA, LEAST_STAIN = 2.5, 1.2
#: surfaces whose plane passes this close to the camera, in metres, are left out: they are seen
#: edge-on
EDGE_ON = 1e-4


@dataclass(frozen=True)
class View:
    """One rendered frame before the sensor.

    ``colour`` float32 (3, H, W) in 0..255; ``surface`` int16 (H, W), the number of the surface that
    shows; ``projections`` float64 (surfaces, 3, 3), plane coordinates to pixels; ``inverses``
    undoes it where a surface shows.
    """

    colour: npt.NDArray[np.float32]
    surface: npt.NDArray[np.int16]
    projections: Matrix
    inverses: Matrix


def render(
    scene: Scene, atlas: Atlas, air: Air, camera: Camera, seconds: float, size: tuple[int, int]
) -> View:
    """Paint the scene, near to far, so that what is hidden costs nothing. ``size`` is (height,
    width)."""
    calibration = intrinsics(*size)
    projections = scene.projections(camera, calibration, seconds)
    shown, boxes = _boxes(scene.table, projections, size)
    # the camera's distance from each plane; negative on the side that shows the texture mirrored
    distance = np.linalg.det(projections) / np.linalg.det(calibration)
    shown &= (distance > EDGE_ON) | ((distance < -EDGE_ON) & ~scene.table.one_sided)
    inverses = np.linalg.inv(np.where(shown[:, None, None], projections, np.eye(3)))
    canvas = Canvas(size, scene.table, atlas, air, Planes(boxes, inverses, scene.table.size))
    order = np.array(scene.order(seconds))[::-1]
    for batch in canvas.batches(order[shown[order]]):
        canvas.paint(batch)
    return View(
        canvas.colour.reshape(3, *size), canvas.surface.reshape(size), projections, inverses
    )


def _boxes(table: Table, projections: Matrix, size: tuple[int, int]) -> tuple[Mask, Numbers]:
    """Return which surfaces may show, bool (surfaces,), and the pixels that each may touch: x0, x1,
    y0, y1, (surfaces, 4)."""
    homogeneous = np.einsum("sij,skj->ski", projections, table.corners)
    depth = homogeneous[..., 2]
    shown = (depth > NEAR).any(axis=1)
    pixels = homogeneous[..., :2] / np.maximum(depth, NEAR)[..., None]
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    for index in np.nonzero(shown & (depth < NEAR).any(axis=1))[0]:
        visible = project(
            clip_near(table.corners[index, :, :2], projections[index]), projections[index]
        )
        low[index], high[index] = visible.min(axis=0), visible.max(axis=0)
    shown &= ((high - low).prod(axis=1) > LEAST_AREA) & (
        ~table.stain | ((high - low)[:, 1] > LEAST_STAIN)
    )
    limits = (size[1], size[0])
    first = np.clip(np.floor(low), 0, limits).astype(np.intp)
    last = np.clip(np.ceil(high) + 1, 0, limits).astype(np.intp)
    shown &= (last > first).all(axis=1)
    return shown, np.stack([first[:, 0], last[:, 0], first[:, 1], last[:, 1]], axis=1)
