"""The fork server of a sweep: when a command has one, and what it may serve."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from vssbench.cli.sweep import sweep
from vssbench.run.store import RunStore
from vssbench.sweep import forks
from vssbench.sweep.executors.processes import Processes

STREET = "synthetic[height=32,width=48,clips=1,frames=3]"


@pytest.fixture
def alone(monkeypatch):
    """Let this process have one thread, whatever the tests are run by."""
    monkeypatch.setattr(threading, "active_count", lambda: 1)


@pytest.mark.skipif(sys.platform != "linux", reason="forks are Linux's")
def test_workers_are_forks_on_the_processor_alone(alone):
    assert forks.forkable({"cpu"})
    assert not any(map(forks.forkable, [{"cuda"}, {"cpu", "cuda"}, {"cuda:1"}, ()]))


def test_a_process_with_threads_or_of_another_system_is_not_forked(alone, monkeypatch):
    with monkeypatch.context() as other:
        other.setattr(sys, "platform", "darwin")
        assert not forks.forkable({"cpu"})
    monkeypatch.setattr(threading, "active_count", lambda: 2)
    assert not forks.forkable({"cpu"})


@pytest.mark.parametrize(
    ("there", "options", "devices"),
    [
        ([], [], {"cpu"}),
        (["a run"], [], set()),
        (["a run"], ["--force"], {"cpu"}),
        (["a run"], ["--retry", "failed"], {"cpu"}),
        ([], ["--dry-run"], set()),
    ],
)
def test_a_server_is_begun_where_something_is_to_be_run(
    tmp_path, monkeypatch, there, options, devices
):
    asked = []

    @contextmanager
    def prepared(self, devices):
        asked.append(set(devices))
        yield

    monkeypatch.setattr(Processes, "prepared", prepared)
    monkeypatch.setattr(Processes, "run", lambda self, jobs, site: iter(()))
    monkeypatch.setattr(RunStore, "ids", lambda self: there)
    words = ["-m", "bisenet", "-c", "raw", "-d", STREET, "--runs", str(tmp_path / "runs")]
    CliRunner().invoke(sweep, [*words, *options])
    assert asked == [devices]
