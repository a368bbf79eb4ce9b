"""A job performed in the process that it was handed to: the experiment is made anew, compared with
the one that was asked for, claimed and measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vssbench.core import locks
from vssbench.core.errors import VssbenchError
from vssbench.run.experiment import Experiment, Way, measure
from vssbench.run.store import RunStore
from vssbench.sweep.executor import Job
from vssbench.sweep.planner import Planner

#: the file of a store whose locks say which experiments are under way
CLAIMS = ".claims"
#: seconds between two reports of progress
_REPORT_EVERY = 0.5


@dataclass(frozen=True)
class Answer:
    """The end of a job in its process; ``taken``: another process has it under way."""

    status: Literal["done", "failed", "refused", "taken"]
    reason: str = ""
    stored: bool = True


class Performer:
    """Performs jobs, one after another, into the store under a folder.

    ``report`` is told of frames that are done, ``said`` returns what was printed for a job.
    """

    def __init__(
        self,
        root: Path,
        cache: Path,
        report: Callable[[int], None] = lambda frames: None,
        said: Callable[[], str] = str,
    ) -> None:
        self.store, self.planner = RunStore(root), Planner(cache)
        self.report, self.said = report, said

    def perform(self, job: Job) -> Answer:
        """Run a job, unless it is done or under way elsewhere."""
        try:
            experiment = self.planner.experiment(job.point)
            reason = differences(job.identity, experiment.identity)
        except VssbenchError as error:
            reason = str(error)
        if reason:
            return Answer("failed", reason, stored=False)
        with locks.lock(self.store.root / CLAIMS, job.run_id) as mine:
            if not mine:
                return Answer("taken")
            if not job.force and is_done(self.store, experiment, job.latency):
                return Answer("done")
            return self._measured(job, experiment)

    def _measured(self, job: Job, experiment: Experiment) -> Answer:
        way = Way(_Steps(self.report), self.said, job.timed)
        measurement = measure(experiment, self.store, job.command, way)
        # a full disk has no row
        stored = measurement.status == "done" or self.store.holds(job.run_id)
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
    """Return whether an experiment is stored, with its meters, and with latencies if they are
    wanted."""
    if not store.has(experiment.run_id, experiment.measures):
        return False
    return not latency or store.get(experiment.run_id).timed


def differences(asked: dict[str, Any], here: dict[str, Any]) -> str:
    """Say in words how an experiment differs from the one that was asked for; empty if it does
    not."""
    wrong = [name for name in asked if asked[name] != here.get(name)]
    if not wrong:
        return ""
    return "this process would measure another experiment: " + "; ".join(
        _difference(name, asked[name], here.get(name)) for name in wrong
    )


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
