"""Textures of things with an outline: people, bicycles, signs, fences, trees. RGBA float32 (h, w,
4) in 0..1."""

from __future__ import annotations

import numpy as np

from vssbench.datasets.synthetic.colours import RandomState, byte, noise, opaque, stone
from vssbench.datasets.synthetic.pen import Pen
from vssbench.datasets.synthetic.ripmap import Pixels


def _cloth(rng: RandomState) -> np.ndarray:
    """Draw clothes: greys and dull colours, now and then a bright one."""
    vivid = 0.45 if rng.random() < 0.15 else 0.14
    return np.clip(rng.uniform(0.1, 0.65) * (1 + rng.normal(0, vivid, 3)), 0.03, 0.95)


def _skin(rng: RandomState) -> np.ndarray:
    return np.array([0.8, 0.62, 0.5]) * rng.uniform(0.4, 1.1)


def person(rng: RandomState) -> Pixels:
    """Draw a person from head to hip, seen from the front or the back; the legs are apart, since
    they walk."""
    pen = Pen(64, 128)
    coat, skin, hair = _cloth(rng), _skin(rng), stone(rng, 0.08, 0.5, 0.15)
    arm = rng.uniform(0.02, 0.12)
    pen.line(byte(coat * 0.8), 0.17, (0.26, 0.3), (0.2 - arm, 0.62), (0.22 - arm / 2, 0.86))
    pen.line(byte(coat * 0.9), 0.17, (0.74, 0.3), (0.8 + arm, 0.62), (0.78 + arm / 2, 0.86))
    pen.ellipse(byte(skin), 0.21 - arm / 2, 0.9, 0.07, 0.035)
    pen.ellipse(byte(skin), 0.79 + arm / 2, 0.9, 0.07, 0.035)
    pen.shape(
        byte(coat),
        (0.18, 0.28),
        (0.36, 0.21),
        (0.64, 0.21),
        (0.82, 0.28),
        (0.76, 0.6),
        (0.78, 0.99),
        (0.22, 0.99),
        (0.26, 0.6),
    )
    pen.shape(
        byte(coat * 1.15),
        (0.5, 0.22),
        (0.64, 0.21),
        (0.82, 0.28),
        (0.76, 0.6),
        (0.78, 0.99),
        (0.56, 0.99),
    )
    if rng.random() < 0.4:
        pen.box(byte(_cloth(rng)), 0.3, 0.3, 0.7, 0.68, 0.1)
    pen.box(byte(skin * 0.9), 0.43, 0.15, 0.57, 0.23)
    pen.ellipse(byte(skin), 0.5, 0.105, 0.15, 0.1)
    pen.ellipse(byte(hair), 0.5, 0.075 if rng.random() < 0.5 else 0.1, 0.16, 0.075)
    return pen.done(rng)


def leg(rng: RandomState) -> Pixels:
    """Draw one leg from hip to shoe."""
    pen = Pen(32, 64)
    cloth = _cloth(rng)
    pen.shape(
        byte(cloth), (0.12, 0.0), (0.88, 0.0), (0.74, 0.5), (0.7, 0.92), (0.34, 0.92), (0.3, 0.5)
    )
    pen.shape(byte(cloth * 1.2), (0.5, 0.0), (0.88, 0.0), (0.74, 0.5), (0.7, 0.92), (0.55, 0.92))
    pen.box(byte(stone(rng, 0.05, 0.3)), 0.26, 0.9, 0.86, 0.99, 0.1)
    return pen.done(rng)


def cyclist_side(rng: RandomState) -> Pixels:
    """Draw a rider on a bicycle from the side, 1.8 m x 1.8 m, riding towards larger columns."""
    pen = Pen(128, 128)
    tyre, frame, coat, legs = (
        byte(stone(rng, 0.05, 0.2)),
        byte(rng.uniform(0.1, 0.8, 3)),
        _cloth(rng),
        _cloth(rng),
    )
    for x in (0.21, 0.79):
        pen.ellipse(tyre, x, 0.805, 0.185, 0.185, 0.035)
        for spoke in np.arange(0, np.pi, np.pi / 5) + rng.uniform(0, 1):
            reach = np.array([np.cos(spoke), np.sin(spoke)]) * 0.17
            pen.line(
                byte((0.55, 0.55, 0.55)),
                0.008,
                (x - reach[0], 0.805 - reach[1]),
                (x + reach[0], 0.805 + reach[1]),
            )
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
    """Draw a rider on a bicycle from behind or in front, 0.7 m x 1.8 m."""
    pen = Pen(64, 128)
    coat, legs = _cloth(rng), _cloth(rng)
    pen.line(byte(stone(rng, 0.2, 0.4)), 0.06, (0.14, 0.44), (0.86, 0.44))
    pen.box(byte(stone(rng, 0.05, 0.2)), 0.45, 0.6, 0.55, 0.99, 0.04)
    pen.line(byte(legs * 0.85), 0.16, (0.38, 0.5), (0.3, 0.68), (0.34, 0.9))
    pen.line(byte(legs), 0.16, (0.62, 0.5), (0.7, 0.64), (0.66, 0.8))
    pen.line(byte(coat * 0.85), 0.14, (0.28, 0.22), (0.14, 0.34), (0.16, 0.44))
    pen.line(byte(coat * 0.9), 0.14, (0.72, 0.22), (0.86, 0.34), (0.84, 0.44))
    pen.shape(
        byte(coat),
        (0.24, 0.2),
        (0.5, 0.16),
        (0.76, 0.2),
        (0.7, 0.36),
        (0.7, 0.54),
        (0.3, 0.54),
        (0.3, 0.36),
    )
    pen.ellipse(byte(_skin(rng)), 0.5, 0.1, 0.14, 0.075)
    pen.ellipse(byte(rng.uniform(0.05, 0.95, 3)), 0.5, 0.065, 0.17, 0.055)
    pen.box(byte((0.75, 0.12, 0.1)), 0.44, 0.56, 0.56, 0.6)
    return pen.done(rng)


def fence(rng: RandomState) -> Pixels:
    """Draw two metres of a fence with gaps: pickets, railings or boards."""
    pen = Pen(128, 64)
    kind = rng.choice(["pickets", "railing", "boards"])
    base = (
        stone(rng, 0.15, 0.35)
        if kind == "railing"
        else np.array([0.55, 0.46, 0.36]) * rng.uniform(0.5, 1.6)
    )
    count, part = {"pickets": (12, 0.6), "railing": (14, 0.36), "boards": (10, 0.88)}[str(kind)]
    for rail in (0.2, 0.8):
        pen.box(byte(base * 0.8), 0.0, rail - 0.06, 1.0, rail + 0.06)
    for number in range(count):
        tone, left = byte(base * rng.uniform(0.8, 1.2)), number / count
        right = left + part / count
        pen.shape(
            tone, (left, 0.1), ((left + right) / 2, 0.02), (right, 0.1), (right, 1.0), (left, 1.0)
        )
    return pen.done(rng)


def crown(rng: RandomState) -> Pixels:
    """Draw a tree's crown: clumps of leaves, ragged and with holes, bright above and dark below."""
    side = 256
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / (side / 2) - 1
    body = np.full((side, side), -1.0, np.float32)
    light = np.zeros((side, side), np.float32)
    for _ in range(int(rng.integers(9, 15))):
        turn, reach = rng.uniform(0, 2 * np.pi), 0.52 * np.sqrt(rng.random())
        centre_x, centre_y, radius = (
            reach * np.cos(turn),
            reach * np.sin(turn),
            rng.uniform(0.25, 0.42),
        )
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
    """Draw a traffic sign: disc, triangle or panel, with a border and a glyph; or a traffic
    light."""
    kind = rng.choice(["disc", "triangle", "panel", "light"], p=[0.35, 0.2, 0.3, 0.15])
    pen = Pen(64, 64)
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
            pen.line(
                byte(rng.choice([0.05, 0.95]) * np.ones(3)),
                0.07,
                (0.16, y),
                (rng.uniform(0.4, 0.86), y),
            )
    else:
        pen.box(dark, 0.22, 0.01, 0.78, 0.99, 0.06)
        lit = int(rng.integers(3))
        for lamp, colour in enumerate(((0.95, 0.15, 0.1), (0.95, 0.65, 0.1), (0.2, 0.9, 0.4))):
            pen.ellipse(
                byte(np.array(colour) * (1 if lamp == lit else 0.25)),
                0.5,
                0.19 + 0.31 * lamp,
                0.16,
                0.13,
            )
    return pen.done(rng)


def metal(rng: RandomState) -> Pixels:
    """Draw a post: round, so that it shades across."""
    height, width = 64, 32
    across = 0.5 + 0.5 * np.sin(np.linspace(0.3, np.pi - 0.1, width)) ** 1.5
    tone = across[None] * (1 + 0.08 * noise(rng, height, width, 0.8))
    return opaque(tone[..., None] * stone(rng, 0.2, 0.7))


def shade(softness: float) -> Pixels:
    """Draw a dark patch that fades towards its edges; ``softness`` is the part of its half width
    that fades."""
    side = 64
    y, x = np.mgrid[0:side, 0:side] / (side / 2 - 0.5) - 1
    edge = np.clip((1 - np.abs(x)) / softness, 0, 1) * np.clip((1 - np.abs(y)) / softness, 0, 1)
    return np.concatenate([np.zeros((side, side, 3)), edge[..., None]], axis=2).astype(np.float32)


def crossing(rng: RandomState) -> Pixels:
    """Draw a zebra crossing's worn stripes."""
    pen = Pen(256, 64)
    for left in np.arange(0.02, 0.98, 0.1):
        pen.box(byte((0.85, 0.85, 0.83), 0.85), left, 0.02, left + 0.05, 0.98)
    return pen.done(rng, 0.1)
