"""An iterator that works ahead in a thread of its own, by a bounded number of items."""

from __future__ import annotations

import queue
import threading
from _thread import start_new_thread
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from vssbench.core.errors import OutOfMemory

T = TypeVar("T")


@dataclass(frozen=True)
class _Failure:
    error: BaseException


class _End:
    """After the last item."""


class _Stopped(Exception):
    """Ends a worker that waits for another one, when nobody wants its items any more."""


#: the worker whose thread this is
_thread = threading.local()
#: seconds between two looks at whether the items are still wanted
_PATIENCE = 0.1
#: in which a thread must have begun
_BEGINS = 60.0


def raise_if_unwanted() -> None:
    """Leave, by an exception that ends the thread's work, where this thread works ahead and nobody
    wants its items now."""
    worker: _Worker[object] | None = getattr(_thread, "worker", None)
    if worker is not None and worker.stopped.is_set():
        raise _Stopped


@dataclass
class _Worker(Generic[T]):
    """The thread: fills the queue until the source ends, fails, or nobody wants more."""

    source: Iterator[T]
    depth: int
    gate: AbstractContextManager[object]

    def __post_init__(self) -> None:
        self.items: queue.Queue[T | _Failure | _End] = queue.Queue(self.depth)
        self.stopped = threading.Event()
        #: free once the thread runs, and once it has ended, however it did
        self.begun, self.running = threading.Lock(), threading.Lock()

    def launch(self) -> None:
        """Begin the thread. Raises OutOfMemory where it does not run.

        `threading.Thread.start` would wait for ever for one that gets no memory at its beginning.
        """
        self.begun.acquire()
        self.running.acquire()
        try:
            start_new_thread(self._thread, ())
        except BaseException:
            self.running.release()
            raise
        if not self.begun.acquire(timeout=_BEGINS):
            raise OutOfMemory(f"a thread did not begin in {_BEGINS:.0f} s: close other programs")

    def _thread(self) -> None:
        self.begun.release()
        try:
            self._run()
        finally:
            self.running.release()

    def _run(self) -> None:
        try:
            _thread.worker = self
            while not self.stopped.is_set():
                with self.gate:
                    item = next(self.source, _End())
                self._put(item)
                if isinstance(item, _End):
                    return
        except BaseException as error:  # whatever it is, it belongs to the one who takes the items
            with suppress(MemoryError):  # it is told by the thread's end then
                self._put(_Failure(error))

    def _put(self, item: T | _Failure | _End) -> None:
        while not self.stopped.is_set():
            try:
                self.items.put(item, timeout=_PATIENCE)
                return
            except queue.Full:
                continue

    def take(self) -> Iterator[T]:
        while True:
            raise_if_unwanted()
            try:
                item = self.items.get(timeout=_PATIENCE)
            except queue.Empty:
                if self.running.locked() or not self.items.empty():
                    continue
                raise OutOfMemory(
                    "a thread ended without a word, as happens where memory runs out"
                ) from None
            if isinstance(item, _End):
                return
            if isinstance(item, _Failure):
                raise item.error
            yield item

    def stop(self) -> None:
        self.stopped.set()
        with self.running:  # until it has ended
            pass
        close = getattr(self.source, "close", None)
        if close is not None:
            close()


@contextmanager
def ahead(
    source: Iterator[T], depth: int, gate: AbstractContextManager[object] | None = None
) -> Iterator[Iterator[T]]:
    """Yield the items of ``source`` in order, made in a background thread, at most ``depth`` of
    them waiting.

    An error of the source is raised where its item would have come. ``gate``, a lock, is held while
    an item is made: who holds it makes the thread stand still. On leaving, the thread has ended and
    the source is closed; a worker that is stopped while it takes items from another stops too, so
    that an interrupted encoder does not finish its clip first.
    """
    worker = _Worker(source, depth, gate if gate is not None else nullcontext())
    worker.launch()
    try:
        yield worker.take()
    finally:
        worker.stop()
