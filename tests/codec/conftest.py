"""Clips whose motion is known exactly: a large textured image that a window moves across."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image as Pillow

from vssbench.video import Clip, Image

Pan = Callable[..., Clip]


def texture(height: int, width: int, seed: int = 0) -> Image:
    """Smooth grey-ish noise at several scales, RGB."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for side, weight in ((6, 0.4), (24, 0.35), (80, 0.25)):
        noise = rng.integers(0, 256, (height // side + 4, width // side + 4, 3)).astype(np.uint8)
        total += weight * np.asarray(Pillow.fromarray(noise).resize((width, height), Pillow.Resampling.BICUBIC), np.float32)
    return np.clip(total, 0, 255).astype(np.uint8)


def make_pan(
    height: int, width: int, length: int, motion: tuple[float, float] = (0.0, 0.0), cut: int | None = None, fps: float = 30.0
) -> Clip:
    """A clip whose true backward motion is ``motion`` pixels a frame; at frame ``cut`` the scene changes."""
    margin = int(max(map(abs, motion)) * length) + 8
    scenes = [Pillow.fromarray(texture(height + 2 * margin, width + 2 * margin, seed)) for seed in (0, 1)]

    def image(index: int) -> Image:
        scene = scenes[cut is not None and index >= cut]
        offset = (1, 0, margin + index * motion[0], 0, 1, margin + index * motion[1])
        return np.asarray(scene.transform((width, height), Pillow.Transform.AFFINE, offset, Pillow.Resampling.BICUBIC))

    name = f"pan-{height}x{width}-{length}-{motion}-{cut}"
    return Clip(name, length, height, width, fps, image, lambda index: None, name)


@pytest.fixture
def pan() -> Pan:
    return make_pan
