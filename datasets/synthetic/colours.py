"""Random colours and seamless noise, of which all textures are made."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from vssbench.datasets.synthetic.ripmap import Pixels

RandomState = np.random.Generator
Colour = tuple[float, float, float]


def noise(rng: RandomState, height: int, width: int, roughness: float) -> Pixels:
    """Return seamlessly repeating noise of mean 0 and deviation 1, float32 (h, w). Amplitude falls
    as 1 / frequency**roughness."""
    spectrum = np.fft.rfft2(rng.standard_normal((height, width))) / _falloff(
        height, width, roughness
    )
    field = np.fft.irfft2(spectrum, (height, width))
    return ((field - field.mean()) / field.std()).astype(np.float32)


@lru_cache(maxsize=32)
def _falloff(height: int, width: int, roughness: float) -> np.ndarray:
    """Return the divisor of each frequency's amplitude, float64 (h, w // 2 + 1).

    It is kept: powers are slow, and textures share few sizes.
    """
    rows, columns = np.fft.fftfreq(height)[:, None] * height, np.fft.rfftfreq(width)[None] * width
    frequency = np.hypot(rows, columns)
    frequency[0, 0] = np.inf
    return frequency**roughness


def opaque(colour: np.ndarray) -> Pixels:
    """Convert RGB (h, w, 3) to RGBA without holes, clipped to 0..1."""
    alpha = np.ones((*colour.shape[:2], 1), np.float32)
    return np.concatenate([np.clip(colour, 0, 1).astype(np.float32), alpha], axis=2)


def byte(colour: np.ndarray | Colour, alpha: float = 1.0) -> tuple[int, int, int, int]:
    """Convert a colour of 0..1 as Pillow wants it."""
    red, green, blue = (int(np.clip(value, 0, 1) * 255) for value in colour)
    return red, green, blue, int(alpha * 255)


def stone(rng: RandomState, low: float, high: float, warmth: float = 0.04) -> np.ndarray:
    """Return a random greyish colour between two brightnesses, warm or cold by up to ``warmth``,
    float64 (3,)."""
    shift = rng.normal(0, warmth)
    return rng.uniform(low, high) * (1 + np.array([shift, 0.0, -shift]))
