"""A store in one file: the same runs in every view, and only what every command reads again."""

from __future__ import annotations

import io
import os
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest

from tests.run.archives import archived, call, small_store
from tests.sweep.stored import write
from vssbench.cli import bench
from vssbench.core.errors import UsageError
from vssbench.library import results, run
from vssbench.run.archive import unpacked
from vssbench.run.store import RunStore


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return small_store(tmp_path / "runs")


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
    said = " ".join(said.replace("│", "").split())
    assert "in one file, which is only read: `" in said
    assert "--runs FOLDER` makes a folder of it" in said
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


@pytest.mark.parametrize("odd", ["hidden", "words", "folder", "pipe"])
def test_what_is_no_file_of_a_run_stays_where_it_is(
    store: RunStore, tmp_path: Path, odd: str
) -> None:
    place = store.root / "run1"
    if odd == "folder":
        (place / "sub").mkdir()
    elif odd == "pipe":
        os.mkfifo(place / "pipe")
    else:
        (place / {"hidden": ".DS_Store", "words": "notes (1).txt"}[odd]).touch()
    out = tmp_path / "x.tar.xz"
    assert call("collect", store.root, "-o", out) == (0, f"{out}: 5 runs\n")
    with unpacked(out) as folder:
        assert len(RunStore(folder).runs()) == 5


@pytest.mark.parametrize("fault", ["flipped", "link", "pipe"])
def test_a_run_whose_files_do_not_read_is_left_out_and_said(
    store: RunStore, tmp_path: Path, fault: str
) -> None:
    arrays, log = store.root / "run1" / "confusion.npz", store.root / "run1" / "log.txt"
    if fault == "flipped":
        content = bytearray(arrays.read_bytes())
        content[len(content) // 2] ^= 255
        arrays.write_bytes(content)
    else:
        log.unlink()
        (tmp_path / "secret").write_text("secret")
        log.symlink_to(tmp_path / "secret") if fault == "link" else os.mkfifo(log)
    status, said = call("collect", store.root, "-o", tmp_path / "x.tar.xz")
    assert (status, "4 runs" in said, "left out: " in said) == (1, True, True)
    with unpacked(tmp_path / "x.tar.xz") as folder:
        assert "run1" not in RunStore(folder).ids()


@pytest.mark.parametrize("name", ["x.txz", "X.TAR.XZ", "x.csv", "x.tar", "-"])
def test_a_file_of_another_kind_is_not_written(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    status, said = call("collect", store.root, "-o", name)
    assert (status, said) == (2, f"-o {name}: expected NAME.parquet or NAME.tar.xz")
    assert not Path(name).exists()


@pytest.mark.parametrize("words", [("report",), ("plot", "pareto")], ids=lambda words: words[0])
def test_an_archive_that_is_read_is_never_written_over(
    store: RunStore, tmp_path: Path, words: tuple[str, ...]
) -> None:
    out = archived(store)
    before = out.read_bytes()
    (tmp_path / "link.png").symlink_to(out)
    # a figure is not written under this name anyway
    for place in (tmp_path / "link.png", *([out] if words == ("report",) else [])):
        status, said = call(*words, "--runs", out, "-o", place, "--force")
        assert (status, "is read by this command" in said) == (2, True), said
    assert out.read_bytes() == before


def test_the_file_is_called_by_its_name_in_all_that_is_said_and_drawn(
    store: RunStore, tmp_path: Path
) -> None:
    out = archived(store)
    status, _ = call("report", "--runs", out, "-o", tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (status, f"Results of {out}" in page) == (0, True)
    hurt = tmp_path / "hurt.tar.xz"
    repack(out, hurt, {"run1/confusion.npz": b"none"})
    said = call("table", "--format", "csv", "--runs", hurt)[1]
    said += call("merge", hurt, "--runs", tmp_path / "merged")[1]
    assert f"{hurt}/run1/confusion.npz" in "".join(said.split("\n"))
    assert ".vssbench-" not in page + said


@pytest.mark.parametrize("where", ["a file of a grid", "the library"])
def test_no_way_leads_to_writing_into_one_file(store: RunStore, tmp_path: Path, where: str) -> None:
    out = archived(store)
    before = out.read_bytes()
    if where == "the library":
        with pytest.raises(UsageError, match="is a store in one file, which is only read"):
            run(["bisenet"], ["synthetic"], ["raw"], runs=out)
    else:
        grid = tmp_path / "grid.toml"
        grid.write_text(f"runs = '{out}'\nmethod = 'bisenet'\ndataset = 'synthetic'\n")
        for words in ((), ("--dry-run",)):
            status, said = call("sweep", grid, *words)
            assert (status, "is a store in one file, which is only read" in said) == (2, True)
    assert out.read_bytes() == before


def test_nothing_is_expanded_to_complete_a_word(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = archived(store)
    monkeypatch.setattr("vssbench.run.archive.unpacked", lambda path: pytest.fail("expanded"))
    with bench.make_context("bench", ["table", "--runs", str(out)], resilient_parsing=True) as ctx:
        command = bench.get_command(ctx, "table")
        assert command is not None
        with command.make_context(
            "table", ["--runs", str(out)], parent=ctx, resilient_parsing=True
        ) as inner:
            assert inner.params["runs"] == out


def repack(source: Path, target: Path, other: dict[str, bytes]) -> None:
    """Write an archive again, some of its members with another content."""
    with tarfile.open(source) as old, tarfile.open(target, "w:xz") as new:
        for member in old:
            content = other.get(member.name) or old.extractfile(member).read()  # type: ignore[union-attr]
            member.size = len(content)
            new.addfile(member, io.BytesIO(content))
