"""The memory of a training's data: one limit in bytes for all that is kept or waits, whoever keeps
it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import numpy.typing as npt

from vssbench.core.errors import UsageError
from vssbench.core.motion import MotionField

#: bytes kept where nothing else is asked for: 4 GiB
DEFAULT_BYTES = 4 * 2**30
#: what an entry takes beside its pixels: the array's own head, its key, its place in the table
HEAD_BYTES = 512

Array = npt.NDArray[Any]
#: what can be kept: pixels, labels, a motion field on its grid, or the knowledge that there is
#: nothing
Kept = Array | MotionField | None
K = TypeVar("K", bound=Kept)


class Memory:
    """The data that a training keeps, within ``limit`` bytes: images, labels, decoded frames and
    motion fields.

    What does not fit is made again when it is asked for; what was used longest ago goes first.
    Batches that wait for the network are taken off the limit by :meth:`reserve`. Processes that
    load data inherit what is kept and share its pages;
    :meth:`divide` gives each of them its part of what is left.
    """

    def __init__(self, limit: int = DEFAULT_BYTES) -> None:
        self.limit = limit
        #: bytes set aside for batches that wait
        self.reserved = 0
        #: bytes that the entries of this process take, without those that it shares with the one
        #: that started it
        self.held = 0
        #: whether the room that is left is other processes', so that nothing more may be kept here
        self.lent = False
        self._entries: OrderedDict[Hashable, Kept] = OrderedDict()
        self._shared: Mapping[Hashable, Kept] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Return a process that is started afresh, not forked, begins with nothing: a copy of the
        entries would count twice."""
        return {**self.__dict__, "held": 0, "lent": False, "_entries": OrderedDict(), "_shared": {}}

    @property
    def room(self) -> int:
        """Bytes that can still be kept without letting go of anything."""
        return max(0, self.limit - self.reserved - self.held)

    def get(self, key: Hashable, make: Callable[[], K]) -> K:
        """Return the entry ``key``, made now if it is not here, and kept if it fits."""
        if not self.has(key):
            made = owned(make())
            self.keep(key, made)
            return made
        kept: Any = self.peek(key)
        return kept

    def has(self, key: Hashable) -> bool:
        """Return whether the entry ``key`` is kept."""
        return key in self._entries or key in self._shared

    def peek(self, key: Hashable) -> Kept:
        """Return the entry ``key``, which must be here; it is then the one used last."""
        if key in self._entries:
            self._entries.move_to_end(key)
            return self._entries[key]
        return self._shared[key]

    def keep(self, key: Hashable, value: Kept) -> None:
        """Keep a value that is not kept yet, in the place of what was used longest ago, if it fits
        at all."""
        if self.lent or self.has(key) or size_of(value) > self.limit - self.reserved:
            return
        value = owned(value)
        self._shrink_to(self.limit - self.reserved - size_of(value))
        self._entries[key] = value
        self.held += size_of(value)

    def reserve(self, size: int) -> None:
        """Set ``size`` bytes aside, in place of those before, for what is in use beside the
        entries."""
        self.reserved = size
        self._shrink_to(self.limit - size)

    def clear(self) -> None:
        """Let go of everything that this process keeps."""
        self._shrink_to(0)

    def divide(self, processes: int) -> None:
        """Share the limit: called in each of ``processes`` just started: what was inherited stays,
        shared, and each may add its part."""
        self.limit = self.room // processes
        self._shared, self._entries = {**self._shared, **self._entries}, OrderedDict()
        self.held = self.reserved = 0
        self.lent = False

    def _shrink_to(self, size: int) -> None:
        while self._entries and self.held > size:
            _, value = self._entries.popitem(last=False)
            self.held -= size_of(value)


def size_of(value: Kept) -> int:
    """Return the bytes that an entry takes."""
    pixels = value.grid if isinstance(value, MotionField) else value
    return HEAD_BYTES + (0 if pixels is None else pixels.nbytes)


def owned(value: K) -> K:
    """Return the value with memory of its own: a piece of a larger array would keep all of that
    alive, a field its blocks."""
    copied: Any = value
    if isinstance(copied, MotionField):
        copied = replace(copied, grid=owned(copied.grid), blocks=None, step=None)
    elif copied is not None and copied.base is not None:
        copied = copied.copy()
    return copied


def memory_of_process(gibibytes: float, processes: int) -> Memory:
    """Return the memory of one of several training processes on this machine, which share the limit
    evenly."""
    return Memory(int(gibibytes * 2**30) // processes)


def batches_ahead(memory: Memory, batch: int, workers: int, passes: int, most: int) -> int:
    """Return how many batches each loading process works ahead, ``most`` at best; what waits is
    taken off the memory.

    ``batch`` is a batch's size in bytes, ``passes`` how many of them a step takes. Batches may have
    half of the memory; they have more only where one a process takes more. Raises UsageError where
    even that is more than there is.
    """
    ahead = most if workers else 1
    while ahead > 1 and batches_alive(workers, passes, ahead) * batch > memory.limit / 2:
        ahead -= 1
    needed = batches_alive(workers, passes, ahead) * batch
    if needed > memory.limit:
        raise UsageError(
            f"the batches that wait for the network take {needed / 2**30:.3g} GiB, and the "
            f"training data may take {memory.limit / 2**30:.3g} GiB in this process: give more "
            "--memory, or a smaller --batch, --crop or number of --workers"
        )
    memory.reserve(needed)
    return ahead


def batches_alive(workers: int, passes: int, ahead: int) -> int:
    """Return how many batches exist at most.

    They are those of a step and one on its way, and in each process those ahead and, as samples not
    yet joined, one more.
    """
    return passes + 1 + (workers * (ahead + 1) if workers else 1)
