"""Many videos on the workers of a cluster: one that is lost, and one that has not the videos."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from tests.sweep.cluster import ROOT, Cluster, until
from vssbench.segment.manifest import Manifest
from vssbench.segment.many import Ask, planned
from vssbench.segment.request import Request

#: hides what lies in a folder from the command that follows
HIDDEN = 'mount -t tmpfs none "$0" && exec "$@"'


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    pytest.importorskip("distributed")
    started = Cluster(tmp_path, {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"})
    try:
        until(started.file.exists)
        yield started
    finally:
        started.end()


@pytest.fixture
def videos(make, tmp_path: Path) -> Path:
    """Return a folder with two videos, the first of which takes a while."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name, length in (("a.mp4", 300), ("b.mp4", 3)):
        shutil.move(make(name, length=length), folder)
    return folder


def hiding(folder: Path) -> tuple[str, ...]:
    """Return the words that start a command which does not see a folder; none where only root on
    Linux could."""
    words = ("unshare", "--mount", "sh", "-c", HIDDEN, str(folder))
    possible = (
        shutil.which("unshare") and not subprocess.run([*words, "true"], check=False).returncode
    )
    return words if possible else ()


def rows(out: Path) -> Counter[tuple[str, str]]:
    """Count the rows of the manifest by video and state."""
    if not (out / "manifest.csv").exists():
        return Counter()
    with (out / "manifest.csv").open(encoding="utf-8") as file:
        return Counter((Path(row["video"]).name, row["state"]) for row in csv.DictReader(file))


def reads(worker: subprocess.Popen[bytes], video: Path) -> bool:
    """Return whether a worker has a video open, in any process of its own."""
    try:
        ours = psutil.Process(worker.pid).children(recursive=True)
        return any(str(video) in {each.path for each in one.open_files()} for one in ours)
    except psutil.Error:
        return False


def test_a_lost_workers_video_is_segmented_by_another(
    cluster: Cluster, videos: Path, tmp_path: Path
) -> None:
    workers = [cluster.worker(), cluster.worker()]
    hidden = hiding(videos)
    if hidden:
        cluster.worker(before=hidden)
    until(lambda: cluster.workers() == 2 + bool(hidden))
    out = tmp_path / "out"
    command = [
        sys.executable, "bench.py", "segment", str(videos), "-m", "copy", "-d", "synthetic",
        "-o", str(out), "--threads", "1", "--scheduler", cluster.address,
    ]  # fmt: skip
    process = subprocess.Popen(
        command, cwd=ROOT, env=cluster.environment, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    until(lambda: rows(out)["a.mp4", "begun"] or process.poll() is not None)
    lost = []
    until(lambda: lost.extend(each for each in workers if reads(each, videos / "a.mp4")) or lost)
    os.killpg(lost[0].pid, signal.SIGKILL)
    said, messages = process.communicate(timeout=120)
    assert process.returncode == 0, messages
    assert "2 of 2 videos are done" in said
    left_out = f"is left out: it has no {videos / 'b.mp4'}"
    assert (left_out in " ".join(messages.split())) is bool(hidden)
    assert rows(out) == {
        ("a.mp4", "begun"): 2, ("a.mp4", "done"): 1, ("b.mp4", "begun"): 1, ("b.mp4", "done"): 1,
    }  # fmt: skip
    entries = Manifest(out).entries().values()
    assert {Path(each.video).name: each.frames for each in entries} == {"a.mp4": 300, "b.mp4": 3}
    there = {path.name for path in out.iterdir()} - {".claims"}
    assert there == {"a.mp4", "b.mp4", "manifest.csv"}


def test_a_worker_without_the_videos_says_so(make, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    shutil.move(make("a.mp4", length=3), folder)
    (tmp_path / "out").mkdir()
    ask = Ask("copy", None, Request(dataset="synthetic"))
    (task,), _ = planned(ask, folder, tmp_path / "out")
    assert task.unfit(None) == ""
    other = replace(task, entry=replace(task.entry, size=task.entry.size + 1))
    assert "bytes: videos are shared, by the same paths" in other.unfit(None)
    (folder / "a.mp4").unlink()
    assert task.unfit(None) == f"it has no {folder / 'a.mp4'}: videos are shared, by the same paths"
    folder.rmdir()
    assert "it has no folder" in task.unfit(None)
    # a video that is missing everywhere is a failed row, not a worker's fault
    gone = replace(task, entry=replace(task.entry, size=0))
    folder.mkdir()
    assert gone.unfit(None) == ""
