"""Freed memory that stays with the process, so that a frame's time does not depend on how the
process's memory came to lie.

glibc hands large blocks back to the kernel when they are freed, or keeps them, by thresholds that
move with what the process has done before, and those over 32 MiB always. Where it hands them back,
each frame has its activations paged in anew: a thousand page faults for a small network at 180x240,
a fifth of its time, in one process and not in the next; 50,000 to 500,000 at 1024x2048, a fifth to
a half of the time, and not the same share for every method.
"""

from __future__ import annotations

import ctypes
import os
import platform
from contextlib import suppress

#: glibc's numbers of mallopt(3)
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
#: the free top of the heap is never handed back; no block has pages of its own: the heap holds all
_NEVER, _NONE = -1, 0
#: variables by which a user has settled it otherwise
_DECIDED = (
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_MMAP_MAX_",
    "GLIBC_TUNABLES",
)


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory in this process from now on; return whether it agreed.

    False with other allocators, and where the environment has settled it. A process that holds much
    and rests calls :func:`hand_back_freed_memory`; on a virtual machine to page in again what was
    handed back may take five times as long as what was freed just now.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _DECIDED):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    return bool(mallopt(_M_TRIM_THRESHOLD, _NEVER) and mallopt(_M_MMAP_MAX, _NONE))


def hand_back_freed_memory() -> None:
    """Give the kernel what was freed by now: others may need it while this process rests, and it is
    no part of what comes next."""
    with suppress(OSError, AttributeError):  # not every C library has it
        ctypes.CDLL(None).malloc_trim(0)
