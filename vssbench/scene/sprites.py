"""Textures of things with an outline: people, bicycles, cars, signs, fences, trees. RGBA float32 (h, w, 4) in 0..1."""

from __future__ import annotations

import numpy as np


from vssbench.scene.ripmap import Pixels
from vssbench.scene.textures import OVERSAMPLING, RandomState, byte, finish, noise, opaque, sketch, stone

#: beside black, grey, silver and white
CAR_COLOURS = ((0.5, 0.1, 0.1), (0.13, 0.2, 0.42), (0.16, 0.28, 0.2), (0.5, 0.44, 0.33), (0.33, 0.13, 0.16), (0.3, 0.42, 0.5))

Ink = tuple[int, int, int, int]


class _Pen:
    """Draws in parts of the picture: x and y from 0 to 1, whatever its size."""

    def __init__(self, width: int, height: int) -> None:
        self.picture, self._draw = sketch(width, height)
        self._scale = np.array([width, height]) * OVERSAMPLING

    def _points(self, points: list[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(float(x), float(y)) for x, y in np.array(points) * self._scale]

    def shape(self, ink: Ink, *points: tuple[float, float]) -> None:
        """A filled polygon."""
        self._draw.polygon(self._points(list(points)), ink)

    def line(self, ink: Ink, thickness: float, *points: tuple[float, float]) -> None:
        """A line, ``thickness`` in parts of the width, with round joints."""
        self._draw.line(self._points(list(points)), ink, max(1, int(thickness * self._scale[0])), joint="curve")

    def ellipse(self, ink: Ink, x: float, y: float, radius_x: float, radius_y: float, ring: float = 0.0) -> None:
        """A disc, or a ring of thickness ``ring`` in parts of the width."""
        corners = self._points([(x - radius_x, y - radius_y), (x + radius_x, y + radius_y)])
        box = (*corners[0], *corners[1])
        if ring:
            self._draw.ellipse(box, outline=ink, width=max(1, int(ring * self._scale[0])))
        else:
            self._draw.ellipse(box, ink)

    def box(self, ink: Ink, x0: float, y0: float, x1: float, y1: float, radius: float = 0.0) -> None:
        """A rectangle with corners of ``radius`` in parts of the width."""
        corners = self._points([(x0, y0), (x1, y1)])
        self._draw.rounded_rectangle((*corners[0], *corners[1]), radius * float(self._scale[0]), ink)

    def done(self, rng: RandomState, grain: float = 0.06) -> Pixels:
        """The finished texture, with uneven brightness."""
        pixels = finish(self.picture)
        tone = 1 + grain * noise(rng, pixels.shape[0], pixels.shape[1], 0.8)
        pixels[..., :3] = np.clip(pixels[..., :3] * tone[..., None], 0, 1)
        return pixels


def _cloth(rng: RandomState) -> np.ndarray:
    """Clothes: greys and dull colours, now and then a bright one."""
    vivid = 0.45 if rng.random() < 0.15 else 0.14
    return np.clip(rng.uniform(0.1, 0.65) * (1 + rng.normal(0, vivid, 3)), 0.03, 0.95)


def _skin(rng: RandomState) -> np.ndarray:
    return np.array([0.8, 0.62, 0.5]) * rng.uniform(0.4, 1.1)


def person(rng: RandomState) -> Pixels:
    """A person from head to hip, seen from the front or the back; the legs are apart, since they walk."""
    pen = _Pen(64, 128)
    coat, skin, hair = _cloth(rng), _skin(rng), stone(rng, 0.08, 0.5, 0.15)
    arm = rng.uniform(0.02, 0.12)
    pen.line(byte(coat * 0.8), 0.17, (0.26, 0.3), (0.2 - arm, 0.62), (0.22 - arm / 2, 0.86))
    pen.line(byte(coat * 0.9), 0.17, (0.74, 0.3), (0.8 + arm, 0.62), (0.78 + arm / 2, 0.86))
    pen.ellipse(byte(skin), 0.21 - arm / 2, 0.9, 0.07, 0.035)
    pen.ellipse(byte(skin), 0.79 + arm / 2, 0.9, 0.07, 0.035)
    pen.shape(byte(coat), (0.18, 0.28), (0.36, 0.21), (0.64, 0.21), (0.82, 0.28), (0.76, 0.6), (0.78, 0.99), (0.22, 0.99), (0.26, 0.6))
    pen.shape(byte(coat * 1.15), (0.5, 0.22), (0.64, 0.21), (0.82, 0.28), (0.76, 0.6), (0.78, 0.99), (0.56, 0.99))
    if rng.random() < 0.4:
        pen.box(byte(_cloth(rng)), 0.3, 0.3, 0.7, 0.68, 0.1)
    pen.box(byte(skin * 0.9), 0.43, 0.15, 0.57, 0.23)
    pen.ellipse(byte(skin), 0.5, 0.105, 0.15, 0.1)
    pen.ellipse(byte(hair), 0.5, 0.075 if rng.random() < 0.5 else 0.1, 0.16, 0.075)
    return pen.done(rng)


def leg(rng: RandomState) -> Pixels:
    """One leg from hip to shoe."""
    pen = _Pen(32, 64)
    cloth = _cloth(rng)
    pen.shape(byte(cloth), (0.12, 0.0), (0.88, 0.0), (0.74, 0.5), (0.7, 0.92), (0.34, 0.92), (0.3, 0.5))
    pen.shape(byte(cloth * 1.2), (0.5, 0.0), (0.88, 0.0), (0.74, 0.5), (0.7, 0.92), (0.55, 0.92))
    pen.box(byte(stone(rng, 0.05, 0.3)), 0.26, 0.9, 0.86, 0.99, 0.1)
    return pen.done(rng)


def cyclist_side(rng: RandomState) -> Pixels:
    """A rider on a bicycle from the side, 1.8 m x 1.8 m, riding towards larger columns."""
    pen = _Pen(128, 128)
    tyre, frame, coat, legs = byte(stone(rng, 0.05, 0.2)), byte(rng.uniform(0.1, 0.8, 3)), _cloth(rng), _cloth(rng)
    for x in (0.21, 0.79):
        pen.ellipse(tyre, x, 0.805, 0.185, 0.185, 0.035)
        for spoke in np.arange(0, np.pi, np.pi / 5) + rng.uniform(0, 1):
            reach = np.array([np.cos(spoke), np.sin(spoke)]) * 0.17
            pen.line(byte((0.55, 0.55, 0.55)), 0.008, (x - reach[0], 0.805 - reach[1]), (x + reach[0], 0.805 + reach[1]))
    pen.line(frame, 0.03, (0.21, 0.805), (0.46, 0.8), (0.69, 0.55), (0.38, 0.56), (0.46, 0.8))
    pen.line(frame, 0.03, (0.21, 0.805), (0.38, 0.56), (0.36, 0.5))
    pen.line(frame, 0.03, (0.79, 0.805), (0.68, 0.5), (0.75, 0.46))
    pen.line(byte(legs * 0.8), 0.075, (0.37, 0.47), (0.57, 0.58), (0.46, 0.74))
    pen.line(byte(legs), 0.085, (0.36, 0.47), (0.55, 0.66), (0.5, 0.88), (0.57, 0.89))
    pen.shape(byte(coat), (0.29, 0.48), (0.43, 0.5), (0.63, 0.25), (0.55, 0.16), (0.43, 0.2))
    pen.line(byte(coat * 1.15), 0.06, (0.56, 0.23), (0.64, 0.37), (0.75, 0.44))
    pen.ellipse(byte(_skin(rng)), 0.62, 0.1, 0.06, 0.075)
    pen.ellipse(byte(rng.uniform(0.05, 0.95, 3)), 0.61, 0.06, 0.07, 0.05)
    return pen.done(rng)


def cyclist_back(rng: RandomState) -> Pixels:
    """A rider on a bicycle from behind or in front, 0.7 m x 1.8 m."""
    pen = _Pen(64, 128)
    coat, legs = _cloth(rng), _cloth(rng)
    pen.line(byte(stone(rng, 0.2, 0.4)), 0.06, (0.14, 0.44), (0.86, 0.44))
    pen.box(byte(stone(rng, 0.05, 0.2)), 0.45, 0.6, 0.55, 0.99, 0.04)
    pen.line(byte(legs * 0.85), 0.16, (0.38, 0.5), (0.3, 0.68), (0.34, 0.9))
    pen.line(byte(legs), 0.16, (0.62, 0.5), (0.7, 0.64), (0.66, 0.8))
    pen.line(byte(coat * 0.85), 0.14, (0.28, 0.22), (0.14, 0.34), (0.16, 0.44))
    pen.line(byte(coat * 0.9), 0.14, (0.72, 0.22), (0.86, 0.34), (0.84, 0.44))
    pen.shape(byte(coat), (0.24, 0.2), (0.5, 0.16), (0.76, 0.2), (0.7, 0.36), (0.7, 0.54), (0.3, 0.54), (0.3, 0.36))
    pen.ellipse(byte(_skin(rng)), 0.5, 0.1, 0.14, 0.075)
    pen.ellipse(byte(rng.uniform(0.05, 0.95, 3)), 0.5, 0.065, 0.17, 0.055)
    pen.box(byte((0.75, 0.12, 0.1)), 0.44, 0.56, 0.56, 0.6)
    return pen.done(rng)


def car_paint(rng: RandomState) -> np.ndarray:
    """A car's colour, float64 (3,): mostly black, grey, silver and white, as on roads."""
    if rng.random() < 0.6:
        return stone(rng, 0.08, 0.9, 0.03)
    return np.clip(np.array(CAR_COLOURS[int(rng.integers(len(CAR_COLOURS)))]) * rng.uniform(0.7, 1.3), 0.04, 0.9)


def car_side(rng: RandomState, paint: np.ndarray) -> Pixels:
    """A hatchback from the side, tail at column 0: wheels, windows, doors."""
    pen = _Pen(256, 128)
    glass = byte(stone(rng, 0.08, 0.3))
    outline = [(0.0, 0.5), (0.02, 0.15), (0.1, 0.02), (0.52, 0.0), (0.6, 0.04), (0.76, 0.4), (0.97, 0.47), (1.0, 0.6), (1.0, 0.84)]
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
            pen.line(byte((0.25, 0.25, 0.26)), 0.014, (x, 0.81), (x + 0.045 * np.cos(spoke), 0.81 + 0.1 * np.sin(spoke)))
    return pen.done(rng, 0.04)


def car_back(rng: RandomState, paint: np.ndarray) -> Pixels:
    """A hatchback's tail: window, lights, plate, bumper, tyres below."""
    pen = _Pen(128, 128)
    for x in (0.06, 0.74):
        pen.box(byte((0.06, 0.06, 0.06)), x, 0.76, x + 0.2, 0.99, 0.03)
    pen.shape(byte(paint), (0.03, 0.86), (0.0, 0.5), (0.04, 0.4), (0.13, 0.02), (0.87, 0.02), (0.96, 0.4), (1.0, 0.5), (0.97, 0.86))
    pen.shape(byte(stone(rng, 0.08, 0.3)), (0.12, 0.36), (0.19, 0.08), (0.81, 0.08), (0.88, 0.36))
    pen.shape(byte((0.5, 0.55, 0.6)), (0.2, 0.12), (0.45, 0.1), (0.22, 0.32))
    pen.box(byte(paint * 0.65), 0.02, 0.7, 0.98, 0.86, 0.05)
    for x in (0.02, 0.82):
        pen.box(byte((0.68, 0.08, 0.07)), x, 0.42, x + 0.16, 0.56, 0.03)
    pen.box(byte((0.85, 0.78, 0.3) if rng.random() < 0.5 else (0.9, 0.9, 0.88)), 0.34, 0.56, 0.66, 0.66)
    return pen.done(rng, 0.04)


def car_nose(rng: RandomState, paint: np.ndarray) -> Pixels:
    """The front below the bonnet: headlights, grille, plate, tyres below."""
    pen = _Pen(128, 64)
    for x in (0.06, 0.74):
        pen.box(byte((0.06, 0.06, 0.06)), x, 0.6, x + 0.2, 0.99, 0.03)
    pen.box(byte(paint), 0.0, 0.0, 1.0, 0.8, 0.06)
    pen.box(byte(stone(rng, 0.06, 0.25)), 0.26, 0.14, 0.74, 0.38, 0.03)
    pen.box(byte(paint * 0.6), 0.08, 0.58, 0.92, 0.78, 0.04)
    for x in (0.03, 0.77):
        pen.box(byte((0.9, 0.9, 0.86)), x, 0.12, x + 0.2, 0.36, 0.05)
    pen.box(byte((0.9, 0.9, 0.88)), 0.36, 0.44, 0.64, 0.58)
    return pen.done(rng, 0.04)


def car_screen(rng: RandomState, paint: np.ndarray) -> Pixels:
    """The windscreen between its pillars, with a reflection."""
    pen = _Pen(128, 64)
    pen.box(byte(paint), 0.0, 0.0, 1.0, 1.0)
    pen.shape(byte(stone(rng, 0.1, 0.3)), (0.09, 0.08), (0.91, 0.08), (0.97, 0.98), (0.03, 0.98))
    pen.shape(byte((0.6, 0.66, 0.72)), (0.12, 0.1), (0.5, 0.1), (0.2, 0.8))
    return pen.done(rng, 0.08)


def car_panel(rng: RandomState, paint: np.ndarray) -> Pixels:
    """Bonnet or roof: bare metal that mirrors the sky."""
    shine = 1.15 + 0.08 * noise(rng, 32, 32, 1.5)
    return opaque(shine[..., None] * paint + 0.05)


def fence(rng: RandomState) -> Pixels:
    """Two metres of a fence with gaps: pickets, railings or boards."""
    pen = _Pen(128, 64)
    kind = rng.choice(["pickets", "railing", "boards"])
    base = stone(rng, 0.15, 0.35) if kind == "railing" else np.array([0.55, 0.46, 0.36]) * rng.uniform(0.5, 1.6)
    count, part = {"pickets": (12, 0.6), "railing": (14, 0.36), "boards": (10, 0.88)}[str(kind)]
    for rail in (0.2, 0.8):
        pen.box(byte(base * 0.8), 0.0, rail - 0.06, 1.0, rail + 0.06)
    for number in range(count):
        tone, left = byte(base * rng.uniform(0.8, 1.2)), number / count
        right = left + part / count
        pen.shape(tone, (left, 0.1), ((left + right) / 2, 0.02), (right, 0.1), (right, 1.0), (left, 1.0))
    return pen.done(rng)


def crown(rng: RandomState) -> Pixels:
    """A tree's crown: clumps of leaves, ragged and with holes, bright above and dark below."""
    side = 256
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / (side / 2) - 1
    body = np.full((side, side), -1.0, np.float32)
    light = np.zeros((side, side), np.float32)
    for _ in range(int(rng.integers(9, 15))):
        turn, reach = rng.uniform(0, 2 * np.pi), 0.52 * np.sqrt(rng.random())
        centre_x, centre_y, radius = reach * np.cos(turn), reach * np.sin(turn), rng.uniform(0.25, 0.42)
        clump = 1 - np.hypot(x - centre_x, (y - centre_y) * 1.1) / radius
        light = np.where(clump > body, 0.5 * (centre_y - y) / radius, light)
        body = np.maximum(body, clump)
    leaves = noise(rng, side, side, 0.9)
    alpha = np.clip((body + 0.24 * leaves + 0.2 * noise(rng, side, side, 1.2) - 0.02) * 9, 0, 1)
    alpha *= np.clip((0.97 - np.maximum(np.abs(x), np.abs(y))) * 40, 0, 1)
    tone = 0.95 + 0.3 * leaves + light - 0.2 * y
    base = np.array([0.36, 0.4, 0.2]) * rng.uniform(0.65, 1.15) * (1 + rng.normal(0, 0.12, 3))
    colour = np.clip(tone[..., None] * base, 0.02, 1)
    return np.concatenate([colour, alpha[..., None]], axis=2).astype(np.float32)


def sign(rng: RandomState) -> Pixels:
    """A traffic sign: disc, triangle or panel, with a border and a glyph; or a traffic light."""
    kind = rng.choice(["disc", "triangle", "panel", "light"], p=[0.35, 0.2, 0.3, 0.15])
    pen = _Pen(64, 64)
    red, white, dark = byte((0.72, 0.1, 0.1)), byte(stone(rng, 0.75, 0.95)), byte((0.08, 0.08, 0.1))
    if kind == "disc":
        blue = rng.random() < 0.4
        pen.ellipse(byte((0.1, 0.25, 0.6)) if blue else red, 0.5, 0.5, 0.48, 0.48)
        pen.ellipse(byte((0.12, 0.3, 0.65)) if blue else white, 0.5, 0.5, 0.34, 0.34)
        pen.line(white if blue else dark, 0.1, (0.36, 0.64), (0.5, 0.3), (0.64, 0.64))
    elif kind == "triangle":
        pen.shape(red, (0.5, 0.02), (0.98, 0.9), (0.02, 0.9))
        pen.shape(white, (0.5, 0.24), (0.8, 0.78), (0.2, 0.78))
        pen.line(dark, 0.09, (0.5, 0.4), (0.5, 0.7))
    elif kind == "panel":
        ground = byte(rng.choice([0.15, 0.8]) * (1 + rng.normal(0, 0.3, 3)))
        pen.box(white, 0.02, 0.06, 0.98, 0.94, 0.05)
        pen.box(ground, 0.07, 0.11, 0.93, 0.89, 0.04)
        for y in (0.3, 0.5, 0.7):
            pen.line(byte(rng.choice([0.05, 0.95]) * np.ones(3)), 0.07, (0.16, y), (rng.uniform(0.4, 0.86), y))
    else:
        pen.box(dark, 0.22, 0.01, 0.78, 0.99, 0.06)
        lit = int(rng.integers(3))
        for lamp, colour in enumerate(((0.95, 0.15, 0.1), (0.95, 0.65, 0.1), (0.2, 0.9, 0.4))):
            pen.ellipse(byte(np.array(colour) * (1 if lamp == lit else 0.25)), 0.5, 0.19 + 0.31 * lamp, 0.16, 0.13)
    return pen.done(rng)


def metal(rng: RandomState) -> Pixels:
    """A post: round, so that it shades across."""
    height, width = 64, 32
    across = 0.5 + 0.5 * np.sin(np.linspace(0.3, np.pi - 0.1, width)) ** 1.5
    tone = across[None] * (1 + 0.08 * noise(rng, height, width, 0.8))
    return opaque(tone[..., None] * stone(rng, 0.2, 0.7))


def shade(softness: float) -> Pixels:
    """A dark patch that fades towards its edges; ``softness`` is the part of its half width that fades."""
    side = 64
    y, x = np.mgrid[0:side, 0:side] / (side / 2 - 0.5) - 1
    edge = np.clip((1 - np.abs(x)) / softness, 0, 1) * np.clip((1 - np.abs(y)) / softness, 0, 1)
    return np.concatenate([np.zeros((side, side, 3)), edge[..., None]], axis=2).astype(np.float32)


def crossing(rng: RandomState) -> Pixels:
    """A zebra crossing's worn stripes."""
    pen = _Pen(256, 64)
    for left in np.arange(0.02, 0.98, 0.1):
        pen.box(byte((0.85, 0.85, 0.83), 0.85), left, 0.02, left + 0.05, 0.98)
    return pen.done(rng, 0.1)
