"""No codec: the frames as they are, in GOPs by number; no motion vectors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vssbench.codec.spec import Codec, check_gop
from vssbench.errors import DataError
from vssbench.video import Clip, Frame

#: three channels of 8 bits: the size of an uncompressed pixel, counted as the frame's bits
BITS_PER_PIXEL = 24


class Raw(Codec):
    """Uncompressed video: every ``gop``-th frame counts as a keyframe. ``bits`` is the size of the image, 24 a pixel, and
    nothing is decoded, so that decoding takes no time."""

    title = "uncompressed"
    has_motion = False

    def __init__(self, *, gop: int = 12) -> None:
        self.gop = check_gop(gop)

    def frames(self, clip: Clip, cache: Path | None = None, motion: bool = True) -> Iterator[Frame]:
        """See Codec. Nothing is encoded, so ``cache`` stays unused, and ``motion`` is None in every frame."""
        bits = BITS_PER_PIXEL * clip.height * clip.width
        for index in range(clip.length):
            image = clip.image(index)
            if image.shape != (clip.height, clip.width, 3):
                raise DataError(
                    f"frame {index} of the clip {clip.name!r} is {image.shape}, expected {(clip.height, clip.width, 3)}: "
                    "all frames of a clip must have one size"
                )
            distance = index % self.gop
            yield Frame(index, image, "P" if distance else "I", distance, bits)

    def settings(self) -> dict[str, Any]:
        return {"codec": "raw", "gop": self.gop}

    def describe(self) -> str:
        return self.title
