"""Decoding: a bitstream to frames, one at a time, with bits, picture types, motion to the keyframe and times."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from vssbench.codec.encode import COLOUR_RANGE, COLOUR_SPACE, TO_RGB
from vssbench.codec.motion import Accumulator, BlockVectors, MotionField, MotionSettings, rasterise
from vssbench.errors import DataError
from vssbench.video import Frame, Image

BITS = 8
_PICTURE_TYPES = {1: "I", 2: "P", 3: "B"}


def decode(
    source: Path | BinaryIO,
    gop: int,
    motion: MotionSettings | None = None,
    length: int | None = None,
    size: tuple[int, int] | None = None,
) -> Iterator[Frame]:
    """The frames of a bitstream in display order; only B-frames wait, until the anchor after them is decoded.

    Keyframes are expected at 0, gop, 2 gop and nowhere else. ``motion`` says how vectors become a field to the keyframe;
    None leaves them unread. ``length`` is the number of frames to expect, ``size`` the (height, width) to crop to.
    Raises DataError for a stream that cannot be read, is cut short, changes its size or has other keyframes.
    """
    name = str(source) if isinstance(source, Path) else "the bitstream"
    reader = _Reader(name, gop, motion, size)
    try:
        yield from reader.frames(str(source) if isinstance(source, Path) else source)
    except av.FFmpegError as error:
        raise DataError(
            f"{name} cannot be decoded beyond its first {reader.count} frames: {error.strerror}. It is broken; delete it"
        ) from error
    if length is not None and reader.count != length:
        raise DataError(f"{name} holds {reader.count} frames, expected {length}: the file is cut short or another; delete it")


@dataclass
class _Reader:
    """The state of one pass over a stream."""

    name: str
    gop: int
    settings: MotionSettings | None
    size: tuple[int, int] | None
    count: int = 0
    _bits: dict[int, int] = field(default_factory=dict)
    _waiting: list[tuple[Frame, BlockVectors | None]] = field(default_factory=list)
    _reformatter: VideoReformatter = field(default_factory=VideoReformatter)
    _accumulator: Accumulator | None = None
    _anchor: MotionField | None = None
    _coded_size: tuple[int, int] | None = None

    def frames(self, source: str | BinaryIO) -> Iterator[Frame]:
        with av.open(source, "r") as container:
            if not container.streams.video:
                raise DataError(f"{self.name} holds no video stream; delete it")
            pictures = self._pictures(container)
            while True:
                started = time.perf_counter()
                picture = next(pictures, None)
                if picture is None:
                    break
                yield from self._take(picture, started)
        if self._waiting:
            raise DataError(f"{self.name} ends with B-frames that refer to a frame that is not there; delete it")

    def _pictures(self, container: av.container.InputContainer) -> Iterator[av.VideoFrame]:
        """Decoded pictures in display order; notes the size of each packet by its time stamp."""
        stream = container.streams.video[0]
        context = stream.codec_context
        # frame threads lose vectors of B-frames, and decode ahead: a frame's time would not be its own
        context.thread_type = "SLICE"
        # a broken stream is to be reported, not concealed; these work only when set before the first packet
        context.options = {"err_detect": "explode"} | ({"flags2": "+export_mvs"} if self.settings else {})
        for packet in container.demux(stream):
            if packet.size and packet.pts is not None:
                self._bits[packet.pts] = packet.size * BITS
            yield from packet.decode()

    def _take(self, picture: av.VideoFrame, started: float) -> Iterator[Frame]:
        """The frames that are complete now that this picture is there."""
        frame = Frame(
            self.count, self._image(picture), self._type(picture), self.count % self.gop, self._bits.pop(picture.pts or 0, 0)
        )
        self.count += 1
        decoded = time.perf_counter()
        frame.decode_seconds = decoded - started
        vectors = self._vectors(picture)
        frame.motion_seconds = time.perf_counter() - decoded
        if frame.picture_type == "B":
            self._waiting.append((frame, vectors))
            return
        before = self._anchor
        self._move_anchor(frame, vectors)
        waiting, self._waiting = self._waiting, []
        if waiting and frame.distance == 0:
            raise DataError(f"{self.name}: B-frames before keyframe {frame.index} refer to it, expected closed GOPs; delete it")
        for between, its_vectors in waiting:
            self._place(between, its_vectors, before)
            yield between
        yield frame

    def _type(self, picture: av.VideoFrame) -> str:
        letter = _PICTURE_TYPES.get(int(picture.pict_type), "?")
        expected = ("P", "B") if self.count % self.gop else ("I",)
        if letter not in expected:
            raise DataError(
                f"{self.name}: frame {self.count} is of type {letter}, expected {' or '.join(expected)} with "
                f"keyframes every {self.gop} frames: the encoder did not keep to the GOP, or the file was made otherwise; "
                "delete it"
            )
        return letter

    def _image(self, picture: av.VideoFrame) -> Image:
        coded = (picture.height, picture.width)
        if self._coded_size not in (None, coded):
            raise DataError(
                f"{self.name}: frame {self.count} is {coded[1]}x{coded[0]}, the frames before it are not; delete it"
            )
        self._coded_size = coded
        height, width = self.size or coded
        if height > coded[0] or width > coded[1]:
            raise DataError(f"{self.name} holds {coded[1]}x{coded[0]} frames, expected {width}x{height}; delete it")
        rgb = self._reformatter.reformat(
            picture, format="rgb24", src_colorspace=COLOUR_SPACE, src_color_range=COLOUR_RANGE, interpolation=TO_RGB
        )
        return np.ascontiguousarray(rgb.to_ndarray()[:height, :width])

    def _vectors(self, picture: av.VideoFrame) -> BlockVectors | None:
        if self.settings is None:
            return None
        height, width = self.size or (picture.height, picture.width)
        if self._accumulator is None:
            self._accumulator = Accumulator(height, width, self.settings)
        side: Any = picture.side_data.get("MOTION_VECTORS")
        return rasterise(None if side is None else side.to_ndarray(), height, width, self.settings.cell)

    def _move_anchor(self, frame: Frame, vectors: BlockVectors | None) -> None:
        if self._accumulator is None or vectors is None:
            return
        started = time.perf_counter()
        frame.motion = self._accumulator.keyframe() if frame.distance == 0 else self._accumulator.anchor(vectors)
        self._anchor = frame.motion
        frame.motion_seconds += time.perf_counter() - started

    def _place(self, frame: Frame, vectors: BlockVectors | None, before: MotionField | None) -> None:
        """Give a B-frame its field, now that the anchors on both sides are known."""
        if self._accumulator is None or vectors is None or before is None or self._anchor is None:
            return
        started = time.perf_counter()
        frame.motion = self._accumulator.between(vectors, before, self._anchor)
        frame.motion_seconds += time.perf_counter() - started
