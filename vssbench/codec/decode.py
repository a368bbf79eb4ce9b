"""Decoding: a bitstream to frames, one at a time, with bits, picture types, motion to the keyframe
and times."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np

from vssbench.codec.accumulate import Accumulator
from vssbench.codec.boundaries import Boundaries
from vssbench.codec.motion import MotionSettings
from vssbench.codec.prediction import predict, residual
from vssbench.codec.vectors.kept import KeptVectors
from vssbench.codec.vectors.reader import BlockVectors, VectorReader
from vssbench.core import reading
from vssbench.core.errors import DataError
from vssbench.core.video import Frame, Image
from vssbench.data.colour import ToRgb
from vssbench.data.opening import open_video

BITS = 8
#: of a picture that is not shown
_NO_IMAGE: Image = np.zeros((0, 0, 3), np.uint8)
_PICTURE_TYPES = {1: "I", 2: "P", 3: "B"}

#: a decoded picture to its upper left height x width pixels, uint8 RGB (height, width, 3)
Convert = Callable[[av.VideoFrame, int, int], Image]


@dataclass(frozen=True)
class MotionSource:
    """Where a stream's vectors come from, and how they become a field; ``residual`` asks for
    residuals too, ``kept`` is a file of what the reader gave of the stream before."""

    reader: type[VectorReader]
    settings: MotionSettings = field(default_factory=MotionSettings)
    residual: bool = False
    kept: Path | None = None

    def opened(self, height: int, width: int) -> VectorReader:
        """Return a reader for one pass over a stream of that size."""
        if self.kept is not None:
            return KeptVectors(self.kept, height, width, self.settings.cell)
        return self.reader(height, width, self.settings.cell)


@dataclass(frozen=True)
class Foreign:
    """The treatment of a stream that somebody else encoded.

    ``convert``, called once a picture in display order, may heed its colour tags; after ``max_gop``
    frames without a keyframe the next one counts as a keyframe.
    """

    convert: Convert
    max_gop: int | None = None


def decode(
    source: Path | BinaryIO,
    gop: int | None,
    motion: MotionSource | None = None,
    length: int | None = None,
    size: tuple[int, int] | None = None,
    frame_threads: bool = False,
    foreign: Foreign | None = None,
) -> Iterator[Frame]:
    """Yield the frames of a bitstream in display order; a frame waits only until all that its
    vectors refer to are decoded.

    Keyframes are expected at 0, gop, 2 gop and nowhere else; None takes the stream as it comes (see
    :class:`Boundaries`): its intra pictures are keyframes, ``foreign`` may ask for more, vectors
    that point out of their GOP are left out. Pictures that the file's edit list hides are decoded
    and not given; a frame that follows hidden ones is a keyframe. ``motion`` None leaves the
    vectors unread. ``length`` is the number of frames to expect, ``size`` the (height, width) to
    crop to.
    ``frame_threads`` decodes several pictures at a time: faster, but ``decode_seconds`` is then the
    time waited for a frame, and vectors are lost where pictures are reordered, so that such streams
    are refused. Raises DataError for a stream that cannot be read, is cut short, changes its size,
    has other keyframes or, where ``gop`` is given, open GOPs; MotionUnavailable.
    """
    name = str(source) if isinstance(source, Path) else "the bitstream"
    foreign = foreign or Foreign(ToRgb())
    boundaries = Boundaries(foreign.max_gop)
    reader = _Reader(name, gop, motion, size, frame_threads, boundaries, foreign.convert)
    try:
        yield from reader.frames(str(source) if isinstance(source, Path) else source)
    except av.FFmpegError as error:
        reached = f"beyond its first {reader.count} frames" if reader.count else "at all"
        raise DataError(
            reading.fault_elsewhere(Path(name), error)
            or f"{name} cannot be decoded {reached}: {error.strerror}. It is broken; "
            f"{reader.advice}"
        ) from error
    if length is not None and reader.count != length:
        raise DataError(
            f"{name} holds {reader.count} frames, expected {length}: the file is cut short or "
            "another; encode it again"
        )


@dataclass
class _Reader:
    """The state of one pass over a stream."""

    name: str
    gop: int | None
    motion: MotionSource | None
    size: tuple[int, int] | None
    frame_threads: bool
    boundaries: Boundaries
    convert: Convert
    count: int = 0
    _keyframe: int = 0
    #: time stamps of pictures that are coded and not shown; indices of those that wait, and how
    #: many have gone by
    _unseen: set[int] = field(default_factory=set)
    _hidden: set[int] = field(default_factory=set)
    _passed: int = 0
    _after_hidden: bool = False
    _bits: dict[int, int] = field(default_factory=dict)
    _waiting: deque[Frame] = field(default_factory=deque)
    _images: dict[int, Image] = field(default_factory=dict)
    _vectors: VectorReader | None = None
    _accumulator: Accumulator | None = None
    _reading: float = 0.0
    _coded_size: tuple[int, int] | None = None

    @property
    def advice(self) -> str:
        """Advice on a broken stream: our own is encoded again."""
        return "encode it again" if self.gop is not None else "give another file, or repair it"

    def frames(self, source: str | BinaryIO) -> Iterator[Frame]:
        with open_video(source) as container:
            if not container.streams.video:
                raise DataError(f"{self.name} holds no video stream; {self.advice}")
            video = container.streams.video[0]
            if video.codec_context is None:
                raise DataError(
                    f"{self.name} holds video of a codec that FFmpeg does not know: it is broken; "
                    f"{self.advice}"
                )
            context = self._open(video)
            try:
                yield from self._run(container, context)
            finally:
                if self._vectors is not None:
                    self._vectors.close()

    def _open(self, stream: av.VideoStream) -> av.VideoCodecContext:
        """Open the decoder, set up; its options and threads work only before the first packet."""
        context = stream.codec_context
        if self.motion is not None and self.motion.reader.decoder is not None:
            made = av.CodecContext.create(self.motion.reader.decoder, "r")
            assert isinstance(made, av.VideoCodecContext)
            made.extradata = context.extradata
            context = made
        # frame threads decode ahead: a frame's time would not be its own; with slice threads
        # FFmpeg's H.264 decoder conceals broken slices whatever it is told
        context.thread_type = "NONE" if context.name == "h264" else "SLICE"
        # a broken stream is to be reported, not concealed
        context.options = {"err_detect": "explode"}
        if self.motion is not None:
            height, width = self.size or (stream.height, stream.width)
            self._vectors = self.motion.opened(height, width)
            self._vectors.prepare(context)
            self._accumulator = Accumulator(height, width, self.motion.settings)
        if self.frame_threads and (self.motion is None or self.motion.reader.frame_threads):
            context.thread_type = "FRAME"
        return context

    def _run(
        self, container: av.container.InputContainer, context: av.VideoCodecContext
    ) -> Iterator[Frame]:
        pictures = self._pictures(container, context)
        while True:
            started, self._reading = time.perf_counter(), 0.0
            picture = next(pictures, None)
            if picture is None:
                break
            self._take(picture, context, started)
            yield from self._ready()
            if self.gop is None:
                self._forget()
        if self._vectors is not None and self._accumulator is not None:
            for index, blocks in self._vectors.finish():
                self._place(index, blocks)
            for index, blocks in self.boundaries.finish():
                self._add(index, blocks)
            self._accumulator.finish()
            yield from self._ready()
        if self._waiting:
            raise DataError(
                f"{self.name}: the vectors of frame {self._waiting[0].index} never came: the "
                f"stream is cut short or broken; {self.advice}"
            )

    def _pictures(
        self, container: av.container.InputContainer, context: av.VideoCodecContext
    ) -> Iterator[av.VideoFrame]:
        """Yield decoded pictures in display order; notes the size of each packet by its time
        stamp."""
        for packet in container.demux(container.streams.video[0]):
            if packet.size and packet.pts is not None:
                self._bits[packet.pts] = packet.size * BITS
                if packet.is_discard and self.gop is None:
                    # its vectors are needed to follow the stream
                    self._unseen.add(packet.pts)
                    packet = _shown(packet)
            pictures = context.decode(packet) if packet.size else self._last(context)
            if self._vectors is not None and packet.size:
                started = time.perf_counter()
                # only now that the decoder has found no fault in it
                self._vectors.packet(packet)
                self._reading += time.perf_counter() - started
            yield from pictures

    def _last(self, context: av.VideoCodecContext) -> list[av.VideoFrame]:
        """Yield the pictures that the decoder still holds when the packets have ended."""
        trailer = self._vectors.trailer() if self._vectors is not None else None
        if trailer is None:
            return context.decode(None)
        # the trailer's own picture comes last of all
        return [*context.decode(trailer), *context.decode(None)][:-1]

    def _take(self, picture: av.VideoFrame, context: av.VideoCodecContext, started: float) -> None:
        """Put the picture in the queue, and give their fields to all frames for which they are
        known now."""
        hidden = picture.pts in self._unseen
        kind, key = self._type(picture, context, begins=self._after_hidden and not hidden)
        self._after_hidden = hidden
        if self.frame_threads and self._vectors is not None and context.has_b_frames:
            raise DataError(
                f"{self.name} reorders its pictures, as for B-frames: with threads that decode "
                "several pictures at a time some of their vectors would be lost; decode it without "
                "frame_threads"
            )
        if key:
            self._keyframe = self.count
        frame = Frame(
            self.count,
            _NO_IMAGE if hidden else self._image(picture),
            kind,
            self.count - self._keyframe,
            self._bits.pop(picture.pts or 0, 0),
        )
        if hidden:
            self._unseen.discard(picture.pts or 0)
            self._hidden.add(self.count)
        self.count += 1
        self._waiting.append(frame)
        decoded = time.perf_counter()
        frame.decode_seconds = decoded - started - self._reading
        if self._vectors is None:
            return
        for index, blocks in self._vectors.picture(frame.index, picture, context):
            self._place(index, blocks)
        frame.motion_seconds += time.perf_counter() - decoded + self._reading

    def _place(self, index: int, blocks: BlockVectors) -> None:
        if self.gop is not None:
            self._add(index, blocks)
            return
        for judged in self.boundaries.inside(index, blocks):
            self._add(*judged)

    def _forget(self) -> None:
        """Let go of what no frame will refer to any more: a GOP may be endless."""
        for index in self.boundaries.forgotten():
            self._images.pop(index, None)
            if self._accumulator is not None:
                self._accumulator.forget(index)

    def _add(self, index: int, blocks: BlockVectors) -> None:
        assert self._accumulator is not None
        key = next(frame.distance == 0 for frame in self._waiting if frame.index == index)
        for number, motion in self._accumulator.add(index, blocks, key):
            next(frame for frame in self._waiting if frame.index == number).motion = motion

    def _ready(self) -> Iterator[Frame]:
        """Yield the frames that are complete, from the front of the queue."""
        while self._waiting and (self._vectors is None or self._waiting[0].motion is not None):
            frame = self._waiting.popleft()
            if frame.index in self._hidden:
                self._hidden.discard(frame.index)
                self._passed += 1
                continue
            if self.motion is not None and self.motion.residual:
                self._add_residual(frame)
            frame.index -= self._passed
            yield frame

    def _add_residual(self, frame: Frame) -> None:
        assert frame.motion is not None
        started = time.perf_counter()
        if frame.distance == 0:
            self._images = {other.index: other.image for other in self._waiting}
        self._images[frame.index] = frame.image
        if frame.motion.step is not None:
            images = {**{other.index: other.image for other in self._waiting}, **self._images}
            frame.residual = residual(
                frame.image, predict(frame.motion.step, images, frame.motion.cell)
            )
        frame.motion_seconds += time.perf_counter() - started

    def _type(
        self, picture: av.VideoFrame, context: av.VideoCodecContext, begins: bool
    ) -> tuple[str, bool]:
        """Return the picture's type, and whether it is a keyframe, as one that ``begins`` a GOP
        is."""
        letter = _PICTURE_TYPES.get(int(picture.pict_type), "?")
        if self.gop is None:
            if not picture.key_frame and self.count == 0:
                raise DataError(
                    f"{self.name} begins with a picture of type {letter}, expected a keyframe; cut "
                    "it at one"
                )
            intra = bool(picture.key_frame) or letter == "I" or begins
            return letter, self.boundaries.key(self.count, letter, intra, context.has_b_frames)
        expected = ("P", "B") if self.count % self.gop else ("I",)
        if letter not in expected:
            raise DataError(
                f"{self.name}: frame {self.count} is of type {letter}, expected "
                f"{' or '.join(expected)} with keyframes every {self.gop} frames: the encoder did "
                "not keep to the GOP, or the file was made otherwise; encode it again"
            )
        return letter, self.count % self.gop == 0

    def _image(self, picture: av.VideoFrame) -> Image:
        coded = (picture.height, picture.width)
        if self._coded_size not in (None, coded):
            raise DataError(
                f"{self.name}: frame {self.count} is {coded[1]}x{coded[0]}, the frames before it "
                f"are not; {self.advice}"
            )
        self._coded_size = coded
        height, width = self.size or coded
        if height > coded[0] or width > coded[1]:
            raise DataError(
                f"{self.name} holds {coded[1]}x{coded[0]} frames, expected {width}x{height}; "
                f"{self.advice}"
            )
        return self.convert(picture, height, width)


def _shown(packet: av.Packet) -> av.Packet:
    """Return a packet as it would be without its mark that its picture is not to be shown."""
    shown = av.Packet(bytes(packet))
    shown.pts, shown.dts, shown.time_base = packet.pts, packet.dts, packet.time_base
    shown.duration, shown.is_keyframe = packet.duration, packet.is_keyframe
    return shown
