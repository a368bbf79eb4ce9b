"""A sweep into a store that is full, read-only, damaged or of a newer version: what is said, and
that nothing else is harmed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from contextlib import suppress

import pytest

from tests.sweep.conducting import Here, Told
from vssbench.core.errors import DataError
from vssbench.core.hidden import PREFIX
from vssbench.report.prune import superfluous
from vssbench.run.measurement import Measurement
from vssbench.run.stored import NewerRun
from vssbench.sweep.executors.processes import Processes
from vssbench.sweep.grid import sweep as measure_all
from vssbench.sweep.worker import printing


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
