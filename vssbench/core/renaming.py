"""Two names exchanged in one step, where the system can."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

#: renameat2 of Linux: relative to the working folder; exchange two names in one step
_AT_FDCWD, _EXCHANGE = -100, 2


def exchange(first: Path, second: Path) -> bool:
    """Exchange two names in one step; False where the system cannot. Raises OSError."""
    function = (
        getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
        if os.name == "posix"
        else None
    )
    if function is None:
        return False
    if function(_AT_FDCWD, os.fsencode(first), _AT_FDCWD, os.fsencode(second), _EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number == errno.ENOENT:
        raise FileNotFoundError(number, os.strerror(number), str(second))
    return False
