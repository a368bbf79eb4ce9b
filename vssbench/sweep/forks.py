"""The fork server of a sweep: it imports what measures once, and workers are forks of it.

It is itself a fork of the command, taken before that has computed anything: threads of a library
that computes do not survive a fork. It imports while the command plans, and computes nothing.
"""

from __future__ import annotations

import gc
import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import connection as connections
from multiprocessing import reduction
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

#: what an experiment imports sooner or later, whatever its plug-ins; the shapes of torch are what
#: GMACs are counted with, and import sympy
MODULES = (
    "av", "torch.fx.experimental.symbolic_shapes", "vssbench.codec.decode",
    "vssbench.codec.encoded", "vssbench.codec.shared_motion", "vssbench.sweep.performing",
)  # fmt: skip
#: the exit status of workers whose fork server was lost: they end with it
LOST = 1

#: held while one thread starts a process
_starting = threading.Lock()


def forkable(devices: Collection[str]) -> bool:
    """Return whether workers for tasks on these devices may be forks of this process: on Linux, on
    the CPU alone and without threads, since neither CUDA nor a thread survives a fork."""
    alone = threading.active_count() == 1
    return sys.platform == "linux" and alone and set(devices) == {"cpu"}


class Fork:
    """A worker that is a fork, as multiprocessing's Process is one to whoever started it."""

    def __init__(self, hear: Callable[[float | None], None]) -> None:
        self._hear = hear
        self.number: int | None = None
        self.exitcode: int | None = None

    @property
    def pid(self) -> int | None:
        """Its process's number, once the server has told it; None where it never began."""
        while self.number is None and self.exitcode is None:
            self._hear(None)
        return self.number

    def is_alive(self) -> bool:
        """Return whether it has not ended."""
        self._hear(0)
        return self.exitcode is None

    def kill(self) -> None:
        """End it."""
        if self.is_alive() and self.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)

    def join(self) -> None:
        """Wait for its end."""
        while self.exitcode is None:
            self._hear(None)


class ForkServer:
    """The fork server as the sweep holds it."""

    def __init__(self) -> None:
        self._control, theirs = multiprocessing.Pipe()
        #: whether it can be asked for workers
        self.usable = True
        self._asked: deque[Fork] = deque()
        self._forks: dict[int, Fork] = {}
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_serve, args=(theirs, self._control), daemon=True)
        with starting():
            self._process.start()
        theirs.close()

    def start(
        self, target: Callable[..., None], connection: Connection, *arguments: Any
    ) -> Fork | None:
        """Start a worker that runs a function with its end of a pipe and further arguments; returns
        None where the server was lost."""
        self._hear(0)
        fork = Fork(self._hear)
        try:
            self._control.send((target, arguments))
            reduction.send_handle(self._control, connection.fileno(), self._process.pid)
        except OSError:
            self._lose()
            return None
        self._asked.append(fork)
        return fork

    def end(self) -> None:
        """End the server; its workers end with it."""
        self._lose()
        self._process.kill()
        self._process.join()
        self._control.close()

    def _hear(self, seconds: float | None) -> None:
        """Take in what it has told by now, or, where nothing has come, within so many seconds
        (None: however long that takes)."""
        try:
            while self.usable and self._control.poll(seconds):
                number, status = self._control.recv()
                if number is None:  # there was no memory for another process
                    self._asked.popleft().exitcode = status
                elif status is None:
                    self._asked[0].number = number
                    self._forks[number] = self._asked.popleft()
                else:
                    self._forks.pop(number).exitcode = status
                seconds = 0
        except (EOFError, OSError):
            self._lose()

    def _lose(self) -> None:
        self.usable = False
        for fork in (*self._asked, *self._forks.values()):
            fork.exitcode = LOST
        self._asked.clear()
        self._forks.clear()


@contextmanager
def starting() -> Iterator[None]:
    """Start a process that Ctrl-C leaves alone, though this one may end with its parent, as Dask's
    do, and have no children therefore."""
    own = multiprocessing.current_process()
    with _starting:
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        daemon, own.daemon = own.daemon, False
        try:
            yield
        finally:
            own.daemon = daemon
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def child(target: Callable[..., None], *arguments: Any) -> tuple[BaseProcess, Connection]:
    """Fork a process that runs a function with its end of a pipe and further arguments; return it
    and the end at which what it sends is received. Raises OSError where there can be none."""
    ours, theirs = multiprocessing.Pipe(duplex=False)
    with theirs, starting():
        process = multiprocessing.get_context("fork").Process(
            target=_sending, args=(target, theirs, ours, arguments), daemon=True
        )
        process.start()
    return process, ours


def _sending(
    target: Callable[..., None], own: Connection, other: Connection, arguments: tuple[Any, ...]
) -> None:
    other.close()  # by its end of the pipe it is seen that the command has gone
    target(own, *arguments)


def _serve(control: Connection, others: Connection) -> None:
    """Fork a worker whenever one is asked for and tell its number and its exit status, until nobody
    is there to ask."""
    others.close()
    multiprocessing.current_process().daemon = False  # which might start none
    os.setsid()  # what ends the sweep's group, such as `timeout`, lets its workers finish
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):  # a reader of what the sweep says waits for the sweep alone
        os.dup2(nothing, stream)
    for name in MODULES:
        with suppress(Exception):  # a worker that needs it says what is wrong
            importlib.import_module(name)
    gc.freeze()  # what all share is copied where a worker's collector touches it
    workers: dict[int, BaseProcess] = {}
    with suppress(EOFError, OSError):
        while True:
            for ready in connections.wait([control, *workers]):
                if ready is control:
                    forked = _forked(control)
                    if forked is None:
                        control.send((None, LOST))
                        continue
                    workers[forked.sentinel] = forked
                    control.send((forked.pid, None))
                elif isinstance(ready, int):
                    worker = workers.pop(ready)
                    worker.join()
                    control.send((worker.pid, worker.exitcode))
                    worker.close()


def _forked(control: Connection) -> BaseProcess | None:
    """Return a worker as it is asked for; None where no process can be had."""
    target, arguments = control.recv()
    with Connection(reduction.recv_handle(control)) as connection:
        own = control, target, connection, arguments
        worker = multiprocessing.get_context("fork").Process(target=_work, args=own, daemon=True)
        try:
            worker.start()
        except OSError:
            return None
    return worker


def _work(
    control: Connection,
    target: Callable[..., None],
    connection: Connection,
    arguments: tuple[Any, ...],
) -> None:
    """Run a worker: the server is its parent, and what comes from the sweep is not for it."""
    control.close()
    target(connection, *arguments)
