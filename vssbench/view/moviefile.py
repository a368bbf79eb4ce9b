"""Pictures to a video file or an animated GIF, one at a time."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from PIL import Image as Pillow

from vssbench.core import files

MOVIE_SUFFIXES = (".mp4", ".mkv", ".gif")
#: x264: thin lines stay clear, fast
_OPTIONS = {"crf": "20", "preset": "veryfast"}
#: shown colours of a GIF, and the least time a frame of it may take (viewers slow down shorter
#: ones), milliseconds
_COLOURS, _LEAST_DURATION = 256, 20


def write_movie(pictures: Iterator[Pillow.Image], path: Path, fps: float) -> None:
    """Write RGB pictures of one, even size as the file's ending says. Raises DataError where the
    file cannot be written."""
    with files.draft(path) as draft:
        try:
            if path.suffix.lower() == ".gif":
                _write_gif(pictures, draft, fps)
            else:
                _write_video(pictures, draft, fps)
        except av.FFmpegError as error:
            raise files.refusal(path, error) from error


def _write_video(pictures: Iterator[Pillow.Image], path: Path, fps: float) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream(
            "libx264", rate=Fraction(fps).limit_denominator(1001), options=_OPTIONS
        )
        assert isinstance(stream, av.VideoStream)
        for count, picture in enumerate(pictures):
            if count == 0:
                stream.width, stream.height, stream.pix_fmt = (
                    picture.width,
                    picture.height,
                    "yuv420p",
                )
            frame = av.VideoFrame.from_image(picture)
            frame.pts, frame.time_base = count, 1 / Fraction(fps).limit_denominator(1001)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _write_gif(pictures: Iterator[Pillow.Image], path: Path, fps: float) -> None:
    few = (
        picture.quantize(_COLOURS, Pillow.Quantize.FASTOCTREE, dither=Pillow.Dither.NONE)
        for picture in pictures
    )
    first = next(few)
    first.save(
        path,
        save_all=True,
        append_images=few,
        duration=max(_LEAST_DURATION, round(1000 / fps)),
        loop=0,
    )
