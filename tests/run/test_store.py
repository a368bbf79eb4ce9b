"""The results store: what is written is read back, whole or not at all."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from tests.run.runs import confusion, hidden, latency, measurement
from vssbench.core import arrays
from vssbench.core.errors import DataError, UsageError
from vssbench.run.identity import run_id
from vssbench.run.records import ConfusionRecord
from vssbench.run.store import RunStore


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
    store.write(measurement(), confusion(), None, {}, "second")
    assert store.has("a1")
    assert store.get("a1").log == "second"
    assert store.get("a1").latency is None
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
    # what another version may read is left out, too, and not called damaged
    assert ("left out a damaged run" in caplog.text) == (damage != "unknown field")
    assert "left out a" in caplog.text
    assert ("worse" if damage == "renamed" else "bad") in caplog.text
    assert not store.has("bad")


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("damage", ["cut", "empty", "large", "a folder", "a link to nothing"])
def test_a_file_that_is_no_archive_is_reported(tmp_path: Path, damage: str, whole: bool) -> None:
    store = RunStore(tmp_path)
    file = store.write(measurement(), confusion(), None, {}, "") / "confusion.npz"
    content = file.read_bytes()
    file.unlink()
    if damage == "a folder":
        file.mkdir()
    elif damage == "a link to nothing":
        file.symlink_to("nothing")
    else:
        file.write_bytes({"cut": content[:200], "empty": b"", "large": bytes(1 << 21)}[damage])
    with pytest.raises(DataError, match=r"confusion\.npz is no complete \.npz file"):
        store.get("a1", whole)


@pytest.mark.parametrize("small", [1 << 20, 100])
def test_a_run_that_is_read_as_a_whole_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, small: int
) -> None:
    monkeypatch.setattr(arrays, "_SMALL", small)
    store = RunStore(tmp_path)
    store.write(measurement(), confusion(), latency(), {}, "")
    first, second = store.get("a1"), store.get("a1", whole=True)
    assert first == second
    assert first.digest() == second.digest()
    for run in (first, second):
        assert np.array_equal(run.confusion.matrices, confusion().matrices)
        assert np.array_equal(run.latency.model_ms, latency().model_ms)
        assert run.stream is None


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
