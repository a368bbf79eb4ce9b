"""The results store: what is written is read back, whole or not at all, whoever else writes."""

from __future__ import annotations

import json
import logging
import multiprocessing
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from vssbench.core import files
from vssbench.core.errors import DataError, UsageError
from vssbench.run.measurement import Measurement
from vssbench.run.records import ConfusionRecord, LatencyRecord
from vssbench.run.store import RunStore, run_id

WRITERS, ROUNDS = 3, 8


def measurement(run_id: str = "a1", **given: Any) -> Measurement:
    fields = {
        "run_id": run_id,
        "created": "2026-01-01T00:00:00+00:00",
        "status": "done",
        "method": "pspnet",
        "display": "PSPNet18",
        "dataset": "camvid",
        "codec": "h264[gop=12]",
        "protocol": "dense",
        "classes": ["road", "sky"],
        "weights": {"file": "w.safetensors", "trained": {"epochs": 3}},
    }
    return Measurement(**(fields | given))


def confusion(frames: int = 3, value: int = 1) -> ConfusionRecord:
    order = np.arange(frames)
    return ConfusionRecord(
        np.full((frames, 2, 2), value, np.int64),
        *(order, order // 2, order + 5, order // 2, order * 0),
    )


def latency(frames: int = 4) -> LatencyRecord:
    times = np.arange(frames) / 7
    return LatencyRecord(np.arange(frames), np.arange(frames) == 0, times, times * 2, times * 3)


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


def hidden(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.name.startswith(".")]


def test_a_run_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    store, written = RunStore(tmp_path / "results" / "runs"), measurement(gmacs_key=1.5, params=7)
    place = store.write(written, confusion(), latency(), {"b": 1, "a": [2]}, "grüße\n")
    run = store.get("a1")

    assert place == run.path == tmp_path / "results" / "runs" / "a1"
    assert run.measurement == written
    assert run.environment == {"b": 1, "a": [2]}
    assert run.log == "grüße\n"
    assert run.confusion is not None
    assert run.latency is not None
    for read, record in ((run.confusion, confusion()), (run.latency, latency())):
        for name, value in vars(record).items():
            np.testing.assert_array_equal(getattr(read, name), value)
            assert getattr(read, name).dtype == value.dtype


def test_the_files_of_a_run(tmp_path: Path) -> None:
    place = RunStore(tmp_path).write(measurement(), confusion(), latency(), {}, "")
    names = {path.name for path in place.iterdir()}
    assert names == {"result.json", "confusion.npz", "latency.npz", "environment.json", "log.txt"}
    assert hidden(tmp_path) == []


def test_a_failed_run_has_no_arrays_and_is_not_done(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.write(
        measurement(status="failed", reason="no motion", traceback="Traceback ..."),
        None,
        None,
        {},
        "",
    )
    assert store.get("a1").confusion is None
    assert store.get("a1").latency is None
    assert not store.has("a1")


def test_a_run_is_replaced_as_a_whole(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.write(
        measurement(status="failed", reason="interrupted"), confusion(), latency(), {}, "first"
    )
    store.write(measurement(), None, None, {}, "second")
    assert store.has("a1")
    assert store.get("a1").log == "second"
    assert store.get("a1").confusion is None
    assert [path.name for path in tmp_path.iterdir()] == ["a1"]


def test_a_crash_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    store = RunStore(tmp_path)
    monkeypatch.setattr(np, "savez_compressed", crash)
    with pytest.raises(KeyboardInterrupt):
        store.write(measurement(), confusion(), None, {}, "")
    assert list(tmp_path.iterdir()) == []
    assert not store.has("a1")


def test_what_a_killed_writer_leaves_is_not_seen(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.write(measurement(), None, None, {}, "").rename(tmp_path / ".a1-0123")
    assert store.runs() == []
    assert not store.has("a1")


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
from vssbench.run.store import RunStore
left = int(sys.argv[2])
def count(event, arguments):
    global left
    if event in ("os.rename", "os.remove", "os.rmdir", "shutil.rmtree"):
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left -= 1
new = Measurement.model_validate_json(sys.argv[3])
sys.addaudithook(count)
RunStore(Path(sys.argv[1])).write(new, None, None, {}, "new")
"""


@pytest.mark.parametrize("step", range(4))
def test_a_writer_that_is_killed_while_it_replaces_a_run_loses_nothing(
    tmp_path: Path, step: int
) -> None:
    store = RunStore(tmp_path)
    store.write(measurement(), None, None, {}, "old")
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


def test_a_run_that_does_not_read_is_not_to_be_removed(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    place = store.write(measurement(), None, None, {}, "")
    (place / "result.json").write_text("{}")
    with pytest.raises(DataError, match="does not read") as refused:
        store.get("a1")
    assert not re.search("remove|delete", str(refused.value))


def test_a_store_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*runs"):
        RunStore(tmp_path / "file" / "runs").check_writable()
    RunStore(tmp_path / "runs").check_writable()
    assert list((tmp_path / "runs").iterdir()) == []


def test_runs_are_sorted_by_dataset_codec_and_method(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for place, (dataset, codec, method) in enumerate(
        [("b", "x", "m"), ("a", "y", "m"), ("a", "x", "n"), ("a", "x", "m")]
    ):
        store.write(
            measurement(f"r{place}", dataset=dataset, codec=codec, method=method),
            None,
            None,
            {},
            "",
        )
    assert [run.measurement.run_id for run in store.runs()] == ["r3", "r2", "r1", "r0"]


def test_an_empty_or_missing_folder_has_no_runs(tmp_path: Path) -> None:
    assert RunStore(tmp_path / "missing").runs() == []
    assert RunStore(tmp_path).runs() == []


@pytest.mark.parametrize(
    "damage", ["empty", "no json", "no result", "unknown field", "short arrays", "renamed"]
)
def test_a_damaged_folder_is_reported_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    store = RunStore(tmp_path)
    store.write(measurement("good"), None, None, {}, "")
    place = store.write(measurement("bad"), confusion(), None, {}, "")
    result = place / "result.json"
    if damage == "empty":
        result.write_text("")
    elif damage == "no json":
        result.write_bytes(b"\xff{")
    elif damage == "no result":
        result.unlink()
    elif damage == "unknown field":
        result.write_text(json.dumps(json.loads(result.read_text()) | {"colour": "red"}))
    elif damage == "short arrays":
        (place / "confusion.npz").write_bytes((place / "confusion.npz").read_bytes()[:200])
    else:
        place.rename(tmp_path / "worse")

    with caplog.at_level(logging.WARNING):
        found = [run.measurement.run_id for run in store.runs()]

    assert found == ["good"]
    assert len(caplog.records) == 1
    assert "damaged run" in caplog.text
    assert ("worse" if damage == "renamed" else "bad") in caplog.text
    assert not store.has("bad")


def test_arrays_that_are_damaged_inside_are_reported_when_read(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    file = store.write(measurement(), confusion(500), None, {}, "") / "confusion.npz"
    content = bytearray(file.read_bytes())
    content[60:90] = bytes(30)
    file.write_bytes(content)
    with pytest.raises(DataError, match=r"confusion\.npz does not read"):
        _ = store.get("a1").confusion


def test_a_missing_run_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no run 'a1'"):
        RunStore(tmp_path).get("a1")


@pytest.mark.parametrize("name", ["../a1", "", ".a1", "a/b"])
def test_a_run_id_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="no run id"):
        RunStore(tmp_path).get(name)


def test_a_folder_that_cannot_be_made_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot write"):
        RunStore(tmp_path / "file").write(measurement(), None, None, {}, "")


def test_run_id_depends_on_content_alone() -> None:
    first = run_id({"method": "pspnet", "scale": 0.5, "classes": ("a", "b")})
    assert first == run_id({"classes": ["a", "b"], "scale": 0.5, "method": "pspnet"})
    assert first != run_id({"method": "pspnet", "scale": 0.25, "classes": ["a", "b"]})
    assert run_id({}) == "44136fa355b3678a"  # the first 16 digits of sha256("{}")


def test_a_measurement_is_frozen_and_knows_its_fields() -> None:
    with pytest.raises(ValidationError):
        measurement(colour="red")
    with pytest.raises(ValidationError):
        measurement(status="perhaps")
    with pytest.raises(ValidationError):
        measurement(gmacs_key=float("nan"))
    with pytest.raises(ValidationError):
        measurement().seed = 3


def test_records_need_an_entry_a_frame() -> None:
    with pytest.raises(DataError, match=r"ConfusionRecord needs one entry a frame.*distances 2"):
        ConfusionRecord(np.zeros((3, 2, 2), np.int64), np.arange(2), np.arange(3), np.arange(3))


def test_groups_and_views_of_clips_are_kept_and_runs_without_them_read(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    store.write(measurement(), confusion(), None, {}, "")
    found = store.get("a1").confusion
    assert found is not None
    assert found.groups is not None
    assert found.groups.tolist() == [0, 0, 1]
    assert found.views.tolist() == [0, 0, 0]
    store.write(measurement(), replace(confusion(), groups=None, views=None), None, {}, "")
    without = store.get("a1").confusion
    assert without is not None
    assert without.groups is None
    assert without.views is None
