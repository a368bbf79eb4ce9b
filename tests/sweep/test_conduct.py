"""A sweep from its grid to its rows, with executors that do as they are told: what is run, what is
stored of a process that failed, what stays as it was."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from tests.sweep.conducting import STREET, Here, Told
from vssbench.core import machine
from vssbench.core.errors import DataError, UsageError
from vssbench.run.store import RunStore
from vssbench.sweep import planner
from vssbench.sweep.conduct import Wishes, conduct, passes, planned, titles, todo
from vssbench.sweep.executor import Executor, Place, Site, Stop
from vssbench.sweep.performing import Performer, differences
from vssbench.sweep.planner import Planner
from vssbench.sweep.points import points, read


def test_a_process_that_failed_is_a_row_and_is_tried_again_when_asked(grid):
    store, conducted = grid
    _, report = conducted(2, Told())
    assert report.counts == {"failed": 2}
    for run in store.runs():
        assert (run.measurement.status, run.measurement.reason) == ("failed", "its process ended")
        assert "what it printed" in run.log
    again = Told()
    plan, report = conducted(2, again)
    assert [each.state for each in plan] == ["failed", "failed"]
    assert (again.given, report.outcomes) == ([], {})
    conducted(2, again, retry=("failed",))
    assert len(again.given) == 2


def test_what_was_not_begun_is_left_and_has_no_row(grid):
    store, conducted = grid
    _, report = conducted(2, Told(seed1="left"))
    assert [each.experiment.seed for each in report.left] == [1]
    assert [run.measurement.seed for run in store.runs()] == [0]


def test_a_job_measures_and_a_failure_later_harms_nothing(grid):
    store, conducted = grid
    plan, report = conducted(1, Here())
    assert report.counts == {"done": 1}
    run = store.runs()[0]
    assert run.measurement.status == "done"
    assert todo(planned([plan[0].point], [plan[0].experiment], store), Wishes("test")) == []
    conducted(1, Told(), force=True)
    assert store.runs()[0].measurement.status == "done"


def test_a_process_that_ended_after_it_had_stored_all_is_done(grid):
    _, conducted = grid

    class Both(Executor):
        def run(self, jobs, site):
            list(Here().run(jobs, site))
            yield from Told().run(jobs, site)

    _, report = conducted(1, Both())
    assert report.counts == {"done": 1}


def test_a_job_of_other_source_or_versions_is_refused_in_words(grid):
    _, conducted = grid
    told = Told()
    plan, _ = conducted(1, told)
    job = told.given[0]
    identity = job.identity
    assert differences(identity, plan[0].experiment.identity) == ""
    other = {**identity, "code": "9.9+abc", "machine": {**identity["machine"], "torch": "9"}}
    said = differences(identity, other)
    assert "its source is 9.9+abc" in said
    assert "machine: torch '9' for" in said
    cache = plan[0].experiment.cache
    performer = Performer(Place(cache, cache))
    answer = performer.perform(replace(job, identity=other))
    assert (answer.status, answer.stored) == ("failed", False)
    assert "begin the sweep again" in answer.reason


def test_an_empty_plan_and_a_store_that_cannot_be_written_are_said(grid, tmp_path):
    store, conducted = grid
    with pytest.raises(UsageError, match="nothing to run"):
        conduct([], store, Told(), Site(store.root, store.root), Wishes("test"))
    (tmp_path / "runs").touch()
    with pytest.raises(DataError, match="cannot write"):
        conducted(1, Told())


def test_titles_tell_apart_what_a_plan_has_several_of(grid):
    _, conducted = grid
    (alone,), _ = conducted(1, Told())
    assert titles([alone]) == {alone.run_id: alone.experiment.title}
    plan, _ = conducted(2, told := Told())
    assert [job.title for job in told.given] == [*titles(plan).values()][1:]
    assert [text.removeprefix(alone.experiment.title) for text in titles(plan).values()] == [
        ", seed 0",
        ", seed 1",
    ]


def test_what_is_the_same_for_a_whole_grid_is_read_once(tmp_path, monkeypatch):
    """A grid of 200 asks as often as one of 2 for versions, and for weights and clips."""
    reads = Counter()

    def counted(target, name):
        original = getattr(target, name)

        def wrapped(*given, **named):
            reads[name] += 1
            return original(*given, **named)

        monkeypatch.setattr(target, name, wrapped)

    counted(machine, "version")
    counted(planner, "_weight_files")
    counted(planner, "_opened")
    counted(planner, "_codec")
    counts = []
    for seeds in (2, 200):
        machine._version.cache_clear()
        reads.clear()
        sweep = read(
            None,
            {"method": "bisenet", "dataset": STREET, "codec": "raw", "seed": list(range(seeds))},
        )
        wanted = points(sweep)
        plan = planned(wanted, Planner(tmp_path).experiments(wanted), RunStore(tmp_path / "runs"))
        assert {each.state for each in plan} == {"to do"}
        assert len({each.run_id for each in plan}) == seeds
        counts.append(dict(reads))
    assert counts[0] == counts[1]
    assert counts[0]["_opened"] == 1


def test_wishes_to_stop_are_counted():
    said = []
    stop = Stop(said.append)
    for wished in (1, 2):
        stop._heard(2, None)
        assert (stop.wished, stop.abandoned) == (True, wished == 2)
    assert len(said) == 1


def test_latencies_of_several_workers_are_a_second_pass_alone(grid):
    store, conducted = grid
    conducted(1, Here(), timed=False)
    more, _ = conducted(2, Told(seed1="left"))
    again = [replace(each, state="to do") for each in more]
    wishes = Wishes("test", latency=True)
    first, alone = passes(again, store, wishes, 2)
    assert [each.experiment.seed for each in first] == [1]
    assert [each.experiment.seed for each in alone] == [0, 1]
    assert passes(again, store, wishes, 1) == (again, [])
    assert passes(again, store, replace(wishes, latency=False), 2) == (again, [])
    assert passes(again, store, replace(wishes, force=True), 2) == (again, again)
