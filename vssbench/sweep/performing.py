"""An experiment as a task: in the process that it is handed to it is made anew, compared with the
one that was asked for, claimed and measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from vssbench.core import locks
from vssbench.core.errors import VssbenchError
from vssbench.core.version import __version__
from vssbench.run.experiment import Experiment
from vssbench.run.measuring import Way, measure
from vssbench.run.store import RunStore
from vssbench.run.stored import Run
from vssbench.sweep.executor import Answer, Place, Task
from vssbench.sweep.planner import Planner
from vssbench.sweep.points import Point

#: the file of a store whose locks say which experiments are under way
CLAIMS = ".claims"
#: seconds between two reports of progress
_REPORT_EVERY = 0.5


#: what may differ between the machines of a cluster; all else of a machine are versions
HARDWARE = frozenset({"cpu", "cores", "threads", "gpu", "os"})


@dataclass(frozen=True)
class Job(Task):
    """An experiment as it is handed to another process, which makes it of its ``point`` anew.

    ``name`` is its run id, ``identity`` all that changes its numbers, by which the other process
    knows that it would measure the same. Without ``timed`` no latency is stored; with ``latency`` a
    run without one is not done. ``force`` runs it though it is done.
    """

    point: Point
    identity: dict[str, Any]
    command: str
    timed: bool = True
    latency: bool = False
    force: bool = False

    @property
    def device(self) -> str:
        """See Task."""
        return self.point.device

    @property
    def needs(self) -> tuple[Any, ...]:
        """See Task."""
        return self.point.dataset, self.point.data_root, self.point.weights

    @property
    def reads(self) -> tuple[Any, ...]:
        """See Task: the dataset, whose frames are read or drawn, and the stream."""
        point = self.point
        return (point.dataset, point.data_root), (point.codec, point.gop)

    def performer(self, place: Place) -> Callable[[Job], Answer]:
        """See Task."""
        return Performer(place).perform

    def unfit(self, threads: int | None) -> str:
        """See Task."""
        import torch

        if threads is not None:
            torch.set_num_threads(threads)
        try:
            here = _planner_of_questions().experiment(self.point).identity
        except VssbenchError as error:
            return f"vssbench {__version__}: {error}"
        reason = differences(portable(self.identity), portable(here))
        return f"vssbench {__version__}: {reason}" if reason else ""


class Performer:
    """Performs experiments, one after another, into the store of a place."""

    def __init__(self, place: Place) -> None:
        self.store, self.planner = RunStore(place.root), Planner(place.cache)
        self.place = place

    def perform(self, job: Job) -> Answer:
        """Run a job, unless it is done or under way elsewhere."""
        try:
            experiment = self.planner.experiment(job.point)
            pair = job.identity, experiment.identity
            reason = differences(*(map(portable, pair) if self.place.away else pair))
        except VssbenchError as error:
            reason = str(error)
        if reason:
            return Answer("failed", reason, stored=False)
        with locks.lock(self.store.root / CLAIMS, experiment.run_id) as mine:
            if not mine:
                return Answer("taken")
            if not job.force and is_done(self.store, experiment, job.latency):
                return Answer("done")
            return self._measured(job, experiment)

    def _measured(self, job: Job, experiment: Experiment) -> Answer:
        way = Way(_Steps(self.place.report), self.place.said, job.timed)
        measurement = measure(experiment, self.store, job.command, way)
        # a full disk has no row
        stored = measurement.status == "done" or self.store.holds(experiment.run_id)
        return Answer(measurement.status, measurement.reason, stored)


class _Steps:
    """Reports frames, many at a time."""

    def __init__(self, report: Callable[[int], None]) -> None:
        self.report, self.count, self.last = report, 0, time.monotonic()

    def __call__(self) -> None:
        self.count += 1
        if time.monotonic() - self.last >= _REPORT_EVERY:
            self.report(self.count)
            self.count, self.last = 0, time.monotonic()


def is_done(store: RunStore, experiment: Experiment, latency: bool = False) -> bool:
    """Return whether an experiment is stored undamaged, with its meters, and with latencies if they
    are wanted."""
    run = store.result(experiment.run_id)
    return run is not None and is_whole(run, experiment, latency)


def is_whole(run: Run, experiment: Experiment, latency: bool) -> bool:
    """Return whether a stored run is all that is asked of an experiment; see :func:`is_done`."""
    return run.holds(experiment.measures) and not run.fault and (run.timed or not latency)


def differences(asked: dict[str, Any], here: dict[str, Any]) -> str:
    """Say in words how an experiment differs from the one that was asked for; empty if it does
    not."""
    wrong = [name for name in asked if asked[name] != here.get(name)]
    if not wrong:
        return ""
    return "this process would measure another experiment: " + "; ".join(
        _difference(name, asked[name], here.get(name)) for name in wrong
    )


def portable(identity: dict[str, Any]) -> dict[str, Any]:
    """Return an identity without the hardware, which may be another on each machine."""
    machine = {name: value for name, value in identity["machine"].items() if name not in HARDWARE}
    return {**identity, "machine": machine}


@lru_cache(1)
def _planner_of_questions() -> Planner:
    """Return the planner of a process that is asked what it could measure; it encodes nothing."""
    return Planner(Path())


def _difference(name: str, asked: Any, here: Any) -> str:
    if name == "code":
        return (
            f"its source is {here}, that of the sweep {asked}: install the same version, or begin "
            "the sweep again"
        )
    if isinstance(asked, dict) and isinstance(here, dict):
        parts = [key for key in {**asked, **here} if asked.get(key) != here.get(key)]
        listed = ", ".join(f"{key} {here.get(key)!r} for {asked.get(key)!r}" for key in parts)
        return f"{name}: {listed}"
    return f"its {name} differ"
