"""The Executor interface: where the experiments of a sweep are run.

An executor is a plug-in: a file of ``vssbench/sweep/executors/``, or an entry point of the group
``vssbench.executors``. Its keyword-only arguments are its parameters in the bracket grammar.
"""

from __future__ import annotations

import signal
import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, Literal

from vssbench.sweep.points import Point


@dataclass(frozen=True)
class Job:
    """An experiment as it is handed to another process, which makes it of its ``point`` anew.

    ``identity`` is all that changes its numbers, by which the other process knows that it would
    measure the same. Without ``timed`` no latency is stored; with ``latency`` a run without one is
    not done. ``force`` runs it though it is done.
    """

    point: Point
    run_id: str
    identity: dict[str, Any]
    title: str
    frames: int
    command: str
    timed: bool = True
    latency: bool = False
    force: bool = False


@dataclass(frozen=True)
class Outcome:
    """The end of a job. ``stored`` says that the row lies in the store; else whoever ran the sweep
    stores ``reason`` and ``log`` as a failed one."""

    job: Job
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
    """Runs jobs, each in a process that may fail without harm to others."""

    @abstractmethod
    def run(self, jobs: Sequence[Job], site: Site) -> Iterator[Outcome]:
        """Yield the outcome of each job as it ends, in any order.

        Where a stop is wished for, jobs that were not begun have no outcome; where it is abandoned,
        those that run have none and leave nothing behind. Raises VssbenchError where no job can be
        run at all.
        """
