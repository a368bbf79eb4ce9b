"""The stream that is timed: a drawn street or a user's own clip at the size asked for, through a
codec."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image as Picture

from vssbench.codec.spec import Codec
from vssbench.core import registry
from vssbench.core.errors import DataError
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip, Image
from vssbench.data.footage import footage
from vssbench.datasets.synthetic.clips import Recipe
from vssbench.latency.settings import Settings


def open_clip(settings: Settings) -> Clip:
    """The frames before encoding, nothing of them drawn or read yet. Raises DataError for a clip
    that is too short."""
    height, width = settings.size
    if settings.clip is None:
        return Recipe(True, settings.seed, 0, settings.frames, height, width).clip("street")
    if not settings.clip.exists():
        raise DataError(f"no clip {settings.clip}: expected a video file or a folder of images")
    own = footage(settings.clip)
    if own.length < settings.frames:
        raise DataError(
            f"{settings.clip} holds {own.length} frames, and {settings.frames} are needed (2 GOPs "
            f"of {settings.gop}): give a longer clip or a shorter --gop"
        )
    part = own.part(0, settings.frames)
    if (own.height, own.width) == settings.size:
        return part

    def image(index: int) -> Image:
        resized = Picture.fromarray(part.image(index)).resize(
            (width, height), Picture.Resampling.BILINEAR
        )
        return np.asarray(resized, np.uint8)

    return replace(
        part,
        height=height,
        width=width,
        image=image,
        fingerprint=f"{part.fingerprint} at {width}x{height}",
        flow=None,
    )


def open_codec(settings: Settings) -> Codec:
    """The codec at its setting."""
    codec: Codec = registry.create("codecs", parse_variant(settings.codec))
    return codec


def encode(settings: Settings) -> None:
    """Encode the stream into the cache, so that no process that times does. Raises DataError."""
    for _ in open_codec(settings).frames(open_clip(settings), settings.cache, motion=False):
        pass
