"""Files that are no store in one file, or a damaged or hostile one, are said in words."""

from __future__ import annotations

import errno
import io
import lzma
import os
import tarfile
from pathlib import Path

import pytest

from tests.run.archives import archived, call, small_store
from vssbench.core.errors import DataError
from vssbench.run.archive import unpacked
from vssbench.run.records import ARCHIVE_REMEDY, REMEDY
from vssbench.run.store import RunStore
from vssbench.run.stored import CONFUSION, RESULT


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return small_store(tmp_path / "runs")


@pytest.mark.parametrize("name", ["none.tar.xz", "x.TAR.XZ"])
def test_a_file_that_is_not_there_or_has_another_name_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.TAR.XZ").touch()
    status, said = call("table", "--runs", tmp_path / name)
    said = " ".join(said.replace("│", "").split())
    expected = "there is no" if name.startswith("none") else "whose name ends in .tar.xz"
    assert (status, expected in said) == (2, True)


def test_no_room_to_expand_a_file_is_said(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = archived(store)

    def full(self: object, size: int) -> bytes:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("vssbench.run.archive._Expanded.exactly", full)
    with (
        pytest.raises(DataError, match=r"cannot be expanded in .*No space left.*set TMPDIR"),
        unpacked(out),
    ):
        pass


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
        ("/evil", tarfile.REGTYPE),
        ("run/../../evil", tarfile.REGTYPE),
        ("a/b/c", tarfile.REGTYPE),
        ("run/.hidden", tarfile.REGTYPE),
        ("result.json", tarfile.REGTYPE),
        ("run/result.json", tarfile.SYMTYPE),
        ("run/result.json", tarfile.LNKTYPE),
        ("run/result.json", tarfile.FIFOTYPE),
        ("run/sub/", tarfile.DIRTYPE),
    ],
)
def test_anything_but_files_of_runs_is_refused(tmp_path: Path, name: str, kind: bytes) -> None:
    with (
        pytest.raises(DataError, match="expected files of runs alone"),
        unpacked(packed(tmp_path / "x.tar.xz", name, kind)),
    ):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["x.tar.xz"]


@pytest.mark.parametrize("form", ["pax", "sparse", "long name", "many headers", "twice"])
def test_what_the_format_can_say_beside_plain_files_is_refused(tmp_path: Path, form: str) -> None:
    path = tmp_path / "x.tar.xz"
    with tarfile.open(path, "w:xz", format=tarfile.PAX_FORMAT) as archive:
        entry = tarfile.TarInfo("run/result.json")
        if form == "pax":
            entry.pax_headers = {"path": "run/other.json"}
        elif form == "sparse":
            entry.pax_headers = {
                "GNU.sparse.size": str(1 << 50),
                "GNU.sparse.map": "0,1,1000,2",
            }
        elif form == "long name":
            entry.name = f"run/{'x' * 300}"
        elif form == "many headers":
            for _ in range(3000):
                header = tarfile.TarInfo("run/x")
                header.type = tarfile.XHDTYPE
                archive.addfile(header)
        elif form == "twice":
            archive.addfile(entry)
        archive.addfile(entry)
    said = "each file of a run once" if form == "twice" else "files of runs alone"
    with pytest.raises(DataError, match=f"expected {said}"), unpacked(path):
        pass


@pytest.mark.parametrize("more", ["another tar", "another stream", "junk", "a damaged header"])
def test_what_stands_behind_the_end_is_refused(store: RunStore, tmp_path: Path, more: str) -> None:
    whole = archived(store).read_bytes()
    plain = lzma.decompress(whole)
    path = tmp_path / "x.tar.xz"
    broken = bytearray(plain)
    broken[plain.index(b"ustar", 600) - 200] ^= 255
    path.write_bytes(
        {
            "another tar": lzma.compress(plain + plain),
            "another stream": whole + whole,
            "junk": whole + b"junk",
            "a damaged header": lzma.compress(bytes(broken)),
        }[more]
    )
    with pytest.raises(DataError, match=r"x\.tar\.xz does not read: "), unpacked(path):
        pass


def test_a_file_that_tar_packed_is_read(store: RunStore, tmp_path: Path) -> None:
    path = tmp_path / "x.tar.xz"
    with tarfile.open(path, "w:xz", format=tarfile.GNU_FORMAT) as archive:
        archive.add(store.root, ".")
    with unpacked(path) as folder:
        assert RunStore(folder).ids() == store.ids()


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
    assert ("holds no run" if content == "no runs" else "does not read: ") in said
    assert "does not read: ;" not in said


def test_a_run_that_is_damaged_in_one_file_is_measured_again_in_a_folder(
    store: RunStore, tmp_path: Path
) -> None:
    path = tmp_path / "x.tar.xz"
    run = next(iter(store.runs()))
    (run.path / CONFUSION).write_bytes(b"no array")
    with tarfile.open(path, "w:xz", format=tarfile.GNU_FORMAT) as archive:
        archive.add(store.root, ".")
    status, said = call("table", "--runs", path)
    assert status == 1, said
    said = "".join(said.split())
    assert f"damaged:{path}/{run.path.name}" in said
    assert f"get{path}againfromwhereitcame" in said
    assert "(`merge`)" in said


@pytest.mark.parametrize("name", [RESULT, CONFUSION])
def test_a_damaged_run_in_one_file_is_not_to_be_measured_in_it(
    store: RunStore, tmp_path: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    run = next(iter(store.runs()))
    (run.path / name).write_bytes(b"neither JSON nor arrays")
    path = tmp_path / "x.tar.xz"
    with tarfile.open(path, "w:xz", format=tarfile.GNU_FORMAT) as archive:
        archive.add(store.root, ".")
    for root, remedy in ((path, ARCHIVE_REMEDY), (store.root, REMEDY)):
        caplog.clear()
        assert call("table", "--runs", root)[0] == 1
        (said,) = caplog.messages
        assert said.startswith(f"left out a damaged run: {root / run.path.name / name} ")
        assert said.endswith(remedy)


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
