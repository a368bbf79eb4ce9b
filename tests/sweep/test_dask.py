"""A scheduler and workers on this machine: a worker that is lost, a client that is killed, workers
that cannot run the experiments."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.sweep.cluster import Cluster
from tests.sweep.conftest import ROOT, Installed, Sweeps
from tests.warm import Warm
from vssbench.run.store import RunStore

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


def test_an_address_without_a_scheduler_and_latencies_are_refused(sweeps: Sweeps) -> None:
    status, said = sweeps.run("--scheduler", "tcp://127.0.0.1:9", "--latency")
    assert (status, "leave one out" in said) == (2, True)
