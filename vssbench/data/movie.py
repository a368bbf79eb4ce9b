"""A video file read by the numbers of its pictures, in a process that may die (core/apart.py)."""

from __future__ import annotations

import logging
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import av

from vssbench.core import apart, reading
from vssbench.core.errors import DataError
from vssbench.core.video import Image
from vssbench.data.opening import open_video
from vssbench.data.videofile import VideoFile, open_videofile, pictures, turned

log = logging.getLogger(__name__)
#: so many pictures ahead are decoded through rather than sought
_NEAR = 32
#: files that are open at a time
_MOST_OPEN = 16


@dataclass
class Movie:
    """A video file whose pictures are asked for by number: fast in order, by seeking otherwise.

    A class that pickles: every process reads by a process of its own, since data loaders fork.
    Pictures are the right way up. ``times`` are their time stamps; a file whose pictures have none,
    or none that ascend, is read from its beginning in place of sought. All pictures are decoded
    once, before the first is given, and remarks on the file are logged. Raises DataError for a file
    that is no video or is damaged, or a picture that is not there.
    """

    path: Path
    file: VideoFile = field(init=False)
    times: tuple[int | None, ...] = field(init=False)
    _name: str = field(default_factory=lambda: uuid.uuid4().hex, repr=False, compare=False)

    def __post_init__(self) -> None:
        self.file = open_videofile(self.path)
        self.times = apart.call(str(self.path), _survey, self.path)
        for remark in self.file.remarks():
            log.warning("%s: %s", self.path, remark)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of a picture the right way up."""
        return self.file.size

    @property
    def fps(self) -> float:
        """Frames a second, the mean."""
        return float(self.file.rate)

    def __len__(self) -> int:
        return len(self.times)

    def image(self, index: int) -> Image:
        """Return picture ``index`` as uint8 RGB (H, W, 3)."""
        if not 0 <= index < len(self.times):
            raise DataError(
                f"{self.path} holds {len(self.times)} pictures; picture {index} is not there"
            )
        what = f"picture {index} of {self.path}"
        with _reader.lock():
            _reader.renew()
            if self._name not in _open:
                if len(_open) >= _MOST_OPEN:
                    _reader.call(what, _close_here, _open.popitem(last=False)[0])
                _reader.call(what, _open_here, self._name, self.file, self.times)
                _open[self._name] = None
            _open.move_to_end(self._name)
            return _reader.call(what, _image_here, self._name, index)


#: names of the files that are open in the reader's process, the one that was read last at the end
_open: OrderedDict[str, None] = OrderedDict()
_reader = apart.Shared(_open.clear)
#: in that process: the open files
_readings: dict[str, _Reading] = {}


def _open_here(name: str, file: VideoFile, times: tuple[int | None, ...]) -> None:
    _readings[name] = _Reading(file, times)


def _close_here(name: str) -> None:
    _readings.pop(name).container.close()


def _image_here(name: str, index: int) -> Image:
    return _readings[name].image(index)


class _Reading:
    """An open file, and where in it the reading stands."""

    def __init__(self, file: VideoFile, times: tuple[int | None, ...]) -> None:
        self.path, self.times = file.path, times
        self.rotation, self.to_rgb = file.rotation, file.to_rgb()
        self.places = {time: place for place, time in enumerate(times) if time is not None}
        self.held: tuple[int, Image] | None = None
        self._begin()

    def _begin(self) -> None:
        self.container = open_video(str(self.path))
        self.stream = self.container.streams.video[0]
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
                reading.fault_elsewhere(self.path, error)
                or f"picture {index} of {self.path} cannot be decoded: {error.strerror or error}; "
                "copy the file again"
            ) from error
        image = self.to_rgb(picture, picture.height, picture.width)
        self.held = index, turned(image, self.rotation)
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


def _survey(path: Path) -> tuple[int | None, ...]:
    """Return the time stamps of a file's pictures, in order, in one pass over all of them.

    Time stamps are None where one is missing or they do not ascend. Raises DataError for damage and
    for pictures of two sizes.
    """
    times: list[int | None] = []
    size = (0, 0)
    for picture in pictures(path):
        apart.tick()
        times.append(picture.pts)
        size = size if size[0] else (picture.height, picture.width)
        if (picture.height, picture.width) != size:
            raise DataError(
                f"picture {len(times) - 1} of {path} is {picture.width}x{picture.height}, those "
                f"before it {size[1]}x{size[0]}: cut the file in two there, or convert it; a clip "
                "has one size"
            )
    if not all(
        one is not None and other is not None and one < other for one, other in pairwise(times)
    ):
        times = [None] * len(times)
    return tuple(times)
