"""Textures of a car's faces, each drawn in that car's paint. RGBA float32 (h, w, 4) in 0..1."""

from __future__ import annotations

import numpy as np

from vssbench.datasets.synthetic.colours import RandomState, byte, noise, opaque, stone
from vssbench.datasets.synthetic.pen import Pen
from vssbench.datasets.synthetic.ripmap import Pixels

#: beside black, grey, silver and white
CAR_COLOURS = (
    (0.5, 0.1, 0.1),
    (0.13, 0.2, 0.42),
    (0.16, 0.28, 0.2),
    (0.5, 0.44, 0.33),
    (0.33, 0.13, 0.16),
    (0.3, 0.42, 0.5),
)


def random_paint(rng: RandomState) -> np.ndarray:
    """Return a car's colour, float64 (3,): mostly black, grey, silver and white, as on roads."""
    if rng.random() < 0.6:
        return stone(rng, 0.08, 0.9, 0.03)
    return np.clip(
        np.array(CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]) * rng.uniform(0.7, 1.3),
        0.04,
        0.9,
    )


def side(rng: RandomState, paint: np.ndarray) -> Pixels:
    """Draw a hatchback from the side, tail at column 0: wheels, windows, doors."""
    pen = Pen(256, 128)
    glass = byte(stone(rng, 0.08, 0.3))
    outline = [
        (0.0, 0.5),
        (0.02, 0.15),
        (0.1, 0.02),
        (0.52, 0.0),
        (0.6, 0.04),
        (0.76, 0.4),
        (0.97, 0.47),
        (1.0, 0.6),
        (1.0, 0.84),
    ]
    pen.shape(byte(paint), *outline, (0.0, 0.86))
    pen.shape(byte(paint * 1.2), (0.0, 0.44), (0.97, 0.47), (0.99, 0.56), (0.0, 0.54))
    pen.shape(byte(paint * 0.7), (0.0, 0.72), (1.0, 0.74), (1.0, 0.84), (0.0, 0.86))
    pen.shape(glass, (0.06, 0.38), (0.1, 0.1), (0.36, 0.07), (0.36, 0.4))
    pen.shape(glass, (0.39, 0.4), (0.39, 0.07), (0.56, 0.08), (0.71, 0.41))
    pen.shape(byte((0.55, 0.6, 0.65)), (0.14, 0.1), (0.24, 0.08), (0.16, 0.3))
    for x in (0.375, 0.69):
        pen.line(byte(paint * 0.55), 0.006, (x, 0.42), (x, 0.8))
    pen.box(byte((0.7, 0.1, 0.08)), 0.0, 0.4, 0.025, 0.55)
    pen.box(byte((0.9, 0.9, 0.85)), 0.94, 0.49, 0.99, 0.57)
    for x in (0.19, 0.81):
        pen.ellipse(byte((0.04, 0.04, 0.04)), x, 0.8, 0.092, 0.19)
        pen.ellipse(byte((0.1, 0.1, 0.1)), x, 0.81, 0.08, 0.175)
        pen.ellipse(byte((0.55, 0.55, 0.57)), x, 0.81, 0.05, 0.11)
        for spoke in np.arange(0, 2 * np.pi, 2 * np.pi / 5):
            pen.line(
                byte((0.25, 0.25, 0.26)),
                0.014,
                (x, 0.81),
                (x + 0.045 * np.cos(spoke), 0.81 + 0.1 * np.sin(spoke)),
            )
    return pen.done(rng, 0.04)


def back(rng: RandomState, paint: np.ndarray) -> Pixels:
    """Draw a hatchback's tail: window, lights, plate, bumper, tyres below."""
    pen = Pen(128, 128)
    for x in (0.06, 0.74):
        pen.box(byte((0.06, 0.06, 0.06)), x, 0.76, x + 0.2, 0.99, 0.03)
    pen.shape(
        byte(paint),
        (0.03, 0.86),
        (0.0, 0.5),
        (0.04, 0.4),
        (0.13, 0.02),
        (0.87, 0.02),
        (0.96, 0.4),
        (1.0, 0.5),
        (0.97, 0.86),
    )
    pen.shape(byte(stone(rng, 0.08, 0.3)), (0.12, 0.36), (0.19, 0.08), (0.81, 0.08), (0.88, 0.36))
    pen.shape(byte((0.5, 0.55, 0.6)), (0.2, 0.12), (0.45, 0.1), (0.22, 0.32))
    pen.box(byte(paint * 0.65), 0.02, 0.7, 0.98, 0.86, 0.05)
    for x in (0.02, 0.82):
        pen.box(byte((0.68, 0.08, 0.07)), x, 0.42, x + 0.16, 0.56, 0.03)
    pen.box(
        byte((0.85, 0.78, 0.3) if rng.random() < 0.5 else (0.9, 0.9, 0.88)), 0.34, 0.56, 0.66, 0.66
    )
    return pen.done(rng, 0.04)


def nose(rng: RandomState, paint: np.ndarray) -> Pixels:
    """Draw the front below the bonnet: headlights, grille, plate, tyres below."""
    pen = Pen(128, 64)
    for x in (0.06, 0.74):
        pen.box(byte((0.06, 0.06, 0.06)), x, 0.6, x + 0.2, 0.99, 0.03)
    pen.box(byte(paint), 0.0, 0.0, 1.0, 0.8, 0.06)
    pen.box(byte(stone(rng, 0.06, 0.25)), 0.26, 0.14, 0.74, 0.38, 0.03)
    pen.box(byte(paint * 0.6), 0.08, 0.58, 0.92, 0.78, 0.04)
    for x in (0.03, 0.77):
        pen.box(byte((0.9, 0.9, 0.86)), x, 0.12, x + 0.2, 0.36, 0.05)
    pen.box(byte((0.9, 0.9, 0.88)), 0.36, 0.44, 0.64, 0.58)
    return pen.done(rng, 0.04)


def screen(rng: RandomState, paint: np.ndarray) -> Pixels:
    """Draw the windscreen between its pillars, with a reflection."""
    pen = Pen(128, 64)
    pen.box(byte(paint), 0.0, 0.0, 1.0, 1.0)
    pen.shape(byte(stone(rng, 0.1, 0.3)), (0.09, 0.08), (0.91, 0.08), (0.97, 0.98), (0.03, 0.98))
    pen.shape(byte((0.6, 0.66, 0.72)), (0.12, 0.1), (0.5, 0.1), (0.2, 0.8))
    return pen.done(rng, 0.08)


def panel(rng: RandomState, paint: np.ndarray) -> Pixels:
    """Draw bonnet or roof: bare metal that mirrors the sky."""
    shine = 1.15 + 0.08 * noise(rng, 32, 32, 1.5)
    return opaque(shine[..., None] * paint + 0.05)
