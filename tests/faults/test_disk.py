"""Disks that are full, and disks that disappear in the midst of work."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.faults.conftest import METHOD
from tests.faults.forks import Forks, before
from tests.hostile.test_stores import write
from vssbench.run.store import RunStore

#: mounts a disk of so many KiB over the folder ``full``, which this process alone sees
SMALL_DISK = """
import ctypes, os
library = ctypes.CDLL(None, use_errno=True)
user, group = os.getuid(), os.getgid()
if library.unshare(0x10020000):  # new user and mount namespaces
    os._exit(77)
open("/proc/self/setgroups", "w").write("deny")
open("/proc/self/uid_map", "w").write(f"0 {{user}} 1")
open("/proc/self/gid_map", "w").write(f"0 {{group}} 1")
os.makedirs("full", exist_ok=True)
if library.mount(b"none", b"full", b"tmpfs", 0, b"size={size}k"):
    os._exit(77)
"""
LEFT = "import os; print(sorted(os.listdir('full')))"


def runs(drive: Path, weights: Path, root: Path | str, codec: str = "raw[gop=4]") -> list[str]:
    """The command that measures the drive."""
    return ["run", "-d", "folder", "--data-root", str(drive), "-m", METHOD, "--weights",
            str(weights), "-c", codec, "--runs", str(root)]  # fmt: skip


def trains(drive: Path, out: Path | str, *more: str) -> list[str]:
    """The command that trains on the drive for six epochs."""
    return ["train", METHOD, "-d", "folder", "--data-root", str(drive), "--epochs", "6", "--batch",
            "2", "--crop", "32x32", "--all-training-data", "--out", str(out), *more]  # fmt: skip


def gone(drive: Path, turns: int) -> str:
    """Return code by which the drive's folder goes away before a frame is read, after so many
    times."""
    return before(
        "open", "clip1/frames/000002.png",
        f"os.rename({str(drive)!r}, {str(drive)!r} + '-elsewhere')", turns,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["run", "train", "segment", "plot", "report"])
def test_a_full_disk_is_one_message_and_nothing_half_done_is_left(
    forks: Forks, drive: Path, weights: Path, film: Path, tmp_path: Path, command: str
) -> None:
    """A file system of one page."""
    write(tmp_path / "runs", "sound")
    arguments = {
        "run": runs(drive, weights, "full/runs", "h264[gop=4]"),
        "train": trains(drive, "full/w.safetensors", "--workers", "0"),
        "segment": ["segment", str(film), "-m", METHOD, "--weights", str(weights), "-o",
                    "full/o.mp4"],
        "plot": ["plot", "pareto", "--runs", str(tmp_path / "runs"), "-o", "full/p.png"],
        "report": ["report", "--runs", str(tmp_path / "runs"), "-o", "full/r.html"],
    }[command]  # fmt: skip
    ended = forks.run(*arguments, code=SMALL_DISK.format(size=4), after=LEFT)
    if ended.status == 77:
        pytest.skip("no disk of one's own can be mounted here")
    assert ended.status in (1, 2)
    assert "Traceback" not in ended.stderr
    assert "No space left on device" in ended.stderr
    assert "make room" in ended.stderr
    left = ended.stdout.splitlines()[-1]
    assert left == ("['runs']" if command == "run" else "[]"), left


def test_a_data_disk_that_disappears_is_named_and_what_was_measured_stays(
    forks: Forks, drive: Path, weights: Path, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    command = [*runs(drive, weights, root), "-c", "raw[gop=2]"]
    # in the second experiment, after its first clip and two frames
    ended = forks.run(*command, code=gone(drive, 4))
    assert ended.status == 1
    assert "Traceback" not in ended.stderr
    assert f"No such file or directory; the folder {drive} is not there any more" in ended.stderr
    kept = {run.measurement.codec: run.measurement.status for run in RunStore(root).runs()}
    assert kept == {"raw[gop=4]": "done", "raw[gop=2]": "failed"}


def test_data_that_disappear_behind_the_last_frame_take_no_result_with_them(
    forks: Forks, drive: Path, weights: Path, tmp_path: Path
) -> None:
    """Nothing of the data is read any more once all is measured."""
    root = tmp_path / "runs"
    ended = forks.run(
        *runs(drive, weights, root),
        code=before(
            "open", "clip1/labels/000003.png",
            f"pass\n        elif left == -2:\n            os.rename({str(drive)!r}, "
            f"{str(drive)!r} + '-elsewhere')", 3,
        ),
    )  # fmt: skip
    assert ended.status in (0, 1)
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_training_names_the_disk_that_disappeared(
    forks: Forks, drive: Path, tmp_path: Path, workers: str
) -> None:
    """A process that loads data sends its error, not its traceback."""
    out = tmp_path / "w.safetensors"
    forgetful = (
        "import vssbench.training.memory as m; m.Memory.get = lambda self, key, make: make()"
    )
    ended = forks.run(
        *trains(drive, out, "--workers", workers),
        code=before("os.rename", ".checkpoint",
                    f"os.rename({str(drive)!r}, {str(drive)!r} + '-elsewhere')") + forgetful,
    )  # fmt: skip
    assert ended.status == 2
    assert "Traceback" not in ended.stderr
    assert f"the folder {drive} is not there any more" in ended.said
    assert f"{out}.checkpoint has all epochs but the last" in ended.said


def test_a_store_that_disappears_is_begun_anew(
    forks: Forks, drive: Path, weights: Path, tmp_path: Path
) -> None:
    """A store that is begun anew keeps what is measured from then on; the lost disk has its own."""
    root = tmp_path / "runs"
    moved = f"os.rename({str(root)!r}, {str(root)!r} + '-elsewhere')"
    command = [*runs(drive, weights, root, "h264[gop=4]"), "-c", "raw[gop=2]"]
    ended = forks.run(*command, code=before("open", "clip1/frames/000002.png", moved, 4))
    assert ended.status in (0, 1)
    assert "Traceback" not in ended.stderr
    here, there = (
        {run.measurement.codec: run.measurement.status for run in RunStore(place).runs()}
        for place in (root, Path(f"{root}-elsewhere"))
    )
    assert there == {"h264[gop=4]": "done"}
    assert here == {"raw[gop=2]": "done"}
    for run in RunStore(root).runs():
        assert json.loads((run.path / "result.json").read_text(encoding="utf-8"))["frames"] == 8
