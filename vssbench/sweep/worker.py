"""The process in which tasks are performed, one after another.

It talks to the process that started it through a pipe: it is given tasks, and sends ``ready``,
``frames`` with a number, and ``answer``. It ends when that process does, whatever it is doing.
"""

from __future__ import annotations

import faulthandler
import io
import os
import sys
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection as connections
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, TextIO

from vssbench.sweep.executor import Place

#: what the system ends first where memory runs out: an experiment, not the sweep
_EXPENDABLE = "500"
#: the variable that says which GPUs a process sees
VISIBLE = "CUDA_VISIBLE_DEVICES"
#: bytes of what was printed that are kept of a task, the last ones
LOG_BYTES = 1 << 16


@dataclass(frozen=True)
class Setting:
    """The folders of the store and of the bitstreams, the file that takes what is printed, the
    number of threads, the one GPU that is seen (None: all), and whether it is a machine of a
    cluster."""

    root: Path
    cache: Path
    log: Path
    threads: int | None
    gpu: str | None = None
    away: bool = False


def serve(connection: Connection, setting: Setting) -> None:
    """Run the process from its start to its end."""
    os.setsid()  # Ctrl-C is the sweep's to heed, and what this process starts ends with it
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_EXPENDABLE, encoding="utf-8")
    log = print_into(setting.log)
    sys.stdout, sys.stderr = printing(1), printing(2)
    faulthandler.enable()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if setting.gpu is not None:
        os.environ[VISIBLE] = setting.gpu
    import torch

    if setting.threads is not None:
        torch.set_num_threads(setting.threads)
    place = Place(
        setting.root,
        setting.cache,
        lambda frames: connection.send(("frames", frames)),
        lambda: read_log(setting.log),
        setting.away,
    )
    performers: dict[type, Any] = {}
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(("ready", None))
        while True:
            job = connection.recv()
            os.ftruncate(log, 0)
            if type(job) not in performers:
                performers[type(job)] = job.performer(place)
            connection.send(("answer", performers[type(job)](job)))


def print_into(path: Path) -> int:
    """Have all that this process prints appended to a file; returns its descriptor."""
    log = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    return log


class _Log(io.FileIO):
    """A file that drops what it cannot take: a task fails by what it does, not by what it prints to
    a disk that is full."""

    def write(self, text: Any, /) -> int:
        """Write bytes, or nothing; returns how many are dealt with."""
        try:
            return super().write(text)
        except OSError:
            return memoryview(text).nbytes


def printing(descriptor: int) -> TextIO:
    """Return the stream for what is printed, whose writing never fails."""
    raw = _Log(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True
    )


def read_log(path: Path) -> str:
    """Return the end of what was printed."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - LOG_BYTES))
            return file.read().decode(errors="replace")
    except OSError:
        return ""


def _end_with_parent() -> None:
    parent = parent_process()
    if parent is not None:
        connections.wait([parent.sentinel])
        os._exit(1)
