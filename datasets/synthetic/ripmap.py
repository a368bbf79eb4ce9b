"""Textures packed into one atlas, each at every anisotropic scale (a ripmap), with bilinear
look-up.

A plane seen at a grazing angle shrinks far more along one texture axis than along the other. A
ripmap halves the two axes separately, so that each look-up finds a scale that fits both: no
aliasing, no flicker from frame to frame, little blur.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int32]
#: one row along s and one along t
Pair = Pixels | tuple[Pixels, Pixels]
Counts = npt.NDArray[np.intp]
Value = TypeVar("Value", np.float32, np.int32)

#: how often each axis is halved
LEVELS = 6
#: a level is taken once a pixel's footprint is this many texels: below 1 sharper, above 1 smoother
SHARPNESS = 1.15
#: a texel as one number, and where each channel lies in it
TEXEL = np.dtype("<u4")
SHIFTS = np.arange(0, 32, 8, dtype=np.uint32)[:, None, None, None]
#: channels of fewer pixels than this are mixed together: calls are fewer
FEW = 6_000
#: texels between the levels 0 and 1; the levels after it are each twice as far
FIRST_STEP = np.sqrt(2) / float(np.float32(1 / SHARPNESS))


@dataclass(frozen=True)
class Atlas:
    """All textures of a library. ``texels`` (N,) are premultiplied RGBA, a byte each; row k of
    ``sizes`` is texture k's (w, h) in texels; ``offsets[k, a, b]`` is where its version lies that
    is halved a times in width and b times in height."""

    texels: npt.NDArray[np.uint32]
    sizes: Indices
    offsets: Indices

    def sample(
        self,
        texture: Indices,
        place: Pair,
        footprint: Pair,
        end: Pair,
        counts: Counts | None = None,
    ) -> Pixels:
        """Return premultiplied RGBA 0..255, float32 (N, 4), a transposed array, at texture
        coordinates ``place``, (s, t), (2, N).

        ``texture`` holds the numbers of the textures and ``counts`` how many of the N places, in
        turn, are of each; without it there is one texture. ``footprint`` is how much of the texture
        one pixel covers along s and along t, (2, N); ``end``, (2, N) or (2, 1), is 1 where a
        texture shows once, from 0 to 1, and infinite where it repeats.
        """
        sizes = spread(self.sizes[texture].T, counts)
        levels = _levels(np.asarray(footprint), sizes)
        entry = levels[0] * np.int32(LEVELS)
        entry += levels[1]
        entry += spread((texture * np.int32(LEVELS * LEVELS))[None], counts)[0]
        base = self.offsets.ravel().take(entry)
        sizes = sizes >> levels
        (left, top), (right, bottom), (x, y) = _taps(np.asarray(place), sizes, np.asarray(end))
        taps = np.empty((2, 2, len(base)), np.int32)
        for row, taken in zip((top, bottom), taps, strict=True):
            row *= sizes[0]
            row += base
            np.add(row, left, out=taken[0])
            np.add(row, right, out=taken[1])
        texels = self.texels.take(taps)
        channels = np.empty((4, len(base)), np.float32)
        together = 4 if len(base) < FEW else 1
        for start in range(0, 4, together):
            group = slice(start, start + together)
            values = texels >> SHIFTS[group]
            values &= np.uint32(255)
            corners = values.view(np.int32).astype(np.float32)
            rows = _mix(corners[:, :, 0], corners[:, :, 1], x)
            channels[group] = _mix(rows[:, 0], rows[:, 1], y)
        return channels.T


def pack(textures: list[Pixels]) -> Atlas:
    """Build the atlas from RGBA textures, float32 (h, w, 4) in 0..1, not premultiplied, w and h
    powers of two."""
    for number, texture in enumerate(textures):
        height, width = texture.shape[:2]
        if width & (width - 1) or height & (height - 1) or min(width, height) < 2 ** (LEVELS - 1):
            raise ValueError(
                f"texture {number} has {width}x{height} texels; expected powers of two that halve "
                f"{LEVELS - 1} times"
            )
    sizes = np.array([(texture.shape[1], texture.shape[0]) for texture in textures], np.int32)
    wide, high = (sizes[:, axis, None] >> np.arange(LEVELS, dtype=np.int32) for axis in (0, 1))
    # a texture's versions lie one after another: those of its full height, those of half of it, ...
    areas = high[:, :, None] * wide[:, None, :]
    starts = np.concatenate([[0], areas.ravel().cumsum()])
    texels = np.empty(int(starts[-1]), TEXEL)
    offsets = starts[:-1].reshape(areas.shape)
    for texture, places in zip(textures, offsets, strict=True):
        _halve(texture, texels, places)
    return Atlas(texels, sizes, offsets.transpose(0, 2, 1).astype(np.int32))


def _halve(texture: Pixels, texels: npt.NDArray[np.uint32], places: Counts) -> None:
    """Write all versions of a texture; ``places[b, a]`` is where the one begins that is halved b
    times in height and a times in width.

    Width is halved on its side: numpy adds long lines fast, and four channels at a time slowly.
    """
    column = texture.astype(np.float32)
    column[..., :3] *= texture[..., 3:]
    column *= np.float32(255)
    for row in places:
        # a texel's four channels are turned as one number
        side = np.ascontiguousarray(column.view(np.complex128)[..., 0].T).view(np.float32)
        for start in row.tolist():
            version = np.rint(side).astype(np.uint8).view(TEXEL)
            texels[start : start + version.size].reshape(version.shape[::-1])[:] = version.T
            side = _half(side)
        column = _half(column)


def _half(values: Pixels) -> Pixels:
    """Return the mean of each two lines: half as many."""
    mean = values[::2] + values[1::2]
    mean /= np.float32(2)
    return mean


def _step_bits() -> np.int32:
    """Return the bits of the least float32 of FIRST_STEP or more, less one step of the exponent."""
    least = np.float32(FIRST_STEP)
    if float(least) < FIRST_STEP:
        least = np.nextafter(least, np.float32(np.inf))
    return least.view(np.int32) - np.int32(1 << 23)


STEP_BITS = _step_bits()


def spread(values: npt.NDArray[Value], counts: Counts | None) -> npt.NDArray[Value]:
    """Return each column as often as ``counts`` says, (k, n) -> (k, N); as they are, to be
    broadcast, without counts."""
    return values if counts is None else values.repeat(counts, axis=1)


def _levels(footprint: Pixels, sizes: Indices) -> Indices:
    """Return the numbers of halvings of ``sizes`` texels for those footprints, rounded to the
    nearest scale: (2, N)."""
    texels = footprint * sizes.astype(np.float32)
    # an exponent is a logarithm: it counts the halvings once the numbers' bits are shifted so that
    # it steps between scales
    levels = texels.view(np.int32)
    levels -= STEP_BITS
    levels >>= np.int32(23)
    return levels.clip(0, LEVELS - 1, out=levels)


def _taps(place: Pixels, sizes: Indices, end: Pixels) -> tuple[Indices, Indices, Pixels]:
    """Return the two texels either side of each coordinate, and how far it lies towards the second,
    each (2, N)."""
    extent = sizes.astype(np.float32)
    position = place * extent
    position -= np.float32(0.5)
    if np.isfinite(end).any():
        # at its ends, a texture that shows once must not mix with its other end
        limit = extent * end
        limit -= np.float32(1)
        np.minimum(position, limit, out=position)
        np.multiply(extent, np.float32(1) - end, out=limit)
        np.maximum(position, limit, out=position)
    floor = np.floor(position)
    position -= floor
    first = floor.astype(np.int32)
    mask = sizes - np.int32(1)
    second = first + np.int32(1)
    second &= mask
    first &= mask
    return first, second, position


def _mix(first: Pixels, second: Pixels, weight: Pixels) -> Pixels:
    """Return first + weight * (second - first), in place of ``second``."""
    second -= first
    second *= weight
    second += first
    return second
