"""A cluster of Dask, wherever it runs: results are sent back, and the client stores them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from vssbench.core.errors import DataError, UsageError, VssbenchError
from vssbench.core.version import __version__
from vssbench.run.experiment import Way, measure
from vssbench.run.store import RunStore
from vssbench.sweep.executor import Executor, Job, Outcome, Site
from vssbench.sweep.performing import differences
from vssbench.sweep.planner import Planner

#: seconds between two looks at the cluster
_LOOK = 0.2
#: seconds until a scheduler that does not answer counts as not there
_PATIENCE = "20s"
#: what may differ between the machines of a cluster; all else of a machine are versions
HARDWARE = frozenset({"cpu", "cores", "threads", "gpu", "os"})


@dataclass(frozen=True)
class Sent:
    """The result of a job as it is sent back: the files of its run by their names, or why there
    are none."""

    status: Literal["done", "failed", "refused"]
    reason: str
    run_id: str = ""
    files: tuple[tuple[str, bytes], ...] = ()


class Dask(Executor):
    """The workers of a Dask scheduler at an address, as ``dask[scheduler=tcp://host:8786]``.

    A worker without the data or the weights, or with another version, is left out in words. An
    experiment for a GPU asks for the worker resource ``GPU=1``. An experiment whose worker is lost
    is run again on another.
    """

    def __init__(self, *, scheduler: str = "") -> None:
        if not scheduler:
            raise UsageError("dask needs an address: --scheduler tcp://HOST:PORT")
        self.scheduler = scheduler

    def run(self, jobs: Sequence[Job], site: Site) -> Iterator[Outcome]:
        """See Executor. The limits of ``site`` are the cluster's to set, and are not used."""
        try:
            import distributed
        except ImportError as error:
            raise UsageError(
                "--scheduler needs Dask, which is not installed: pip install 'vssbench[cluster]'"
            ) from error
        try:
            client = distributed.Client(self.scheduler, timeout=_PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no scheduler answers at {self.scheduler}: {error}; start it"
            ) from error
        with client:
            slots = _fit(client, jobs, site)
            yield from _Submitted(client, slots, site).outcomes(jobs)


class _Submitted:
    """Jobs on their way: as many at a time as the workers have threads."""

    def __init__(self, client: Any, slots: dict[str, int], site: Site) -> None:
        self.client, self.slots, self.site = client, slots, site
        self.under_way: dict[Any, Job] = {}

    def outcomes(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        waiting = list(reversed(jobs))
        while not self.site.stop.abandoned:
            while waiting and not self.site.stop.wished and self._room():
                self._submit(waiting.pop())
            if not self.under_way:
                return
            for future in [each for each in self.under_way if each.done()]:
                yield self._outcome(future, self.under_way.pop(future))
            time.sleep(_LOOK)
        self.client.cancel(list(self.under_way))

    def _room(self) -> bool:
        return len(self.under_way) < sum(self.slots.values())

    def _submit(self, job: Job) -> None:
        wanted = {"GPU": 1} if job.point.device.startswith("cuda") else None
        future = self.client.submit(
            perform, job, self.site.threads, workers=list(self.slots), resources=wanted, pure=False
        )
        self.under_way[future] = job

    def _outcome(self, future: Any, job: Job) -> Outcome:
        if future.cancelled():
            return Outcome(job, "failed", "the scheduler gave it up", stored=False)
        error = future.exception()
        if error is not None:
            reason = (
                "its worker was lost, and those that tried it again"
                if type(error).__name__ == "KilledWorker"
                else f"{type(error).__name__}: {error}"
            )
            return Outcome(job, "failed", reason, stored=False)
        sent: Sent = future.result()
        self.site.advance(job.frames)
        if not sent.files:
            return Outcome(job, sent.status, sent.reason, stored=False)
        _keep(sent, RunStore(self.site.root))
        return Outcome(job, sent.status, sent.reason)


def _fit(client: Any, jobs: Sequence[Job], site: Site) -> dict[str, int]:
    """Return the workers that can run the jobs, with their numbers of threads; the others are
    named. Raises DataError where none can."""
    samples = {(job.point.dataset, job.point.data_root, job.point.weights): job for job in jobs}
    client.wait_for_workers(1, timeout=_PATIENCE)
    answers = client.run(unfit, list(samples.values()), site.threads, on_error="return")
    threads = client.nthreads()
    reasons = {
        address: f"it has another version, or none: {answer}"
        if isinstance(answer, BaseException)
        else answer
        for address, answer in answers.items()
        if answer
    }
    for address, reason in reasons.items():
        site.say(f"the worker {address} is left out: {reason}")
    fit = {address: threads[address] for address in answers if address not in reasons}
    if not fit:
        raise DataError(
            "no worker can run these experiments: "
            + "; ".join(f"{address}: {reason}" for address, reason in reasons.items())
        )
    return fit


def _keep(sent: Sent, store: RunStore) -> None:
    """Store the run that a worker has sent, unless a failed one would replace one that is done."""
    if sent.status != "done" and store.has(sent.run_id):
        return
    with tempfile.TemporaryDirectory(prefix="vssbench-") as folder:
        place = Path(folder) / sent.run_id
        place.mkdir()
        for name, content in sent.files:
            (place / name).write_bytes(content)
        store.take(RunStore(Path(folder)).get(sent.run_id))


def unfit(samples: Sequence[Job], threads: int | None) -> str:
    """Say, on a worker, why it cannot run these jobs; empty where it can."""
    for job in samples:
        try:
            reason = _differences(job, threads)
        except VssbenchError as error:
            reason = str(error)
        if reason:
            return f"vssbench {__version__}: {reason}"
    return ""


def perform(job: Job, threads: int | None) -> Sent:
    """Run a job on a worker, in a folder that is removed."""
    try:
        reason = _differences(job, threads)
        experiment = _planner().experiment(job.point)
    except VssbenchError as error:
        return Sent("failed", str(error))
    if reason:
        return Sent("failed", reason)
    with tempfile.TemporaryDirectory(prefix="vssbench-") as folder:
        store = RunStore(Path(folder))
        measurement = measure(experiment, store, job.command, Way(timed=job.timed))
        place = Path(folder) / measurement.run_id
        sent = tuple((path.name, path.read_bytes()) for path in sorted(place.glob("*")))
    return Sent(measurement.status, measurement.reason, measurement.run_id, sent)


def _differences(job: Job, threads: int | None) -> str:
    """Say how an experiment would differ from the one asked for, but for the hardware."""
    import torch

    if threads is not None:
        torch.set_num_threads(threads)
    return differences(
        _portable(job.identity), _portable(_planner().experiment(job.point).identity)
    )


def _portable(identity: dict[str, Any]) -> dict[str, Any]:
    """An identity without the hardware, which may be another on each worker."""
    machine = {name: value for name, value in identity["machine"].items() if name not in HARDWARE}
    return {**identity, "machine": machine}


@lru_cache(1)
def _planner() -> Planner:
    """The planner of a worker, which keeps datasets and weights open from job to job; streams are
    kept in the worker's own cache."""
    return Planner(Path(tempfile.gettempdir()) / "vssbench-streams")
