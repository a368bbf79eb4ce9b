"""A video file from elsewhere: what its header and its first picture say of it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
import numpy as np
from av.buffer import Buffer
from av.sidedata.sidedata import Type as SideData
from av.stream import Disposition

from vssbench.core.errors import DataError
from vssbench.data.opening import open_video

#: frames a second where a file does not say
DEFAULT_RATE = Fraction(25)
#: code points of FFmpeg: not told; transfer functions of HDR (PQ and HLG)
UNSPECIFIED, HDR = 2, (16, 18)
#: containers whose packets tell when they are decoded, not when they are shown
_DECODE_TIMES = ("avi",)


@dataclass(frozen=True)
class Source:
    """The first video stream of a file.

    ``codec`` is FFmpeg's name; ``height`` and ``width`` are those of the coded picture, which is to
    be turned by ``rotation`` degrees, a multiple of 90, anticlockwise. ``frames`` is the number
    that the header tells or lets one guess, 0 where it does neither. ``colour`` and ``full_range``
    are FFmpeg's code points of the stream, for pictures that do not say.
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

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the picture the right way up."""
        return (self.width, self.height) if self.rotation % 180 else (self.height, self.width)

    def remarks(self) -> list[str]:
        """Return the remarks for the user on how the file is taken."""
        found = []
        if self.rotation:
            found.append(f"it is turned by {-self.rotation % 360} degrees clockwise, as it says")
        if self.mirrored:
            found.append("it asks to be mirrored, which is not done")
        if self.interlaced:
            found.append("it is interlaced: both fields of a frame are taken as one picture")
        if self.hdr:
            found.append(
                "it is HDR: its colours are taken as they are coded, and look pale to networks and "
                "on most screens"
            )
        return found


def open_source(path: Path) -> Source:
    """Read a file's header and its first picture. Raises DataError where there is no video that can
    be decoded."""
    if not path.exists():
        raise DataError(f"no file {path}: expected a video file")
    if path.is_dir():
        raise DataError(f"{path} is a folder: expected a video file")
    try:
        with open_video(str(path)) as container:
            return _source(path, container)
    except (av.FFmpegError, OSError) as error:
        raise DataError(
            f"{path} cannot be read as a video: {error.strerror or error}. Expected a video file"
        ) from error


def _source(path: Path, container: av.container.InputContainer) -> Source:
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
    rate = Fraction(stream.average_rate or stream.guessed_rate or DEFAULT_RATE)
    time_base = Fraction(stream.time_base) if stream.time_base else 1 / rate
    frames = stream.frames
    if not frames:
        seconds = (
            stream.duration * time_base
            if stream.duration
            else Fraction(container.duration or 0, av.time_base)
        )
        frames = max(0, round(seconds * rate))
    rotation, mirrored = _orientation(first)
    return Source(
        path=path,
        codec=context.codec.canonical_name,
        height=first.height,
        width=first.width,
        pixel_format=first.format.name,
        time_base=time_base,
        rate=rate,
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
    )


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
