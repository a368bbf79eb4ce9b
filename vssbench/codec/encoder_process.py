"""The process in which encoders run (see ``apart``): takes tasks and their images from its input,
answers each."""

from __future__ import annotations

import ctypes
import gc
import os
import pickle
import re
import resource
import struct
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

from vssbench.codec.apart import Answer, Task
from vssbench.codec.encode import encode_here
from vssbench.core.apart import LENGTH
from vssbench.core.apart_process import end_with_input
from vssbench.core.errors import DataError
from vssbench.core.video import Image

#: SVT-AV1 reports itself to the terminal unless this variable says otherwise, and says nothing but
#: fatal errors at 0
LOG_VARIABLE, LOG_FATAL = "SVT_LOG", "0"
#: the right to real-time scheduling, and the form of the calls that give it up (linux/capability.h)
_CAP_SYS_NICE, _VERSION_3, _PR_CAPBSET_DROP = 23, 0x20080522, 24


class _Over(Exception):
    """The other side has gone."""


def serve() -> None:
    """Answer tasks until the input ends or one fails: what an encoder leaves behind after an error
    is unknown."""
    # answers have a pipe of their own: what a library prints goes where errors go
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    os.environ.setdefault(LOG_VARIABLE, LOG_FATAL)
    threading.Thread(target=end_with_input, daemon=True).start()
    source = sys.stdin.buffer
    try:
        give_up_real_time()
        while True:
            answer = _encode(pickle.loads(_message(source)), source)
            _put(answers, answer)
            gc.collect()  # of FFmpeg's filters PyAV 19 lets go no earlier, threads and all
            if answer.error is not None:
                return
    except _Over:
        return
    except DataError as error:
        _put(answers, Answer(error=error))


def _encode(task: Task, source: BinaryIO) -> Answer:
    try:
        return Answer(encode_here(_images(task, source), task.path, task.settings, task.fps))
    except _Over:
        raise
    except Exception as error:  # whatever it is, it belongs to the one who gave the task
        return Answer(error=error, traceback=traceback.format_exc())


def _images(task: Task, source: BinaryIO) -> Iterator[Image]:
    while data := _message(source):
        yield np.frombuffer(data, np.uint8).reshape(task.shape)


def _message(source: BinaryIO) -> bytes:
    (size,) = LENGTH.unpack(_exactly(source, LENGTH.size))
    return _exactly(source, size)


def _exactly(source: BinaryIO, size: int) -> bytes:
    data = source.read(size)
    if len(data) != size:
        raise _Over
    return data


def _put(answers: BinaryIO, answer: Answer) -> None:
    try:
        data = pickle.dumps(answer)
    except Exception:  # an error that cannot be sent: its words can
        data = pickle.dumps(
            Answer(error=RuntimeError(str(answer.error)), traceback=answer.traceback)
        )
    answers.write(LENGTH.pack(len(data)) + data)
    answers.flush()


def give_up_real_time() -> None:
    """Make real-time scheduling impossible for this thread and those that it starts: one such
    encoder stops a machine of few processors. Raises DataError where the system does not let it go.
    """
    if hasattr(resource, "RLIMIT_RTPRIO"):
        resource.setrlimit(resource.RLIMIT_RTPRIO, (0, 0))
    if not _may_be_real_time():
        return
    library = ctypes.CDLL(None, use_errno=True)
    library.prctl(_PR_CAPBSET_DROP, _CAP_SYS_NICE, 0, 0, 0)
    header, sets = (
        ctypes.create_string_buffer(struct.pack("<Ii", _VERSION_3, 0)),
        ctypes.create_string_buffer(24),
    )
    # two triples of the effective, the permitted and the inherited set: the first holds
    # capabilities 0 to 31
    if library.capget(header, sets) == 0:
        words = enumerate(struct.unpack("<6I", sets.raw))
        kept = [word & ~(1 << _CAP_SYS_NICE) if index < 3 else word for index, word in words]
        library.capset(header, struct.pack("<6I", *kept))
    if _may_be_real_time():
        raise DataError(
            "the encoder's process could not give up the right to real-time scheduling "
            f"({os.strerror(ctypes.get_errno())}), with which an encoder can stop the machine: run "
            "as another user than root, or without CAP_SYS_NICE"
        )


def _may_be_real_time() -> bool:
    """Return whether this thread has CAP_SYS_NICE; no where the system has no such rights."""
    try:
        match = re.search(
            r"^CapEff:\s*([0-9a-f]+)$", Path("/proc/thread-self/status").read_text(), re.MULTILINE
        )
    except OSError:
        return False
    return match is not None and bool(int(match[1], 16) >> _CAP_SYS_NICE & 1)
