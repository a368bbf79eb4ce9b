"""The index of a store: it spares reading thousands of runs, and is never trusted for one that is
another than it knows."""

from __future__ import annotations

import json
import os
import shutil

import pytest
from click.testing import CliRunner

from tests.sweep.stored import write
from vssbench.cli import bench
from vssbench.core import arrays
from vssbench.core.bounds import Bound
from vssbench.report import index, read_many
from vssbench.report.index_file import INDEX
from vssbench.report.rows import rows, stored_rows
from vssbench.run.store import RunStore


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setattr(index, "WORTH", 2)
    for number in range(12):
        write(tmp_path, f"run{number:02}", value=number, seed=number)
    write(tmp_path, "torn", codec="raw")
    (tmp_path / "torn" / "confusion.npz").unlink()
    return RunStore(tmp_path)


@pytest.fixture
def reads(monkeypatch):
    """Note the runs that are opened."""
    opened = []
    get = RunStore.get

    def noted(self, run_id, whole=False):
        opened.append(run_id)
        return get(self, run_id, whole)

    monkeypatch.setattr(RunStore, "get", noted)
    return opened


def test_the_rows_are_those_of_the_runs_and_no_run_is_opened_twice(store, reads):
    expected = rows(store.runs())
    reads.clear()
    assert stored_rows(store) == expected
    assert len(reads) == 13
    reads.clear()
    assert stored_rows(store) == expected
    assert reads == ["torn"]  # what did not read may do now
    assert [row["status"] for row in expected].count("damaged") == 1


def test_what_was_replaced_damaged_added_or_removed_is_seen(store, reads):
    stored_rows(store)
    reads.clear()
    write(store.root, "run03", value=99)
    write(store.root, "new")
    shutil.rmtree(store.root / "run05")
    path = store.root / "run07" / "confusion.npz"
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
    reads.clear()
    seen = {row["run_id"]: row for row in stored_rows(store)}
    assert sorted(reads) == ["new", "run03", "run07", "torn"]
    assert "run05" not in seen
    assert seen["run07"]["status"] == "damaged"
    assert list(seen.values()) == rows(store.runs())


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"version": "another", "runs": {}}', '{"runs": 3}']
)
def test_an_index_that_does_not_read_is_made_anew(store, content):
    expected = stored_rows(store)
    (store.root / INDEX).write_text(content, encoding="utf-8")
    assert stored_rows(store) == expected
    assert len(json.loads((store.root / INDEX).read_text(encoding="utf-8"))["runs"]) == 13
    (store.root / INDEX).unlink()
    assert stored_rows(store) == expected


def test_an_index_that_was_altered_is_not_used(store, reads):
    expected = stored_rows(store)
    path = store.root / INDEX
    text = path.read_text(encoding="utf-8")
    assert json.loads(text)["runs"].keys() == {path.name for path in store.root.glob("[rt]*")}
    path.write_text(text.replace('"run03"', '"run33"'), encoding="utf-8")
    reads.clear()
    assert stored_rows(store) == expected
    assert len(reads) == 13
    assert path.read_text(encoding="utf-8") == text


def test_a_small_store_gets_no_index(tmp_path):
    write(tmp_path, "one")
    assert len(stored_rows(RunStore(tmp_path))) == 1
    assert not (tmp_path / INDEX).exists()


@pytest.mark.parametrize("many", [12, 13])
def test_many_runs_that_are_joined_are_read_for_the_first_table(
    store, reads, tmp_path_factory, monkeypatch, many
):
    monkeypatch.setattr(index, "MANY", many)
    shutil.rmtree(store.root / "torn")
    joined = tmp_path_factory.mktemp("joined") / "runs"
    done = CliRunner().invoke(bench, ["merge", str(store.root), "--runs", str(joined)])
    assert f"{joined}: 12 runs copied" in done.output
    assert (joined / INDEX).exists() == (many <= 12)
    reads.clear()
    assert len(stored_rows(RunStore(joined))) == 12
    assert bool(reads) == (many > 12)


@pytest.mark.parametrize("command", [["run"], ["sweep", "--threads", "1"]], ids=["run", "sweep"])
def test_runs_that_are_stored_a_few_at_a_time_are_read_once_they_are_many(
    tmp_path, monkeypatch, reads, command
):
    monkeypatch.setattr(index, "WORTH", 1)
    monkeypatch.setattr(index, "MANY", 2)
    street = "synthetic[height=32,width=48,clips=1,frames=3]"
    words = ["-d", street, "-m", "bisenet", "--gop", "3"]
    known = []
    for codec in ("raw", "h264", "mpeg4", "mpeg2"):
        own = [*words, "-c", codec, "--runs", str(tmp_path)]
        done = CliRunner().invoke(bench, [*command, *own])
        assert done.exit_code == 0, done.output
        path = tmp_path / INDEX
        known.append(len(json.loads(path.read_text())["runs"]) if path.exists() else 0)
    assert known == [0, 2, 2, 4]
    reads.clear()
    assert [row["status"] for row in stored_rows(RunStore(tmp_path))] == ["done"] * 4
    assert reads == []


def test_a_sweep_that_finds_all_done_reads_no_run_for_the_index(tmp_path, monkeypatch):
    street = "synthetic[height=32,width=48,clips=1,frames=3]"
    words = ["-d", street, "-m", "bisenet", "-c", "raw", "--threads", "1", "--runs", str(tmp_path)]
    assert CliRunner().invoke(bench, ["sweep", *words]).exit_code == 0
    monkeypatch.setattr(index, "WORTH", 1)
    monkeypatch.setattr(index, "MANY", 1)
    again = CliRunner().invoke(bench, ["sweep", *words])
    assert "1 of 1 experiments are done" in again.output
    assert not (tmp_path / INDEX).exists()


def test_runs_that_were_removed_or_replaced_are_not_taken_for_known(store, reads, monkeypatch):
    stored_rows(store)
    monkeypatch.setattr(index, "MANY", 5)
    reads.clear()
    for number in range(4):
        write(store.root, f"run{number:02}", value=50 + number)
    index.keep_up(store)
    assert set(reads) <= {f"run{number:02}" for number in range(4)}  # by those who wrote them
    for number in range(4, 8):
        shutil.rmtree(store.root / f"run{number:02}")
    write(store.root, "new")
    index.keep_up(store)
    reads.clear()
    assert stored_rows(store) == rows(store.runs())
    assert reads.count("run00") == 1  # by the runs: the index knows the others


@pytest.mark.parametrize("kind", ["newer", "damaged", "renamed"])
def test_runs_that_never_read_are_tried_once_and_in_silence(
    store, reads, monkeypatch, caplog, kind
):
    for path in store.root.iterdir():
        result = path / "result.json"
        if kind == "renamed":
            path.rename(path.with_name(f"my-{path.name}"))
        else:
            text = result.read_text(encoding="utf-8")
            result.write_text('{"brand_new": 1, ' + text[1:] if kind == "newer" else text[9:])
    monkeypatch.setattr(index, "MANY", 5)
    index.keep_up(store)
    assert (store.root / INDEX).exists()
    assert caplog.messages == []
    reads.clear()
    index.keep_up(store)
    assert reads == []
    assert stored_rows(store) == []
    assert len(caplog.messages) == 13
    assert ("damaged" in caplog.messages[0]) == (kind != "newer")


def test_what_has_the_name_of_the_index_and_is_none_is_left_alone(store):
    expected = stored_rows(store)
    path = store.root / INDEX
    elsewhere = store.root.parent / "elsewhere"
    for make in (
        path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to(elsewhere),
    ):  # fmt: skip
        path.rmdir() if path.is_dir() else path.unlink()
        make()
        index.keep_up(store)
        assert stored_rows(store) == expected
    assert not elsewhere.exists()


def test_a_bound_that_was_too_low_once_leaves_no_trace(store, monkeypatch):
    expected = rows(store.runs())
    with monkeypatch.context() as low:
        low.setattr(arrays, "ARRAYS", Bound("VSSBENCH_MAX_ARRAYS_MIB", 1, 1, "bytes of arrays"))
        assert {row["status"] for row in stored_rows(store)} == {"damaged"}
    assert stored_rows(store) == expected


def test_that_many_runs_are_read_is_said(store, monkeypatch, capsys):
    monkeypatch.setattr(index, "SLOW", 13)
    stored_rows(store)
    assert f"reading 13 runs that the index of {store.root} lacks" in capsys.readouterr().err
    stored_rows(store)
    assert capsys.readouterr().err == ""


@pytest.fixture
def counted(monkeypatch):
    """Note the runs whose arrays are read for their numbers."""
    runs = []
    own = read_many.numbers_of
    monkeypatch.setattr(
        read_many, "numbers_of", lambda run: runs.append(run.measurement.run_id) or own(run)
    )
    return runs


def test_a_store_that_was_copied_with_its_index_is_known(store, counted, tmp_path_factory):
    expected = stored_rows(store)
    assert len(counted) == 13
    copy = RunStore(tmp_path_factory.mktemp("copy") / "runs")
    shutil.copytree(store.root, copy.root, copy_function=shutil.copyfile)
    counted.clear()
    assert stored_rows(copy) == [
        row | {"reason": row["reason"].replace(str(store.root), str(copy.root))} for row in expected
    ]
    assert counted == ["torn"]


def test_equal_arrays_under_other_rules_have_other_numbers(store, counted):
    for name, given in {
        "pooled": {"aggregate": "pooled"},
        "fewer": {"without": ["car"], "classes": ["road", "car", "sky"]},
        "typed": {"typed": {"miou": 0.5}},
    }.items():
        write(store.root, name, value=3, **given)
    rows_by_id = {row["run_id"]: row for row in stored_rows(store)}
    assert list(rows_by_id.values()) == rows(store.runs())
    assert {"pooled", "fewer"} <= set(counted)
    assert "typed" in counted or "run03" in counted


def test_numbers_that_no_run_has_any_more_leave_the_index(store):
    stored_rows(store)
    path = store.root / INDEX
    before = len(json.loads(path.read_text(encoding="utf-8"))["numbers"])
    for number in range(4):
        write(store.root, f"run{number:02}", value=9)
    stored_rows(store)
    after = json.loads(path.read_text(encoding="utf-8"))["numbers"]
    assert before == 12
    assert len(after) == 8
