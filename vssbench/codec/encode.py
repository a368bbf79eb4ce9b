"""Encoding: images, one at a time, to a bitstream with PyAV."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import Interpolation, VideoReformatter

from vssbench.codec import x264
from vssbench.codec.apart import Task, encode_apart
from vssbench.codec.quality import Checker, CodedFrame
from vssbench.core import hidden
from vssbench.core.ahead import ahead
from vssbench.core.errors import DataError, UsageError
from vssbench.core.video import Image
from vssbench.data.colour import BT601, PIXEL_FORMAT
from vssbench.data.videofile import MOST_RATE

CONTAINER = "matroska"
#: the same images give the same bytes; otherwise a file holds a random number
CONTAINER_OPTIONS = {"fflags": "+bitexact"}
#: errors of the disk, not of the encoder
_OF_THE_SYSTEM = (
    errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO,
)  # fmt: skip
#: planes are 4:2:0: width and height must be even; without loss, colours keep their resolution too
LOSSLESS_PIXEL_FORMAT = "yuv444p"
#: code point of BT.601 (625 lines) in a stream's header
COLOUR_TAG = 5
#: rounded well, as TO_RGB is; both take chroma to lie midway between the pixels it covers
TO_YUV = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP
#: images made ahead of the encoder
IMAGES_AHEAD = 4
#: keeps 30000/1001 and the like exact
_LARGEST_DENOMINATOR = 1001


@dataclass(frozen=True)
class EncoderSettings:
    """An encoder of FFmpeg, its GOP and its options. ``bit_rate`` is bits/s, 0 where the options
    set a quality."""

    encoder: str
    gop: int
    bframes: int = 0
    bit_rate: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    #: least and greatest quantiser, where the options cannot say it
    quantisers: tuple[int, int] | None = None
    pixel_format: str = PIXEL_FORMAT
    #: the encoder is told each frame's type, where it would else break its pattern of B-frames at a
    #: scene cut
    tell_types: bool = False

    def told_type(self, index: int) -> PictureType:
        """Return the picture type to ask for.

        P at the end of each run of B-frames and of the GOP; keyframes are the encoder's own.
        """
        distance = index % self.gop
        if not self.tell_types or distance == 0:
            return PictureType.NONE
        ends = distance % (self.bframes + 1) == 0 or distance == self.gop - 1
        return PictureType.P if ends else PictureType.B


def encode(
    images: Iterator[Image], destination: Path | BinaryIO, settings: EncoderSettings, fps: float
) -> list[CodedFrame]:
    """Encode RGB images (H, W, 3), all of one size, as they come; returns what became of each.

    What is encoded is decoded at once and compared with its source; its keyframes must lie at 0,
    gop, 2 gop and nowhere else. Images are made in a background thread, and encoded in a process of
    its own (see ``apart``). Odd sizes are padded by one pixel that repeats the edge; decode crops
    it. Raises DataError for no image, an image of another shape or type, or an encoder that fails,
    crashes, hangs or leaves the GOP; UsageError where FFmpeg lacks the encoder.
    """
    if not 0 < fps <= MOST_RATE:
        raise DataError(
            f"the clip has {fps:g} frames/s, at which video is not written: expected at most "
            f"{MOST_RATE}; give the codec's fps, as h264[fps=30], or the dataset's"
        )
    with ahead(images, IMAGES_AHEAD) as source, _file(destination) as path:
        first = next(source, None)
        if first is None or first.size == 0:
            raise DataError("nothing to encode: the clip holds no frame, or frames of no size")
        task = Task(path, settings, fps, first.shape)
        frames: list[CodedFrame] = encode_apart(task, _alike(first, source))
        return frames


@contextmanager
def _file(destination: Path | BinaryIO) -> Iterator[Path]:
    """Yield the file for another process to write, whose content goes to ``destination`` where that
    is none."""
    if isinstance(destination, Path):
        yield destination.absolute()
        return
    with hidden.temporary() as folder:
        path = folder / "stream"
        yield path
        with path.open("rb") as file:
            shutil.copyfileobj(file, destination)


def _alike(first: Image, others: Iterator[Image]) -> Iterator[Image]:
    """Yield the images, whose rows lie one behind the other in memory. Raises DataError where one
    is not like the first."""
    for index, image in enumerate(chain([first], others)):
        _check(image, first, index)
        yield np.ascontiguousarray(image)


def encode_here(
    images: Iterator[Image], path: Path, settings: EncoderSettings, fps: float
) -> list[CodedFrame]:
    """Encode images, at least one, to a file in this process, which the encoder may change for
    good: see ``encode``."""
    images = iter(images)
    first = next(images)
    try:
        with av.open(
            str(path), "w", format=CONTAINER, container_options=CONTAINER_OPTIONS
        ) as container:
            return _encode(
                first,
                images,
                container,
                settings,
                Fraction(fps).limit_denominator(_LARGEST_DENOMINATOR),
            )
    except av.codec.codec.UnknownCodecError as error:
        raise UsageError(
            f"this build of PyAV ({av.__version__}) lacks the encoder {settings.encoder}: install "
            "the wheel, pip install av"
        ) from error
    except av.FFmpegError as error:
        raise DataError(
            f"{settings.encoder} could not encode {first.shape[1]}x{first.shape[0]} frames at "
            f"{fps:g} frames/s: {error.strerror}; {_remedy(error, path, settings)}"
        ) from error


def _remedy(error: av.FFmpegError, path: Path, settings: EncoderSettings) -> str:
    if isinstance(error, OSError) and error.errno in _OF_THE_SYSTEM:
        return f"make room in {path.parent}, or look at the folder's permissions"
    return f"check the codec's parameters {dict(settings.options)}"


def _encode(
    first: Image,
    others: Iterator[Image],
    container: av.container.OutputContainer,
    settings: EncoderSettings,
    fps: Fraction,
) -> list[CodedFrame]:
    options = (
        x264.reproducible(settings.options)
        if settings.encoder == x264.ENCODER
        else dict(settings.options)
    )
    stream = container.add_stream(settings.encoder, rate=fps, options=options)
    assert isinstance(stream, av.VideoStream)
    height, width = first.shape[:2]
    stream.width, stream.height, stream.pix_fmt = (
        width + width % 2,
        height + height % 2,
        settings.pixel_format,
    )
    context = stream.codec_context
    context.bit_rate, context.gop_size, context.max_b_frames = (
        settings.bit_rate,
        settings.gop,
        settings.bframes,
    )
    context.colorspace, context.color_range = COLOUR_TAG, BT601.range
    if settings.quantisers is not None:
        context.qmin, context.qmax = settings.quantisers
    reformatter, checker = VideoReformatter(), Checker(context, settings.gop, fps)
    for count, image in enumerate(chain([first], others)):
        frame = av.VideoFrame.from_ndarray(_even(image), "rgb24")
        frame = reformatter.reformat(
            frame,
            format=settings.pixel_format,
            dst_colorspace=BT601.matrix,
            dst_color_range=BT601.range,
            interpolation=TO_YUV,
        )
        frame.pts, frame.time_base, frame.pict_type = count, 1 / fps, settings.told_type(count)
        checker.source(frame)
        _put(stream.encode(frame), container, checker)
    _put(stream.encode(), container, checker)
    return checker.finish()


def _put(
    packets: list[av.Packet], container: av.container.OutputContainer, checker: Checker
) -> None:
    for packet in packets:
        checker.packet(packet)  # before the container takes its data
        container.mux(packet)


def _check(image: Image, first: Image, index: int) -> None:
    if (
        image.dtype != np.uint8
        or image.ndim != 3
        or image.shape[2] != 3
        or image.shape != first.shape
    ):
        raise DataError(
            f"frame {index} is {image.dtype} {image.shape}; expected uint8 "
            f"{(*first.shape[:2], 3)}, as the first frame: all frames of a clip must be RGB images "
            "of one size"
        )


def _even(image: Image) -> Image:
    odd_height, odd_width = image.shape[0] % 2, image.shape[1] % 2
    if odd_height or odd_width:
        return np.pad(image, ((0, odd_height), (0, odd_width), (0, 0)), mode="edge")
    return image
