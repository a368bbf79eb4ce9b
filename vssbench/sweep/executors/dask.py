"""A cluster of Dask, wherever it runs: results are sent back, and the client stores them."""

from __future__ import annotations

import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vssbench.core import files, hidden
from vssbench.core.errors import DataError, UsageError, VssbenchError
from vssbench.run.store import RunStore
from vssbench.sweep.away import GPU, Sent, perform
from vssbench.sweep.executor import Executor, Outcome, Site, Task

#: seconds between two looks at the tasks, and at which workers there are
_LOOK, _LOOK_AT_WORKERS = 0.2, 2.0
#: until a scheduler that does not answer, or has no worker, counts as not there
_PATIENCE = "20s"
#: workers that a task may lose before it is the one at fault
_LOSSES = 3
_LOST = "its worker was lost, and those that tried it again"


class Dask(Executor):
    """The workers of a Dask scheduler at an address, as ``dask[scheduler=tcp://host:8786]``.

    A worker without the data or the weights, or with another version, is left out in words; one
    that comes later is asked, too. A task for a GPU asks for the worker resource ``GPU=1``, and
    sees that one alone. Each is performed in a process that the worker starts, under the limits of
    the site; one whose worker is lost is performed again on another.
    """

    away = True

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
        _check_address(self.scheduler)
        try:
            client = distributed.Client(self.scheduler, timeout=_PATIENCE, set_as_default=False)
        except (OSError, ValueError) as error:
            raise UsageError(
                f"no scheduler answers at {self.scheduler}: {error}; start it"
            ) from error
        with client:
            crew = _Crew(client, self.scheduler, jobs, site)
            try:
                crew.gather()
                yield from _Submitted(client, crew, site).outcomes(jobs)
            except VssbenchError:
                raise
            except Exception:  # a client without its scheduler may raise anything
                crew.check()
                raise


def _check_address(address: str) -> None:
    """Raise UsageError for what no scheduler could be at; Dask's client would try for a minute."""
    from distributed.comm import parse_address, parse_host_port, registry

    try:
        scheme, place = parse_address(address)
        registry.get_backend(scheme)
        if scheme != "inproc":
            parse_host_port(place)
    except ValueError as error:
        raise UsageError(
            f"--scheduler {address}: {error}; expected its address, as tcp://HOST:8786"
        ) from error


class _Crew:
    """The workers that can perform the tasks, with their numbers of threads; the others are named
    once."""

    def __init__(self, client: Any, scheduler: str, jobs: Sequence[Task], site: Site) -> None:
        self.client, self.scheduler, self.site = client, scheduler, site
        self.samples = list({job.needs: job for job in jobs}.values())
        self.on_gpu = any(job.device.startswith("cuda") for job in jobs)
        self.threads: dict[str, int] = {}
        self.unfit: dict[str, str] = {}
        self.looked = 0.0

    @property
    def slots(self) -> int:
        """Count the tasks that they perform at a time."""
        return sum(self.threads.values())

    def gather(self) -> None:
        """Ask the workers that are there. Raises DataError where none can perform the tasks."""
        try:
            self.client.wait_for_workers(1, timeout=_PATIENCE)
        except TimeoutError as error:
            self.check()
            raise DataError(
                f"the scheduler at {self.scheduler} has no worker: start one, as "
                f"`dask worker {self.scheduler}`"
            ) from error
        self._look()
        if not self.threads:
            raise DataError(
                "no worker can do this: "
                + "; ".join(f"{address}: {reason}" for address, reason in self.unfit.items())
            )

    def look(self) -> None:
        """Let go of the workers that are gone, and ask those that came, now and then."""
        if time.monotonic() - self.looked >= _LOOK_AT_WORKERS:
            had = bool(self.threads)
            self._look()
            if had and not self.threads:
                self.site.say("no worker is left: waiting for one; Ctrl-C ends that")

    def check(self) -> None:
        """Raise DataError where the scheduler is gone, and stays so for as long as its client
        tries to reach it."""
        while self.client.status == "connecting":
            time.sleep(_LOOK)
        if self.client.status != "running":
            raise DataError(
                f"the scheduler at {self.scheduler} was lost: what it had under way is not stored; "
                "start it, and the same command goes on"
            )

    def _look(self) -> None:
        self.check()
        try:
            there = self.client.scheduler_info(n_workers=-1)["workers"]
            new = [each for each in there if each not in self.threads and each not in self.unfit]
            answers = (
                self.client.run(unfit, self.samples, self.site.threads, workers=new,
                                on_error="return")
                if new else {}
            )  # fmt: skip
        except (OSError, ValueError):  # the scheduler, or one of them, went away meanwhile
            self.check()
            return
        finally:
            self.looked = time.monotonic()
        self.threads = {each: count for each, count in self.threads.items() if each in there}
        for address, answer in answers.items():
            if isinstance(answer, OSError):
                continue  # it went away, or is asked again
            reason = _unfit(answer, there[address], self.on_gpu)
            if reason:
                self.unfit[address] = reason
                self.site.say(f"the worker {address} is left out: {reason}")
            else:
                self.threads[address] = there[address]["nthreads"]


def _unfit(answer: Any, worker: dict[str, Any], on_gpu: bool) -> str:
    """Say why a worker is left out, by its answer and what the scheduler knows of it."""
    if isinstance(answer, BaseException):
        return f"it has another version, or none: {answer}"
    if not answer and on_gpu and not worker["resources"].get(GPU):
        return f"it has no resource {GPU}: start it with --resources {GPU}=1"
    return answer


@dataclass(frozen=True)
class _Sending:
    """A task that was sent, and the workers that it may go to."""

    job: Task
    workers: frozenset[str]


class _Submitted:
    """Tasks on their way: as many at a time as the workers have threads."""

    def __init__(self, client: Any, crew: _Crew, site: Site) -> None:
        self.client, self.crew, self.site = client, crew, site
        self.under_way: dict[Any, _Sending] = {}
        self.waiting: list[Task] = []
        #: how often a task was lost with all workers that it might have gone to
        self.losses: Counter[str] = Counter()

    def outcomes(self, jobs: Sequence[Task]) -> Iterator[Outcome]:
        self.waiting = list(reversed(jobs))
        while not self.site.stop.abandoned:
            self.crew.look()
            yield from self._lost(self._stranded())
            while self.waiting and not self.site.stop.wished and self._room():
                self._submit(self.waiting.pop())
            if not self.under_way and (not self.waiting or self.site.stop.wished):
                return
            yield from self._ended()
            time.sleep(_LOOK)
        self.client.cancel(list(self.under_way))

    def _room(self) -> bool:
        return len(self.under_way) < self.crew.slots

    def _submit(self, job: Task) -> Any:
        workers = frozenset(self.crew.threads)
        future = self.client.submit(
            perform, job, self.site.threads, self.site.limits, workers=list(workers),
            resources={GPU: 1} if job.device.startswith("cuda") else None, pure=False,
        )  # fmt: skip
        self.under_way[future] = _Sending(job, workers)
        return future

    def _stranded(self) -> list[Any]:
        """Return the tasks whose workers are all gone: nobody else may take them."""
        there = self.crew.threads.keys()
        return [
            future
            for future, sending in self.under_way.items()
            if not future.done() and not sending.workers & there
        ]

    def _ended(self) -> Iterator[Outcome]:
        """Yield the outcomes of the tasks that have ended by now."""
        for future in [each for each in self.under_way if each.done()]:
            job = self.under_way.pop(future).job
            if future.cancelled():  # the scheduler was lost, or somebody restarted it
                self.crew.check()
                self.waiting.append(job)
                continue
            outcome = self._outcome(future, job)
            if outcome is None:  # another call has it under way: it is asked for again
                self.waiting.insert(0, job)
            else:
                yield outcome

    def _lost(self, futures: Iterable[Any]) -> Iterator[Outcome]:
        """Have tasks that were lost with their workers sent again, but not for ever."""
        for future in futures:
            job = self.under_way.pop(future).job
            self.client.cancel([future])
            self.losses[job.name] += 1
            if self.losses[job.name] >= _LOSSES:
                yield Outcome(job, "failed", _LOST, stored=False)
            else:
                self.waiting.append(job)

    def _outcome(self, future: Any, job: Task) -> Outcome | None:
        error = future.exception()
        if error is not None:
            reason = (
                _LOST
                if type(error).__name__ == "KilledWorker"
                else f"{type(error).__name__}: {error}"
            )
            return Outcome(job, "failed", reason, stored=False)
        sent: Sent = future.result()
        if sent.status == "taken":
            return None
        self.site.advance(job.frames)
        if sent.files:
            try:
                _keep(sent, RunStore(self.site.root))
            except DataError as error:  # a full disk here; others may find room
                return Outcome(job, "failed", str(error), stored=False)
        return Outcome(job, sent.status, sent.reason, sent.log, sent.stored)


def _keep(sent: Sent, store: RunStore) -> None:
    """Store the run that a worker has sent, unless a failed one would replace one that is done.
    Raises DataError where it cannot be written."""
    if sent.status != "done" and store.result(sent.run_id):
        return
    with files.told(Path(tempfile.gettempdir())), hidden.temporary() as folder:
        place = folder / sent.run_id
        place.mkdir()
        for name, content in sent.files:
            (place / name).write_bytes(content)
        store.take(RunStore(folder).get(sent.run_id))


def unfit(samples: Sequence[Task], threads: int | None) -> str:
    """Say, on a worker, why it cannot perform tasks like these; empty where it can."""
    return next(filter(None, (task.unfit(threads) for task in samples)), "")
