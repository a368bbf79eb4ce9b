"""A worker process as the process that started it holds it: given tasks, watched, ended."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

import psutil

from vssbench.sweep.executor import Limits, Task
from vssbench.sweep.forks import Fork, ForkServer, starting
from vssbench.sweep.worker import Setting, read_log, serve


class WorkerProcess:
    """A worker process and the task that it has: a fork of the server, if one is given."""

    def __init__(self, setting: Setting, server: ForkServer | None = None) -> None:
        self.setting, self.ready, self.ended = setting, False, False
        self.job: Task | None = None
        self.latest: Task | None = None
        #: whether it had read nothing of what its task reads
        self.fresh = True
        self.began = 0.0
        #: frames of its task that it has reported
        self.frames = 0
        self.connection, theirs = multiprocessing.Pipe()
        try:
            fork = server and server.start(serve, theirs, setting)
            self.process: BaseProcess | Fork = fork or _spawned(theirs, setting)
        finally:
            theirs.close()

    @property
    def printed(self) -> str:
        """The end of what was printed for its task."""
        return read_log(self.setting.log)

    def give(self, job: Task) -> None:
        """Hand it a task; its limits count from now."""
        self.job, self.latest, self.began, self.frames = job, job, time.monotonic(), 0
        with suppress(OSError):  # it ended meanwhile, as will be seen
            self.connection.send(job)

    def messages(self) -> Iterator[tuple[str, Any]]:
        """Yield what it has sent by now."""
        with suppress(EOFError, OSError):
            while self.connection.poll():
                kind, content = self.connection.recv()
                self.ready = self.ready or kind == "ready"
                yield kind, content

    def excess(self, limits: Limits) -> str:
        """Say which limit its job exceeds; empty if none."""
        if self.job is None:
            return ""
        seconds = time.monotonic() - self.began
        if limits.seconds is not None and seconds > limits.seconds:
            return (
                f"took longer than {limits.seconds:g} s and was ended: give it more by --time-limit"
            )
        if limits.memory is not None and (taken := self._memory()) > limits.memory:
            return (
                f"took {taken / 1e9:.2f} GB of memory, more than {limits.memory / 1e9:g} GB, and "
                "was ended: give it more by --memory-limit"
            )
        return ""

    def death(self) -> str:
        """Say how its process ended; empty while it lives."""
        if self.process.is_alive():
            return ""
        return ended(self.process.exitcode or 0)

    def end(self) -> None:
        """End the process and all that it started."""
        if self.ended:
            return
        self.ended = True
        with suppress(ProcessLookupError, PermissionError):
            if self.process.pid is not None:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _memory(self) -> int:
        """Return the bytes of memory that it and its children hold."""
        resident = 0
        with suppress(psutil.Error):
            process = psutil.Process(self.process.pid)
            for each in (process, *process.children(recursive=True)):
                with suppress(psutil.Error):
                    resident += each.memory_info().rss
        return resident


def ended(status: int) -> str:
    """Say how a process ended, by its exit status or, below zero, its signal."""
    if status >= 0:
        return f"its process ended (exit status {status})"
    names = {int(each): each.name for each in signal.Signals}
    name = names.get(-status, f"signal {-status}")
    if name == "SIGKILL":
        return "its process was killed (SIGKILL), as happens where memory runs out"
    return f"its process crashed ({name})"


def _spawned(connection: Connection, setting: Setting) -> BaseProcess:
    """Start a worker that imports everything anew."""
    context = multiprocessing.get_context("spawn")
    process = context.Process(target=serve, args=(connection, setting), daemon=True)
    with starting():
        process.start()
    return process
