"""A sweep from its grid to its rows, with executors that do as they are told: what is run, what is
stored of a process that failed, what stays as it was."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections import Counter
from contextlib import suppress
from dataclasses import replace

import pytest
import torch

from vssbench.core import machine
from vssbench.core.errors import DataError, UsageError
from vssbench.core.hidden import PREFIX
from vssbench.report.prune import superfluous
from vssbench.run.measurement import Measurement
from vssbench.run.store import RunStore
from vssbench.run.stored import NewerRun
from vssbench.sweep import planner, quantities
from vssbench.sweep.conduct import Wishes, conduct, passes, planned, titles, todo
from vssbench.sweep.estimate import Estimator, duration, in_words, total
from vssbench.sweep.executor import Executor, Outcome, Place, Site, Stop
from vssbench.sweep.executors.processes import Processes
from vssbench.sweep.grid import sweep as measure_all
from vssbench.sweep.performing import Performer, differences
from vssbench.sweep.planner import Planner
from vssbench.sweep.points import points, read
from vssbench.sweep.worker import printing

STREET = "synthetic[height=32,width=48,clips=1,frames=3]"


class Told(Executor):
    """Gives each job the outcome that it was told, and notes it."""

    def __init__(self, **outcomes: str) -> None:
        self.outcomes, self.given = outcomes, []

    def run(self, jobs, site):
        for job in jobs:
            self.given.append(job)
            status = self.outcomes.get(f"seed{job.point.seed}", "failed")
            if status != "left":
                yield Outcome(job, status, "its process ended", "what it printed", stored=False)


class Here(Executor):
    """Performs each job in this process."""

    def run(self, jobs, site):
        performer = Performer(Place(site.root, site.cache))
        for job in jobs:
            answer = performer.perform(job)
            yield Outcome(job, answer.status, answer.reason, "", answer.stored)


@pytest.fixture
def grid(tmp_path):
    """Return the plan of a grid of that many seeds against the store, and what conducts it."""
    store = RunStore(tmp_path / "runs")

    def made(seeds: int, executor: Executor, **wishes):
        sweep = read(
            None,
            {"method": "bisenet", "dataset": STREET, "codec": "raw", "seed": list(range(seeds))},
        )
        wanted = points(sweep)
        plan = planned(wanted, Planner(tmp_path / "cache").experiments(wanted), store)
        site = Site(store.root, tmp_path / "cache", threads=torch.get_num_threads())
        return plan, conduct(plan, store, executor, site, Wishes("test", **wishes))

    return store, made


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


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk of 2 MB where the store lies; ``remount`` with an option changes it."""
    place = tmp_path / "runs"
    place.mkdir()

    def mount(options: str) -> None:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no small disk can be mounted here: {done.stderr.strip()}")

    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("mount"):
        pytest.skip("a small disk is mounted by root alone")
    mount("size=2m")
    yield mount
    subprocess.run(["umount", "-l", str(place)], check=True)


def stamped(store):
    return {run.measurement.run_id: store.stamp(run.measurement.run_id) for run in store.runs()}


def test_a_full_disk_is_said_and_the_sweep_goes_on_once_there_is_room(grid, small_disk):
    """By a worker process, whose log lies on the disk, too."""
    store, conducted = grid
    conducted(1, Here())
    before = stamped(store)
    ballast = store.root / ".ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    _, report = conducted(2, Processes())
    (outcome,) = report.outcomes.values()
    assert outcome.status == "failed"
    assert "No space left on device; make room" in outcome.reason
    assert stamped(store) == before
    ballast.unlink()
    _, report = conducted(2, Here())
    assert report.counts == {"done": 1}
    after = stamped(store)
    assert len(after) == 2
    assert after.items() >= before.items()
    assert not [name for name in os.listdir(store.root) if name.startswith(".vssbench")]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_printing_to_a_full_disk_never_fails():
    with open("/dev/full", "w") as full:
        stream = printing(full.fileno())
        print("some words", file=stream, flush=True)
        stream.write("x" * 100_000)
        stream.close()
    assert stream.closed


def test_a_store_that_can_only_be_read_is_said_before_anything_runs(grid, small_disk):
    store, conducted = grid
    conducted(1, Here())
    before = stamped(store)
    small_disk("remount,ro")
    told = Told()
    plan, report = conducted(1, told)
    assert ([each.state for each in plan], report.outcomes) == (["done"], {})
    with pytest.raises(DataError, match=r"cannot write .*Read-only file system"):
        conducted(2, told)
    assert told.given == []
    assert stamped(store) == before


def test_what_a_killed_sweep_left_goes_though_nothing_is_to_do(grid):
    store, conducted = grid
    conducted(1, Here())
    left = store.root / f"{PREFIX}0"
    (left / "new").mkdir(parents=True)
    (left / "lock").touch()
    (left / "new" / "worker-1.txt").touch()
    conducted(1, Told())
    assert not left.exists()


def test_a_corrupted_result_is_measured_again_and_it_alone(grid):
    store, conducted = grid
    plan, _ = conducted(2, Here())
    before = stamped(store)
    hurt = store.root / plan[0].run_id / "result.json"
    hurt.write_text(hurt.read_text(encoding="utf-8")[:100], encoding="utf-8")
    plan, report = conducted(2, Here())
    assert [each.state for each in plan] == ["damaged", "done"]
    assert "does not read" in plan[0].reason
    assert report.counts == {"done": 1}
    after = stamped(store)
    assert after.keys() == before.keys()
    assert after[plan[1].run_id] == before[plan[1].run_id]


def test_a_run_of_a_newer_version_is_said_and_left_as_it_is(grid, caplog):
    store, conducted = grid
    plan, _ = conducted(1, Here())
    newer = store.root / "newer"
    shutil.copytree(store.root / plan[0].run_id, newer)
    row = json.loads((newer / "result.json").read_text(encoding="utf-8"))
    row |= {"run_id": "newer", "version": "9.0", "watts": 3}
    (newer / "result.json").write_text(json.dumps(row), encoding="utf-8")
    before = store.stamp("newer")
    _, report = conducted(2, Here())
    assert report.counts == {"done": 1}
    assert len(store.runs()) == 2
    assert "it has 'watts', which vssbench" in caplog.text
    assert "written by a newer version (9.0): update this one" in caplog.text
    assert store.stamp("newer") == before


@pytest.mark.parametrize(
    "change", [{"version": "9.0", "watts": 3}, {"version": "9.0", "status": "paused"}, {"watts": 3}]
)
def test_a_run_of_a_newer_version_is_never_replaced(grid, change):
    store, conducted = grid
    plan, _ = conducted(2, Here())
    name = plan[0].run_id
    path = store.root / name / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | change))
    before = store.stamp(name)
    for wishes in ({}, {"force": True}, {"retry": ("failed",)}):
        plan, report = conducted(2, Here(), **wishes)
        assert [each.state for each in plan] == ["newer", "done"]
        assert "written by a newer version" in plan[0].reason
        assert name not in report.outcomes
        assert name not in {each.run_id for each in report.left}
    experiments = [each.experiment for each in plan]
    with pytest.raises(NewerRun, match="written by a newer version"):
        measure_all(experiments, store, "test")
    assert list(superfluous(store, ["damaged"])) == []
    assert store.stamp(name) == before


def test_a_run_of_a_newer_version_that_reads_is_done_and_never_replaced(grid):
    store, conducted = grid
    plan, _ = conducted(2, Here())
    name = plan[0].run_id
    path = store.root / name / "result.json"
    row = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps(row | {"version": "9.0"}))
    before = store.stamp(name)
    for wishes in ({}, {"force": True}):
        plan, report = conducted(2, Here(), **wishes)
        assert [(each.state, each.kept) for each in plan] == [("done", True), ("done", False)]
        assert "written by a newer version (9.0)" in plan[0].reason
        assert len(report.outcomes) == len(wishes)
    assert store.stamp(name) == before
    with pytest.raises(NewerRun, match="is not replaced: it was written by a newer version"):
        store.write(Measurement(**row), None, None, {}, "")
    path.write_text(json.dumps(row | {"version": "9.0", "status": "failed"}))
    assert list(superfluous(store, ["older", "failed", "damaged"])) == []


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


def test_estimates_come_from_past_runs_alone(grid):
    store, conducted = grid
    plan, _ = conducted(2, Told())
    both = [each.experiment for each in plan]
    assert total(both, Estimator(store.runs()).seconds) == ([], 2)
    conducted(1, Here(), retry=("failed",))
    run = next(run for run in store.runs() if run.measurement.status == "done")
    seconds = Estimator(store.runs()).seconds
    assert seconds(both[1]) == pytest.approx(run.measurement.seconds)
    assert total(both, seconds) == (2 * [pytest.approx(run.measurement.seconds)], 0)


def test_wishes_to_stop_are_counted():
    said = []
    stop = Stop(said.append)
    for wished in (1, 2):
        stop._heard(2, None)
        assert (stop.wished, stop.abandoned) == (True, wished == 2)
    assert len(said) == 1


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("1.5h", 5400), ("2m", 120)])
def test_times_are_read(text, seconds):
    assert quantities.seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "0", "-1", "2 weeks", "4G"])
def test_what_is_no_time_is_said(text):
    with pytest.raises(ValueError, match="is not a time as 90"):
        quantities.seconds(text)


def test_more_workers_than_experiments_do_not_shorten_one():
    assert duration([5.0], 8) == 5
    assert duration([3.0, 3.0, 3.0], 2) == 6
    assert duration([1.0, 1.0, 4.0], 2) == 5
    assert duration([], 4) == 0


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


def test_sizes_and_times_in_words():
    assert quantities.size("1.5G") == 1_500_000_000
    assert quantities.size_in_words(1_500_000_000) == "1.5 GB"
    assert quantities.size_in_words(12) == "12 bytes"
    assert [in_words(each) for each in (45, 720, 36_000)] == ["45 s", "12 min", "10.0 h"]
