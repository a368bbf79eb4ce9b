"""The stream that is timed: a drawn street or a user's own clip at the size asked for, through a
codec."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image as Picture

from vssbench.codec.spec import Codec
from vssbench.core import registry
from vssbench.core.errors import DataError
from vssbench.core.variant import Value, Variant, parse_variant
from vssbench.core.video import Clip, Image
from vssbench.data.footage import footage
from vssbench.latency.settings import Settings
from vssbench.sweep.defaults import DEFAULT_DATASET


def open_clip(settings: Settings) -> Clip:
    """Return the frames before encoding, nothing of them drawn or read yet. Raises DataError for a
    clip that is too short."""
    if settings.clip is None:
        return _sized(_drawn(settings), settings.size)
    if not settings.clip.exists():
        raise DataError(f"no clip {settings.clip}: expected a video file or a folder of images")
    own = footage(settings.clip)
    if own.length < settings.frames:
        raise DataError(
            f"{settings.clip} holds {own.length} frames, and {settings.frames} are needed (2 GOPs "
            f"of {settings.gop}): give a longer clip or a shorter --gop"
        )
    return _sized(own.part(0, settings.frames), settings.size)


def _drawn(settings: Settings) -> Clip:
    """Return a clip of the dataset that needs no files, at an even size, which it asks for."""
    height, width = (side + side % 2 for side in settings.size)
    params: dict[str, Value] = {
        "height": height,
        "width": width,
        "clips": 1,
        "frames": settings.frames,
        "seed": settings.seed,
    }
    (clip,) = registry.create("datasets", Variant(DEFAULT_DATASET, params)).clips()
    return replace(clip, name=DEFAULT_DATASET)


def _sized(clip: Clip, size: tuple[int, int]) -> Clip:
    """Return the clip with frames of a size (height, width); as it is where it has it."""
    height, width = size
    if (clip.height, clip.width) == size:
        return clip

    def image(index: int) -> Image:
        resized = Picture.fromarray(clip.image(index)).resize(
            (width, height), Picture.Resampling.BILINEAR
        )
        return np.asarray(resized, np.uint8)

    return replace(
        clip,
        height=height,
        width=width,
        image=image,
        fingerprint=f"{clip.fingerprint} at {width}x{height}",
        flow=None,
    )


def open_codec(settings: Settings) -> Codec:
    """Return the codec at its setting."""
    codec: Codec = registry.create("codecs", parse_variant(settings.codec))
    return codec


def encode(settings: Settings) -> None:
    """Encode the stream into the cache, so that no process that times does. Raises DataError."""
    for _ in open_codec(settings).frames(open_clip(settings), settings.cache, motion=False):
        pass
