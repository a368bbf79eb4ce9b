"""Reading this process's own memory: what is there comes as it is, what is not there is an error
and never a crash."""

from __future__ import annotations

import ctypes
import multiprocessing
import os

import av
import numpy as np
import pytest

from vssbench.codec.vectors import memory
from vssbench.codec.vectors.memory import Unreadable
from vssbench.core.errors import MotionUnavailable

pytestmark = pytest.mark.skipif(
    not os.path.exists("/proc/self/mem"), reason="this system has no /proc/self/mem"
)


def test_what_is_there_is_read() -> None:
    data = np.arange(6, dtype="<u8")
    address = data.ctypes.data
    assert memory.read(address, 48) == data.tobytes()
    assert memory.pointer(address + 8) == 1
    np.testing.assert_array_equal(memory.words(address, 6), data)
    np.testing.assert_array_equal(memory.array(address, (2, 3), "<u8"), data.reshape(2, 3))


def test_an_array_is_a_copy() -> None:
    data = np.array([1, 2], np.int32)
    read = memory.array(data.ctypes.data, (2,), np.int32)
    data[0] = 9
    assert list(read) == [1, 2]


def test_an_array_of_nothing_is_empty() -> None:
    data = np.zeros(1)
    assert memory.array(data.ctypes.data, (0, 3), np.int16).shape == (0, 3)


@pytest.mark.parametrize(
    "address", [0, 8, 1 << 46, (1 << 63) - 8, 1 << 63, (1 << 64) - 1, 1 << 70, -8]
)
def test_a_wrong_address_is_an_error(address: int) -> None:
    with pytest.raises(Unreadable):
        memory.read(address, 8)
    with pytest.raises(Unreadable):
        memory.pointer(address)
    with pytest.raises(Unreadable):
        memory.array(address, (4, 4), np.int32)
    assert len(memory.words(address, 100)) == 0


def test_words_stop_where_memory_ends() -> None:
    page = os.sysconf("SC_PAGE_SIZE")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype, libc.mmap.argtypes = (
        ctypes.c_void_p,
        [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long],
    )
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    # readable and writable, private and anonymous
    start = libc.mmap(None, 2 * page, 3, 0x22, -1, 0)
    try:
        assert libc.munmap(start + page, page) == 0
        count = len(memory.words(start + page - 24, 100))
        assert count == 3
        with pytest.raises(Unreadable):
            memory.read(start + page - 24, 48)
    finally:
        libc.munmap(start, page)


@pytest.mark.parametrize("name", ["vp9", "h264"])
def test_a_decoders_state_is_found(name: str) -> None:
    contexts = [av.VideoCodecContext.create(name, "r") for _ in range(2)]
    states = []
    for context in contexts:
        assert isinstance(context, av.VideoCodecContext)
        context.open()
        states.append(memory.private_data(context))
    assert len(set(states)) == 2
    assert states[0] == memory.private_data(contexts[0])  # type: ignore[arg-type]
    # FFmpeg's states, unlike most others, are aligned for vector instructions
    assert all(state % 16 == 0 and len(memory.words(state, 64)) == 64 for state in states)


def test_what_is_no_decoder_is_refused() -> None:
    with pytest.raises(MotionUnavailable, match="motion=estimated"):
        memory.private_data([0] * 100)  # type: ignore[arg-type]


def _first_word(address: int, queue: multiprocessing.Queue[int]) -> None:
    ctypes.c_uint64.from_address(address).value = 7
    queue.put(memory.pointer(address))


def test_a_forked_process_reads_its_own_memory() -> None:
    data = np.array([3], np.uint64)
    assert memory.pointer(data.ctypes.data) == 3
    context = multiprocessing.get_context("fork")
    queue: multiprocessing.Queue[int] = context.Queue()
    process = context.Process(target=_first_word, args=(data.ctypes.data, queue))
    process.start()
    assert queue.get(timeout=20) == 7
    process.join()
    assert memory.pointer(data.ctypes.data) == 3
