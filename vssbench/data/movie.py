"""A video file read by the numbers of its pictures."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import Colorspace

from vssbench.core.errors import DataError
from vssbench.core.video import Image
from vssbench.data.opening import TO_RGB, open_video

#: so many pictures ahead are decoded through rather than sought
_NEAR = 32


def pictures(path: Path) -> Iterator[av.VideoFrame]:
    """The pictures of a file's first video stream in display order. Raises DataError where it
    cannot be read."""
    try:
        with open_video(str(path)) as container:
            stream = _video(container, path)
            stream.thread_type = "AUTO"
            yield from container.decode(stream)
    except (av.FFmpegError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as a video: {error.strerror or error}; copy it again from the "
            "source, or convert it"
        ) from error


def rgb(picture: av.VideoFrame, matrix: Colorspace | None = None) -> Image:
    """A decoded picture as uint8 RGB (H, W, 3), by a colour matrix, or the one that the file
    names."""
    converted = picture.reformat(format="rgb24", src_colorspace=matrix, interpolation=TO_RGB)
    return np.asarray(converted.to_ndarray())


@dataclass
class Movie:
    """A video file whose pictures are asked for by number: fast in order, by seeking otherwise.

    A class that pickles, and opens the file anew in every process: data loaders fork. ``times`` are
    the time stamps of its pictures; a file whose pictures have none, or none that ascend, is read
    from its beginning in place of sought. Raises DataError for a file that is no video, or a
    picture that is not there.
    """

    path: Path
    times: tuple[int | None, ...] = ()
    fps: float = 0.0
    height: int = 0
    width: int = 0
    _open: _Reading | None = field(default=None, repr=False, compare=False)
    _lock: Any = field(default_factory=threading.Lock, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.times:
            self.times, self.fps, self.height, self.width = _survey(self.path)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_open": None, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.Lock())

    def __len__(self) -> int:
        return len(self.times)

    def image(self, index: int) -> Image:
        """Picture ``index`` as uint8 RGB (H, W, 3)."""
        if not 0 <= index < len(self.times):
            raise DataError(
                f"{self.path} holds {len(self.times)} pictures; picture {index} is not there"
            )
        with self._lock:
            if self._open is None or self._open.process != os.getpid():
                self._open = _Reading(self.path, self.times)
            return self._open.image(index)


class _Reading:
    """An open file, and where in it the reading stands."""

    def __init__(self, path: Path, times: tuple[int | None, ...]) -> None:
        self.path, self.times, self.process = path, times, os.getpid()
        self.places = {time: place for place, time in enumerate(times) if time is not None}
        self.held: tuple[int, Image] | None = None
        self._begin()

    def _begin(self) -> None:
        self.container = open_video(str(self.path))
        self.stream = _video(self.container, self.path)
        self.stream.thread_type = "AUTO"
        self.decoded = self.container.decode(self.stream)
        self.next = 0

    def image(self, index: int) -> Image:
        if self.held is not None and self.held[0] == index:
            return self.held[1]
        try:
            picture = self._find(index)
        except (av.FFmpegError, OSError) as error:
            raise DataError(
                f"picture {index} of {self.path} cannot be decoded: {error.strerror or error}; "
                "copy the file again"
            ) from error
        self.held = index, rgb(picture)
        return self.held[1]

    def _find(self, index: int) -> av.VideoFrame:
        time = self.times[index]
        if time is None:
            return self._counted(index)
        if not self.next <= index <= self.next + _NEAR:
            self.container.seek(time, stream=self.stream, backward=True)
            self.decoded = self.container.decode(self.stream)
            picture = self._until(index)
            if picture is not None:
                return picture
            self.container.close()  # the file cannot be sought: read it from its beginning
            self._begin()
        picture = self._until(index)
        if picture is None:
            raise DataError(
                f"picture {index} of {self.path} is not there where the file's index has it: "
                "convert the file"
            )
        return picture

    def _counted(self, index: int) -> av.VideoFrame:
        """Return a picture of a file that cannot be sought: found by counting from the first."""
        if index < self.next:
            self.container.close()
            self._begin()
        for picture in self.decoded:
            self.next += 1
            if self.next == index + 1:
                return picture
        raise DataError(
            f"picture {index} of {self.path} is not there any more: was the file changed?"
        )

    def _until(self, index: int) -> av.VideoFrame | None:
        """Decode up to a picture; None where decoding begins behind it, or passes it by."""
        for picture in self.decoded:
            place = None if picture.pts is None else self.places.get(picture.pts)
            if place is None or place > index:
                return None
            self.next = place + 1
            if place == index:
                return picture
        return None


def _survey(path: Path) -> tuple[tuple[int | None, ...], float, int, int]:
    """Read time stamps, frames a second, height and width in one pass over the pictures.

    The time stamps are in order.

    Time stamps are None where one is missing or they do not ascend.
    """
    times: list[int | None] = []
    size, rate = (0, 0), Fraction(0)
    for picture in pictures(path):
        times.append(picture.pts)
        size = size if size[0] else (picture.height, picture.width)
        if (picture.height, picture.width) != size:
            raise DataError(
                f"picture {len(times) - 1} of {path} is {picture.width}x{picture.height}, those "
                f"before it {size[1]}x{size[0]}: cut the file in two there, or convert it; a clip "
                "has one size"
            )
    if not times:
        raise DataError(f"{path} holds no picture: expected a video")
    if not all(
        one is not None and other is not None and one < other for one, other in pairwise(times)
    ):
        times = [None] * len(times)
    with open_video(str(path)) as container:
        stream = _video(container, path)
        rate = stream.average_rate or stream.guessed_rate or Fraction(0)
    return tuple(times), float(rate), *size


def _video(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    if not container.streams.video:
        raise DataError(f"{path} holds no video stream: expected a video file")
    return container.streams.video[0]
