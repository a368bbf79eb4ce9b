"""A cluster of Dask, wherever it runs: results are sent back, and the client stores them."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vssbench.core.errors import DataError, UsageError
from vssbench.run.store import RunStore
from vssbench.sweep.away import Sent, perform
from vssbench.sweep.executor import Executor, Outcome, Site, Task

#: seconds between two looks at the cluster
_LOOK = 0.2
#: seconds until a scheduler that does not answer counts as not there
_PATIENCE = "20s"


class Dask(Executor):
    """The workers of a Dask scheduler at an address, as ``dask[scheduler=tcp://host:8786]``.

    A worker without the data or the weights, or with another version, is left out in words. A task
    for a GPU asks for the worker resource ``GPU=1``, and sees that one alone. Each is performed in
    a process that the worker starts, under the limits of the site; one whose worker is lost is
    performed again on another.
    """

    def __init__(self, *, scheduler: str = "") -> None:
        if not scheduler:
            raise UsageError("dask needs an address: --scheduler tcp://HOST:PORT")
        self.scheduler = scheduler

    def run(self, jobs: Sequence[Task], site: Site) -> Iterator[Outcome]:
        """See Executor."""
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
    """Tasks on their way: as many at a time as the workers have threads."""

    def __init__(self, client: Any, slots: dict[str, int], site: Site) -> None:
        self.client, self.slots, self.site = client, slots, site
        self.under_way: dict[Any, Task] = {}

    def outcomes(self, jobs: Sequence[Task]) -> Iterator[Outcome]:
        waiting = list(reversed(jobs))
        while not self.site.stop.abandoned:
            while waiting and not self.site.stop.wished and self._room():
                self._submit(waiting.pop())
            if not self.under_way:
                return
            for future in [each for each in self.under_way if each.done()]:
                job = self.under_way.pop(future)
                outcome = self._outcome(future, job)
                if outcome is None:  # another call has it under way: it is asked for again
                    waiting.insert(0, job)
                else:
                    yield outcome
            time.sleep(_LOOK)
        self.client.cancel(list(self.under_way))

    def _room(self) -> bool:
        return len(self.under_way) < sum(self.slots.values())

    def _submit(self, job: Task) -> None:
        future = self.client.submit(
            perform, job, self.site.threads, self.site.limits, workers=list(self.slots),
            resources={"GPU": 1} if job.device.startswith("cuda") else None, pure=False,
        )  # fmt: skip
        self.under_way[future] = job

    def _outcome(self, future: Any, job: Task) -> Outcome | None:
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
        if sent.status == "taken":
            return None
        self.site.advance(job.frames)
        if sent.files:
            _keep(sent, RunStore(self.site.root))
        return Outcome(job, sent.status, sent.reason, sent.log, sent.stored)


def _fit(client: Any, jobs: Sequence[Task], site: Site) -> dict[str, int]:
    """Return the workers that can perform the tasks, with their numbers of threads; the others are
    named. Raises DataError where none can."""
    samples = {job.needs: job for job in jobs}
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
            "no worker can do this: "
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


def unfit(samples: Sequence[Task], threads: int | None) -> str:
    """Say, on a worker, why it cannot perform tasks like these; empty where it can."""
    return next(filter(None, (task.unfit(threads) for task in samples)), "")
