"""Textures of large things that repeat: ground, walls, roofs, sky, bark. RGBA float32 (h, w, 4) in
0..1.

Greys, browns and reds are shared between roads, pavements, walls and fences on purpose: colour
alone must not tell the class.
"""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageDraw

from vssbench.datasets.synthetic.colours import RandomState, byte, noise, opaque, stone
from vssbench.datasets.synthetic.ripmap import Pixels

#: metres that one repeat of a facade spans along the street, and that one repeat of the road does
FACADE_LENGTH = 9.0
ROAD_LENGTH = 24.0


def road(rng: RandomState) -> Pixels:
    """Draw the whole width of a road (columns) over ROAD_LENGTH metres (rows): asphalt, patches,
    cracks, tyre wear, markings."""
    height, width = 512, 512
    grain = 0.055 * noise(rng, height, width, 0.2) + 0.05 * noise(rng, height, width, 1.1)
    across = np.linspace(0, 1, width, endpoint=False, dtype=np.float32)
    wear = 0.06 * np.cos(across * 2 * np.pi * 4 + np.pi)[None]
    value = 1 + grain + wear
    for _ in range(int(rng.integers(3, 8))):
        top, left = rng.integers(0, height - 60), rng.integers(0, width - 60)
        tall, wide = rng.integers(8, 60), rng.integers(20, 60)
        value[top : top + tall, left : left + wide] *= rng.uniform(0.72, 1.15)
    cracks = np.abs(noise(rng, height, width, 1.4)) < 0.02
    value = np.where(cracks & (noise(rng, height, width, 1.5) > 0.3), value * 0.7, value)
    colour = value[..., None] * stone(rng, 0.34, 0.5)
    worn = np.clip(0.85 + 0.25 * noise(rng, height, width, 0.6), 0.3, 1)[..., None]
    paint = np.zeros((height, width, 1), np.float32)
    middle, line = width // 2, 6
    for start in range(0, height, height // 4):
        paint[start : start + height // 8, middle - line // 2 : middle + line // 2] = 1
    yellow = rng.random() < 0.5
    edge = int(rng.uniform(0.012, 0.03) * width)
    for column in (
        edge,
        width - edge - line,
        *((edge + 2 * line, width - edge - 3 * line) if yellow else ()),
    ):
        paint[:, column : column + line - 2] = 1
    paint *= worn
    marking = np.array([0.86, 0.85, 0.82])
    sides = np.abs(across - 0.5)[None, :, None] > 0.3
    if yellow:
        marking = np.where(sides, np.array([0.78, 0.64, 0.25]), marking)
    return opaque(colour * (1 - paint) + marking * paint)


def paving(rng: RandomState) -> Pixels:
    """Draw slabs, 8 x 8 in a repeat, each of its own brightness, with joints."""
    side, slabs = 256, 8
    pitch = side // slabs
    tone = 1 + rng.normal(0, 0.06, (slabs, slabs)).repeat(pitch, 0).repeat(pitch, 1)
    tone += 0.05 * noise(rng, side, side, 0.3) + 0.05 * noise(rng, side, side, 1.2)
    rows, columns = np.mgrid[0:side, 0:side]
    offset = (rows // pitch % 2) * (pitch // 2) if rng.random() < 0.5 else 0
    joint = (rows % pitch < 2) | ((columns + offset) % pitch < 2)
    tone = np.where(joint, tone * 0.72, tone)
    return opaque(tone[..., None] * stone(rng, 0.4, 0.66, 0.06))


def wall(rng: RandomState, height: int, width: int, metres: tuple[float, float]) -> np.ndarray:
    """Draw brick, render or ashlar, RGB float64 (h, w, 3); ``metres`` is the size (height, width)
    that it covers."""
    kind = rng.choice(["brick", "render", "ashlar"], p=[0.5, 0.3, 0.2])
    dirt = 1 + 0.07 * noise(rng, height, width, 1.2) + 0.03 * noise(rng, height, width, 0.2)
    if kind == "render":
        base = np.array([0.72, 0.68, 0.6]) * rng.uniform(0.6, 1.15) * (1 + rng.normal(0, 0.07, 3))
        return dirt[..., None] * base
    course, length = (0.15, 0.45) if kind == "brick" else (0.45, 0.9)
    rows = np.arange(height) * (metres[0] / height) / course
    columns = np.arange(width) * (metres[1] / width) / length
    index_row = rows.astype(int)
    shifted = columns[None] + 0.5 * (index_row % 2)[:, None]
    across = round(metres[1] / length)
    tones = rng.normal(1, 0.12 if kind == "brick" else 0.06, (index_row.max() + 1, across))
    tone = tones[index_row[:, None], shifted.astype(int) % across] * dirt
    joint = (rows % 1 < 0.18)[:, None] | (shifted % 1 < 0.08)
    base = np.array([0.52, 0.34, 0.27]) if kind == "brick" else np.array([0.62, 0.59, 0.53])
    base = base * rng.uniform(0.7, 1.25) * (1 + rng.normal(0, 0.08, 3))
    return np.where(joint[..., None], stone(rng, 0.45, 0.6), tone[..., None] * base)


def facade(rng: RandomState, storeys: int) -> Pixels:
    """Draw FACADE_LENGTH metres of a house front from eaves to pavement: windows in rows, a door or
    a shop below, a cornice."""
    height, width = 512, 256
    colour = wall(rng, height, width, (storeys * 3.0, FACADE_LENGTH))
    picture = Image.fromarray((np.clip(colour, 0, 1) * 255).astype(np.uint8)).convert("RGBA")
    draw = ImageDraw.Draw(picture)
    storey, bays = height / storeys, int(rng.integers(2, 5))
    bay = width / bays
    wide, tall = bay * rng.uniform(0.36, 0.6), storey * rng.uniform(0.45, 0.65)
    frame = byte(stone(rng, 0.3, 0.95))
    for floor in range(storeys):
        shop = floor == storeys - 1 and rng.random() < 0.4
        for column in range(bays):
            x, y = (column + 0.5) * bay, (floor + 0.52) * storey
            door = floor == storeys - 1 and not shop and column == bays // 2
            half, top, bottom = wide / 2, y - tall / 2, y + tall / 2
            if shop:
                half, top, bottom = bay * 0.45, floor * storey + storey * 0.3, height - storey * 0.1
            if door:
                top, bottom = y - tall / 2, height - 1.0
            pane = (
                byte(rng.uniform(0.4, 0.8, 3))
                if door
                else byte(stone(rng, 0.1, 0.42, 0.1) * np.array([0.9, 1.0, 1.1]))
            )
            draw.rectangle((x - half - 3, top - 4, x + half + 3, bottom + 5), frame)
            draw.rectangle((x - half, top, x + half, bottom), pane)
            if not door:
                middle, slope = (
                    top + (bottom - top) * rng.uniform(0.1, 0.8),
                    (bottom - top) * rng.uniform(-0.15, 0.15),
                )
                shine = byte(
                    np.array(pane[:3]) / 255 + rng.uniform(0.0, 0.35) * np.array([0.9, 1.0, 1.1])
                )
                draw.polygon(
                    [
                        (x - half, top),
                        (x + half, top),
                        (x + half, middle + slope),
                        (x - half, middle - slope),
                    ],
                    shine,
                )
                draw.line((x, top, x, bottom), frame, 3)
                draw.line((x - half, (top + bottom) / 2, x + half, (top + bottom) / 2), frame, 3)
        if shop:
            board = floor * storey + storey * 0.06
            draw.rectangle(
                (4, board, width - 5, board + storey * 0.2), byte(rng.uniform(0.1, 0.9, 3))
            )
            _letters(draw, rng, (14, board + storey * 0.05, width - 14, board + storey * 0.15))
    ledge = byte(stone(rng, 0.4, 0.8))
    draw.rectangle((0, 0, width, height * 0.025), ledge)
    draw.rectangle((0, height * 0.97, width, height), byte(stone(rng, 0.25, 0.5)))
    pixels = np.asarray(picture, np.float32)[..., :3] / 255
    return opaque(pixels * (1 + 0.05 * noise(rng, height, width, 0.9))[..., None])


def _letters(
    draw: ImageDraw.ImageDraw, rng: RandomState, box: tuple[float, float, float, float]
) -> None:
    """Draw strokes that look like lettering."""
    left, top, right, bottom = box
    ink = byte(rng.choice([0.1, 0.95]) * np.ones(3))
    x = left + rng.uniform(0, (right - left) / 4)
    while x < right - rng.uniform(0, (right - left) / 3):
        step = (bottom - top) * rng.uniform(0.4, 0.9)
        draw.line((x, top, x + rng.choice([0.0, step / 2]), bottom), ink, 3)
        draw.line((x, rng.choice([top, bottom, (top + bottom) / 2]), x + step * 0.7, top), ink, 3)
        x += step * 1.3


def roof(rng: RandomState) -> Pixels:
    """Draw rows of tiles or slates."""
    side = 128
    base = np.array([0.5, 0.3, 0.24]) if rng.random() < 0.5 else np.array([0.34, 0.35, 0.38])
    tone = 1 + 0.1 * noise(rng, side, side, 0.5)
    tone = tone * (1 - 0.35 * ((np.arange(side) % 8) < 2))[:, None]
    return opaque(tone[..., None] * base * rng.uniform(0.7, 1.3))


def blank_wall(rng: RandomState) -> Pixels:
    """Draw the windowless end of a house."""
    return opaque(wall(rng, 256, 256, (9.0, 9.0)))


def gable(rng: RandomState) -> Pixels:
    """Draw the triangle of wall below a roof's ridge."""
    side = 128
    pixels = opaque(wall(rng, side, side, (4.5, 4.5)))
    across, down = np.linspace(-1, 1, side), np.linspace(0, 1, side)
    pixels[..., 3] = np.clip((down[:, None] - np.abs(across)[None]) * side / 2 + 0.5, 0, 1)
    return pixels


def sky(rng: RandomState) -> Pixels:
    """Draw rows from zenith to horizon, columns around: blue or overcast, with clouds that whiten
    towards the horizon."""
    height, width = 256, 512
    clouds = noise(rng, height, width, 1.5) + 0.25 * noise(rng, height, width, 0.9)
    amount = np.clip(clouds * 0.5 + rng.uniform(-0.3, 1.0), 0, 1)[..., None]
    up = np.linspace(1, 0, height)[:, None, None]
    blue = (
        np.array([0.5, 0.68, 0.92]) * (1 - 0.25 * up) + np.array([0.3, 0.2, 0.06]) * (1 - up) ** 2
    )
    white = (
        rng.uniform(0.72, 0.97) * np.array([0.99, 1.0, 1.02])
        + 0.05 * noise(rng, height, width, 1.3)[..., None]
    )
    return opaque(blue * (1 - amount) + white * amount)


def bark(rng: RandomState) -> Pixels:
    """Draw a trunk: rough, dark at its sides."""
    height, width = 128, 32
    tone = 1 + 0.2 * noise(rng, height, width, 0.6)
    tone *= 0.55 + 0.45 * np.sin(np.linspace(0.15, np.pi, width))[None]
    return opaque(tone[..., None] * np.array([0.4, 0.34, 0.28]) * rng.uniform(0.7, 1.3))


def lawn(rng: RandomState) -> Pixels:
    """Draw grass and low plants."""
    side = 128
    tone = 1 + 0.25 * noise(rng, side, side, 0.5)
    return opaque(tone[..., None] * np.array([0.32, 0.38, 0.2]) * rng.uniform(0.8, 1.2))
