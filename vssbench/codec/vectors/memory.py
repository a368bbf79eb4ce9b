"""Reading this process's own memory through the kernel: a wrong address is an error, never a
crash."""

from __future__ import annotations

import os
import struct
from functools import cache
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from vssbench.core.errors import MotionUnavailable

WORD = 8
#: where the pointer to FFmpeg's context is looked for in PyAV's object
_SEARCHED = range(2 * WORD, 20 * WORD, WORD)
_CONTEXT_CLASS = b"AVCodecContext\0"
#: in every FFmpeg since version 4: av_class, log_category_offset and codec_type, codec, codec_id
#: and codec_tag, priv_data
_PRIVATE_DATA = 4 * WORD


class Unreadable(Exception):
    """Memory that is not there: a guess was wrong."""


@cache
def _memory() -> int:
    try:
        return os.open("/proc/self/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise MotionUnavailable(
            "these motion vectors are read from a decoder's memory through /proc/self/mem, which "
            f"this system lacks ({error.strerror}); use a codec with exported vectors (h264, "
            "mpeg4, mpeg2), or motion=estimated"
        ) from error


# an open file stands for the memory of the process that opened it
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_memory.cache_clear)


def read(address: int, size: int) -> bytes:
    """Read ``size`` bytes at an address of this process. Raises Unreadable."""
    try:
        data = os.pread(_memory(), size, address)
    except (OSError, OverflowError, ValueError) as error:
        raise Unreadable(f"{size} bytes at {address:#x}") from error
    if len(data) != size:
        raise Unreadable(f"{size} bytes at {address:#x}: {len(data)} there")
    return data


def pointer(address: int) -> int:
    """Read the 8-byte word at an address."""
    return int(struct.unpack("<Q", read(address, WORD))[0])


def words(address: int, count: int) -> npt.NDArray[np.uint64]:
    """Read up to ``count`` words from an address on.

    They are as many as there are up to the end of the mapped memory.
    """
    page = 4096
    parts = []
    end = address + count * WORD
    while address < end:
        size = min(page - address % page, end - address)
        try:
            parts.append(read(address, size))
        except Unreadable:
            break
        address += size
    return np.frombuffer(b"".join(parts), "<u8")


def private_data(context: av.VideoCodecContext) -> int:
    """Return the address of the decoder's own state behind a PyAV codec context. Raises
    MotionUnavailable where it is not found."""
    for offset in _SEARCHED:
        try:
            candidate = pointer(id(context) + offset)
            if (
                candidate
                and read(pointer(pointer(candidate)), len(_CONTEXT_CLASS)) == _CONTEXT_CLASS
            ):
                return pointer(candidate + _PRIVATE_DATA)
        except Unreadable:
            continue
    raise MotionUnavailable(
        f"the decoder's state was not found inside PyAV {av.__version__}: this build lays out its "
        "objects in another way; use motion=estimated, or the version of PyAV in constraints.txt"
    )


def array(address: int, shape: tuple[int, ...], dtype: Any) -> npt.NDArray[Any]:
    """Return a copy of an array in memory. Raises Unreadable."""
    kind = np.dtype(dtype)
    return np.frombuffer(read(address, int(np.prod(shape)) * kind.itemsize), kind).reshape(shape)
