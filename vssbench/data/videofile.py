"""Video files from elsewhere: how a file is taken, by its header and its first picture, and its
pictures in order.

Every command that takes a video file reads it by this module, so that it means the same in all of
them; docs/data.md has the rules. A file is opened in a process that may die (core/apart.py);
:func:`pictures` decodes in the one that calls it, which should be such a process too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import TypeVar, cast

import av
import numpy as np
import numpy.typing as npt
from av.buffer import Buffer
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition

from vssbench.core import apart, reading
from vssbench.core.bounds import PIXELS
from vssbench.core.errors import DataError
from vssbench.data.colour import Tags, ToRgb, tags_of
from vssbench.data.opening import open_video

#: frames a second where a file does not say
DEFAULT_RATE = Fraction(25)
#: frames a second that are taken
MOST_RATE = 1000
#: code points of FFmpeg: transfer functions of HDR (PQ and HLG)
HDR = (16, 18)
#: containers whose packets tell when they are decoded, not when they are shown
_DECODE_TIMES = ("avi",)
#: a picture that is shown for longer than so many seconds, and than so many of its neighbours, is a
#: pause: the recording stopped
_PAUSE_SECONDS, _PAUSE_STEPS = Fraction(1), 10
#: durations that differ from the mean by more than this share, and by more ticks, vary
_VARIES, _TICKS = Fraction(1, 10), 2
#: a rate of the header this near to that of the time stamps is the exact form of it
_SAME_RATE = 0.01
#: keeps 30000/1001 and the like exact
_LARGEST_DENOMINATOR = 1001

Pixel = TypeVar("Pixel", np.uint8, np.int16)


@dataclass(frozen=True)
class Timing:
    """Frames a second of a file, the mean without its pauses, and remarks for the user where its
    frames do not last equally long."""

    rate: Fraction
    remarks: tuple[str, ...] = ()


def timing(times: Sequence[int], time_base: Fraction, told: Sequence[Fraction]) -> Timing:
    """Return the rate of time stamps that ascend, in the form in which the header tells it where
    one of the rates ``told`` is the same; the first of those where there are no stamps to go by."""
    steps = [(after - before) * time_base for before, after in pairwise(times)]
    if not steps:
        return Timing(next(iter(told), DEFAULT_RATE))
    longest = max(_PAUSE_SECONDS, _PAUSE_STEPS * Fraction(median(steps)))
    kept = [step for step in steps if step <= longest]
    pauses = [step for step in steps if step > longest]
    mean = sum(kept, Fraction()) / len(kept)
    rate = next(
        (each for each in told if abs(each * mean - 1) < _SAME_RATE),
        (1 / mean).limit_denominator(_LARGEST_DENOMINATOR),
    )
    remarks = []
    if any(abs(step - mean) > max(_VARIES * mean, _TICKS * time_base) for step in kept):
        remarks.append(
            f"its frame rate varies: frames last {1000 * float(min(kept)):.4g} to "
            f"{1000 * float(max(kept)):.4g} ms, and the mean rate of {float(rate):.4g} frames/s is "
            "the one by which it is encoded"
        )
    if pauses:
        some = f"it has {len(pauses)} pauses of up to" if len(pauses) > 1 else "it has a pause of"
        left = f"its {float(rate):.4g} frames/s leave out"
        remarks.append(f"{some} {float(max(pauses)):.4g} s, which {left}")
    return Timing(rate, tuple(remarks))


@dataclass(frozen=True)
class VideoFile:
    """The first video stream of a file.

    ``codec`` is FFmpeg's name; ``height`` and ``width`` are those of the coded picture, which is to
    be turned by ``rotation`` degrees, a multiple of 90, anticlockwise. ``frames`` is the number
    that its packets tell, else the header, or that this lets one guess, 0 where nothing does.
    ``colour`` and ``full_range`` are FFmpeg's code points of the stream, for pictures that do not
    say. ``rate`` is the mean of the frames' time stamps, without pauses.
    """

    path: Path
    codec: str
    height: int
    width: int
    pixel_format: str
    time_base: Fraction
    rate: Fraction
    frames: int
    rotation: int
    aspect: Fraction
    colour: int
    full_range: int
    hdr: bool
    interlaced: bool
    #: time stamp of the first picture
    start: int
    #: whether pictures are to be mirrored as well, which is not done
    mirrored: bool = False
    #: whether only the time of a packet's decoding is told, so that time stamps of reordered
    #: pictures mean nothing
    decode_times: bool = False
    #: how long the pictures last by the header, 0 where it does not say
    seconds: float = 0.0
    #: remarks on its frame rate
    timing: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture the right way up."""
        return (self.width, self.height) if self.rotation % 180 else (self.height, self.width)

    def remarks(self) -> list[str]:
        """Return the remarks for the user on how the file is taken."""
        remarks = []
        if self.rotation:
            remarks.append(f"it is turned by {-self.rotation % 360} degrees clockwise, as it says")
        if self.mirrored:
            remarks.append("it asks to be mirrored, which is not done")
        if self.interlaced:
            remarks.append("it is interlaced: both fields of a frame are taken as one picture")
        if self.hdr:
            remarks.append(
                "it is HDR: its colours are taken as they are coded, and look pale to networks and "
                "on most screens"
            )
        return [*remarks, *self.timing]

    def tags(self, picture: av.VideoFrame) -> Tags:
        """Return the colour tags of one of its pictures."""
        return tags_of(picture, self.colour, self.full_range)

    def to_rgb(self) -> ToRgb:
        """Return what converts its pictures to RGB."""
        return ToRgb(self.tags)


def open_videofile(path: Path) -> VideoFile:
    """Read a file's header and its first picture. Raises DataError where there is no video that can
    be decoded."""
    if not path.exists():
        raise DataError(f"no file {path}: expected a video file")
    if path.is_dir():
        raise DataError(f"{path} is a folder: expected a video file")
    reading.check_readable(path)
    _check_whole(path)
    source = apart.call(str(path), read_header_here, path)
    if not 0 < source.rate <= MOST_RATE:
        raise DataError(
            f"{path} has {float(source.rate):g} frames/s by its time stamps: expected at most "
            f"{MOST_RATE}; write it anew with their true times (ffmpeg -r RATE -i FILE ...)"
        )
    PIXELS.check(source.height * source.width, f"{path} is {source.width}x{source.height}")
    return source


def read_header_here(path: Path) -> VideoFile:
    """Read a file's header, first picture and time stamps; see :func:`open_videofile`."""
    try:
        with open_video(str(path)) as container:
            return _source(path, container)
    except (av.FFmpegError, OSError) as error:
        raise DataError(
            reading.fault_elsewhere(path, error)
            or f"{path} cannot be read as a video: {error.strerror or error}. Expected a video file"
        ) from error


def _check_whole(path: Path) -> None:
    """Raise DataError for an AVI that is shorter than it says: FFmpeg takes what is left for
    all."""
    with path.open("rb") as file:
        start = file.read(12)
    if start[:4] != b"RIFF" or start[8:] != b"AVI ":
        return
    stated, there = int.from_bytes(start[4:8], "little") + 8, path.stat().st_size
    # a file that was written to a pipe does not know its length
    if start[4:8] not in (bytes(4), b"\xff" * 4) and there < stated:
        raise DataError(
            f"{path} has {there} of the {stated} bytes that it states: it is cut short; copy it "
            "again from the source, or convert what is left of it"
        )


def _source(path: Path, container: av.container.InputContainer) -> VideoFile:
    if not container.streams.video:
        kinds = sorted({str(stream.type) for stream in container.streams})
        held = f", only {' and '.join(kinds)}" if kinds else ": it is empty"
        raise DataError(f"{path} holds no video stream{held}; expected a video file")
    stream = container.streams.video[0]
    if stream.disposition & Disposition.attached_pic:
        raise DataError(
            f"{path} begins with a cover picture, not with video: take the cover out; expected a "
            "video file"
        )
    context = stream.codec_context
    if context is None:
        raise DataError(
            f"{path} holds video of a codec that FFmpeg does not know here; convert it to H.264, "
            "say"
        )
    first = next(container.decode(stream), None)
    if first is None:
        raise DataError(f"{path} holds no frame that can be decoded; it is empty or broken")
    told = [
        Fraction(each)
        for each in (stream.average_rate, stream.guessed_rate, stream.base_rate)
        if each
    ]
    time_base = Fraction(stream.time_base or 1 / (told[0] if told else DEFAULT_RATE))
    times = [] if container.format.name in _DECODE_TIMES else _times(path)
    timed = timing(times, time_base, told)
    frames = len(times) or stream.frames
    if not frames:
        seconds = (
            stream.duration * time_base
            if stream.duration
            else Fraction(container.duration or 0, av.time_base)
        )
        frames = max(0, round(seconds * timed.rate))
    rotation, mirrored = _orientation(first)
    return VideoFile(
        path=path,
        codec=context.codec.canonical_name,
        height=first.height,
        width=first.width,
        pixel_format=first.format.name,
        time_base=time_base,
        rate=timed.rate,
        frames=frames,
        rotation=rotation,
        aspect=Fraction(stream.sample_aspect_ratio or 1),
        colour=int(context.colorspace),
        full_range=int(context.color_range),
        hdr=int(first.color_trc) in HDR,
        interlaced=bool(first.interlaced_frame),
        start=first.pts or 0,
        mirrored=mirrored,
        decode_times=container.format.name in _DECODE_TIMES,
        seconds=_seconds(container, stream),
        timing=timed.remarks,
    )


def _times(path: Path) -> list[int]:
    """Return the time stamps of the packets that are shown, in order.

    None where some have no time of their own, the clock begins anew or the file is broken.
    """
    shown: list[int | None] = []
    decoded: list[int | None] = []
    try:
        with open_video(str(path)) as container:
            for packet in container.demux(container.streams.video[0]):
                apart.tick()
                if packet.size:
                    decoded.append(packet.dts)
                    shown += [] if packet.is_discard else [packet.pts]
    except (av.FFmpegError, OSError):
        return []  # who reads its pictures will say what is wrong
    order = [time for time in decoded if time is not None]
    if any(before > after for before, after in pairwise(order)):
        return []  # files that were joined, each with a clock of its own
    times = sorted(time for time in shown if time is not None)
    return times if len(set(times)) == len(shown) else []


def _orientation(picture: av.VideoFrame) -> tuple[int, bool]:
    """Return the turn of a picture and whether it is mirrored before.

    The turn is in degrees anticlockwise, a multiple of 90.
    """
    try:
        # PyAV's annotation knows motion vectors alone
        matrix = cast(Mapping[SideData, Buffer], picture.side_data)[SideData.DISPLAYMATRIX]
    except KeyError:
        return round(picture.rotation / 90) * 90, False
    # 16.16 fixed point; a pixel (x, y) is shown at (a x + c y, b x + d y)
    a, b, _, c, d = np.frombuffer(bytes(matrix), "<i4")[:5].astype(float).tolist()
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return -round(math.degrees(math.atan2(b, a)) / 90) * 90, mirrored


def _seconds(container: av.container.InputContainer, stream: av.VideoStream) -> float:
    """Return a stream's duration by the header.

    That of a file counts only where nothing else is in it.
    """
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    alone = len(container.streams) == 1 and container.duration
    return container.duration / av.time_base if alone and container.duration else 0.0


def pictures(path: Path) -> Iterator[av.VideoFrame]:
    """Yield the pictures of a file's first video stream in display order, those alone that its edit
    list shows.

    Raises DataError where the file cannot be read, or a picture is damaged: damage is not
    concealed.
    """
    count = 0
    try:
        with open_video(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path} holds no video stream: expected a video file")
            stream = container.streams.video[0]
            # FFmpeg's H.264 decoder conceals damage where it decodes slices in parallel
            context = stream.codec_context
            stream.thread_type = "FRAME" if context and context.name == "h264" else "AUTO"
            if context:
                context.options = {"err_detect": "explode"}
            for picture in container.decode(stream):
                yield picture
                count += 1
    except (av.FFmpegError, OSError) as error:
        reached = f"decoded beyond its first {count} pictures" if count else "read as a video"
        raise DataError(
            reading.fault_elsewhere(path, error)
            or f"{path} cannot be {reached}: {error.strerror or error}; it is damaged, cut short "
            "or no video: copy it again from the source, or convert it"
        ) from error


def turned(array: npt.NDArray[Pixel], rotation: int) -> npt.NDArray[Pixel]:
    """Turn (H, W, ...) anticlockwise by a multiple of 90 degrees."""
    return np.ascontiguousarray(np.rot90(array, rotation // 90 % 4)) if rotation else array
