"""Worker processes on this machine, each used for one experiment after another."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import suppress
from multiprocessing import connection as connections
from pathlib import Path
from typing import Any

import psutil

from vssbench.core import files
from vssbench.core.errors import DataError
from vssbench.sweep.executor import Executor, Job, Limits, Outcome, Site
from vssbench.sweep.performing import Answer
from vssbench.sweep.worker import Setting, read_log, serve

#: seconds between two looks at the workers, and before a job is given again that another sweep had
#: under way
_LOOK, _LATER = 0.1, 0.5
#: workers that may end before they took a job, until there is no sense in starting more
_FALSE_STARTS = 3


class Processes(Executor):
    """Worker processes. A worker that crashes, hangs or takes too much memory is replaced, and its
    experiment is a failed row."""

    def run(self, jobs: Sequence[Job], site: Site) -> Iterator[Outcome]:
        """See Executor."""
        with files.drafts(site.root) as under_way:
            pool = _Pool(site, under_way.path)
            try:
                yield from pool.run(jobs)
            finally:
                pool.end()


class _Pool:
    """The workers, and the jobs that wait for one."""

    def __init__(self, site: Site, folder: Path) -> None:
        self.site, self.folder = site, folder
        self.workers: list[_Worker] = []
        self.waiting: deque[Job] = deque()
        #: when jobs that another sweep had under way may be given again
        self.later: dict[str, float] = {}
        self.started = self.false_starts = 0

    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
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
            self.started += 1
            log = self.folder / f"worker-{self.started}.txt"
            self.workers.append(_Worker(self.site, log))
        for worker in self.workers:
            if worker.ready and worker.job is None and (job := self._next()) is not None:
                worker.give(job)

    def _next(self) -> Job | None:
        """Take the next job that may be begun now."""
        for _ in range(len(self.waiting)):
            job = self.waiting.popleft()
            if self.later.get(job.run_id, 0.0) <= time.monotonic():
                return job
            self.waiting.append(job)
        return None

    def _outcomes(self, worker: _Worker) -> Iterator[Outcome]:
        """Yield what came of a worker's job, if it ended; a worker that ended is let go."""
        for kind, content in worker.messages():
            if kind == "frames":
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
            yield Outcome(worker.job, "failed", reason, read_log(worker.log), stored=False)
        elif not worker.ready:
            self.false_starts += 1
            if self.false_starts >= _FALSE_STARTS:
                raise DataError(
                    f"no worker process can be started: {reason}\n{read_log(worker.log)}"
                )

    def _answered(self, worker: _Worker, answer: Answer) -> Outcome | None:
        job, worker.job = worker.job, None
        assert job is not None
        if answer.status == "taken":
            self.later[job.run_id] = time.monotonic() + _LATER
            self.waiting.append(job)
            return None
        log = "" if answer.stored else read_log(worker.log)
        return Outcome(job, answer.status, answer.reason, log, answer.stored)


class _Worker:
    """A worker process and the job that it has."""

    def __init__(self, site: Site, log: Path) -> None:
        self.log, self.ready = log, False
        self.job: Job | None = None
        self.began = 0.0
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        setting = Setting(site.root, site.cache, log, site.threads)
        self.process = context.Process(target=serve, args=(theirs, setting), daemon=False)
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()

    def give(self, job: Job) -> None:
        self.job, self.began = job, time.monotonic()
        with suppress(OSError):  # it ended meanwhile, as will be seen
            self.connection.send(job)

    def messages(self) -> Iterator[tuple[str, Any]]:
        """Yield what it has sent by now."""
        with suppress(EOFError, OSError):
            while self.connection.poll():
                kind, content = self.connection.recv()
                self.ready = self.ready or kind == "ready"
                yield kind, content

    def excess(self, limits: Limits) -> str:
        """Say which limit its job exceeds; empty if none."""
        if self.job is None:
            return ""
        seconds = time.monotonic() - self.began
        if limits.seconds is not None and seconds > limits.seconds:
            return (
                f"took longer than {limits.seconds:g} s and was ended: give it more by --time-limit"
            )
        if limits.memory is not None and (taken := self._memory()) > limits.memory:
            return (
                f"took {taken / 1e9:.2f} GB of memory, more than {limits.memory / 1e9:g} GB, and "
                "was ended: give it more by --memory-limit"
            )
        return ""

    def death(self) -> str:
        """Say how its process ended; empty while it lives."""
        if self.process.is_alive():
            return ""
        status = self.process.exitcode or 0
        if status >= 0:
            return f"its process ended (exit status {status})"
        names = {int(each): each.name for each in signal.Signals}
        name = names.get(-status, f"signal {-status}")
        if name == "SIGKILL":
            return "its process was killed (SIGKILL), as happens where memory runs out"
        return f"its process crashed ({name})"

    def end(self) -> None:
        """End the process and all that it started."""
        with suppress(ProcessLookupError, PermissionError):
            if self.process.pid is not None:
                os.killpg(self.process.pid, signal.SIGKILL)
        self.process.kill()
        self.process.join()
        self.connection.close()

    def _memory(self) -> int:
        """Return the bytes of memory that it and its children hold."""
        resident = 0
        with suppress(psutil.Error):
            process = psutil.Process(self.process.pid)
            for each in (process, *process.children(recursive=True)):
                with suppress(psutil.Error):
                    resident += each.memory_info().rss
        return resident
