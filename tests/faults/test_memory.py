"""Memory that runs out while a command works: one message, and what was measured before is kept."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import BaseModel

from tests.faults.conftest import METHOD
from tests.faults.forks import MIB, Forks, before
from tests.faults.test_disk import runs
from vssbench.core import shortage as shortages
from vssbench.core.errors import DataError
from vssbench.core.shortage import check_memory, shortage
from vssbench.core.shown import json_of
from vssbench.run.store import RunStore


def of(make: Callable[[], object]) -> Exception:
    """The error of something that cannot be had."""
    with pytest.raises(Exception) as caught:  # noqa: PT011 - libraries choose the type
        make()
    return caught.value


def test_every_librarys_error_is_known() -> None:
    said = [
        shortage(of(lambda: np.empty(1 << 55, np.uint8))),
        shortage(of(lambda: torch.empty(1 << 55, dtype=torch.uint8))),
        shortage(of(lambda: bytearray(1 << 55))),
        shortage(OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))),
        shortage(ImportError("x.so: failed to map segment from shared object")),
    ]
    assert all(text.startswith("memory ran out") for text in said)
    assert "36028797018963968 bytes were asked for" in said[1]
    other = [
        ("could not create a primitive", "as happens where memory runs out"),
        ("can't start new thread", "no thread could be started"),
        ("CUDA out of memory. Tried to allocate 2.00 GiB", "the GPU's memory ran out (2.00 GiB"),
        ("DataLoader worker (pid 7) is killed by signal: Killed. ", "a process that loads data"),
        ("DataLoader worker (pid(s) 7) exited unexpectedly", "a process that loads data"),
        ("DataLoader worker (pid 7) is killed by signal: Bus error. ", "--shm-size"),
    ]
    for text, words in other:
        assert words in shortage(RuntimeError(text))
    for error in (ValueError("x"), RuntimeError("a fault of ours"), DataError("out of memory")):
        assert shortage(error) == ""


def test_a_run_fails_in_words(forks: Forks, drive: Path, weights: Path, tmp_path: Path) -> None:
    ended = forks.run(
        "run", "-d", "folder", "--data-root", str(drive), "-m", METHOD, "--weights", str(weights),
        "-c", "raw[gop=4]", "--runs", str(tmp_path / "runs"), memory=4,
    )  # fmt: skip
    assert ended.status in (1, 2)
    assert "Traceback" not in ended.stderr
    assert "memory" in ended.stderr


def test_what_was_measured_before_is_kept(
    forks: Forks, drive: Path, weights: Path, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    command = [*runs(drive, weights, root), "-c", "raw[gop=2]"]
    fault = before("open", "clip0/frames/000001.png", "take_memory()", 4)
    ended = forks.run(*command, code=fault)
    assert ended.status in (1, 2)
    assert "Traceback" not in ended.stderr
    assert "memory" in ended.stderr
    kept = {run.measurement.codec: run.measurement.status for run in RunStore(root).runs()}
    assert kept["raw[gop=4]"] == "done"
    assert kept.get("raw[gop=2]") in (None, "failed")


def test_records_are_not_read_without_memory(
    forks: Forks, drive: Path, weights: Path, tmp_path: Path
) -> None:
    """The library that reads them would end the process, or wait for ever. Memory is gone before
    the second is read: for the first alone there is enough left."""
    root = tmp_path / "runs"
    assert forks.run(*runs(drive, weights, root), "-c", "raw[gop=2]").status == 0
    assert len(RunStore(root).ids()) == 2
    ended = forks.run(
        "table", "--runs", str(root), code=before("open", "result.json", "take_memory()")
    )
    assert ended.status == 2
    assert ended.stdout == ""
    assert ended.said.startswith("memory ran out")


def test_a_record_needs_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    check_memory()
    monkeypatch.setattr(shortages, "_RECORD", 1 << 55)
    with pytest.raises(MemoryError):
        json_of(Wish(seconds=1.5))


class Wish(BaseModel):
    """A record."""

    seconds: float


def test_a_training_goes_on_from_its_last_epoch(forks: Forks, drive: Path, tmp_path: Path) -> None:
    out = tmp_path / "w.safetensors"
    (tmp_path / "w2.safetensors.checkpoint").touch()  # of another training
    command = ("train", METHOD, "-d", "folder", "--data-root", str(drive), "--epochs", "2",
               "--batch", "2", "--crop", "32x32", "--all-training-data", "--workers", "0",
               "--out", str(out))  # fmt: skip
    ended = forks.run(*command, code=before("os.rename", ".checkpoint", "take_memory()"))
    assert ended.status == 2
    assert "Traceback" not in ended.stderr
    assert f"{out}.checkpoint has all epochs but the last; the same command with" in ended.said
    with Path(f"{out}.checkpoint").open("rb") as file:
        assert torch.load(file, weights_only=True)["epoch"] == 1


def test_a_video_fails_in_words_and_leaves_nothing(
    forks: Forks, film: Path, weights: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    ended = forks.run(
        "segment", str(film), "-m", METHOD, "--weights", str(weights), "--size", "1280x1920",
        "-o", str(out / "o.mp4"), memory=60,
    )  # fmt: skip
    assert ended.status == 2
    assert "Traceback" not in ended.stderr
    assert "memory ran out" in ended.said
    assert list(out.iterdir()) == []


def test_an_error_at_the_limit_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Libraries that get no memory fail in ways of which no two are alike."""
    error = ImportError("cannot import name 'x'")
    assert shortage(error) == ""
    peak = 1 << 40
    monkeypatch.setattr(resource, "getrlimit", lambda number: (peak, peak))
    status = f"VmPeak:\t{(peak - 10 * MIB) >> 10} kB\n"
    monkeypatch.setattr(Path, "read_text", lambda path, **how: status)
    assert "has had all memory that it may have (ulimit -v)" in shortage(error)
