"""Opening a video file for reading, alike in every release of PyAV."""

from __future__ import annotations

from typing import Any, BinaryIO

import av

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
