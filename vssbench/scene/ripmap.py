"""Textures packed into one atlas, each at every anisotropic scale (a ripmap), with bilinear look-up.

A plane seen at a grazing angle shrinks far more along one texture axis than along the other. A ripmap halves the two axes
separately, so that each look-up finds a scale that fits both: no aliasing, no flicker from frame to frame, little blur.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]

#: how often each axis is halved
LEVELS = 6
#: a level is taken once a pixel's footprint is this many texels: below 1 sharper, above 1 smoother
SHARPNESS = 1.15


@dataclass(frozen=True)
class Atlas:
    """All textures of a library. ``texels`` is uint8 (N, 4), premultiplied RGBA; row k of ``sizes`` is texture k's (w, h)
    in texels; ``offsets[k, a, b]`` is where its version lies that is halved a times in width and b times in height."""

    texels: npt.NDArray[np.uint8]
    sizes: Indices
    offsets: Indices

    def sample(
        self, texture: Indices, place: tuple[Pixels, Pixels], footprint: tuple[Pixels, Pixels], end: tuple[Pixels, Pixels]
    ) -> Pixels:
        """Premultiplied RGBA 0..255, float32 (N, 4), at texture coordinates ``place``, (s, t), each (N,).

        ``texture`` is the number of the texture, (N,) or a scalar; ``footprint`` how much of the texture one pixel covers
        along s and along t, each (N,); ``end``, likewise or a scalar, is 1 where a texture shows once, from 0 to 1, and
        infinite where it repeats.
        """
        width, height = self.sizes[texture, 0], self.sizes[texture, 1]
        level_s, level_t = _level(footprint[0], width), _level(footprint[1], height)
        base = self.offsets[texture, level_s, level_t]
        level_width = width >> level_s
        left, right, x = _taps(place[0], level_width, end[0])
        top, bottom, y = _taps(place[1], height >> level_t, end[1])
        top *= level_width
        top += base
        bottom *= level_width
        bottom += base
        packed = self.texels.view(np.uint32)[:, 0]
        upper = _mix(packed.take(top + left), packed.take(top + right), x)
        lower = _mix(packed.take(bottom + left), packed.take(bottom + right), x)
        lower -= upper
        lower *= y[:, None]
        upper += lower
        return upper


def pack(textures: list[Pixels]) -> Atlas:
    """Build the atlas from RGBA textures, float32 (h, w, 4) in 0..1, not premultiplied, w and h powers of two."""
    pieces: list[npt.NDArray[np.uint8]] = []
    offsets = np.zeros((len(textures), LEVELS, LEVELS), np.int32)
    position = 0
    for number, texture in enumerate(textures):
        height, width = texture.shape[:2]
        if width & (width - 1) or height & (height - 1) or min(width, height) < 2 ** (LEVELS - 1):
            raise ValueError(
                f"texture {number} has {width}x{height} texels; expected powers of two that halve {LEVELS - 1} times"
            )
        column = np.concatenate([texture[..., :3] * texture[..., 3:], texture[..., 3:]], axis=2) * 255.0
        for level_t in range(LEVELS):
            row = column
            for level_s in range(LEVELS):
                offsets[number, level_s, level_t] = position
                pieces.append(np.rint(row).astype(np.uint8).reshape(-1, 4))
                position += len(pieces[-1])
                row = (row[:, ::2] + row[:, 1::2]) / 2 if level_s < LEVELS - 1 else row
            column = (column[::2] + column[1::2]) / 2 if level_t < LEVELS - 1 else column
    sizes = np.array([(texture.shape[1], texture.shape[0]) for texture in textures], np.int32)
    return Atlas(np.concatenate(pieces), sizes, offsets)


def _level(footprint: Pixels, size: Indices) -> Indices:
    """The number of halvings of ``size`` texels for that footprint, rounded to the nearest scale."""
    texels = footprint * (size * np.float32(1 / SHARPNESS))
    halvings = np.log2(np.maximum(texels, np.float32(1))) + np.float32(0.5)
    return np.minimum(halvings.astype(np.int32), LEVELS - 1)


def _taps(coordinate: Pixels, size: Indices, end: Pixels) -> tuple[Indices, Indices, Pixels]:
    """The two texels either side of each coordinate, and how far it lies towards the second."""
    extent = size.astype(np.float32)
    position = coordinate * extent
    position -= 0.5
    # at its ends, a texture that shows once must not mix with its other end
    np.minimum(position, extent * end - 1, out=position)
    np.maximum(position, extent * (1 - end), out=position)
    floor = np.floor(position)
    position -= floor
    first = floor.astype(np.int32)
    mask = size - 1
    return first & mask, (first + 1) & mask, position


def _mix(first: npt.NDArray[np.uint32], second: npt.NDArray[np.uint32], weight: Pixels) -> Pixels:
    """first + weight * (second - first) of packed texels, float32 (N, 4)."""
    start = first.view(np.uint8).reshape(-1, 4).astype(np.float32)
    step = second.view(np.uint8).reshape(-1, 4).astype(np.float32)
    step -= start
    step *= weight[:, None]
    start += step
    return start
