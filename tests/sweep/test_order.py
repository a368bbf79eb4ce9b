"""Which experiment a worker gets: one that reads what it has read, so that no two processes read,
draw or encode the same."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from vssbench.sweep.executor import Answer, Limits, Site, Stop
from vssbench.sweep.executors.processes import _Pool


@dataclass(frozen=True)
class Reading:
    """A task that reads a stream of a dataset."""

    name: str
    reads: tuple[str, ...]


def order(tasks: list[Reading], workers: int, later: tuple[str, ...] = ()) -> list[list[str]]:
    """Return the names of the tasks that each worker gets, where all take the same time."""
    site = Site(Path(), Path(), workers, 1, Limits(), Stop(print))
    pool = _Pool(site, Path(), (), None)
    pool.waiting.extend(tasks)
    pool.later = dict.fromkeys(later, float("inf"))
    pool.workers = [
        SimpleNamespace(job=None, latest=None, ready=True, began=0.0) for _ in range(workers)
    ]
    given: list[list[str]] = [[] for _ in range(workers)]
    while True:
        for worker in pool.workers:
            worker.job = None
        for worker, names in zip(pool.workers, given, strict=True):
            worker.job = pool._next(worker)
            worker.latest = worker.job or worker.latest
            if worker.job is not None:
                names.append(worker.job.name)
        if not any(worker.job for worker in pool.workers):
            return given


@pytest.mark.parametrize(
    ("messages", "death", "counted"),
    [
        ([("frames", 5), ("answer", Answer("done"))], "", [5, 7]),
        ([("answer", Answer("failed", "no"))], "", [12]),
        ([("frames", 2), ("frames", 3)], "its process crashed", [2, 3, 7]),
        ([("frames", 12), ("answer", Answer("done"))], "", [12, 0]),
        ([("answer", Answer("taken"))], "", []),
    ],
)
def test_a_task_that_ends_has_all_its_frames_counted(messages, death, counted):
    """However few were reported, and whatever became of it."""
    told: list[int] = []
    site = Site(Path(), Path(), 1, 1, Limits(), Stop(print), advance=told.append)
    pool = _Pool(site, Path(), (), None)
    worker = SimpleNamespace(
        job=SimpleNamespace(name="a", frames=12), frames=0, fresh=True, began=0.0, printed="",
        messages=lambda: messages, excess=lambda limits: "", death=lambda: death, end=lambda: None,
    )  # fmt: skip
    pool.workers = [worker]
    outcomes = list(pool._outcomes(worker))
    assert told == counted
    assert len(outcomes) == (messages[-1][1] != Answer("taken"))


def grid(datasets: str, codecs: str, methods: str) -> list[Reading]:
    return [Reading(d + c + m, (d, c)) for d in datasets for c in codecs for m in methods]


def test_each_worker_keeps_to_its_dataset():
    first, second = order(grid("ABCD", "x", "123"), 2)
    assert first == ["Ax1", "Ax2", "Ax3", "Cx1", "Cx2", "Cx3"]
    assert second == ["Bx1", "Bx2", "Bx3", "Dx1", "Dx2", "Dx3"]


def test_on_one_dataset_each_keeps_to_its_stream_as_long_as_there_is_one():
    first, second = order(grid("A", "xyz", "12"), 2)
    assert (first[:2], second[:2]) == (["Ax1", "Ax2"], ["Ay1", "Ay2"])
    assert sorted([*first, *second]) == ["Ax1", "Ax2", "Ay1", "Ay2", "Az1", "Az2"]
    assert abs(len(first) - len(second)) == 0


def test_no_worker_is_idle_while_a_task_waits():
    given = order(grid("A", "x", "12345"), 2)
    assert sorted(map(len, given)) == [2, 3]


@pytest.mark.parametrize(
    ("gone", "waiting", "takes"),
    [
        (0.4, 1, False),  # done in 0.6 s and with the other a second later; reading takes longer
        (0.4, 3, True),
        (9.0, 1, True),  # it takes far longer than usual, and may as long again
        (1.2, 1, False),
    ],
)
def test_the_last_tasks_are_left_to_a_worker_that_has_read_and_is_sooner_done(
    monkeypatch: pytest.MonkeyPatch, gone: float, waiting: int, takes: bool
) -> None:
    pool = _Pool(Site(Path(), Path(), 2, 1, Limits(), Stop(print)), Path(), (), None)
    own, idle, *tasks = [*grid("A", "x", "1"), *grid("B", "x", "1"), *grid("A", "x", "2345")]
    pool.waiting.extend(tasks[:waiting])
    pool.seconds = {True: [2.0, 3.0, 9.0], False: [1.0, 1.0, 5.0]}
    monkeypatch.setattr(time, "monotonic", lambda: 100.0 + gone)
    reader = SimpleNamespace(job=own, latest=own, ready=True, began=100.0)
    other = SimpleNamespace(job=None, latest=idle, ready=True, began=0.0)
    pool.workers = [other, reader]
    assert (pool._next(other) is not None) == takes
    # where it is idle itself, it is given the task at once
    reader.job = None
    assert pool._next(other) is None
    assert pool._next(reader) == (tasks[:waiting][takes:] or [None])[0]
    # and where it is no more, nobody waits for it
    pool.workers = [other]
    pool.waiting = tasks[:1]
    assert pool._next(other) == tasks[0]


def test_what_another_sweep_has_under_way_is_passed_over():
    assert order(grid("A", "x", "123"), 1, later=("Ax1", "Ax3")) == [["Ax2"]]


def test_tasks_that_say_nothing_of_what_they_read_keep_their_order():
    assert order([Reading(name, ()) for name in "abcd"], 2) == [["a", "c"], ["b", "d"]]
