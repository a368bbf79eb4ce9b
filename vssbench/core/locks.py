"""Locks by name, any number of them in one file, which the system gives back when a process ends.

A name stands for a byte of the file, far beyond its end; the file itself stays empty. Where the
system or the file system has no such locks, everybody has them.
"""

from __future__ import annotations

import errno
import hashlib
import os
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from vssbench.core.shown import encoded

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

#: seconds between two looks at a lock that another holds
_PAUSE = 0.05
#: struct flock of Linux on 64 bits: type, whence, start, length, process
_FLOCK = "hhqqi4x"
_BUSY = (errno.EACCES, errno.EAGAIN)


@contextmanager
def lock(
    file: Path, name: str, shared: bool = False, waiting: Callable[[], None] | None = None
) -> Iterator[bool]:
    """Hold the lock of a name; yields whether it is held.

    A shared one may be held by many, but not beside one that is not. Without ``waiting`` nobody is
    waited for: False where another holds it. Else that is called between two looks, and may raise.
    """
    handle = _opened(file)
    if handle is None:
        yield True
        return
    try:
        while not (held := _try(handle, name, shared)) and waiting is not None:
            waiting()
            time.sleep(_PAUSE)
        yield held
    finally:
        os.close(handle)


def _opened(file: Path) -> int | None:
    """Open the file of the locks; None where there can be none."""
    if not hasattr(fcntl, "F_OFD_SETLK"):
        return None
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        return os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:  # who cannot write here changes nothing that a lock protects
        return None


def _try(handle: int, name: str, shared: bool) -> bool:
    place = int.from_bytes(hashlib.sha256(encoded(name)).digest()[:7], "big")
    kind = fcntl.F_RDLCK if shared else fcntl.F_WRLCK
    try:
        fcntl.fcntl(handle, fcntl.F_OFD_SETLK, struct.pack(_FLOCK, kind, os.SEEK_SET, place, 1, 0))
    except OSError as error:
        return error.errno not in _BUSY
    return True
