"""Opening a video file for reading, alike in every release of PyAV, and how its pictures become
RGB."""

from __future__ import annotations

from typing import Any, BinaryIO

import av
from av.video.reformatter import Interpolation

#: how pictures become RGB: rounded well (the default darkens by about one grey level), chroma taken
#: to lie midway between the pixels it covers
TO_RGB = Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
#: the first release that takes metadata which are no text as they are, and has no setting for it
_LENIENT = 19


def open_video(source: str | BinaryIO) -> av.container.InputContainer:
    """Open a video file to read, whatever its metadata hold: names and dates in a broken file may
    be no text.

    Raises FFmpegError or OSError.
    """
    options: dict[str, Any] = (
        {"metadata_errors": "surrogateescape"} if _release() < _LENIENT else {}
    )
    return av.open(source, "r", **options)


def _release() -> int:
    return int(av.__version__.partition(".")[0])
