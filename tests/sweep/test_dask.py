"""A scheduler and workers on this machine: a worker that is lost, a client that is killed, workers
that cannot run the experiments."""

from __future__ import annotations

import errno
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.sweep.cluster import Cluster
from tests.sweep.conftest import ROOT, Installed, Sweeps
from tests.warm import Warm
from vssbench.core import files
from vssbench.core.errors import DataError, UsageError
from vssbench.run.store import RunStore
from vssbench.sweep.away import Sent
from vssbench.sweep.executor import Outcome, Site, Task
from vssbench.sweep.executors.dask import _LOSSES, Dask, _Crew, _Submitted

pytest.importorskip("distributed")


#: experiments and workers; the long form: VSSBENCH_TEST_CLUSTER=60
EXPERIMENTS = int(os.environ.get("VSSBENCH_TEST_CLUSTER", "6"))
WORKERS = 2 if EXPERIMENTS == 6 else 3


@pytest.fixture
def cluster(tmp_path: Path, installed: Installed, wait) -> Iterator[Cluster]:
    environment = {**installed.environment, "FAULTY_NOTES": str(tmp_path / "notes.txt")}
    started = Cluster(tmp_path, environment)
    try:
        wait(started.file.exists)
        yield started
    finally:
        started.end()


def seeds(count: int) -> list[str]:
    return [text for seed in range(count) for text in ("--seed", str(seed))]


def matrices(runs: Path) -> dict[int, np.ndarray]:
    return {run.measurement.seed: run.confusion.matrices for run in RunStore(runs).runs()}


def test_a_lost_worker_and_a_killed_client_lose_nothing(
    cluster: Cluster, sweeps: Sweeps, wait, tmp_path: Path, installed: Installed, commands: Warm
) -> None:
    lost = cluster.worker()
    for _ in range(WORKERS - 1):
        cluster.worker()
    wait(lambda: cluster.workers() == WORKERS)
    options = [*seeds(EXPERIMENTS), "-c", "faulty[kind=slow]", "--scheduler", cluster.address]
    process = sweeps.start(*options)
    wait(lambda: len(list(sweeps.runs.glob("[!.]*"))) >= 1 or process.poll() is not None)
    lost.kill()
    wait(
        lambda: (
            len(list(sweeps.runs.glob("[!.]*"))) >= EXPERIMENTS // 2 or process.poll() is not None
        )
    )
    process.kill()
    process.communicate()
    before = {path.name: (path / "result.json").stat().st_ino for path in sweeps.runs.glob("[!.]*")}
    status, said = sweeps.run(*options)
    assert status == 0, said
    assert f"{EXPERIMENTS} of {EXPERIMENTS} experiments are done" in said
    after = {path.name: (path / "result.json").stat().st_ino for path in sweeps.runs.glob("[!.]*")}
    assert len(after) == EXPERIMENTS
    assert {name: after[name] for name in before} == before
    local = Sweeps(tmp_path / "local", installed, commands)
    assert local.run(*seeds(EXPERIMENTS), "-c", "faulty")[0] == 0
    there, here = matrices(sweeps.runs), matrices(local.runs)
    assert there.keys() == here.keys()
    assert all(np.array_equal(there[seed], here[seed]) for seed in here)
    # what the cluster did is done here, too
    asked = len(sweeps.asked())
    assert sweeps.run(*seeds(EXPERIMENTS), "-c", "faulty[kind=slow]")[0] == 0
    assert len(sweeps.asked()) == asked


def test_limits_and_crashes_are_failed_rows_and_the_worker_lives(
    cluster: Cluster, sweeps: Sweeps, wait
) -> None:
    """Each runs in a process of the worker's, which is replaced."""
    worker = cluster.worker()
    wait(lambda: cluster.workers() == 1)
    kinds = ("abort", "memory", "none")
    options = [text for kind in kinds for text in ("-c", f"faulty[kind={kind}]")]
    status, said = sweeps.run(*options, "--scheduler", cluster.address, "--memory-limit", "1.5G")
    assert status == 1, said
    runs = {run.measurement.codec: run for run in RunStore(sweeps.runs).runs()}
    assert len(runs) == 3
    assert "its process crashed (SIGABRT)" in runs["faulty[kind=abort]"].measurement.reason
    assert "this codec was asked for abort" in runs["faulty[kind=abort]"].log
    assert "more than 1.5 GB" in runs["faulty[kind=memory]"].measurement.reason
    assert runs["faulty[kind=none]"].measurement.status == "done"
    assert worker.poll() is None


def test_workers_that_cannot_run_them_are_left_out_in_words(
    cluster: Cluster, sweeps: Sweeps, wait, tmp_path: Path
) -> None:
    cluster.worker(PYTHONPATH=str(ROOT))  # without the plug-ins
    wait(lambda: cluster.workers() == 1)
    options = [*seeds(1), "-c", "faulty", "--scheduler", cluster.address]
    status, said = sweeps.run(*options)
    assert status == 2
    assert "no worker can do this" in said
    assert "unknown dataset 'blocks'" in said
    cluster.worker()
    wait(lambda: cluster.workers() == 2)
    status, said = sweeps.run(*options)
    assert status == 0, said
    assert "is left out" in said


def test_a_worker_that_comes_later_does_what_a_lost_one_had_and_ends_what_is_abandoned(
    cluster: Cluster, sweeps: Sweeps, wait
) -> None:
    """Start a worker again under another address, as a nanny or a Slurm job does."""
    lost = cluster.worker()
    wait(lambda: cluster.workers() == 1)
    place = ("--executor", f"dask[scheduler={cluster.address}]")
    process = sweeps.start(*seeds(2), "-c", "faulty[kind=slow]", *place)
    wait(lambda: len(sweeps.asked()) == 1)
    lost.kill()
    cluster.worker()
    said, _ = process.communicate(timeout=100)
    assert process.wait() == 0, said
    assert "2 of 2 experiments are done" in said
    # other machines' times are none, however they were asked
    assert [run.timed for run in RunStore(sweeps.runs).runs()] == [False, False]
    process = sweeps.start("-c", "faulty[kind=hang]", *place)
    wait(lambda: "hang" in sweeps.asked())
    for pause in (0.3, 0.0):
        process.send_signal(signal.SIGINT)
        time.sleep(pause)
    said, _ = process.communicate(timeout=60)
    assert process.wait() == 130, said
    # its worker is free again
    process = sweeps.start("-c", "faulty", *place)
    said, _ = process.communicate(timeout=100)
    assert process.wait() == 0, said


def test_what_no_cluster_could_do_is_refused(sweeps: Sweeps) -> None:
    status, said = sweeps.run("--scheduler", "tcp://127.0.0.1:9", "--latency")
    assert (status, "leave one out" in said) == (2, True)
    both = ("--scheduler", "tcp://127.0.0.1:9", "--executor", "processes")
    status, said = sweeps.run(*both)
    assert (status, "leave one out" in said) == (2, True)
    away = ("--executor", "dask[scheduler=tcp://127.0.0.1:9]", "--latency", "--dry-run")
    status, said = sweeps.run(*away)
    assert (status, "leave one out" in said) == (2, True)


@pytest.mark.parametrize("address", ["there", "http://127.0.0.1:9", "tcp://there", "tcp://there:x"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match=r"expected its address, as tcp://HOST:8786"):
        list(Dask(scheduler=address).run([], Site(Path(), Path())))


class Client:
    """A client of Dask, as far as the executor asks one."""

    def __init__(self, workers: int, status: str = "running", resources: int = 0) -> None:
        self.status, self.workers = status, workers
        self.resources = {"GPU": resources} if resources else {}

    def wait_for_workers(self, count: int, timeout: str) -> None:
        if self.workers < count:
            raise TimeoutError(f"{timeout}: {count}")

    def scheduler_info(self, n_workers: int) -> dict[str, Any]:
        worker = {"nthreads": 1, "resources": self.resources}
        return {"workers": {f"tcp://there:{number}": worker for number in range(self.workers)}}

    def run(self, function: object, *arguments: object, workers: list[str], **_: Any) -> dict:
        return dict.fromkeys(workers, "")

    def submit(self, *arguments: object, **_: Any) -> Gone:
        return Gone()

    def cancel(self, futures: list[Gone]) -> None: ...


class Gone:
    """A task whose scheduler went away."""

    def done(self) -> bool:
        return True

    def cancelled(self) -> bool:
        return True


@dataclass(frozen=True)
class Arrived:
    """A task that has ended on a worker."""

    sent: Sent

    def exception(self) -> None: ...
    def result(self) -> Sent:
        return self.sent


@dataclass(frozen=True)
class Work(Task):
    """A task that needs a device, and nothing else."""

    device: str = "cpu"
    needs: None = None

    def performer(self, place: object) -> Any: ...
    def unfit(self, threads: int | None) -> str:
        return ""


def crew(client: Client, *tasks: Task) -> _Crew:
    return _Crew(client, "tcp://there:8786", tasks, Site(Path(), Path()))


def test_a_scheduler_without_workers_is_one_message() -> None:
    with pytest.raises(DataError, match=r"has no worker: start one, as `dask worker tcp://there"):
        crew(Client(0)).gather()


def test_workers_for_gpus_need_the_resource() -> None:
    work = Work("one", "one", 1, "cuda")
    with pytest.raises(DataError, match=r"it has no resource GPU: start it with --resources GPU=1"):
        crew(Client(1), work).gather()
    fit = crew(Client(2, resources=1), work)
    fit.gather()
    assert fit.slots == 2


def test_a_scheduler_that_is_lost_makes_no_failed_rows() -> None:
    client, work = Client(1), Work("one", "one", 1)
    there = crew(client, work)
    there.gather()
    client.status = "closed"
    with pytest.raises(DataError, match=r"was lost: .* the same command goes on"):
        list(_Submitted(client, there, Site(Path(), Path())).outcomes([work]))


@pytest.mark.parametrize("where", ["the store", "the temporary folder"])
def test_a_full_disk_of_the_client_is_a_failed_task_and_others_go_on(
    where: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refuse(*given: object) -> None:
        raise files.refusal(tmp_path, full) if where == "the store" else full

    monkeypatch.setattr(*(RunStore, "take") if where == "the store" else (Path, "mkdir"), refuse)
    monkeypatch.setattr(RunStore, "get", lambda *given: None)
    work = Work("one", "one", 1)
    submitted = _Submitted(Client(1), crew(Client(1), work), Site(tmp_path, tmp_path))
    sent = Sent("done", "", run_id="one", files=(("result.json", b"{}"),), stored=True)
    outcome = submitted._outcome(Arrived(sent), work)
    assert outcome is not None
    assert (outcome.status, outcome.stored) == ("failed", False)
    assert "No space left on device; make room" in outcome.reason


def test_a_task_that_loses_all_its_workers_again_and_again_has_failed() -> None:
    client, work = Client(1), Work("one", "one", 1)
    there = crew(client, work)
    there.gather()
    sent = _Submitted(client, there, Site(Path(), Path()))
    ended: list[Outcome] = []
    for _ in range(_LOSSES):
        assert not ended
        ended = list(sent._lost([sent._submit(work)]))
    assert [(each.status, each.stored) for each in ended] == [("failed", False)]
