"""A task on a machine of a cluster: a process of its own there, under its limits, and what is sent
back."""

from __future__ import annotations

import atexit
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import connection as connections
from pathlib import Path
from typing import Literal

from vssbench.sweep.executor import Answer, Limits, Task
from vssbench.sweep.gpus import visible
from vssbench.sweep.process import WorkerProcess
from vssbench.sweep.worker import Setting

#: seconds between two looks at a process
_LOOK = 0.1
#: the end of a task that was cancelled, which nobody reads
_UNWANTED = "nobody waits for it any more"
#: the worker resource of Dask that stands for GPUs
GPU = "GPU"


@dataclass(frozen=True)
class Sent:
    """The end of a task as it is sent back, with the files of its run by their names.

    Without files ``stored`` says whether what came of it lies in its place already.
    """

    status: Literal["done", "failed", "refused", "taken"]
    reason: str
    log: str = ""
    run_id: str = ""
    files: tuple[tuple[str, bytes], ...] = ()
    stored: bool = False


def perform(task: Task, threads: int | None, limits: Limits) -> Sent:
    """Perform a task on a worker of Dask, in a process that is kept for the next one; it ends where
    nobody wants the result any more."""
    with _pool.worker(threads, task.device == "cuda") as worker:
        answer = _answer(worker, task, limits, _unwanted())
        if isinstance(answer, str):
            return Sent("failed", answer, worker.printed)
        log = "" if answer.stored else worker.printed
        for folder in _runs(worker.setting.root):
            files = tuple((path.name, path.read_bytes()) for path in sorted(folder.glob("*")))
            return Sent(answer.status, answer.reason, log, folder.name, files, answer.stored)
        return Sent(answer.status, answer.reason, log, stored=answer.stored)


def _unwanted() -> Callable[[], bool]:
    """Return what says whether the task of this thread was cancelled, or its client has gone."""
    from distributed import get_worker

    dask = get_worker()
    tasks, key = dask.state.tasks, dask.get_current_task()
    return lambda: key not in tasks or tasks[key].state == "cancelled"


def _answer(
    worker: WorkerProcess, task: Task, limits: Limits, unwanted: Callable[[], bool]
) -> Answer | str:
    """Return the answer of a process to a task, or why it gave none; it has ended then."""
    while True:
        connections.wait([worker.connection], _LOOK)
        for kind, content in worker.messages():
            if kind == "answer":
                worker.job = None
                return content
        if worker.ready and worker.job is None:
            worker.give(task)
        reason = worker.excess(limits) or worker.death() or (_UNWANTED if unwanted() else "")
        if reason:
            worker.end()
            return reason if worker.ready else f"no process can be started for it: {reason}"


def _runs(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]


@dataclass
class _Pool:
    """The processes of a worker of Dask, each with one task at a time and a folder of its own."""

    idle: list[WorkerProcess] = field(default_factory=list)
    gpus: list[str] | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def worker(self, threads: int | None, with_gpu: bool) -> Iterator[WorkerProcess]:
        """Yield a process for one task; it is kept if it lives, and what it stored is removed."""
        with self.lock:
            gpu = self._gpu() if with_gpu else None
            worker = self._kept(threads, gpu)
        worker = worker or _started(threads, gpu)
        try:
            yield worker
        finally:
            for folder in _runs(worker.setting.root):
                shutil.rmtree(folder)
            with self.lock:
                if gpu is not None and self.gpus is not None:
                    self.gpus.append(gpu)
                if worker.job is None and not worker.death():
                    self.idle.append(worker)
                else:
                    _ended(worker)

    def _gpu(self) -> str | None:
        """Take one of the GPUs that no other task has; None where the worker has but one."""
        if self.gpus is None:
            from distributed import get_worker

            share = int(get_worker().state.total_resources.get(GPU, 1))
            self.gpus = visible()[:share] if share > 1 else []
        return self.gpus.pop(0) if self.gpus else None

    def _kept(self, threads: int | None, gpu: str | None) -> WorkerProcess | None:
        """Take an idle process of that kind; those with other numbers of threads are ended."""
        found = None
        for worker in list(self.idle):
            setting = worker.setting
            if found is None and (setting.threads, setting.gpu) == (threads, gpu):
                found = worker
                self.idle.remove(worker)
            elif setting.threads != threads:
                self.idle.remove(worker)
                _ended(worker)
        return found

    def end(self) -> None:
        """End those that are idle."""
        for worker in self.idle:
            _ended(worker)


def _started(threads: int | None, gpu: str | None) -> WorkerProcess:
    from distributed import get_worker

    root = Path(tempfile.mkdtemp(prefix="vssbench-", dir=get_worker().local_directory))
    # streams are shared with the other workers of the machine
    cache = Path(tempfile.gettempdir()) / "vssbench-streams"
    return WorkerProcess(Setting(root, cache, root / ".printed.txt", threads, gpu, away=True))


def _ended(worker: WorkerProcess) -> None:
    worker.end()
    shutil.rmtree(worker.setting.root, ignore_errors=True)


_pool = _Pool()
atexit.register(_pool.end)
