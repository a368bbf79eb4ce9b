"""The picture being painted: batches of surfaces are shaded and put behind what is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vssbench.datasets.synthetic.raster import Mask, Numbers, Planes, Touched
from vssbench.datasets.synthetic.ripmap import Atlas, Pixels, spread
from vssbench.datasets.synthetic.surfaces import Table

#: surfaces are shaded together up to this many pixels: calls are fewer, and what they work on stays
#: in the cache
BATCH_PIXELS = 30_000
#: a pixel is done once no more than this part of it is left to fill
CLEAR = 1 / 255
#: a pixel spans at least this many metres of a surface
LEAST_STEP = np.float32(1e-6)
#: holes are dropped where no more than this part of what was shaded is left
MOSTLY = 0.8
#: the number of no surface
NOTHING = -1


@dataclass(frozen=True)
class Air:
    """Distance haze: its colour, RGB 0..255, and the depth in metres at which 1 - 1/e of a
    surface's colour is lost."""

    colour: tuple[float, float, float]
    depth: float


class Canvas:
    """The picture as flat arrays: ``colour`` float32 (3, H * W) in 0..255; ``surface`` int16 (H *
    W,), what shows there.

    ``clear`` is how much of each pixel is still to be filled from behind; ``open`` whether that is
    worth it.
    """

    def __init__(
        self, size: tuple[int, int], table: Table, atlas: Atlas, air: Air, planes: Planes
    ) -> None:
        area = size[0] * size[1]
        self.colour = np.zeros((3, area), np.float32)
        self.surface = np.full(area, NOTHING, np.int16)
        self.clear = np.ones(area, np.float32)
        self.open = np.ones(area, np.bool_)
        self.table, self.atlas, self.planes = table, atlas, planes
        self._open_picture = self.open.reshape(size)
        self._haze = np.array([*air.colour, 255.0], np.float32)[:, None] / np.float32(255)
        #: a column a surface: its mapping, tint, haze a metre, and the inverse's first two columns
        haziness = table.hazy * np.float32(-1 / air.depth)
        self._columns = np.concatenate(
            [table.mapping, table.tint.T, haziness[None], planes.lines[:2].reshape(6, -1)]
        )

    def batches(self, order: Numbers) -> Iterator[Numbers]:
        """Cut the painting order into runs of at most BATCH_PIXELS, or of one surface, without what
        is hidden by then."""
        batch: list[int] = []
        total = 0
        for number, (x0, x1, y0, y1) in zip(
            order.tolist(), self.planes.boxes[order].tolist(), strict=True
        ):
            area = (x1 - x0) * (y1 - y0)
            if batch and total + area > BATCH_PIXELS:
                yield np.array(batch)
                batch, total = [], 0
            if np.count_nonzero(self._open_picture[y0:y1, x0:x1]):
                batch.append(number)
                total += area
        if batch:
            yield np.array(batch)

    def paint(self, batch: Numbers) -> None:
        """Put surfaces behind what is there, in turn; the first that covers at least half a pixel
        gives it its number."""
        touched = self.planes.locate(batch, self._open_picture)
        counts, pixels = touched.counts, touched.pixels
        if not len(pixels):
            return
        colour = self._shade(batch, touched)
        seen = np.flatnonzero(colour[3])
        if len(seen) < MOSTLY * len(pixels):
            # the rest is holes between leaves and around outlines
            counts = np.diff(seen.searchsorted(counts.cumsum()), prepend=0)
            pixels, colour = pixels.take(seen), colour.take(seen, axis=1)
        opacity = colour[3] * np.float32(1 / 255)
        solid = opacity >= np.float32(0.5)
        left = np.subtract(np.float32(1), opacity, out=opacity)
        colour = colour[:3]
        colour *= self._fill(counts, pixels, left)
        for channel, added in zip(self.colour, colour, strict=True):
            # adds in the order of painting where surfaces overlap
            np.add.at(channel, pixels, added)
        self._number(batch, counts, pixels, solid)
        # where surfaces overlap the last one's word stays
        unfinished = left > np.float32(CLEAR)
        unfinished |= self.surface.take(pixels) == NOTHING
        self.open[pixels] = unfinished

    def _fill(self, counts: Numbers, pixels: Numbers, left: Pixels) -> Pixels:
        """Return how much of each pixel is clear when its surface's turn comes, (N,).

        ``left``, (N,), is the part of that which the surface leaves clear, and becomes how much of
        the pixel that is.
        """
        before = np.empty_like(left)
        start = 0
        for end in counts.cumsum().tolist():
            if end > start:
                part, after = pixels[start:end], left[start:end]
                after *= self.clear.take(part, out=before[start:end], mode="clip")
                self.clear[part] = after
                start = end
        return before

    def _number(self, batch: Numbers, counts: Numbers, pixels: Numbers, solid: Mask) -> None:
        """Give the pixels that show nothing yet the number of the first solid surface; stains have
        none to give."""
        numbers = np.where(self.table.stain[batch], NOTHING, batch).astype(np.int16)
        if len(batch) > 1:
            numbers = numbers.repeat(counts)
            solid &= numbers != NOTHING
        solid &= self.surface.take(pixels) == NOTHING
        # from the last to the first, so that the first stays
        given = np.flatnonzero(solid)[::-1]
        self.surface[pixels.take(given)] = numbers.take(given) if len(batch) > 1 else numbers

    def _shade(self, batch: Numbers, touched: Touched) -> Pixels:
        """Return texture, tint, haze and coverage: premultiplied RGBA 0..255, float32 (4, N)."""
        # one surface needs no column a pixel: its one column serves all
        counts = None if len(batch) == 1 else touched.counts
        columns = spread(self._columns[:, batch], counts)
        rate, shift, end, size = columns[0:2], columns[2:4], columns[4:6], columns[6:8]
        step = _step(columns[13:].reshape(2, 3, -1), touched.place, touched.depth)
        place = touched.place * rate
        place += shift
        colour = self.atlas.sample(
            self.table.texture[batch], place, step * abs(rate), end, counts
        ).T
        colour *= columns[8:12]
        cover_u, cover_v = _coverage(touched.place, step, size)
        cover = np.multiply(cover_u, cover_v, out=cover_u)
        clear = touched.depth * columns[12]
        np.exp(clear, out=clear)
        clear *= cover
        cover -= clear
        veil = np.multiply(colour[3], cover, out=cover)
        colour *= clear
        colour += veil * self._haze
        return colour


def _step(lines: Pixels, place: Pixels, depth: Pixels) -> Pixels:
    """Return lengths of the gradients of u and v, in metres a pixel, float32 (2, N); ``lines`` are
    the inverse's first two columns, (2, 3, N)."""
    across = place * lines[0, 2]
    np.subtract(lines[0, :2], across, out=across)
    down = place * lines[1, 2]
    np.subtract(lines[1, :2], down, out=down)
    across *= across
    down *= down
    across += down
    np.sqrt(across, out=across)
    across *= depth
    return across.clip(LEAST_STEP, None, out=across)


def _coverage(place: Pixels, step: Pixels, size: Pixels) -> Pixels:
    """Return the part of each pixel's span of u and v that lies within 0..size, (2, N): thin things
    fade, edges are smooth."""
    spans = size / step
    rise = place / step
    rise += np.float32(0.5)
    cover = spans + np.float32(1)
    cover -= rise
    np.minimum(rise, cover, out=cover)
    np.minimum(cover, spans, out=cover)
    return cover.clip(0, 1, out=cover)
