"""Stores joined, pruned and collected: what is copied, what is in conflict, what goes."""

from __future__ import annotations

import io
import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from tests.sweep.stored import torn, write
from vssbench.cli import bench
from vssbench.core.errors import DataError, UsageError
from vssbench.run.store import RunStore
from vssbench.sweep.merge import conflict, merge


def call(*arguments: object):
    return CliRunner().invoke(bench, [str(each) for each in arguments])


def test_runs_of_two_machines_are_joined_and_conflicts_named(tmp_path):
    ours, theirs = tmp_path / "ours", tmp_path / "theirs"
    write(ours, "same")
    write(theirs, "same", created="2026-02-02T00:00:00+00:00")
    write(ours, "untimed", timed=False)
    write(theirs, "untimed")
    write(ours, "other", value=1)
    write(theirs, "other", value=2)
    write(ours, "mended", status="failed", reason="no")
    write(theirs, "mended")
    write(ours, "kept")
    write(theirs, "kept", status="failed", reason="no")
    write(theirs, "new")
    (theirs / "new" / "result.json").chmod(0o444)
    (theirs / "new").chmod(0o555)
    write(ours, "later")
    write(theirs, "later")
    newer = ours / "later" / "result.json"
    newer.write_text(json.dumps(json.loads(newer.read_text(encoding="utf-8")) | {"watts": 3}))
    write(theirs, "torn")
    (theirs / "torn" / "confusion.npz").write_bytes(b"PK")
    result = call("merge", theirs, "--runs", ours)
    assert result.exit_code == 1
    assert "2 runs copied, 1 completed, 2 were there" in result.stdout
    assert "3 of 3 frames differ" in result.stderr
    assert "other" in result.stderr
    assert "torn" in result.stderr
    store = RunStore(ours)
    assert [run.measurement.run_id for run in store.runs()] == [
        "kept", "mended", "new", "other", "same", "untimed",
    ]  # fmt: skip
    assert {run.measurement.status for run in store.runs()} == {"done"}
    assert store.get("untimed").timed
    assert store.get("other").confusion.matrices[0, 0, 1] == 1
    assert store.get("same").measurement.created.startswith("2026-01-01")
    assert "later" in result.stderr
    assert '"watts"' in (ours / "later" / "result.json").read_text(encoding="utf-8")
    # who may only read a store may merge it
    assert (ours / "new").stat().st_mode & stat.S_IWUSR
    assert (ours / "new" / "result.json").stat().st_mode & stat.S_IWUSR
    for name in ("torn", "other", "later"):
        shutil.rmtree(theirs / name)
    again = call("merge", theirs, "--runs", ours)
    assert (again.exit_code, again.stderr) == (0, "")
    assert "0 runs copied, 0 completed, 5 were there" in again.stdout


def altered(folder, **numbers):
    path = folder / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text(encoding="utf-8")) | numbers))


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ({"gmacs_key": 99.0}, ("gmacs_key is ", "1.5 in", "99.0 in")),
        ({"bitrate_kbps": 801.0}, ("bitrate_kbps is ", "800.0 in", "801.0 in")),
        ({"params": 8}, ("params is ", "7 in", "8 in")),
        ({"typed": {"params": 8.0}}, ("other numbers were typed in",)),
        ({"bitrate_kbps": 800.0 + 1e-8}, ()),
        ({"gmacs_key": None}, ()),
        ({"seconds": 9.0, "joules_key": 3.0, "command": "another"}, ()),
    ],
)
def test_results_that_differ_in_more_than_times_are_conflicts(tmp_path, numbers, said):
    one, other = tmp_path / "one", tmp_path / "other"
    for root in (one, other):
        write(root, "a", gmacs_key=1.5, bitrate_kbps=800.0, params=7)
    altered(one / "a", **numbers)
    for source, target in ((one, other), (other, one)):
        before = RunStore(target).stamp("a")
        result = call("merge", source, "--runs", target)
        assert result.exit_code == (1 if said else 0)
        assert RunStore(target).stamp("a") == before
        assert all(word in result.stderr for word in said)


@pytest.mark.parametrize(
    ("file", "array", "value", "differs"),
    [
        ("stream", "bits", 9, True),
        ("stream", "mean_vector", np.nan, False),
        ("stream", "mean_vector", 2.0, True),
        ("boundary", "hits", 3, True),
        ("boundary", "hits", 1, False),
    ],
)
def test_streams_and_meters_that_differ_are_conflicts(tmp_path, file, array, value, differs):
    one, other = tmp_path / "one", tmp_path / "other"
    for root in (one, other):
        write(root, "a")
        np.savez(root / "a" / "stream.npz", bits=np.array([8, 8]), mean_vector=np.ones(2))
        np.savez(root / "a" / "boundary.npz", hits=np.array([1]))
    with np.load(one / "a" / f"{file}.npz") as arrays:
        changed = dict(arrays) | {array: np.full_like(arrays[array], value)}
    np.savez(one / "a" / f"{file}.npz", **changed)
    said = conflict(RunStore(one).get("a"), RunStore(other).get("a"))
    assert said == (f"their {array} in {file}.npz differ" if differs else "")


def test_a_store_that_is_missing_or_the_target_itself_is_said(tmp_path):
    write(tmp_path / "ours", "a")
    with pytest.raises(DataError, match=r"no folder .*absent"):
        merge([tmp_path / "absent"], RunStore(tmp_path / "ours"))
    with pytest.raises(UsageError, match="is the store that is merged into"):
        merge([tmp_path / "ours"], RunStore(tmp_path / "ours"))


def test_a_store_that_is_not_there_is_not_pruned(tmp_path):
    result = call("prune", "failed", "--runs", tmp_path / "absent")
    assert isinstance(result.exception, DataError)
    assert "no folder" in str(result.exception)


def test_what_is_pruned_is_listed_first(tmp_path):
    write(tmp_path, "old")
    write(tmp_path, "new", created="2026-03-03T00:00:00+00:00")
    write(tmp_path, "torn")
    (tmp_path / "torn" / "result.json").write_text("{", encoding="utf-8")
    write(tmp_path, "broken", codec="raw", status="failed", reason="it\ncrashed")
    listed = call("prune", "older", "failed", "damaged", "--runs", tmp_path)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["old", "broken", "torn"]
    assert "it crashed" in listed.stdout
    assert {path.name for path in tmp_path.iterdir()} == {"old", "new", "torn", "broken"}
    assert call("prune", "failed", "--yes", "--runs", tmp_path).exit_code == 0
    assert {path.name for path in tmp_path.iterdir()} == {"old", "new", "torn"}
    call("prune", "older", "damaged", "--yes", "--runs", tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"new"}


def test_a_folder_that_holds_other_things_is_never_pruned(tmp_path):
    write(tmp_path, "sound")
    for name in ("notes", "mine"):
        (tmp_path / name).mkdir()
    (tmp_path / "notes" / "n.txt").write_text("keep", encoding="utf-8")
    shutil.copytree(tmp_path / "sound", tmp_path / "mine", dirs_exist_ok=True)
    (tmp_path / "mine" / "result.json").write_text("{", encoding="utf-8")
    (tmp_path / "mine" / "figure.png").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    write(tmp_path, "torn")
    (tmp_path / "torn" / "result.json").unlink()
    pruned = call("prune", "damaged", "--yes", "--runs", tmp_path)
    assert [line.split()[0] for line in pruned.stdout.splitlines()] == ["empty", "torn"]
    assert {path.name for path in tmp_path.iterdir()} == {"sound", "notes", "mine"}
    assert (tmp_path / "notes" / "n.txt").read_text(encoding="utf-8") == "keep"


def test_a_sound_run_in_a_folder_of_another_name_is_not_pruned(tmp_path):
    write(tmp_path, "one")
    (tmp_path / "one").rename(tmp_path / "other")
    pruned = call("prune", "damaged", "--yes", "--runs", tmp_path)
    assert (pruned.stdout, pruned.exit_code) == ("", 0)
    assert (tmp_path / "other" / "result.json").exists()


def test_a_result_that_does_not_read_gives_way_to_one_that_does(tmp_path):
    for name in ("ours", "theirs"):
        write(tmp_path / name, "a")
    (tmp_path / "ours" / "a" / "confusion.npz").unlink()
    merged = merge([tmp_path / "theirs"], RunStore(tmp_path / "ours"))
    assert (merged.completed, merged.conflicts) == (1, [])
    assert RunStore(tmp_path / "ours").get("a").fault == ""


def test_a_failed_run_never_replaces_a_result_whatever_is_wrong_with_it(tmp_path):
    write(tmp_path / "ours", "a")
    write(tmp_path / "theirs", "a", status="failed", reason="it crashed")
    path = tmp_path / "ours" / "a" / "latency.npz"
    torn(path)
    merged = merge([tmp_path / "theirs"], RunStore(tmp_path / "ours"))
    assert (merged.copied, merged.same) == (0, 1)
    assert RunStore(tmp_path / "ours").get("a").measurement.status == "done"


def test_a_damaged_source_is_named_and_left_out(tmp_path):
    write(tmp_path / "theirs", "a")
    (tmp_path / "theirs" / "a" / "confusion.npz").unlink()
    merged = merge([tmp_path / "theirs"], RunStore(tmp_path / "ours"))
    assert (merged.copied, len(merged.damaged)) == (0, 1)
    assert "confusion.npz is missing" in merged.damaged[0]


def test_everything_is_collected_in_one_file(tmp_path):
    pytest.importorskip("pyarrow")
    for name, value in (("one", 1), ("two", 2)):
        write(tmp_path / name, "a", value=value)
    write(tmp_path / "two", "b", codec="raw", status="failed", reason="it\ncrashed")
    out = tmp_path / "all.parquet"
    result = call("collect", tmp_path / "one", tmp_path / "two", "-o", out)
    assert result.exit_code == 0, result.stderr
    table = pd.read_parquet(io.BytesIO(out.read_bytes()))
    assert [Path(name).name for name in table["store"]] == ["one", "two", "two"]
    assert list(table["status"]) == ["done", "done", "failed"]
    assert table["miou"][0] == pytest.approx(sum(table["miou_by_distance"][0]) / 3)
    assert list(table["class_names"][1]) == ["road", "sky"]
    assert len(table["class_iou"][2]) == 0
    again = call("collect", tmp_path / "one", "-o", out)
    assert isinstance(again.exception, UsageError)
    assert json.loads(call("table", "--runs", tmp_path / "one", "--format", "json").stdout)
