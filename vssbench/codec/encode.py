"""Encoding: images, one at a time, to a bitstream with PyAV."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter

from vssbench.errors import DataError, UsageError
from vssbench.video import Image

CONTAINER = "matroska"
#: the same images give the same bytes; otherwise a file holds a random number
CONTAINER_OPTIONS = {"fflags": "+bitexact"}
#: planes are 4:2:0: width and height must be even
PIXEL_FORMAT = "yuv420p"
#: converted and tagged alike: builds of FFmpeg differ in what they take an untagged stream for
COLOUR_SPACE = Colorspace.ITU601
COLOUR_RANGE = ColorRange.MPEG
#: code point of BT.601 (625 lines) in a stream's header
COLOUR_TAG = 5
#: rounded well (the default darkens by about one grey level); both take chroma to lie midway between the pixels it covers
TO_YUV = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INP
TO_RGB = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
#: keeps 30000/1001 and the like exact
_LARGEST_DENOMINATOR = 1001


@dataclass(frozen=True)
class EncoderSettings:
    """An encoder of FFmpeg, its GOP and its options. ``bit_rate`` is bits/s, 0 where the options set a quality."""

    encoder: str
    gop: int
    bframes: int = 0
    bit_rate: int = 0
    options: Mapping[str, str] = field(default_factory=dict)


def encode(images: Iterator[Image], destination: Path | BinaryIO, settings: EncoderSettings, fps: float) -> int:
    """Encode RGB images (H, W, 3), all of one size, as they come; returns how many there were.

    Odd sizes are padded by one pixel that repeats the edge; decode crops it. Raises DataError for no image, an image of
    another shape or type, or an encoder that fails; UsageError where FFmpeg lacks the encoder.
    """
    first = next(images, None)
    if first is None:
        raise DataError("nothing to encode: the clip holds no frame")
    target = str(destination) if isinstance(destination, Path) else destination
    try:
        with av.open(target, "w", format=CONTAINER, container_options=CONTAINER_OPTIONS) as container:
            return _encode(first, images, container, settings, Fraction(fps).limit_denominator(_LARGEST_DENOMINATOR))
    except av.codec.codec.UnknownCodecError as error:
        raise UsageError(
            f"this build of PyAV ({av.__version__}) lacks the encoder {settings.encoder}: install the wheel, pip install av"
        ) from error
    except av.FFmpegError as error:
        raise DataError(
            f"{settings.encoder} could not encode {first.shape[1]}x{first.shape[0]} frames at {fps:g} frames/s: "
            f"{error.strerror}; check the codec's parameters {dict(settings.options)} and the free disk space"
        ) from error


def _encode(
    first: Image, others: Iterator[Image], container: av.container.OutputContainer, settings: EncoderSettings, fps: Fraction
) -> int:
    stream = container.add_stream(settings.encoder, rate=fps, options=dict(settings.options))
    assert isinstance(stream, av.VideoStream)
    height, width = first.shape[:2]
    stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, PIXEL_FORMAT
    context = stream.codec_context
    context.bit_rate, context.gop_size, context.max_b_frames = settings.bit_rate, settings.gop, settings.bframes
    context.colorspace, context.color_range = COLOUR_TAG, COLOUR_RANGE
    reformatter = VideoReformatter()
    count = 0
    for image in chain([first], others):
        _check(image, first, count)
        frame = av.VideoFrame.from_ndarray(_even(image), "rgb24")
        frame = reformatter.reformat(
            frame,
            format=PIXEL_FORMAT,
            dst_colorspace=COLOUR_SPACE,
            dst_color_range=COLOUR_RANGE,
            interpolation=TO_YUV,
        )
        frame.pts, frame.time_base = count, 1 / fps
        container.mux(stream.encode(frame))
        count += 1
    container.mux(stream.encode())
    return count


def _check(image: Image, first: Image, index: int) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.shape != first.shape:
        raise DataError(
            f"frame {index} is {image.dtype} {image.shape}; expected uint8 {(*first.shape[:2], 3)}, as the first frame: "
            "all frames of a clip must be RGB images of one size"
        )


def _even(image: Image) -> Image:
    odd_height, odd_width = image.shape[0] % 2, image.shape[1] % 2
    if odd_height or odd_width:
        return np.pad(image, ((0, odd_height), (0, odd_width), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)
