"""The Executor interface: where the tasks of a sweep, such as its experiments, are performed.

An executor is a plug-in: a file of ``vssbench/sweep/executors/``, or an entry point of the group
``vssbench.executors``. Its keyword-only arguments are its parameters in the bracket grammar.
"""

from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, ClassVar, Literal


@dataclass(frozen=True)
class Answer:
    """The end of a task in its process; ``taken``: another process has it under way."""

    status: Literal["done", "failed", "refused", "taken"]
    reason: str = ""
    stored: bool = True


@dataclass(frozen=True)
class Place:
    """The surroundings of a task in the process that performs it.

    ``root`` and ``cache`` are the folders of the store and of the bitstreams. ``report`` is told
    of frames that are done, ``said`` returns what was printed for the task. ``away``: it is a
    machine of a cluster, whose hardware may be another than that of who asked.
    """

    root: Path
    cache: Path
    report: Callable[[int], None] = lambda frames: None
    said: Callable[[], str] = str
    away: bool = False


@dataclass(frozen=True)
class Task(ABC):
    """A piece of work as it is handed to another process: texts and numbers alone.

    ``name`` tells it from all others, ``title`` is for people. ``frames`` are those of the
    progress that it makes.
    """

    name: str
    title: str
    frames: int

    @property
    @abstractmethod
    def device(self) -> str:
        """The device on which it computes."""

    @property
    @abstractmethod
    def needs(self) -> Hashable:
        """The task's needs where it is performed: one stands for all that need the same."""

    @property
    def reads(self) -> tuple[Hashable, ...]:
        """The data that the task reads, from the coarse to the fine: what begins alike is shared by
        tasks that one process performs, and made twice by two."""
        return ()

    @abstractmethod
    def performer(self, place: Place) -> Callable[[Any], Answer]:
        """Return what performs tasks of this kind, one after another, in this process."""

    @abstractmethod
    def unfit(self, threads: int | None) -> str:
        """Say, on a machine of a cluster, why it cannot be performed there; empty where it can."""


@dataclass(frozen=True)
class Outcome:
    """The end of a task. ``stored`` says that the row lies in the store; else whoever ran the sweep
    stores ``reason`` and ``log`` as a failed one."""

    job: Any
    status: Literal["done", "failed", "refused"]
    reason: str = ""
    log: str = ""
    stored: bool = True


@dataclass(frozen=True)
class Limits:
    """The most that an experiment may take: seconds, and bytes of memory; None: no limit."""

    seconds: float | None = None
    memory: int | None = None


class Stop:
    """The user's wish to stop: once, to finish what runs; twice, to abandon it."""

    def __init__(self, say: Callable[[str], None] = lambda text: None) -> None:
        self.wishes, self._say = 0, say

    @property
    def wished(self) -> bool:
        """Whether nothing new is to be begun."""
        return self.wishes > 0

    @property
    def abandoned(self) -> bool:
        """Whether what runs is to be ended, too."""
        return self.wishes > 1

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take Ctrl-C, and a request to terminate, as wishes."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {each: signal.signal(each, self._heard) for each in _SIGNALS}
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _heard(self, number: int, frame: FrameType | None) -> None:
        self.wishes += 1
        if self.wishes == 1:
            self._say("stopping when what runs is finished; Ctrl-C again abandons it")


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Site:
    """The place of a sweep and its bounds: the folder of the store, that of the bitstreams, how
    many experiments run at a time, with how many threads each (None: as torch has it)."""

    root: Path
    cache: Path
    workers: int = 1
    threads: int | None = None
    limits: Limits = Limits()
    stop: Stop = field(default_factory=Stop)
    #: told of frames that are done, and of what happens, in words
    advance: Callable[[int], None] = lambda frames: None
    say: Callable[[str], None] = lambda text: None


class Executor(ABC):
    """Runs tasks, each in a process that may fail without harm to others.

    One that is ``away`` runs them on other machines: what is timed there stands for nothing, since
    nobody sees what runs beside it, and what any machine has measured is done.
    """

    away: ClassVar[bool] = False

    @contextmanager
    def prepared(self, devices: Collection[str]) -> Iterator[None]:
        """Have what tasks for these devices need begun while the command still plans them.

        It is called before anything is computed, with no device where nothing is to be run.
        """
        yield

    @abstractmethod
    def run(self, jobs: Sequence[Task], site: Site) -> Iterator[Outcome]:
        """Yield the outcome of each task as it ends, in any order.

        Where a stop is wished for, tasks that were not begun have no outcome; where it is
        abandoned, those that run have none and leave nothing behind. Raises VssbenchError where no
        task can be run at all.
        """
