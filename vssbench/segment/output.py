"""Output of a segmentation: an H.264 video that plays everywhere, or a folder of PNGs.

It is a draft until it is whole, then renamed.
"""

from __future__ import annotations

import csv
import signal
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from types import FrameType

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from PIL import Image as Pillow

from vssbench.codec.encode import TO_YUV
from vssbench.core import files, outputs
from vssbench.core.errors import DataError, UsageError
from vssbench.core.video import Image
from vssbench.data.colour import untagged
from vssbench.data.opening import open_video
from vssbench.data.videofile import VideoFile
from vssbench.segment.drawing import Palette

SUFFIXES = (".mp4", ".mkv", ".mov", ".m4v")
_OPTIONS = {"crf": "20", "preset": "veryfast"}
#: what asks a process to end
_ENDS = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
#: seconds from one keyframe to the next, so that players can jump
_JUMP = 2
#: H.273's code point of matrix, primaries and transfer function alike
_TAGS = {Colorspace.ITU709: 1, Colorspace.ITU601: 6}


def is_folder(out: Path) -> bool:
    """Return whether an output is a folder of PNGs: one that is there, or has no ending."""
    return out.is_dir() or not out.suffix


def check_out(out: Path, inputs: Sequence[Path], force: bool = False) -> None:
    """Check that an output can be written.

    Raises UsageError for one that cannot, or that would replace what nobody wants replaced.
    """
    if is_folder(out):
        if out.is_dir() and any(out.iterdir()):
            raise UsageError(f"the folder {out} is not empty: give a new one, or an empty one")
        if out.exists() and not out.is_dir():
            raise UsageError(
                f"{out} is a file without an ending: expected a folder, or a video that ends in "
                f"{SUFFIXES[0]}"
            )
    elif out.suffix.lower() not in SUFFIXES:
        raise UsageError(
            f"cannot write {out}: expected a video that ends in {', '.join(SUFFIXES)}, or a folder "
            "for PNGs"
        )
    if not out.parent.is_dir():
        raise UsageError(f"cannot write {out}: there is no folder {out.parent}")
    if is_folder(out):
        outputs.check_folder(out.resolve().parent)
    else:
        outputs.check_output(out, inputs, force)


@contextmanager
def drafted(out: Path) -> Iterator[Path]:
    """Yield a path for a draft that takes its place when all went well, and is removed when not.
    Raises DataError."""
    with files.draft(out) as draft:
        try:
            yield draft
        except av.FFmpegError as error:
            raise files.refusal(out, error) from error


@contextmanager
def stopped_cleanly() -> Iterator[None]:
    """Let a process that is told to end (SIGTERM, SIGHUP) remove its drafts first.

    Ctrl-C lets it so too. For the main thread.
    """
    before = {number: signal.signal(number, _leave) for number in _ENDS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


class Writer(ABC):
    """Takes one picture after the other; ``time`` counts units of the source's time base from 0."""

    @abstractmethod
    def write(self, picture: Image | Pillow.Image, time: int) -> None:
        """Write RGB uint8 (H, W, 3), or an indexed picture."""

    @abstractmethod
    def close(self) -> None:
        """Finish; without it what was written may not play."""

    def abandon(self) -> None:  # noqa: B027 - most writers hold nothing
        """Let go of what is still open; nothing after ``close``."""


class FolderWriter(Writer):
    """``000000.png`` and so on, and ``classes.csv`` with each class's value and colour."""

    def __init__(self, folder: Path, classes: tuple[str, ...], palette: Palette) -> None:
        self._folder, self._count = folder, 0
        folder.mkdir()
        with (folder / "classes.csv").open(
            "w", newline="", encoding="utf-8", errors="backslashreplace"
        ) as file:
            writer = csv.writer(file)
            writer.writerow(["value", "name", "red", "green", "blue"])
            writer.writerows(
                [index, name, *palette[index].tolist()] for index, name in enumerate(classes)
            )

    def write(self, picture: Image | Pillow.Image, time: int) -> None:
        """See Writer: the time is not kept."""
        image = picture if isinstance(picture, Pillow.Image) else Pillow.fromarray(picture)
        image.save(self._folder / f"{self._count:06d}.png", compress_level=4)
        self._count += 1

    def close(self) -> None:
        """See Writer."""


class VideoWriter(Writer):
    """H.264, 4:2:0, with the source's time stamps, shape of pixels and, if asked for, sound as it
    is.

    Colours are BT.601 or BT.709 by size, as players assume, and tagged so; odd sizes get one more
    row or column that repeats the edge. Raises DataError where the container cannot hold the sound.
    """

    def __init__(self, path: Path, source: VideoFile, audio: bool) -> None:
        self._source = source
        self._upright = source.aspect if source.rotation % 180 == 0 else 1 / source.aspect
        options = {"movflags": "+faststart"} if path.suffix.lower() != ".mkv" else {}
        self._container = av.open(str(path), "w", container_options=options)
        stream = self._container.add_stream("libx264", rate=source.rate, options=_OPTIONS)
        assert isinstance(stream, av.VideoStream)
        self._stream, self._reformatter = stream, VideoReformatter()
        self._matrix: Colorspace | None = None
        self._sound = _Sound(source, self._container, path.suffix) if audio else None

    def write(self, picture: Image | Pillow.Image, time: int) -> None:
        """See Writer."""
        image = np.asarray(picture)
        height, width = image.shape[:2]
        if height % 2 or width % 2:
            image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        if self._matrix is None:
            self._begin(*image.shape[:2])
        frame = self._reformatter.reformat(
            av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24"),
            format="yuv420p", dst_colorspace=self._matrix, dst_color_range=ColorRange.MPEG,
            interpolation=TO_YUV,
        )  # fmt: skip
        frame.pts, frame.time_base = time, self._source.time_base
        if self._sound is not None:
            self._sound.copy_until(time * self._source.time_base)
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """See Writer."""
        if self._matrix is not None:
            self._container.mux(self._stream.encode())
        if self._sound is not None:
            self._sound.copy_until(None)
        self._container.close()

    def abandon(self) -> None:
        """See Writer."""
        if self._sound is not None:
            self._sound.close()
        with suppress(av.FFmpegError, OSError):
            self._container.close()

    def _begin(self, height: int, width: int) -> None:
        context = self._stream.codec_context
        context.height, context.width, context.pix_fmt = height, width, "yuv420p"
        context.time_base = self._source.time_base
        context.sample_aspect_ratio = self._upright
        context.gop_size = max(1, round(_JUMP * self._source.rate))
        self._matrix = untagged(height, width)
        context.colorspace = context.color_primaries = context.color_trc = _TAGS[self._matrix]
        context.color_range = ColorRange.MPEG


class _Sound:
    """The source's first audio stream, packet by packet beside the pictures."""

    def __init__(
        self, source: VideoFile, target: av.container.OutputContainer, suffix: str
    ) -> None:
        self._container = open_video(str(source.path))
        if not self._container.streams.audio:
            self._container.close()
            raise DataError(f"{source.path} holds no sound: leave --audio out")
        stream = self._container.streams.audio[0]
        try:
            self._copy = target.add_stream_from_template(stream)
        except (av.FFmpegError, ValueError) as error:
            raise DataError(
                f"the sound of {source.path} ({stream.codec_context.name}) cannot be copied into a "
                f"{suffix} file: write .mkv, or leave --audio out"
            ) from error
        self._target = target
        self._offset = Fraction(source.start) * source.time_base
        self._packets = self._container.demux(stream)
        self._next = next(self._packets, None)

    def copy_until(self, seconds: Fraction | None) -> None:
        """Copy the sound before that time; None for all."""
        while self._next is not None:
            packet = self._next
            if packet.pts is not None and packet.time_base is not None:
                base = Fraction(packet.time_base)
                if seconds is not None and packet.pts * base - self._offset > seconds:
                    return
                shift = round(self._offset / base)
                packet.pts -= shift
                packet.dts = packet.dts - shift if packet.dts is not None else packet.pts
                if packet.pts >= 0:
                    packet.stream = self._copy
                    self._target.mux(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Let go of the source."""
        self._container.close()
