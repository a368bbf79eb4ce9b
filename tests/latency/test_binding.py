"""Workers' threads are bound to cores, unless the user has settled it."""

import os
import subprocess
import sys

import pytest

from vssbench.latency.rounds import BINDING, binding

DECIDED = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
#: the cores on which the first thread may run, once OpenMP is there
CODE = "import os, torch; torch.ones(4096, 64).sum(); print(len(os.sched_getaffinity(0)))"


@pytest.fixture
def undecided(monkeypatch):
    for name in DECIDED:
        monkeypatch.delenv(name, raising=False)


def test_on_a_processor_alone(undecided):
    assert binding("cpu") == BINDING
    assert binding("cuda:0") == {}


@pytest.mark.parametrize("name", DECIDED)
def test_the_environment_goes_before(undecided, monkeypatch, name):
    monkeypatch.setenv(name, "0")
    assert binding("cpu") == {}


@pytest.mark.skipif(
    not sys.platform.startswith("linux") or (os.cpu_count() or 1) < 2,
    reason="needs Linux and two cores",
)
def test_openmp_heeds_it(undecided):
    environment = {**os.environ, **BINDING}
    command = [sys.executable, "-c", CODE]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    assert int(done.stdout) < len(os.sched_getaffinity(0))
