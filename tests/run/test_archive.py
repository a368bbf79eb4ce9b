"""A store in one file: the same runs in every view, and what is no such file said in words."""

from __future__ import annotations

import io
import lzma
import os
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.sweep.stored import write
from vssbench.cli import bench
from vssbench.core.errors import DataError, VssbenchError
from vssbench.library import results
from vssbench.run.archive import unpacked, write_archive
from vssbench.run.store import RunStore


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    """Return a store of two methods under two codecs, and a run that failed."""
    root = tmp_path / "runs"
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
    write_archive(store.runs(), out)
    return out


def test_every_run_is_the_same_in_one_file(store: RunStore) -> None:
    with unpacked(archived(store)) as folder:
        there = RunStore(folder)
        assert there.ids() == store.ids()
        for run in store.runs():
            other = there.get(run.measurement.run_id)
            assert other.measurement == run.measurement
            assert (other.environment, other.log, other.files) == (
                run.environment, run.log, run.files,
            )  # fmt: skip
            if run.confusion is not None:
                assert other.confusion is not None
                for name, array in vars(run.confusion).items():
                    assert np.array_equal(array, getattr(other.confusion, name)), name
    assert not folder.exists()


def test_the_same_runs_give_the_same_bytes_whatever_wrote_them(
    store: RunStore, tmp_path: Path
) -> None:
    first = archived(store)
    status, _ = call("merge", first, "--runs", tmp_path / "merged")
    assert status == 0
    status, said = call("collect", tmp_path / "merged", "-o", tmp_path / "again.tar.xz")
    assert (status, said) == (0, f"{tmp_path}/again.tar.xz: 5 runs\n")
    assert (tmp_path / "again.tar.xz").read_bytes() == first.read_bytes()


@pytest.mark.parametrize(
    "words",
    [
        ("table", "--format", "csv"),
        ("table", "--by", "distance", "--format", "md"),
        ("scores", "--format", "md"),
        ("compare", "pspnet", "bisenet", "--format", "csv"),
    ],
    ids=lambda words: " ".join(words[:3]),
)
def test_a_view_of_one_file_is_that_of_the_folder(store: RunStore, words: tuple[str, ...]) -> None:
    expected = call(*words, "--runs", store.root)
    assert expected[0] == 0
    assert call(*words, "--runs", archived(store)) == expected


def test_two_stores_are_compared_by_their_names_as_typed(store: RunStore) -> None:
    status, said = call("compare", store.root, archived(store), "-m", "pspnet", "--format", "csv")
    assert status == 0
    assert "ours.tar.xz" in said
    assert tempfile.gettempdir() + "/.vssbench" not in said


def test_frames_and_collections_know_one_file(store: RunStore, tmp_path: Path) -> None:
    out = archived(store)
    assert results(out).equals(results(store.root))
    status, _ = call("collect", out, "-o", tmp_path / "all.parquet")
    assert status == 0
    import pandas as pd

    assert set(pd.read_parquet(tmp_path / "all.parquet")["store"]) == {str(out)}


@pytest.mark.parametrize("command", ["run", "prune", "sweep", "score"])
def test_a_command_that_writes_says_how_to_make_a_folder(store: RunStore, command: str) -> None:
    out = archived(store)
    before = out.read_bytes()
    more = (".", "-d", "synthetic") if command == "score" else ()
    status, said = call(command, *more, "--runs", out)
    assert status == 2
    assert "in one file, which is only read: `merge" in " ".join(said.replace("│", "").split())
    assert out.read_bytes() == before


def test_several_stores_are_to_be_joined_first(store: RunStore, tmp_path: Path) -> None:
    write(tmp_path / "other", "run9")
    status, said = call("collect", store.root, tmp_path / "other", "-o", tmp_path / "x.tar.xz")
    assert status == 2
    assert "join them first, `merge" in said
    status, said = call("collect", tmp_path / "empty", "-o", tmp_path / "x.tar.xz")
    assert (status, "no run that reads" in said) == (2, True)
    assert not (tmp_path / "x.tar.xz").exists()


def test_a_run_that_does_not_read_is_left_out_and_said(store: RunStore, tmp_path: Path) -> None:
    (store.root / "run1" / "result.json").write_text("{")
    status, said = call("collect", store.root, "-o", tmp_path / "x.tar.xz")
    assert status == 1
    assert "4 runs" in said
    with unpacked(tmp_path / "x.tar.xz") as folder:
        assert RunStore(folder).ids() == ["failed", "run0", "run2", "run3"]


def packed(path: Path, name: str, kind: bytes = tarfile.REGTYPE) -> Path:
    with tarfile.open(path, "w:xz") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        entry.size = 3 if kind == tarfile.REGTYPE else 0
        archive.addfile(entry, io.BytesIO(b"abc"))
    return path


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../evil", tarfile.REGTYPE),
        ("/tmp/evil", tarfile.REGTYPE),
        ("run/../../evil", tarfile.REGTYPE),
        ("a/b/c", tarfile.REGTYPE),
        ("run/.hidden", tarfile.REGTYPE),
        ("result.json", tarfile.REGTYPE),
        ("run/result.json", tarfile.SYMTYPE),
        ("run/result.json", tarfile.LNKTYPE),
        ("run/result.json", tarfile.FIFOTYPE),
        ("run", tarfile.DIRTYPE),
    ],
)
def test_anything_but_files_of_runs_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    with (
        pytest.raises(DataError, match="expected files of runs alone"),
        unpacked(packed(tmp_path / "x.tar.xz", name, kind)),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.xz"]


@pytest.mark.parametrize(
    "content", ["cut", "cut at the end", "flipped", "junk", "empty", "no runs"]
)
def test_a_damaged_file_is_said(store: RunStore, tmp_path: Path, content: str) -> None:
    whole = archived(store).read_bytes()
    middle = len(whole) // 2
    damaged = {
        "cut": whole[:middle],
        "cut at the end": whole[:-1],
        "flipped": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
        "junk": b"junk" * 100,
        "empty": b"",
        "no runs": lzma.compress(b"\0" * 10240),
    }[content]
    path = tmp_path / "x.tar.xz"
    path.write_bytes(damaged)
    status, said = call("table", "--runs", path)
    said = " ".join(said.replace("│", "").split())
    assert status == 2
    assert "holds no run" in said if content == "no runs" else "does not read: " in said
    assert "does not read: ;" not in said


def test_a_file_that_expands_beyond_the_bound_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VSSBENCH_MAX_ARCHIVE_MIB", "2")
    path = tmp_path / "x.tar.xz"
    with tarfile.open(path, "w:xz") as archive:
        entry = tarfile.TarInfo("run/zeros.bin")
        entry.size = 64 << 20
        archive.addfile(entry, io.BytesIO(bytes(entry.size)))
    assert path.stat().st_size < 1 << 16
    with pytest.raises(DataError, match="at most 2 are taken"), unpacked(path):
        pass


def test_a_pipe_is_no_store(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.tar.xz")
    status, said = call("table", "--runs", tmp_path / "x.tar.xz")
    assert status == 2
    assert "Traceback" not in said
