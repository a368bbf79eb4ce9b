"""Draws pictures with an outline, with smooth edges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from vssbench.datasets.synthetic.colours import RandomState, noise
from vssbench.datasets.synthetic.ripmap import Pixels

#: drawn this many times larger and reduced, so that edges are smooth
OVERSAMPLING = 3
#: a byte as a part of 1
TONES = np.arange(256, dtype=np.float32) / np.float32(255)

Ink = tuple[int, int, int, int]


class Pen:
    """Draws in parts of the picture: x and y from 0 to 1, whatever its size."""

    def __init__(self, width: int, height: int) -> None:
        self._picture = Image.new(
            "RGBA", (width * OVERSAMPLING, height * OVERSAMPLING), (0, 0, 0, 0)
        )
        self._draw = ImageDraw.Draw(self._picture)
        self._scale = np.array([width, height]) * OVERSAMPLING

    def _points(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in np.array(points) * self._scale]

    def shape(self, ink: Ink, *points: tuple[float, float]) -> None:
        """Draw a filled polygon."""
        self._draw.polygon(self._points(list(points)), ink)

    def line(self, ink: Ink, thickness: float, *points: tuple[float, float]) -> None:
        """Draw a line, ``thickness`` in parts of the width, with round joints."""
        self._draw.line(
            self._points(list(points)), ink, max(1, int(thickness * self._scale[0])), joint="curve"
        )

    def ellipse(
        self, ink: Ink, x: float, y: float, radius_x: float, radius_y: float, ring: float = 0.0
    ) -> None:
        """Draw a disc, or a ring of thickness ``ring`` in parts of the width."""
        corners = self._points([(x - radius_x, y - radius_y), (x + radius_x, y + radius_y)])
        box = (*corners[0], *corners[1])
        if ring:
            self._draw.ellipse(box, outline=ink, width=max(1, int(ring * self._scale[0])))
        else:
            self._draw.ellipse(box, ink)

    def box(
        self, ink: Ink, x0: float, y0: float, x1: float, y1: float, radius: float = 0.0
    ) -> None:
        """Draw a rectangle with corners of ``radius`` in parts of the width."""
        corners = self._points([(x0, y0), (x1, y1)])
        self._draw.rounded_rectangle(
            (*corners[0], *corners[1]), radius * float(self._scale[0]), ink
        )

    def done(self, rng: RandomState, grain: float = 0.06) -> Pixels:
        """Return the finished texture, with uneven brightness."""
        pixels = _reduced(np.asarray(self._picture))
        tone = 1 + grain * noise(rng, pixels.shape[0], pixels.shape[1], 0.8)
        pixels[..., :3] = np.clip(pixels[..., :3] * tone[..., None], 0, 1)
        return pixels


def _reduced(picture: npt.NDArray[np.uint8]) -> Pixels:
    """Return RGBA, float32 (h, w, 4) in 0..1, smaller by OVERSAMPLING than uint8 RGBA; what is
    transparent lends no colour."""
    # a plane a channel: numpy is slow where lines are short
    red, green, blue, alpha = TONES.take(picture.transpose(2, 0, 1))
    small = np.empty(
        (picture.shape[0] // OVERSAMPLING, picture.shape[1] // OVERSAMPLING, 4), np.float32
    )
    opacity = _means(alpha)
    for channel, plane in enumerate((red, green, blue)):
        plane *= alpha
        small[..., channel] = _means(plane) / np.maximum(opacity, np.float32(1e-3))
    small[..., 3] = opacity
    return small


def _means(plane: Pixels) -> Pixels:
    """Return the mean of each square of OVERSAMPLING pixels, from left to right and down."""
    total, *others = (
        plane[row::OVERSAMPLING, column::OVERSAMPLING]
        for row in range(OVERSAMPLING)
        for column in range(OVERSAMPLING)
    )
    total = total + others[0]
    for other in others[1:]:
        total += other
    total /= np.float32(OVERSAMPLING**2)
    return total
