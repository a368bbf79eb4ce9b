"""Encoding in a process of its own: images are piped to it, and what became of them comes back.

An encoder may crash, hang, leak, or change what belongs to the whole process: as root, SVT-AV1
makes every thread a real-time one. The process ends with the encode; only after a small one it
waits for the next, so that many small clips do not each wait for a start.
"""

from __future__ import annotations

import math
import os
import pickle
import select
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, Any

import numpy as np

from vssbench.core.ahead import raise_if_unwanted
from vssbench.core.apart import LENGTH, Waiting, death, start
from vssbench.core.errors import DataError, VssbenchError
from vssbench.core.video import Image

#: bytes that are given at a time
_PIECE = 1 << 20
#: a process that has encoded no more bytes of images than this is kept for the next encode
KEPT_BYTES = 50_000_000
#: seconds between two looks at whether the encode is still wanted, and whether the process still
#: works
_LOOK = 0.2
#: seconds without progress after which an encoder counts as hung: where its process does nothing at
#: all, and in any case
STILL, STUCK = 120.0, 1800.0
#: encoders that stop in the midst of one encode in some hundred, all their threads waiting for each
#: other (SVT-AV1 4.1, unless its threads are real-time ones); the encode begins again, for other
#: attempts are sound and give the same bits
STALLING, STALLED, ATTEMPTS = ("libsvtav1",), 5.0, 8
#: what the process runs: the code of this one, wherever that comes from
_PROGRAM = (
    "import sys; sys.path[:] = {path!r}; from vssbench.codec.encoder_process import serve; serve()"
)


@dataclass(frozen=True)
class Task:
    """One encode: the file to write, the shape of all images, and the rest as ``encode`` has it."""

    path: Path
    settings: Any
    fps: float
    shape: tuple[int, ...]

    @property
    def title(self) -> str:
        """The encoder and what it was to encode, as ``libx264, encoding 480x360 frames``."""
        return f"{self.settings.encoder}, encoding {self.shape[1]}x{self.shape[0]} frames"


@dataclass(frozen=True)
class Answer:
    """A task's outcome: a result, or an error with its traceback in the process."""

    result: Any = None
    error: BaseException | None = None
    traceback: str = ""


def encode_apart(task: Task, images: Iterator[Image]) -> Any:
    """Return the result of a task, whose images are all of its shape and uint8.

    Raises the encoder's own errors; DataError where it crashes or hangs.
    """
    if task.settings.encoder not in STALLING:
        with _process() as process:
            return process.run(task, images, STILL)
    with tempfile.TemporaryFile(prefix="vssbench-") as file:
        kept = _Kept(file, task.shape)
        recorded = kept.record(images)
        for _ in range(ATTEMPTS - 1):
            try:
                with _process() as process:
                    return process.run(task, chain(kept.again(), recorded), STALLED)
            except Hung:
                continue
        with _process() as process:
            return process.run(task, chain(kept.again(), recorded), STILL)


@dataclass
class _Kept:
    """The images so far, in a file without a name: an encode can begin again."""

    file: IO[bytes]
    shape: tuple[int, ...]
    count: int = 0

    def record(self, images: Iterator[Image]) -> Iterator[Image]:
        """Yield the images, each of which is kept before it is handed on. Raises DataError on a
        full disk."""
        for image in images:
            try:
                self.file.seek(self.count * image.nbytes)
                self.file.write(image.data.cast("B"))
            except OSError as error:
                raise DataError(
                    f"the images to encode cannot be kept in {tempfile.gettempdir()}: "
                    f"{error.strerror}; free space there"
                ) from error
            self.count += 1
            yield image

    def again(self) -> Iterator[Image]:
        """Yield the images that are kept by now."""
        size = math.prod(self.shape)
        for index in range(self.count):
            self.file.seek(index * size)
            yield np.frombuffer(self.file.read(size), np.uint8).reshape(self.shape)


class Hung(DataError):
    """An encoder that makes no progress."""


@contextmanager
def _process() -> Iterator[_Process]:
    """Yield a process that waits or a new one; it is ended unless all went well and it has done
    little."""
    process = waiting.take()
    try:
        yield process
    except BaseException:
        process.end()
        raise
    if process.bytes_given > KEPT_BYTES:
        process.end()
    else:
        waiting.give_back(process)


class _Process:
    """A process that encodes, one task after another."""

    def __init__(self) -> None:
        self.bytes_given, self._still = 0, STILL
        self._child = start(_PROGRAM.format(path=sys.path), "encoder")
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._images, self._answers = self._child.stdin.fileno(), self._child.stdout.fileno()
        os.set_blocking(self._images, False)

    @property
    def usable(self) -> bool:
        """Whether it can take another task."""
        return self._child.poll() is None

    def run(self, task: Task, images: Iterator[Image], still: float) -> Any:
        """See encode_apart; ``still`` is how long it may do nothing at all, in seconds."""
        self._still = still
        if self._give(task, pickle.dumps(task)):
            for image in images:
                self.bytes_given += image.nbytes
                if not self._give(task, image.data.cast("B")):
                    break
            else:
                self._give(task, b"")
        answer = self._answer(task)
        if answer.error is None:
            return answer.result
        if not isinstance(answer.error, VssbenchError):
            answer.error.add_note(f"in the encoder's process:\n{answer.traceback}")
        raise answer.error

    def end(self) -> None:
        """End the process, whatever it does."""
        self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None
            pipe.close()

    def _give(self, task: Task, message: bytes | memoryview) -> bool:
        """Give it a message; False where it has answered or ended before it took all."""
        for part in (memoryview(LENGTH.pack(len(message))), memoryview(message)):
            left = part
            while left:
                if self._ready(task, giving=True) != self._images:
                    return False
                try:
                    left = left[os.write(self._images, left[:_PIECE]) :]
                except BrokenPipeError:
                    return False
        return True

    def _answer(self, task: Task) -> Answer:
        (size,) = LENGTH.unpack(self._read(task, LENGTH.size))
        answer = pickle.loads(self._read(task, size))
        assert isinstance(answer, Answer)
        return answer

    def _read(self, task: Task, size: int) -> bytes:
        data = b""
        while len(data) < size:
            self._ready(task, giving=False)
            piece = os.read(self._answers, size - len(data))
            if not piece:
                raise DataError(
                    f"{task.title}, {death(self._child.wait())}: choose other parameters or "
                    "another codec"
                )
            data += piece
        return data

    def _ready(self, task: Task, giving: bool) -> int:
        """Wait until there is an answer, or room for images where these are to be given; returns
        which pipe it is."""
        poll = select.poll()
        poll.register(self._answers, select.POLLIN)
        if giving:
            poll.register(self._images, select.POLLOUT)
        waited = idle = 0.0
        work = self._work()
        while True:
            raise_if_unwanted()
            ready = [pipe for pipe, _ in poll.poll(_LOOK * 1000)]
            if ready:
                return self._answers if self._answers in ready else self._images
            # counted, not timed: nothing is to be held against a process that was suspended
            # together with this one
            done = self._work()
            idle = idle + _LOOK if done == work else 0.0
            waited, work = waited + _LOOK, done
            if waited >= STUCK or (done is not None and idle >= self._still):
                raise Hung(
                    f"{task.title}, made no progress for {waited:.0f} s and was ended: it hangs "
                    "with these parameters; choose others or another codec"
                )

    def _work(self) -> bytes | None:
        """Return the processor time that it has used, in the kernel's words; None where the system
        does not tell."""
        try:
            fields = Path(f"/proc/{self._child.pid}/stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return None
        return b" ".join(fields[11:13])


#: the processes that encode
waiting = Waiting(_Process)
