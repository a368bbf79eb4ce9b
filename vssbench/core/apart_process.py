"""The process in which work is done that may crash (see ``apart``): takes tasks from its input,
answers each."""

from __future__ import annotations

import gc
import os
import pickle
import select
import struct
import sys
import threading
import time
import traceback
from typing import Any

from vssbench.core.apart import (
    ALIVE,
    END,
    ERROR,
    HEAD,
    ITEM,
    LENGTH,
    LOOK,
    Failure,
    Surroundings,
    Task,
    listen,
    widen,
)  # fmt: skip


def serve() -> None:
    """Answer tasks until the input ends."""
    # answers have a pipe of their own: what a library prints goes where errors go
    answers = os.dup(1)
    os.dup2(2, 1)
    widen(answers)
    threading.Thread(target=end_with_input, daemon=True).start()
    teller = _Teller(answers)
    listen(teller.alive)
    source = sys.stdin.buffer
    while head := source.read(LENGTH.size):
        (size,) = LENGTH.unpack(head)
        _do(source.read(size), teller)
        gc.collect()  # of FFmpeg's filters PyAV 19 lets go no earlier, threads and all


def end_with_input() -> None:
    """End this process when the other side has gone, even in the midst of a task."""
    poll = select.poll()
    poll.register(0, 0)
    poll.poll()
    os._exit(1)


class _Teller:
    """Writes answers; a sign of life now and then."""

    def __init__(self, answers: int) -> None:
        self._answers = answers
        self._last = 0.0

    def alive(self) -> None:
        if time.monotonic() - self._last > LOOK:
            self._write(HEAD.pack(ALIVE, 0, 0))

    def end(self) -> None:
        self._write(HEAD.pack(END, 0, 0))

    def tell(self, kind: int, content: Any) -> None:
        buffers: list[pickle.PickleBuffer] = []
        data = pickle.dumps(content, protocol=5, buffer_callback=buffers.append)
        views = [each.raw() for each in buffers]
        sizes = struct.pack(f"<{len(views)}Q", *(view.nbytes for view in views))
        self._write(HEAD.pack(kind, len(data), len(views)) + sizes + data)
        for view in views:
            self._write(view)

    def _write(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        while left:
            try:
                left = left[os.write(self._answers, left) :]
            except BrokenPipeError:  # the other side has gone
                os._exit(1)
        self._last = time.monotonic()


def _do(message: bytes, teller: _Teller) -> None:
    try:
        task: Task = pickle.loads(message)
        if task.surroundings is not None:
            _settle(task.surroundings)
        function, arguments = pickle.loads(task.work)
        for item in function(*arguments):
            teller.tell(ITEM, item)
    except Exception as error:  # whatever it is, it belongs to the one who gave the task
        written = traceback.format_exc()
        try:
            teller.tell(ERROR, Failure(error, written))
        except Exception:  # an error that cannot be sent: its words can
            teller.tell(ERROR, Failure(RuntimeError(str(error)), written))
    else:
        teller.end()


def _settle(surroundings: Surroundings) -> None:
    """Take over environment, folder and import path."""
    os.environ.clear()
    os.environ.update(surroundings.environment)
    sys.path[:] = surroundings.path
    if surroundings.folder:
        os.chdir(surroundings.folder)
