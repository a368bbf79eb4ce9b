"""The frames of a source: of its stream as it is, or of the stream that one of our codecs makes of
it.

Each comes with its time. The source is decoded in a process that may die (core/apart.py).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import av

from vssbench.codec.contents import codec_of, trusted
from vssbench.codec.decode import Foreign, MotionSource, decode
from vssbench.codec.spec import Codec
from vssbench.core import apart
from vssbench.core.video import Clip, Frame, Image
from vssbench.data.videofile import VideoFile, turned
from vssbench.data.videofile import pictures as decoded

#: seconds by which time stamps of one recording never go back
_STEP_BACK = 1


@dataclass
class Pictures:
    """Converts the pictures of a source in display order, and keeps their times until they are
    asked for.

    A picture without a time stamp, or with one that is not behind the last, comes one frame (or
    tick) after that. Where the clock goes back by more than a second it begins anew, as in files
    that were joined: one frame after the last.
    """

    source: VideoFile
    _times: deque[int] = field(default_factory=deque)
    _first: int | None = None
    _last: int = -1

    def __post_init__(self) -> None:
        self._to_rgb = self.source.to_rgb()

    def __call__(self, picture: av.VideoFrame, height: int, width: int) -> Image:
        """Return uint8 RGB (height, width, 3), the upper left pixels of the picture, as it lies in
        the stream."""
        self._times.append(self._time(picture.dts if self.source.decode_times else picture.pts))
        return self._to_rgb(picture, height, width)

    def next_time(self) -> int:
        """Return the time of the next frame, in the source's time base, from 0 for the first."""
        return self._times.popleft()

    def _time(self, stamp: int | None) -> int:
        step = max(1, round(1 / (self.source.rate * self.source.time_base)))
        following = self._last + step if self._last >= 0 else 0
        if stamp is None:
            time = following
        else:
            if (
                self._first is None
                or (self._last - (stamp - self._first)) * self.source.time_base > _STEP_BACK
            ):
                self._first = stamp - following
            time = max(stamp - self._first, self._last + 1)
        self._last = time
        return time


def coded(
    source: VideoFile, motion: MotionSource | None, max_gop: int | None
) -> Iterator[tuple[Frame, int]]:
    """Return the stream's own frames, as they lie in it, with their times in its time base, from 0;
    see :func:`decode`. Without vectors several are decoded at a time."""
    return apart.each(str(source.path), coded_here, source, motion, max_gop)


def coded_here(
    source: VideoFile, motion: MotionSource | None, max_gop: int | None
) -> Iterator[tuple[Frame, int]]:
    """Decode in this process; see :func:`coded`."""
    codec = codec_of(source.codec)
    if motion is not None and motion.reader.private and codec is not None:
        trusted(codec)  # it proves itself in each process that it reads in
    pictures = Pictures(source)
    foreign = Foreign(pictures, max_gop)
    for frame in decode(source.path, None, motion, frame_threads=motion is None, foreign=foreign):
        yield frame, pictures.next_time()


def recoded(source: VideoFile, codec: Codec, needs: frozenset[str]) -> Iterator[tuple[Frame, int]]:
    """Yield the frames, the right way up, after one of our codecs, which encodes the whole video to
    a temporary file first; with their times as :func:`coded` has them.

    Raises DataError where the source cannot be read.
    """
    length = apart.call(str(source.path), _count_here, source)
    images = _InOrder(source)
    clip = Clip(
        source.path.name, length, *source.size, float(source.rate), images,
        lambda index: None, str(source.path.resolve()),
    )  # fmt: skip
    for frame in codec.frames(clip, None, "motion" in needs, "residual" in needs):
        yield frame, images.times.popleft()


def _count_here(source: VideoFile) -> int:
    count = 0
    for _ in decoded(source.path):
        apart.tick()
        count += 1
    return count


def _images_here(source: VideoFile) -> Iterator[tuple[Image, int]]:
    pictures = Pictures(source)
    for picture in decoded(source.path):
        image = pictures(picture, picture.height, picture.width)
        yield turned(image, source.rotation), pictures.next_time()


@dataclass
class _InOrder:
    """The source's images by index, each asked for once and in order; ``times`` are theirs until
    they are taken."""

    source: VideoFile
    times: deque[int] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._images = apart.each(str(self.source.path), _images_here, self.source)
        self._next = 0

    def __call__(self, index: int) -> Image:
        if index != self._next:
            raise ValueError(f"image {index} is asked for, and {self._next} comes next")
        self._next += 1
        image, time = next(self._images)
        self.times.append(time)
        return image
