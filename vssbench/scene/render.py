"""Paints a scene as one camera sees it: colour, and which surface shows at each pixel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vssbench.scene.geometry import NEAR, Camera, Matrix, clip_near, intrinsics, project
from vssbench.scene.ripmap import Atlas, Pixels
from vssbench.scene.surfaces import Scene, Table

#: surfaces of fewer pixels than this, and stains of the ground that are less high, are left out
LEAST_AREA, LEAST_STAIN = 2.5, 1.2
#: surfaces whose plane passes this close to the camera, in metres, are left out: they are seen edge-on
EDGE_ON = 1e-4
#: surfaces are shaded together up to this many pixels: calls are fewer, and what they work on stays in the cache
BATCH_PIXELS = 30_000
#: a pixel is done once no more than this part of it is left to fill
CLEAR = 1 / 255
#: the number of no surface
NOTHING = -1

Numbers = npt.NDArray[np.intp]


@dataclass(frozen=True)
class Air:
    """Distance haze: its colour, RGB 0..255, and the depth in metres at which 1 - 1/e of a surface's colour is lost."""

    colour: tuple[float, float, float]
    depth: float


@dataclass(frozen=True)
class View:
    """One rendered frame before the sensor.

    ``colour`` float32 (H, W, 3) in 0..255; ``surface`` int16 (H, W), the number of the surface that shows;
    ``projections`` float64 (surfaces, 3, 3), plane coordinates to pixels; ``inverses`` undoes it where a surface shows.
    """

    colour: npt.NDArray[np.float32]
    surface: npt.NDArray[np.int16]
    projections: Matrix
    inverses: Matrix


def render(scene: Scene, atlas: Atlas, air: Air, camera: Camera, seconds: float, size: tuple[int, int]) -> View:
    """Paint the scene, near to far, so that what is hidden costs nothing. ``size`` is (height, width)."""
    calibration = intrinsics(*size)
    projections = scene.projections(camera, calibration, seconds)
    shown, boxes = _boxes(scene.table, projections, size)
    # the camera's distance from each plane; negative on the side that shows the texture mirrored
    distance = np.linalg.det(projections) / np.linalg.det(calibration)
    shown &= (distance > EDGE_ON) | ((distance < -EDGE_ON) & ~scene.table.one_sided)
    inverses = np.linalg.inv(np.where(shown[:, None, None], projections, np.eye(3)))
    order = np.array(scene.order(seconds))[::-1]
    canvas = _Canvas(size, scene.table, atlas, air)
    for batch in canvas.batches(order[shown[order]], boxes):
        canvas.paint(batch, inverses[batch], boxes[batch])
    height, width = size
    colour = canvas.colour.reshape(height, width, 4)[..., :3]
    return View(colour, canvas.surface.reshape(height, width), projections, inverses)


def _boxes(table: Table, projections: Matrix, size: tuple[int, int]) -> tuple[npt.NDArray[np.bool_], Numbers]:
    """Which surfaces may show, bool (surfaces,), and the pixels that each may touch: x0, x1, y0, y1, (surfaces, 4)."""
    homogeneous = np.einsum("sij,skj->ski", projections, table.corners)
    depth = homogeneous[..., 2]
    shown = (depth > NEAR).any(axis=1)
    pixels = homogeneous[..., :2] / np.maximum(depth, NEAR)[..., None]
    low, high = pixels.min(axis=1), pixels.max(axis=1)
    for index in np.nonzero(shown & (depth < NEAR).any(axis=1))[0]:
        visible = project(clip_near(table.corners[index, :, :2], projections[index]), projections[index])
        low[index], high[index] = visible.min(axis=0), visible.max(axis=0)
    shown &= ((high - low).prod(axis=1) > LEAST_AREA) & (~table.stain | ((high - low)[:, 1] > LEAST_STAIN))
    limits = (size[1], size[0])
    first = np.clip(np.floor(low), 0, limits).astype(np.intp)
    last = np.clip(np.ceil(high) + 1, 0, limits).astype(np.intp)
    shown &= (last > first).all(axis=1)
    return shown, np.stack([first[:, 0], last[:, 0], first[:, 1], last[:, 1]], axis=1)


class _Canvas:
    """The picture being painted, as flat arrays.

    ``clear`` is how much of each pixel is still to be filled from behind; ``open`` whether that is worth it.
    """

    def __init__(self, size: tuple[int, int], table: Table, atlas: Atlas, air: Air) -> None:
        self.height, self.width = size
        self.colour = np.zeros((self.height * self.width, 4), np.float32)
        # four channels taken as one item of 16 bytes are copied several times faster
        self._pixels = self.colour.view(np.complex128)[:, 0]
        self.surface = np.full(self.height * self.width, NOTHING, np.int16)
        self.clear = np.ones(self.height * self.width, np.float32)
        self.open = np.ones(self.height * self.width, np.bool_)
        self.table, self.atlas, self.air = table, atlas, air
        self.haze = np.array([*air.colour, 255.0], np.float32) / np.float32(255)

    def batches(self, order: Numbers, boxes: Numbers) -> Iterator[Numbers]:
        """Cut the painting order into runs of at most BATCH_PIXELS, or of one surface, without what is hidden by then."""
        picture = self.open.reshape(self.height, self.width)
        batch: list[int] = []
        total = 0
        for number, (x0, x1, y0, y1) in zip(order, boxes[order], strict=True):
            area = (x1 - x0) * (y1 - y0)
            if batch and total + area > BATCH_PIXELS:
                yield np.array(batch)
                batch, total = [], 0
            if picture[y0:y1, x0:x1].any():
                batch.append(number)
                total += area
        if batch:
            yield np.array(batch)

    def paint(self, batch: Numbers, inverses: Matrix, boxes: Numbers) -> None:
        """Put surfaces behind what is there, in turn; the first that covers at least half a pixel gives it its number."""
        which, pixels, u, v, depth = _locate(boxes, self.table.size[batch], inverses, self.open, self.width)
        if not len(pixels):
            return
        # one surface needs no row a pixel: its one row serves all
        single = len(batch) == 1
        row = batch[0] if single else batch[which]
        lines = inverses[0].astype(np.float32) if single else inverses.astype(np.float32).transpose(1, 2, 0).take(which, axis=2)
        steps = (_step(lines, 0, u, depth), _step(lines, 1, v, depth))
        colour = self._shade(row, u, v, steps, depth)
        opacity = colour[:, 3] * np.float32(1 / 255)
        solid = opacity >= 0.5
        ends = np.array([0, len(pixels)]) if single else np.searchsorted(which, np.arange(len(batch) + 1))
        for number, start, end in zip(batch, ends[:-1], ends[1:], strict=True):
            part = pixels[start:end]
            left = self.clear.take(part)
            self.clear[part] = left * (np.float32(1) - opacity[start:end])
            filled = self._pixels.take(part).view(np.float32).reshape(-1, 4)
            filled += colour[start:end] * left[:, None]
            self._pixels[part] = filled.view(np.complex128)[:, 0]
            if not self.table.stain[number]:
                own = part[solid[start:end]]
                self.surface[own[self.surface[own] == NOTHING]] = number
        self.open[pixels] = (self.clear[pixels] > CLEAR) | (self.surface[pixels] == NOTHING)

    def _shade(self, row: Numbers, u: Pixels, v: Pixels, steps: tuple[Pixels, Pixels], depth: Pixels) -> Pixels:
        """Texture, tint, haze and coverage: premultiplied RGBA 0..255, float32 (N, 4).

        ``row`` is the number of each pixel's surface, or the one that all share.
        """
        rate_s, rate_t = self.table.rate[row, 0], self.table.rate[row, 1]
        s, t = u * rate_s + self.table.shift[row, 0], v * rate_t + self.table.shift[row, 1]
        footprint = steps[0] * abs(rate_s), steps[1] * abs(rate_t)
        end = self.table.end[row, 0], self.table.end[row, 1]
        colour = self.atlas.sample(self.table.texture[row], (s, t), footprint, end)
        colour *= self.table.tint[row]
        cover = _coverage(u, steps[0], self.table.size[row, 0])
        cover *= _coverage(v, steps[1], self.table.size[row, 1])
        clear = np.exp(depth * (self.table.hazy[row] * np.float32(-1 / self.air.depth)))
        clear *= cover
        veil = colour[:, 3] * (cover - clear)
        colour *= clear[:, None]
        colour += veil[:, None] * self.haze
        return colour


def _locate(
    boxes: Numbers, sizes: Pixels, inverses: Matrix, wanted: npt.NDArray[np.bool_], width: int
) -> tuple[Numbers, Numbers, Pixels, Pixels, Pixels]:
    """The wanted pixels of each box that its surface touches: which surface, flat index, u, v, depth, (N,), by surface."""
    wide, high = boxes[:, 1] - boxes[:, 0], boxes[:, 3] - boxes[:, 2]
    # from the box's corner, so that single precision is enough
    corner = inverses[:, :, 0] * boxes[:, :1] + inverses[:, :, 1] * boxes[:, 2:3] + inverses[:, :, 2]
    margins = _margins(inverses, sizes)
    if len(boxes) == 1:
        x0, x1, y0, y1 = boxes[0]
        across = (inverses[0, :, :1] * np.arange(wide[0])).astype(np.float32)
        down = (inverses[0, :, 1:2] * np.arange(high[0]) + corner[0][:, None]).astype(np.float32)
        inside = _inside(across[:, None, :] + down[:, :, None], margins[0], sizes[0])
        inside &= wanted.reshape(-1, width)[y0:y1, x0:x1]
        y, x = np.divmod(np.flatnonzero(inside), wide[0])
        which, pixels = np.zeros(1, np.intp), (y + y0) * width + (x + x0)
        scaled = across.take(x, axis=1) + down.take(y, axis=1)
    else:
        counts = wide * high
        which = np.repeat(np.arange(len(boxes)), counts)
        local = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
        y, x = np.divmod(local, np.repeat(wide, counts))
        pixels = y * width + x + np.repeat(boxes[:, 2] * width + boxes[:, 0], counts)
        rows = np.concatenate([inverses[:, :, :2], corner[:, :, None]], axis=2).astype(np.float32).transpose(2, 1, 0)
        step_x, step_y, start = np.repeat(rows, counts, axis=2)
        scaled = step_x * x.astype(np.float32) + step_y * y.astype(np.float32) + start
        inside = _inside(scaled, np.repeat(margins.T, counts, axis=1), np.repeat(sizes.T, counts, axis=1))
        inside &= wanted[pixels]
        touched = np.flatnonzero(inside)
        which, pixels, scaled = which[touched], pixels[touched], scaled.take(touched, axis=1)
    depth = np.float32(1) / scaled[2]
    return which, pixels, scaled[0] * depth, scaled[1] * depth, depth


def _margins(inverses: Matrix, sizes: Pixels) -> Pixels:
    """Half a pixel's span of u and v, over depth, at most: float32 (surfaces, 2). It is convex, so largest on an edge."""
    ends = np.stack([np.zeros_like(sizes), sizes], axis=2)[..., None]
    gradients = inverses[:, :2, None, :2] - ends * inverses[:, 2, None, None, :2]
    return (np.abs(gradients).sum(axis=3).max(axis=2) / 2).astype(np.float32)


def _inside(scaled: Pixels, margins: Pixels, size: Pixels) -> npt.NDArray[np.bool_]:
    """Where a pixel's span touches the rectangle: ``scaled`` is u, v and 1, over depth; ``margins`` and ``size`` of u, v."""
    inside = scaled[2] > 0
    for axis in (0, 1):
        inside &= scaled[axis] > -margins[axis]
        inside &= scaled[axis] < size[axis] * scaled[2] + margins[axis]
    return inside


def _step(lines: Pixels, axis: int, coordinate: Pixels, depth: Pixels) -> Pixels:
    """Length of the gradient of plane coordinate ``axis``, in metres a pixel, float32 (N,); ``lines`` the inverse, (3, 3) or
    (3, 3, N)."""
    across = lines[axis, 0] - coordinate * lines[2, 0]
    down = lines[axis, 1] - coordinate * lines[2, 1]
    across *= across
    down *= down
    across += down
    np.sqrt(across, out=across)
    across *= depth
    return np.maximum(across, np.float32(1e-6), out=across)


def _coverage(coordinate: Pixels, step: Pixels, size: Pixels) -> Pixels:
    """The part of each pixel's span of a plane coordinate that lies within 0..size: thin things fade, edges are smooth."""
    spans = size / step
    rise = coordinate / step
    rise += np.float32(0.5)
    cover = np.minimum(rise, spans + np.float32(1) - rise, out=rise)
    np.minimum(cover, np.minimum(spans, np.float32(1)), out=cover)
    return np.maximum(cover, np.float32(0), out=cover)
