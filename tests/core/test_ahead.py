"""The thread that works ahead: order, bound, errors, standing still, stopping."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest

from vssbench.core import ahead as ahead_module
from vssbench.core.ahead import ahead
from vssbench.core.errors import OutOfMemory


def test_items_come_in_order() -> None:
    with ahead(iter(range(100)), 3) as items:
        assert list(items) == list(range(100))


def test_an_error_comes_where_its_item_would_have() -> None:
    def source() -> Iterator[int]:
        yield 1
        raise ValueError("broken")

    with ahead(source(), 2) as items:
        assert next(items) == 1
        with pytest.raises(ValueError, match="broken"):
            next(items)


def test_no_more_than_depth_items_wait() -> None:
    made: list[int] = []

    def source() -> Iterator[int]:
        for number in range(50):
            made.append(number)
            yield number

    with ahead(source(), 3) as items:
        next(items)
        time.sleep(0.2)
        # one taken, three waiting, one in the thread's hand
        assert len(made) <= 5
    assert len(made) <= 6


def test_the_source_is_closed_and_the_thread_ended() -> None:
    closed = threading.Event()

    def source() -> Iterator[int]:
        try:
            yield from range(1000)
        finally:
            closed.set()

    before = threading.active_count()
    with ahead(source(), 2) as items:
        next(items)
    assert closed.is_set()
    assert threading.active_count() == before


def test_the_thread_stands_still_while_the_gate_is_held() -> None:
    gate, made = threading.Lock(), []

    def source() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    with ahead(source(), 10, gate) as items:
        first = next(items)
        with gate:
            count = len(made)
            time.sleep(0.1)
            assert len(made) == count
        assert [first, *items] == list(range(10))


def test_stopping_reaches_a_worker_within_a_worker() -> None:
    """A run can be interrupted while its clip is encoded.

    The images are then taken by the encoder's own thread.
    """
    taken = []

    def inner() -> Iterator[int]:
        number = 0
        while True:  # a clip without end
            time.sleep(0.001)
            yield number
            number += 1

    def outer() -> Iterator[int]:
        with ahead(inner(), 2) as items:
            for item in items:
                taken.append(item)
        yield -1

    with ahead(outer(), 2):
        time.sleep(0.1)
    count = len(taken)
    time.sleep(0.05)
    assert count > 0
    assert len(taken) == count


def test_a_thread_that_ends_without_a_word_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that gets no memory can tell nothing: nobody is to wait for it for ever."""

    def mute(worker: object, item: object) -> None:
        raise MemoryError

    monkeypatch.setattr(ahead_module._Worker, "_put", mute)
    with (
        pytest.raises(OutOfMemory, match="a thread ended without a word"),
        ahead(iter(range(3)), 2) as items,
    ):
        next(items)


def test_a_thread_that_never_begins_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ahead_module, "_BEGINS", 0.01)
    monkeypatch.setattr(ahead_module, "start_new_thread", lambda work, given: None)
    with pytest.raises(OutOfMemory, match="a thread did not begin"), ahead(iter(()), 2):
        raise AssertionError("it did")
