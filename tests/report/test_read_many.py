"""Many runs are read by several processes as by one, whatever becomes of them."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal

import pytest

from tests.sweep.stored import torn, write
from vssbench.report import read_many
from vssbench.report.index_entries import Entry, Index
from vssbench.report.rows import rows, stored_rows
from vssbench.run import stored
from vssbench.run.store import RunStore


@pytest.fixture
def store(tmp_path):
    """Seventeen runs: some alike, one damaged, one that is none, one that failed."""
    for number in range(14):
        write(tmp_path, f"run{number:02}", value=number % 5, seed=number)
    write(tmp_path, "torn", codec="raw")
    torn(tmp_path / "torn" / "confusion.npz")
    write(tmp_path, "failed", status="failed", reason="no memory")
    write(tmp_path, "none")
    (tmp_path / "none" / "result.json").write_text("{", encoding="utf-8")
    return RunStore(tmp_path)


@pytest.fixture
def several(monkeypatch):
    """Have few runs read by three processes."""
    monkeypatch.setattr(read_many, "FEW", 2)
    monkeypatch.setattr(read_many, "_PART", 3)
    monkeypatch.setattr(read_many, "_cores", lambda: 3)
    monkeypatch.setattr(read_many, "forkable", lambda devices: True)  # beside threads of pytest


@pytest.fixture
def read_here(monkeypatch):
    """Note the runs that this process reads, and let others meet ``fate`` at one."""
    own, here, fate = os.getpid(), [], {}
    read = read_many._read

    def noted(store, run_id, *known):
        if os.getpid() == own:
            here.append(run_id)
        elif run_id in fate:
            fate[run_id]()
        return read(store, run_id, *known)

    monkeypatch.setattr(read_many, "_read", noted)
    return here, fate


def found(store):
    numbers = {}
    readings = list(read_many.read_many(store, store.ids(), numbers))
    index = Index({each.run_id: Entry("", each.row, each.key) for each in readings}, numbers)
    return readings, {each.row["run_id"]: each for each in index.facts()}, numbers


def test_several_processes_read_what_one_does(store, several, read_here):
    readings, facts, numbers = found(store)
    assert read_here[0] == []
    assert [each.run_id for each in readings] == store.ids()
    read_many.FEW = 1000
    assert found(store) == (readings, facts, numbers)
    assert read_here[0] == store.ids()
    assert len(numbers) == 6  # five kinds of arrays, and none at all
    assert {each.run_id: each.fault != "" for each in readings}["none"]
    assert facts["torn"].row["status"] == "damaged"
    assert facts["failed"].row["reason"] == "no memory"


def test_the_rows_of_copies_are_those_of_each_read_by_itself(store, several):
    shutil.rmtree(store.root / "none")
    assert stored_rows(store) == rows(store.runs())


@pytest.mark.parametrize("by_processes", [True, False])
def test_what_runs_have_in_common_is_there_once(store, several, monkeypatch, by_processes):
    if not by_processes:
        monkeypatch.setattr(read_many, "FEW", 1000)
    rows = [each.row for each in found(store)[0][3:6]]  # of one part
    assert [row["run_id"] for row in rows] == ["run01", "run02", "run03"]
    for name in ("protocol_details", "dataset"):
        assert rows[0][name] is rows[1][name] is rows[2][name]


def test_each_file_of_a_run_is_read_once(store, monkeypatch):
    opened = []
    read = stored.small_content

    def noted(path):
        opened.append(path)
        return read(path)

    monkeypatch.setattr(stored, "small_content", noted)
    (reading,) = read_many.read_many(store, ["run03"], {})
    assert reading.key
    there = sorted((store.root / "run03").glob("*.npz"))
    assert [path for path in opened if path.exists()] == there
    assert [path.name for path in there] == ["confusion.npz", "latency.npz"]


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def out_of_memory():
    raise MemoryError


@pytest.mark.parametrize("fate", [killed, out_of_memory])
def test_what_a_process_leaves_that_ends_is_read_by_the_command(
    store, several, read_here, capfd, fate
):
    here, fates = read_here
    fates["run07"] = fate
    readings, facts, _ = found(store)
    assert [each.run_id for each in readings] == store.ids()
    assert "run07" in here
    assert "run00" not in here
    assert len(facts) == 16
    assert capfd.readouterr() == ("", "")


def test_where_no_process_can_be_had_the_command_reads(store, several, read_here, monkeypatch):
    forked = []

    def fork():
        forked.append(1)
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", fork)
    readings, _, _ = found(store)
    assert forked == [1]
    assert read_here[0] == [each.run_id for each in readings] == store.ids()


def test_processes_end_with_a_reader_that_goes_away(store, several, read_here):
    """Each stands still in its second part."""
    read_here[1].update(dict.fromkeys(("run07", "run10", "run13"), signal.pause))
    reader = read_many.read_many(store, store.ids(), {})
    next(reader)
    children = multiprocessing.active_children()
    assert len(children) == 3
    reader.close()
    assert not any(each.is_alive() for each in children)
