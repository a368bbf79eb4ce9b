"""Stores in one file, and the commands that are given them."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner

from tests.sweep.stored import write
from vssbench.cli import bench
from vssbench.core.errors import VssbenchError
from vssbench.run.archive import files_of, write_archive
from vssbench.run.store import RunStore


def small_store(root: Path) -> RunStore:
    """Return a store of two methods under two codecs, and a run that failed."""
    for number, (method, codec) in enumerate(
        (m, c) for m in ("pspnet", "bisenet") for c in ("h264", "hevc")
    ):
        write(root, f"run{number}", value=number + 1, method=method, codec=codec)
    write(root, "failed", status="failed", reason="no disk", method="icnet")
    return RunStore(root)


def call(*words: object) -> tuple[int, str]:
    """Return the exit status of a command, and what it says; bad input is an exception here."""
    ended = CliRunner().invoke(bench, [str(word) for word in words])
    if isinstance(ended.exception, VssbenchError):
        return 2, str(ended.exception)
    return ended.exit_code, ended.output


def archived(store: RunStore) -> Path:
    out = store.root.with_name("ours.tar.xz")
    write_archive([(run, files_of(run)) for run in store.runs()], out)
    return out
