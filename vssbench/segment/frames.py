"""The frames of a source: of its stream as it is, or of the stream that one of our codecs makes of
it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vssbench.codec.decode import Foreign, MotionSource, decode
from vssbench.codec.spec import Codec
from vssbench.core.video import Clip, Frame, Image
from vssbench.data.videofile import VideoFile, turned
from vssbench.data.videofile import pictures as decoded
from vssbench.segment.pictures import Pictures


def coded(
    source: VideoFile, motion: MotionSource | None, pictures: Pictures, max_gop: int | None
) -> Iterator[Frame]:
    """The stream's own frames, as they lie in it; see :func:`decode`. Without vectors several are
    decoded at a time."""
    foreign = Foreign(pictures, max_gop)
    return decode(source.path, None, motion, frame_threads=motion is None, foreign=foreign)


def recoded(
    source: VideoFile, codec: Codec, pictures: Pictures, needs: frozenset[str]
) -> Iterator[Frame]:
    """The frames, the right way up, after one of our codecs, which encodes the whole video to a
    temporary file first.

    Raises DataError where the source cannot be read.
    """
    clip = Clip(
        source.path.name, sum(1 for _ in decoded(source.path)), *source.size, float(source.rate),
        _InOrder(source, pictures),
        lambda index: None, str(source.path.resolve()),
    )  # fmt: skip
    return codec.frames(clip, None, "motion" in needs, "residual" in needs)


@dataclass
class _InOrder:
    """The source's images by index, each asked for once and in order."""

    source: VideoFile
    pictures: Pictures

    def __post_init__(self) -> None:
        self._images = (
            turned(self.pictures(picture, picture.height, picture.width), self.source.rotation)
            for picture in decoded(self.source.path)
        )
        self._next = 0

    def __call__(self, index: int) -> Image:
        if index != self._next:
            raise ValueError(f"image {index} is asked for, and {self._next} comes next")
        self._next += 1
        return next(self._images)
