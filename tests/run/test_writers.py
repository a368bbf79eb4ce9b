"""Several writers of one store at once, and writers that are killed: no run is lost or torn."""

from __future__ import annotations

import multiprocessing
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.run.runs import confusion, hidden, measurement
from vssbench.core import files
from vssbench.run.store import RunStore

WRITERS, ROUNDS = 3, 8


def write_many(root: str, number: int) -> None:
    """One of several writers: the same run over and over, and one of its own. At the top level for
    spawn."""
    store = RunStore(Path(root))
    for _ in range(ROUNDS):
        store.write(
            measurement("shared", seed=number),
            confusion(50, number),
            None,
            {"writer": number},
            str(number),
        )
    store.write(measurement(f"own{number}"), None, None, {}, "")


def at_once(write: Callable[[str, int], None], root: Path) -> list[int | None]:
    """Run several writers of one store, each in a process; return their exit codes."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=write, args=(str(root), number)) for number in range(WRITERS)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    return [writer.exitcode for writer in writers]


def test_many_writers_at_once(tmp_path: Path) -> None:
    assert at_once(write_many, tmp_path) == [0] * WRITERS
    assert hidden(tmp_path) == []
    assert {run.measurement.run_id for run in RunStore(tmp_path).runs()} == {
        "shared",
        "own0",
        "own1",
        "own2",
    }
    shared = RunStore(tmp_path).get("shared")
    assert shared.confusion is not None
    last = shared.measurement.seed  # every file is of the same writer
    assert (shared.environment, shared.log) == ({"writer": last}, str(last))
    assert (shared.confusion.matrices == last).all()


def test_a_meter_of_another_writer_of_the_same_run_is_kept(tmp_path: Path) -> None:
    """Two processes measure a run at once, one with a meter: whoever ends last, it is there."""
    store, arrays = RunStore(tmp_path), {"boundary": {"counts": np.arange(4)}}
    for number, order in enumerate(((arrays, None), (None, arrays))):
        item = measurement(f"r{number}")
        for meters in order:
            store.write(item, confusion(), None, {}, "", None, meters)
        assert store.get(item.run_id).measures == ("boundary",)
    store.write(measurement("r0"), confusion(), None, {}, "", None, {"boundary": {"counts": [7]}})
    found = store.get("r0").meter("boundary")
    assert found is not None
    assert found["counts"].tolist() == [7]
    store.write(measurement("r0", status="failed"), None, None, {}, "")
    assert store.get("r0").measures == ()
    assert hidden(tmp_path) == []


def write_meters(root: str, number: int) -> None:
    """One of several writers of one run, each with a meter of its own."""
    for _ in range(ROUNDS):
        meters = {f"meter{number}": {"counts": np.full(4, number)}}
        RunStore(Path(root)).write(measurement("shared"), confusion(), None, {}, "", None, meters)


def test_no_meter_of_many_writers_at_once_is_lost(tmp_path: Path) -> None:
    assert at_once(write_meters, tmp_path) == [0] * WRITERS
    assert RunStore(tmp_path).get("shared").measures == ("meter0", "meter1", "meter2")


def replace_many(root: str, number: int) -> None:
    """One of several processes that measure the same two experiments again and again. At the
    top level for spawn."""
    store = RunStore(Path(root))
    for _ in range(ROUNDS):
        for name in ("first", "second"):
            assert store.has(name)
            store.write(measurement(name, seed=number), confusion(50, number), None, {}, "")


@pytest.mark.parametrize("exchange", [True, False])
def test_readers_find_every_run_while_four_processes_replace_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    exchange: bool,
) -> None:
    if not exchange:  # as on file systems without it; forked processes take it over
        monkeypatch.setattr(files, "exchange", lambda first, second: False)
    store = RunStore(tmp_path)
    for name in ("first", "second"):
        store.write(measurement(name), confusion(), None, {}, "")
    context = multiprocessing.get_context("fork")
    writers = [
        context.Process(target=replace_many, args=(str(tmp_path), number)) for number in range(4)
    ]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        found = store.runs()
        seen.add(tuple(run.measurement.run_id for run in found))
        assert all(run.confusion is not None and run.measures == () for run in found)
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert seen == {("first", "second")}
    assert caplog.text == ""
    assert hidden(tmp_path) == []


#: writes the run of the id "a1" anew and is killed before its Nth renaming or removal
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
from vssbench.run.measurement import Measurement
import numpy as np
from vssbench.run.records import ConfusionRecord
from vssbench.run.store import RunStore
left = int(sys.argv[2])
def count(event, arguments):
    global left
    if event in ("os.rename", "os.remove", "os.rmdir", "shutil.rmtree"):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
new = Measurement.model_validate_json(sys.argv[3])
frames = np.arange(3)
confusion = ConfusionRecord(np.ones((3, 2, 2), np.int64), frames, frames, frames)
sys.addaudithook(count)
RunStore(Path(sys.argv[1])).write(new, confusion, None, {}, "new")
"""


@pytest.mark.parametrize("step", range(4))
def test_a_writer_that_is_killed_while_it_replaces_a_run_loses_nothing(
    tmp_path: Path, step: int
) -> None:
    store = RunStore(tmp_path)
    store.write(measurement(), confusion(), None, {}, "old")
    command = [
        sys.executable,
        "-c",
        KILLED,
        str(tmp_path),
        str(step),
        measurement().model_dump_json(),
    ]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert [run.log for run in store.runs()] in (["old"], ["new"])
    assert store.has("a1")
    store.write(measurement("b1"), None, None, {}, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a1", "b1"]
