"""The process in which experiments run, one after another, on the machine of the sweep.

It talks to the process that started it through a pipe: it is given jobs, and sends ``ready``,
``frames`` with a number, and ``answer``. It ends when that process does, whatever it is doing.
"""

from __future__ import annotations

import faulthandler
import os
import threading
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection as connections
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from pathlib import Path

#: what the system ends first where memory runs out: an experiment, not the sweep
_EXPENDABLE = "500"
#: bytes of what was printed that are kept of a job, the last ones
LOG_BYTES = 1 << 16


@dataclass(frozen=True)
class Setting:
    """The folders of the store and of the bitstreams, the file that takes what is printed, and the
    number of threads."""

    root: Path
    cache: Path
    log: Path
    threads: int | None


def serve(connection: Connection, setting: Setting) -> None:
    """Run the process from its start to its end."""
    os.setsid()  # Ctrl-C is the sweep's to heed, and what this process starts ends with it
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_EXPENDABLE, encoding="utf-8")
    log = os.open(setting.log, os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    faulthandler.enable()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    import torch

    from vssbench.sweep.performing import Performer

    if setting.threads is not None:
        torch.set_num_threads(setting.threads)
    performer = Performer(
        setting.root,
        setting.cache,
        lambda frames: connection.send(("frames", frames)),
        lambda: read_log(setting.log),
    )
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):
        connection.send(("ready", None))
        while True:
            job = connection.recv()
            os.ftruncate(log, 0)
            connection.send(("answer", performer.perform(job)))


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
