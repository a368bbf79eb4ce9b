"""Finds the pixels that surfaces touch, and which point of its surface each pixel shows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vssbench.datasets.synthetic.geometry import Matrix
from vssbench.datasets.synthetic.ripmap import Pixels

Numbers = npt.NDArray[np.intp]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Touched:
    """The pixels that surfaces touch, surface by surface; ``counts`` is how many each touches,
    (surfaces,).

    ``pixels`` is their flat index, (N,); ``place`` where on the surface they lie, u and v in
    metres, (2, N); ``depth`` (N,).
    """

    counts: Numbers
    pixels: Numbers
    place: Pixels
    depth: Pixels

    @classmethod
    def of(cls, counts: Numbers, pixels: Numbers, scaled: Pixels) -> Touched:
        """``scaled`` is u, v and 1, over depth, (3, N)."""
        depth = np.float32(1) / scaled[2]
        return cls(counts, pixels, scaled[:2] * depth, depth)


class Planes:
    """The surfaces of a scene as the camera sees them.

    ``boxes`` is the pixels that each may touch, x0, x1, y0, y1, (surfaces, 4).

    ``lines`` is how much u, v and 1, over depth, change a pixel across and a pixel down, and what
    they are at the box's first corner, float32 (3, 3, surfaces); counted from there, single
    precision is enough.
    """

    def __init__(self, boxes: Numbers, inverses: Matrix, sizes: Pixels) -> None:
        self.boxes, self.inverses = boxes, inverses
        self.corners = (
            inverses[:, :, 0] * boxes[:, :1] + inverses[:, :, 1] * boxes[:, 2:3] + inverses[:, :, 2]
        )
        lines = np.concatenate([inverses[:, :, :2], self.corners[:, :, None]], axis=2).astype(
            np.float32
        )
        self.lines = np.ascontiguousarray(lines.transpose(2, 1, 0))
        margins = _margins(inverses, sizes)
        self._limits = np.concatenate([margins, -margins, sizes], axis=1).T

    def locate(self, batch: Numbers, wanted: Mask) -> Touched:
        """Return the pixels that surfaces touch and that are ``wanted``, (H, W)."""
        return (
            self._locate_one(batch[0], wanted)
            if len(batch) == 1
            else self._locate_many(batch, wanted)
        )

    def _locate_one(self, number: int, wanted: Mask) -> Touched:
        x0, x1, y0, y1 = self.boxes[number].tolist()
        width, part = wanted.shape[1], wanted[y0:y1, x0:x1]
        rows, columns = (np.flatnonzero(part.any(axis=axis)) for axis in (1, 0))
        if not len(rows):
            return Touched.of(np.zeros(1, np.intp), rows, np.zeros((3, 0), np.float32))
        top, bottom, left, right = (
            int(rows[0]),
            int(rows[-1]) + 1,
            int(columns[0]),
            int(columns[-1]) + 1,
        )
        inverse, corner = self.inverses[number], self.corners[number]
        across = (inverse[:, :1] * np.arange(left, right)).astype(np.float32)
        down = (inverse[:, 1:2] * np.arange(top, bottom) + corner[:, None]).astype(np.float32)
        scaled = across[:, None, :] + down[:, :, None]
        inside = _inside(scaled, self._limits[:, number])
        inside &= part[top:bottom, left:right]
        touched = inside.ravel().nonzero()[0]
        # skips what each line of the picture has beyond the lines of the box
        pixels = touched // (right - left)
        pixels *= width - (right - left)
        pixels += touched
        pixels += (y0 + top) * width + x0 + left
        return Touched.of(
            np.array([len(touched)]), pixels, scaled.reshape(3, -1).take(touched, axis=1)
        )

    def _locate_many(self, batch: Numbers, wanted: Mask) -> Touched:
        """Locate the pixels of all boxes at once.

        Their lines come one after another, and of these their pixels one after another.
        """
        x0, x1, y0, y1 = self.boxes[batch].T
        wide, high = x1 - x0, y1 - y0
        ends, width = (wide * high).cumsum(), wanted.shape[1]
        y = np.arange(high.sum()) - (high.cumsum() - high).repeat(high)
        lengths = wide.repeat(high)
        starts = lengths.cumsum() - lengths
        counter = np.arange(ends[-1])
        pixels = counter + (y * width + (y0 * width + x0).repeat(high) - starts).repeat(lengths)
        x = (counter - starts.repeat(lengths)).astype(np.float32)
        step_x, step_y, start = self.lines[:, :, batch]
        areas = wide * high
        scaled = step_x.repeat(areas, axis=1)
        scaled *= x
        scaled += (step_y.repeat(high, axis=1) * y.astype(np.float32)).repeat(lengths, axis=1)
        scaled += start.repeat(areas, axis=1)
        inside = _inside(scaled, self._limits[:, batch].repeat(areas, axis=1))
        inside &= wanted.ravel().take(pixels)
        touched = inside.nonzero()[0]
        counts = np.diff(touched.searchsorted(ends), prepend=0)
        return Touched.of(counts, pixels.take(touched), scaled.take(touched, axis=1))


def _margins(inverses: Matrix, sizes: Pixels) -> Pixels:
    """Return half a pixel's span of u and v, over depth, at most: float32 (surfaces, 2). It is
    convex, so largest on an edge."""
    ends = np.stack([np.zeros_like(sizes), sizes], axis=2)[..., None]
    gradients = inverses[:, :2, None, :2] - ends * inverses[:, 2, None, None, :2]
    return (np.abs(gradients).sum(axis=3).max(axis=2) / 2).astype(np.float32)


def _inside(scaled: Pixels, limits: Pixels) -> Mask:
    """Return where a pixel's span touches the rectangle: ``scaled`` is u, v and 1, over depth;
    ``limits`` are the margins of u and v, their negatives, and the rectangle's size."""
    inside = scaled[2] > 0
    for axis in (0, 1):
        inside &= scaled[axis] > limits[2 + axis]
        end = limits[4 + axis] * scaled[2]
        end += limits[axis]
        inside &= scaled[axis] < end
    return inside
