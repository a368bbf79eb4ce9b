"""Reading what others may replace at any moment: a folder's content is of one time, or is read
again."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from vssbench.core import hidden
from vssbench.core.errors import VssbenchError

T = TypeVar("T")

#: replacements that come between before a reader gives up; seconds between two looks
_ATTEMPTS, _PAUSE = 200, 0.005


def steady(folder: Path, read: Callable[[], T]) -> T:
    """Return what ``read`` finds in a folder, and read again where the folder was replaced in the
    meantime.

    Raises what ``read`` raises of a folder that nobody replaces.
    """
    for _ in range(_ATTEMPTS):
        before = _stamp(folder)
        value, failed = None, None
        try:
            value = read()
        except (OSError, VssbenchError) as error:
            failed = error
        if _stamp(folder) == before and (before is not None or not _returns(folder)):
            break
        time.sleep(_PAUSE)
    if failed is not None:
        raise failed
    return value  # type: ignore[return-value]


def _returns(folder: Path) -> bool:
    """Return whether a folder that is missing is being replaced, or was put back now."""
    if folder.name in hidden.set_aside(folder.parent):
        hidden.adopt(folder.parent)
        return True
    return os.path.lexists(folder)


def _stamp(folder: Path) -> tuple[int, int, int] | None:
    """Return what tells a folder from the one that replaces it."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns
