"""Worker processes on this machine, each used for one experiment after another."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import takewhile
from multiprocessing import connection as connections
from pathlib import Path
from statistics import median

from vssbench.core import files
from vssbench.core.errors import DataError
from vssbench.sweep.executor import Answer, Executor, Outcome, Site, Task
from vssbench.sweep.forks import ForkServer, forkable
from vssbench.sweep.gpus import own_gpus
from vssbench.sweep.process import WorkerProcess
from vssbench.sweep.worker import Setting

#: seconds between two looks at the workers, and before a job is given again that another sweep had
#: under way
_LOOK, _LATER = 0.1, 0.5
#: workers that may end before they took a job, until there is no sense in starting more
_FALSE_STARTS = 3


class Processes(Executor):
    """Worker processes. A worker that crashes, hangs or takes too much memory is replaced, and its
    task is a failed row. Of several GPUs each worker has one. Workers are forks of a server where
    that was prepared, else each begins as a fresh interpreter."""

    def __init__(self) -> None:
        self._server: ForkServer | None = None

    @contextmanager
    def prepared(self, devices: Collection[str]) -> Iterator[None]:
        """See Executor: have a fork server."""
        if not forkable(devices):
            yield
            return
        self._server = ForkServer()
        try:
            yield
        finally:
            self._server.end()
            self._server = None

    def run(self, jobs: Sequence[Task], site: Site) -> Iterator[Outcome]:
        """See Executor."""
        with files.drafts(site.root) as under_way:
            pool = _Pool(site, under_way.path, own_gpus(jobs), self._server)
            try:
                yield from pool.run(jobs)
            finally:
                pool.end()


def _alike(one: Task, other: Task) -> int:
    """Return how far two tasks read the same."""
    pairs = zip(one.reads, other.reads, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


class _Pool:
    """The workers, and the tasks that wait for one."""

    def __init__(
        self, site: Site, folder: Path, gpus: Sequence[str], server: ForkServer | None
    ) -> None:
        self.site, self.folder, self.gpus, self.server = site, folder, gpus, server
        self.workers: list[WorkerProcess] = []
        self.waiting: list[Task] = []
        #: when jobs that another sweep had under way may be given again
        self.later: dict[str, float] = {}
        self.started = self.false_starts = 0
        #: seconds of the jobs that were done, by whether the worker had to read all that they read
        self.seconds: dict[bool, list[float]] = {True: [], False: []}

    def run(self, jobs: Sequence[Task]) -> Iterator[Outcome]:
        self.waiting.extend(jobs)
        while not self.site.stop.abandoned:
            self._give()
            if not any(worker.job for worker in self.workers) and (
                not self.waiting or self.site.stop.wished
            ):
                return
            connections.wait([worker.connection for worker in self.workers], _LOOK)
            for worker in list(self.workers):
                yield from self._outcomes(worker)

    def end(self) -> None:
        for worker in self.workers:
            worker.end()

    def _give(self) -> None:
        """Start workers where there are too few for the jobs, and give a job to each idle one."""
        if self.site.stop.wished:
            return
        busy = sum(worker.job is not None for worker in self.workers)
        wanted = min(self.site.workers, busy + len(self.waiting))
        while len(self.workers) < wanted:
            self.workers.append(self._worker())
        for worker in self.workers:
            if worker.ready and worker.job is None and (job := self._next(worker)) is not None:
                worker.fresh = worker.latest is None or not _alike(job, worker.latest)
                worker.give(job)

    def _worker(self) -> WorkerProcess:
        """Start a worker, with the GPU that fewest of the others have."""
        self.started += 1
        log = self.folder / f"worker-{self.started}.txt"
        taken = [worker.setting.gpu for worker in self.workers]
        gpu = min(self.gpus, key=taken.count, default=None)
        site = self.site
        setting = Setting(site.root, site.cache, log, site.threads, gpu)
        return WorkerProcess(setting, self.server)

    def _next(self, worker: WorkerProcess) -> Task | None:
        """Take a job that may be begun now: one that reads what the worker has read, then one that
        reads what no other worker reads, then the first, unless others are sooner done with it."""
        others = [each.job for each in self.workers if each.job is not None]
        now = time.monotonic()

        def fitness(place: int) -> tuple[int, int]:
            job = self.waiting[place]
            own = 0 if worker.latest is None else _alike(job, worker.latest)
            return own, -max((_alike(job, other) for other in others), default=0)

        ready = (
            place for place, job in enumerate(self.waiting) if self.later.get(job.name, 0.0) <= now
        )
        best = max(ready, key=fitness, default=None)  # the first of those that fit best
        if best is None or (not fitness(best)[0] and self._better_left(self.waiting[best])):
            return None
        return self.waiting.pop(best)

    def _better_left(self, job: Task) -> bool:
        """Return whether the workers that have read what a job reads are done with it, and with all
        that reads the same, before one that has to read it first."""
        readers = [each for each in self.workers if each.latest and _alike(job, each.latest)]
        if any(each.ready and each.job is None for each in readers):
            return True
        if not readers or not all(self.seconds.values()):
            return False
        now = time.monotonic()
        gone = [now - each.began for each in readers]
        first, next_ = (median(self.seconds[fresh]) for fresh in (True, False))
        # what took longer than usual may take as long again
        left = min(next_ - each if each < next_ else each for each in gone)
        alike = sum(1 for each in self.waiting if _alike(job, each))
        return first > left + next_ * alike / len(gone)

    def _outcomes(self, worker: WorkerProcess) -> Iterator[Outcome]:
        """Yield what came of a worker's job, if it ended; a worker that ended is let go."""
        for kind, content in worker.messages():
            if kind == "frames":
                worker.frames += content
                self.site.advance(content)
            elif kind == "answer":
                outcome = self._answered(worker, content)
                if outcome is not None:
                    yield outcome
        reason = worker.excess(self.site.limits) or worker.death()
        if not reason:
            return
        worker.end()
        self.workers.remove(worker)
        if worker.job is not None:
            self._count_off(worker.job, worker)
            yield Outcome(worker.job, "failed", reason, worker.printed, stored=False)
        elif not worker.ready:
            self.false_starts += 1
            if self.false_starts >= _FALSE_STARTS:
                raise DataError(f"no worker process can be started: {reason}\n{worker.printed}")

    def _count_off(self, job: Task, worker: WorkerProcess) -> None:
        """Count the frames of a task that has ended and were not reported: there is no more to
        come of it."""
        self.site.advance(job.frames - worker.frames)

    def _answered(self, worker: WorkerProcess, answer: Answer) -> Outcome | None:
        job, worker.job = worker.job, None
        assert job is not None
        if answer.status == "done":
            self.seconds[worker.fresh].append(time.monotonic() - worker.began)
        if answer.status == "taken":
            self.later[job.name] = time.monotonic() + _LATER
            self.waiting.append(job)
            return None
        self._count_off(job, worker)
        log = "" if answer.stored else worker.printed
        return Outcome(job, answer.status, answer.reason, log, answer.stored)
