"""Freed memory that stays with the process, so that a frame's time does not depend on how the
process's memory came to lie.

glibc hands large blocks back to the kernel when they are freed, or keeps them, by thresholds that
move with what the process has done before. Where it hands them back, each frame has its activations
paged in anew: a thousand page faults for a small network at 180x240, a fifth of its time, in one
process and not in the next.
"""

from __future__ import annotations

import ctypes
import os
import platform

#: PyTorch's variable: tensors of two megabytes and more get huge pages where the kernel gives them
#: to who asks (/sys/kernel/mm/transparent_hugepage/enabled: madvise)
HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
#: glibc's numbers of mallopt(3)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_MMAP_MAX = -1, -3, -4
#: the largest block that glibc takes from its heap (DEFAULT_MMAP_THRESHOLD_MAX on 64 bits), bytes
_LARGEST = 32 << 20
#: free memory at the heap's top that stays, bytes
_KEPT = 1 << 30
#: the free top of the heap is never handed back
_NEVER = -1
#: variables by which a user has settled it otherwise
_DECIDED = (
    "MALLOC_MMAP_THRESHOLD_",
    "MALLOC_TRIM_THRESHOLD_",
    "MALLOC_TOP_PAD_",
    "MALLOC_MMAP_MAX_",
    "GLIBC_TUNABLES",
)


def ask_for_huge_pages() -> None:
    """Have PyTorch ask for huge pages in this process and those that it starts, unless the
    environment has settled it; before the first tensor is made.

    What comes from the kernel is then paged in by two megabytes at a time, not by four kilobytes: a
    frame of 1024x2048, whose larger activations come anew each time, takes a third to a half less.
    """
    os.environ.setdefault(HUGE_PAGES, "1")


def keep_freed_memory(large: bool = False) -> bool:
    """Ask glibc to keep freed memory in this process from now on; return whether it agreed.

    False with other allocators, and where the environment has settled it. Blocks over 32 MiB still
    come from the kernel, in every process alike, unless ``large``: then they are kept too, as a
    training needs, whose every step takes and frees the activations of a whole batch.
    """
    if platform.libc_ver()[0] != "glibc" or any(name in os.environ for name in _DECIDED):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    kept = _NEVER if large else _KEPT
    agreed = mallopt(_M_MMAP_THRESHOLD, _LARGEST) and mallopt(_M_TRIM_THRESHOLD, kept)
    # no block has pages of its own: the heap holds them all
    return bool(agreed and (not large or mallopt(_M_MMAP_MAX, 0)))
