"""Work in a process that may die: a crash or a hang there is one error here, and no more.

Videos of strangers are decoded so. The process is a fresh interpreter, not a fork; it stays for
the next piece of work. Arrays come through a pipe straight into the memory in which they are used.
It is no wall against code that a file may smuggle into a decoder: docs/bounds.md says so.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import pickle
import select
import signal
import struct
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np

from vssbench.core.ahead import raise_if_unwanted
from vssbench.core.bounds import SILENCE
from vssbench.core.errors import DataError, VssbenchError

T = TypeVar("T")

#: before each task, how many bytes it has
LENGTH = struct.Struct("<Q")
#: before each answer: its kind, the bytes of its pickle, and the number of arrays beside that
HEAD = struct.Struct("<BQI")
#: kinds of answers: one of several items, the last of all, an error, a sign of life
ITEM, END, ERROR, ALIVE = range(4)
#: seconds between two looks at whether the answer is still wanted, and between two signs of life
LOOK = 0.2
#: bytes that a pipe should hold, where the system allows as many
_PIPE = 1 << 20
#: processes that wait for work at most
_MOST_IDLE = 3
#: what the process runs: the code of this one, wherever that comes from
PROGRAM = (
    "import sys; sys.path[:] = {path!r}; from vssbench.core.apart_process import serve; serve()"
)


@dataclass(frozen=True)
class Surroundings:
    """State that a process may change after it has started another: variables, folder, path."""

    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))
    folder: str = field(default_factory=lambda: _folder())
    path: tuple[str, ...] = field(default_factory=lambda: tuple(sys.path))


@dataclass(frozen=True)
class Task:
    """A function and its arguments as a pickle; ``surroundings`` where they are others than
    before."""

    work: bytes
    surroundings: Surroundings | None


@dataclass(frozen=True)
class Failure:
    """An error of a task, with its traceback in the process."""

    error: BaseException
    traceback: str


class Died(DataError):
    """The process crashed, was killed or hung in the midst of a task."""


def call(what: str, function: Callable[..., T], *arguments: Any) -> T:
    """Return what a function returns in a process that may die.

    The function is one that can be imported, its arguments and what it returns pickle. ``what`` is
    what it reads, for messages. Raises the function's own errors, and Died.
    """
    (result,) = each(what, _once, function, *arguments)
    return result


def each(what: str, function: Callable[..., Iterator[T]], *arguments: Any) -> Iterator[T]:
    """Yield what a generator yields in a process that may die; see :func:`call`."""
    process = waiting.take()
    try:
        yield from process.run(what, function, *arguments)
    finally:
        waiting.give_back(process)


def tick() -> None:
    """Say that work goes on, in a long task without items; does nothing outside a process of this
    kind."""
    for say in _listeners:
        say()


#: told by :func:`tick`
_listeners: list[Callable[[], object]] = []


def listen(say: Callable[[], object]) -> None:
    """Have a function called by :func:`tick`."""
    _listeners.append(say)


def _once(function: Callable[..., T], *arguments: Any) -> Iterator[T]:
    yield function(*arguments)


class Process:
    """A process that does one task after another; one thread uses it at a time."""

    def __init__(self) -> None:
        self._known: Surroundings | None = None
        #: whether it has nothing to do: an answer that nobody waited for makes it useless
        self._free = True
        self._child = start(PROGRAM.format(path=sys.path), "decoder")
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._tasks, self._answers = self._child.stdin.fileno(), self._child.stdout.fileno()
        os.set_blocking(self._answers, False)
        widen(self._answers)

    @property
    def usable(self) -> bool:
        """Whether it can take another task."""
        return self._free and self._child.poll() is None

    def call(self, what: str, function: Callable[..., T], *arguments: Any) -> T:
        """See :func:`call`."""
        (result,) = self.run(what, _once, function, *arguments)
        return result

    def run(self, what: str, function: Callable[..., Iterator[T]], *arguments: Any) -> Iterator[T]:
        """See :func:`each`. A process whose items were not all taken is not usable any more."""
        self._free = False
        self._give(what, function, arguments)
        while True:
            kind, content = self._answer(what)
            if kind == ITEM:
                yield content
            elif kind == END:
                self._free = True
                return
            elif kind == ERROR:
                self._free = True
                if not isinstance(content.error, VssbenchError):
                    content.error.add_note(f"in the decoder's process:\n{content.traceback}")
                raise content.error

    def end(self) -> None:
        """End it, whatever it does."""
        self._free = False
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()

    def _give(self, what: str, function: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
        now = Surroundings()
        work = pickle.dumps((function, arguments), protocol=5)
        data = pickle.dumps(Task(work, None if now == self._known else now))
        self._known = now
        left = memoryview(LENGTH.pack(len(data)) + data)
        try:
            while left:
                left = left[os.write(self._tasks, left) :]
        except BrokenPipeError:
            raise self._died(what) from None

    def _answer(self, what: str) -> tuple[int, Any]:
        kind, size, count = HEAD.unpack(self._read(what, HEAD.size))
        if kind in (END, ALIVE):
            return kind, None
        sizes = struct.unpack(f"<{count}Q", self._read(what, 8 * count))
        data = self._read(what, size)
        return kind, pickle.loads(data, buffers=[self._read(what, each) for each in sizes])

    def _read(self, what: str, size: int) -> memoryview:
        """Read so many bytes into memory of their own, which arrays then use."""
        whole = np.empty(size, np.uint8).data
        left = whole
        while left:
            try:
                count = os.readv(self._answers, [left])
            except BlockingIOError:
                self._wait(what)
                continue
            if not count:
                raise self._died(what)
            left = left[count:]
        return whole

    def _wait(self, what: str) -> None:
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        # counted, not timed: nothing is to be held against a process that was suspended together
        # with this one
        looks = 0
        while not poll.poll(LOOK * 1000):
            raise_if_unwanted()
            looks += 1
            if looks * LOOK >= SILENCE.most:
                self.end()
                raise Died(
                    f"{what}: its decoder gave nothing for {looks * LOOK:.0f} s and was ended: the "
                    "file is broken, or made to do harm; convert it, or where it is only slow set "
                    f"{SILENCE.variable}={2 * SILENCE.most}"
                )

    def _died(self, what: str) -> Died:
        return Died(
            f"{what}: its decoder {death(self._child.wait())}. Only the process that decodes was "
            "lost; the file is broken, or made to do harm: give another, or convert it"
        )


def start(program: str, purpose: str) -> subprocess.Popen[bytes]:
    """Start a fresh interpreter with pipes to and from it. Raises DataError."""
    # Ctrl-C reaches all processes of a terminal; what to do on it is decided here
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            [sys.executable, "-c", program],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
    except OSError as error:
        raise DataError(
            f"no process for the {purpose} could be started: {error.strerror or error}; close "
            "other programs, or try again"
        ) from error
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def widen(pipe: int) -> None:
    """Let a pipe hold more at a time, where the system allows it: fewer turns for large arrays."""
    try:
        fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)
    except (AttributeError, OSError):
        return  # it stays as it is, and all comes through it all the same


def death(status: int) -> str:
    """Say in words how a process ended that gave no answer."""
    if status >= 0:
        return f"left its process (exit status {status})"
    name = signal.Signals(-status).name if -status in list(signal.Signals) else f"signal {-status}"
    return (
        "was killed (SIGKILL), as happens where memory runs out"
        if name == "SIGKILL"
        else f"crashed ({name})"
    )


class Worker(Protocol):
    """A process that does one task after another."""

    @property
    def usable(self) -> bool:
        """Whether it can take another task."""

    def end(self) -> None:
        """End it, whatever it does."""


W = TypeVar("W", bound=Worker)


class Waiting(Generic[W]):
    """Processes that wait for a task, at most ``most`` of them, which end with this one."""

    def __init__(self, begin: Callable[[], W], most: int | None = None) -> None:
        self._begin, self._most = begin, most
        #: by the process whose children they are: after a fork they are not the new one's
        self._owned: dict[int, deque[W]] = {}
        atexit.register(self.end)

    def __len__(self) -> int:
        return len(self._idle())

    def take(self) -> W:
        """Return one that can be used, or a new one."""
        while self._idle():
            try:
                process = self._idle().pop()
            except IndexError:  # another thread was faster
                break
            if process.usable:
                return process
            process.end()
        return self._begin()

    def give_back(self, process: W) -> None:
        """Keep a process for the next task; it is ended where it is of no use or one too many."""
        if process.usable and (self._most is None or len(self) < self._most):
            self._idle().append(process)
        else:
            process.end()

    def end(self) -> None:
        """End those that wait."""
        while self._idle():
            self._idle().pop().end()

    def _idle(self) -> deque[W]:
        return self._owned.setdefault(os.getpid(), deque())


#: the processes that decode; each of a program as it is when one begins
waiting = Waiting(Process, _MOST_IDLE)


def _folder() -> str:
    try:
        return str(Path.cwd())
    except FileNotFoundError:  # it was removed: relative paths lead nowhere then
        return ""


class Shared:
    """One process for all who ask it, one after the other, that keeps what was opened in it.

    ``forget`` is called when a new process has to be begun, in which nothing is open: the first,
    the one after a death, and that of a fork.
    """

    def __init__(self, forget: Callable[[], object]) -> None:
        self._forget = forget
        self._owned: dict[int, tuple[threading.RLock, list[Process]]] = {}
        atexit.register(self.end)

    def end(self) -> None:
        """End the process; the next call begins a new one."""
        _, held = self._mine()
        while held:
            held.pop().end()

    def lock(self) -> threading.RLock:
        """Return the lock that is held around calls that belong together."""
        return self._mine()[0]

    def call(self, what: str, function: Callable[..., T], *arguments: Any) -> T:
        """See :func:`call`; the lock is held."""
        lock, held = self._mine()
        with lock:
            self.renew()
            return held[0].call(what, function, *arguments)

    def renew(self) -> None:
        """Begin a new process where there is none that can be used."""
        _, held = self._mine()
        if held and held[0].usable:
            return
        self.end()
        self._forget()
        held.append(Process())

    def _mine(self) -> tuple[threading.RLock, list[Process]]:
        return self._owned.setdefault(os.getpid(), (threading.RLock(), []))
