"""Videos as others make them: any codec, container, time stamps, tags. They show a pan whose motion
is known."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter

from vssbench.codec.vectors.proof import pan

#: one reference, no B-pyramid, no weighted prediction: what H.264's vectors can be trusted in
PLAIN = {"x264-params": "ref=1:b-pyramid=none:weightp=0:keyint=6:min-keyint=6:scenecut=0:bframes=0"}
Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """``make(name, encoder, ...)``: a video file of ``length`` frames."""

    def made(
        name: str, encoder: str = "libx264", *, length: int = 8, size: tuple[int, int] = (64, 96),
        options: Any = PLAIN,
        pixel_format: str = "yuv420p", times: list[int] | None = None, tag: int = 0,
        full: bool = False, image: Any = None,
        motion: tuple[float, float] = (2.0, 1.0), bframes: int | None = None, sound: str = "",
        gop: int | None = None,
    ) -> Path:  # fmt: skip
        path, reformatter = tmp_path / name, VideoReformatter()
        with av.open(str(path), "w") as container:
            stream = container.add_stream(encoder, rate=25, options=dict(options))
            stream.height, stream.width, stream.pix_fmt = *size, pixel_format
            context = stream.codec_context
            if bframes is not None:
                context.max_b_frames = bframes
            if gop is not None:
                context.gop_size = gop
            if tag:
                context.colorspace, context.color_range = (
                    tag,
                    ColorRange.JPEG if full else ColorRange.MPEG,
                )
            if times is not None:
                context.time_base = Fraction(1, 1000)
            audio = container.add_stream(sound, rate=48000) if sound else None
            images = pan(length, *size, motion) if image is None else iter([image] * length)
            for index, each in enumerate(images):
                frame = reformatter.reformat(
                    av.VideoFrame.from_ndarray(np.ascontiguousarray(each), "rgb24"),
                    format=pixel_format,
                    dst_colorspace=Colorspace.ITU709 if tag == 1 else Colorspace.ITU601,
                    dst_color_range=ColorRange.JPEG if full else ColorRange.MPEG,
                )  # fmt: skip
                frame.pts = index if times is None else times[index]
                frame.time_base = Fraction(1, 25) if times is None else Fraction(1, 1000)
                container.mux(stream.encode(frame))
            container.mux(stream.encode())
            if audio is not None:
                for part in range(length):
                    silent = av.AudioFrame.from_ndarray(
                        np.zeros((1, 1920), np.float32), "fltp", "mono"
                    )
                    silent.rate, silent.pts, silent.time_base = (
                        48000,
                        part * 1920,
                        Fraction(1, 48000),
                    )
                    container.mux(audio.encode(silent))
                container.mux(audio.encode())
        return path

    return made


def turn(path: Path, matrix: tuple[int, int, int, int] = (0, 1, -1, 0)) -> None:
    """Let an MP4 file say that a pixel (x, y) is to be shown at (a x + c y, b x + d y); by default
    turned by 90 degrees clockwise."""
    a, b, c, d = (0x10000 * each for each in matrix)
    content = bytearray(path.read_bytes())
    upright = struct.pack(">9i", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    track = content.index(b"tkhd")
    at = content.index(upright, track)
    content[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 0x40000000)
    path.write_bytes(content)


def trim(path: Path, first: int) -> None:
    """Let the edit list of an MP4 file of 25 Hz begin at one of its pictures, as players that cut
    without loss do."""
    content = bytearray(path.read_bytes())
    header = content.index(b"mdhd") + 16  # behind version, flags and two dates
    unit = int.from_bytes(content[header : header + 4], "big")
    start = content.index(b"elst") + 16  # behind version, flags, number of entries and a duration
    begins = int.from_bytes(content[start : start + 4], "big") + first * unit // 25
    content[start : start + 4] = begins.to_bytes(4, "big")
    path.write_bytes(content)
