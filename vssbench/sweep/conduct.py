"""A sweep from its experiments to their rows: what is done already, what an executor runs, what is
stored of those whose process failed."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vssbench.core.errors import DataError, UsageError
from vssbench.core.hidden import sweep
from vssbench.run.experiment import PEERS, Experiment
from vssbench.run.identity import run_id
from vssbench.run.measuring import fail
from vssbench.run.store import RunStore
from vssbench.run.stored import NewerRun, by_newer
from vssbench.sweep.executor import Executor, Outcome, Site
from vssbench.sweep.grid import distinct, keeping
from vssbench.sweep.performing import Job, is_done, is_whole
from vssbench.sweep.points import Point
from vssbench.sweep.running import performed

#: what tells experiments apart and is not in their titles
_NOT_IN_TITLES = ("protocol", "precision", "seed")

State = Literal["done", "failed", "refused", "damaged", "newer", "to do"]


@dataclass(frozen=True)
class Wishes:
    """The user's wishes beside the experiments themselves.

    ``retry`` holds the states that are tried again (``failed``, ``refused``). What is ``timed``
    stores its latencies; with ``latency`` a run that has none is not done.
    """

    command: str
    force: bool = False
    retry: Collection[str] = ()
    timed: bool = True
    latency: bool = False


@dataclass(frozen=True)
class Planned:
    """An experiment of a sweep, and what became of it by now.

    One whose run a newer version wrote is ``newer``: it is neither read nor replaced. One that is
    done has a reason where it reads, and is not replaced either.
    """

    experiment: Experiment
    point: Point
    state: State
    reason: str = ""

    @property
    def run_id(self) -> str:
        """The id that it has when it is measured here."""
        return self.experiment.run_id

    @property
    def kept(self) -> bool:
        """Whether it is done by a newer version, which is not replaced."""
        return self.state == "done" and bool(self.reason)


@dataclass
class Report:
    """The end of a sweep: the outcomes by run id, and what was not begun or not finished."""

    outcomes: dict[str, Outcome] = field(default_factory=dict)
    left: list[Planned] = field(default_factory=list)

    @property
    def counts(self) -> Counter[str]:
        """Count how many ended in each way."""
        return Counter(outcome.status for outcome in self.outcomes.values())


def planned(
    points: Sequence[Point],
    experiments: Sequence[Experiment],
    store: RunStore,
    latency: bool = False,
    anywhere: bool = False,
) -> list[Planned]:
    """Return the experiments, each once, with what the store says of them.

    ``anywhere``: what another machine measured is done, too.
    """
    machines = _machines(store) if anywhere else []
    point_of = {each.run_id: point for each, point in zip(experiments, points, strict=True)}
    plan = []
    for experiment in distinct(experiments):
        state, reason = _state(experiment, store, latency)
        if state == "to do" and _measured_elsewhere(experiment, store, machines):
            state = "done"
        plan.append(Planned(experiment, point_of[experiment.run_id], state, reason))
    return plan


def _machines(store: RunStore) -> list[dict[str, Any]]:
    """Return the machines of a store's runs, each once."""
    machines = {
        json.dumps(run.measurement.machine, sort_keys=True): run.measurement.machine
        for run in store.runs()
    }
    return [
        {name: value for name, value in machine.items() if name not in PEERS}
        for machine in machines.values()
    ]


def _measured_elsewhere(
    experiment: Experiment, store: RunStore, machines: Sequence[dict[str, Any]]
) -> bool:
    """Return whether one of these machines has measured the experiment."""
    identities = ({**experiment.identity, "machine": machine} for machine in machines)
    return any(store.has(run_id(each), experiment.measures) for each in identities)


def _state(experiment: Experiment, store: RunStore, latency: bool) -> tuple[State, str]:
    try:
        run = store.get(experiment.run_id)
    except NewerRun as error:
        return "newer", str(error)
    except DataError as error:
        there = (store.root / experiment.run_id).exists()
        return ("damaged", str(error)) if there else ("to do", "")
    item = run.measurement
    if is_whole(run, experiment, latency):
        return "done", by_newer(item.version)
    if run.fault:
        return "damaged", run.fault
    return ("to do", "") if item.status == "done" else (item.status, item.reason)


def titles(plan: Sequence[Planned]) -> dict[str, str]:
    """Return the title of each experiment by its id, with its protocol, precision and seed where
    others of the plan have another."""
    values = {name: {_value(each, name) for each in plan} for name in _NOT_IN_TITLES}
    return {
        each.run_id: ", ".join(
            [
                each.experiment.title,
                *(f"{name} {_value(each, name)}" for name in values if len(values[name]) > 1),
            ]
        )
        for each in plan
    }


def _value(each: Planned, name: str) -> str:
    return str(getattr(each.point if name == "protocol" else each.experiment, name))


def todo(plan: Sequence[Planned], wishes: Wishes) -> list[Planned]:
    """Return those that are to be run: what has no row, and what is wished for again."""
    again = {"to do", "damaged", *wishes.retry}
    return [
        each
        for each in plan
        if each.state in again or (wishes.force and each.state != "newer" and not each.kept)
    ]


def passes(
    plan: Sequence[Planned], store: RunStore, wishes: Wishes, workers: int
) -> tuple[list[Planned], list[Planned]]:
    """Return what is to be run, and what of it runs once more, alone, for its latency."""
    work = todo(plan, wishes)
    if not wishes.latency or workers == 1:
        return work, []
    return [each for each in work if wishes.force or not is_done(store, each.experiment)], work


def conduct(
    plan: Sequence[Planned], store: RunStore, executor: Executor, site: Site, wishes: Wishes
) -> Report:
    """Run what is to be run, and store it. Raises UsageError where there is no experiment,
    DataError where the store cannot be written."""
    if not plan:
        raise UsageError("nothing to run: give at least one method, dataset and codec")
    work = todo(plan, wishes)
    report = Report()
    if not work:
        sweep(store.root)  # what a killed one has left, though nothing is written now
        return report
    store.check_writable()
    by_id = {each.run_id: each for each in work}
    names = titles(plan)
    jobs = [_job(each, names[each.run_id], store, wishes) for each in work]
    report.outcomes = performed(
        executor,
        jobs,
        site,
        "measuring",
        lambda outcome: _recorded(by_id[outcome.job.name], outcome, store),
    )
    report.left = [each for each in work if each.run_id not in report.outcomes]
    return report


def _job(each: Planned, title: str, store: RunStore, wishes: Wishes) -> Job:
    experiment = each.experiment if each.state == "to do" else keeping(each.experiment, store)
    return Job(
        experiment.run_id,
        title,
        experiment.frames(),
        replace(each.point, measure=tuple(experiment.measures)),
        experiment.identity,
        wishes.command,
        wishes.timed,
        wishes.latency,
        wishes.force,
    )


def _recorded(each: Planned, outcome: Outcome, store: RunStore) -> Outcome:
    """Store the failure of an experiment whose process could not do so itself.

    A process may end after it has stored all: then the experiment is done.
    """
    if outcome.stored:
        return outcome
    if not outcome.job.force and is_done(store, each.experiment, outcome.job.latency):
        return Outcome(outcome.job, "done")
    fail(each.experiment, store, outcome.job.command, outcome.reason, outcome.log)
    return outcome
