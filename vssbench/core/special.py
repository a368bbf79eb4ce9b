"""Devices, pipes and open descriptors (``/dev/full``, ``/dev/stdout``, a FIFO): what is written to,
never replaced."""

from __future__ import annotations

import os
import re
import shutil
import stat
import sys
from pathlib import Path
from typing import IO

from vssbench.core.errors import UsageError

#: links that are followed at most, as in Linux
_LINKS = 40
_DESCRIPTORS = re.compile(r"/proc/(\d+)/fd|/dev/fd")


def is_special(path: Path) -> bool:
    """Return whether a path is a device, a pipe or an open descriptor, by itself or by links: what
    is written to, not replaced."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def pour(made: Path, path: Path) -> None:
    """Write a draft's bytes to a device, a pipe or an open descriptor."""
    if made.is_dir():
        raise UsageError(f"{path} is a device or a pipe: a folder cannot be written to it")
    with made.open("rb") as source, _open_special(path) as target:
        shutil.copyfileobj(source, target)


def _open_special(path: Path) -> IO[bytes]:
    number = _descriptor(path)
    if number is None:
        return path.open("wb")
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    return os.fdopen(os.dup(number), "wb")


def _descriptor(path: Path) -> int | None:
    """Return the number of this process's open file that a path names, by itself or by links
    (``/dev/stdout``)."""
    place = os.path.abspath(path)
    for _ in range(_LINKS):
        folder, name = os.path.split(place)
        match = _DESCRIPTORS.fullmatch(os.path.realpath(folder))
        if match is not None and name.isdecimal() and match[1] in (None, str(os.getpid())):
            return int(name)
        if not os.path.islink(place):
            return None
        place = os.path.abspath(os.path.join(folder, os.readlink(place)))
    return None
