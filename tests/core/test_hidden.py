"""Hidden and temporary folders of processes that live, end and are killed; links among them."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from vssbench.core import hidden


def test_a_writer_that_ends_while_it_is_looked_at_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hidden folder goes away between two looks into it."""

    def vanishing(folder: Path, pattern: str) -> Iterator[Path]:
        yield folder / "old" / "0" / "seen"
        raise FileNotFoundError(folder / "old")

    (tmp_path / f"{hidden.PREFIX}0").mkdir()
    monkeypatch.setattr(Path, "glob", vanishing)
    assert hidden.set_aside(tmp_path) == {"seen"}


TEMPORARY = """
import sys, time
from vssbench.core import hidden
from vssbench.training.pairs import OwnFolder
with hidden.temporary() as first:
    second = OwnFolder()
    for place in (first, second.path):
        (place / "stream.mkv").write_bytes(b"half")
        print(place, flush=True)
    time.sleep(60)
"""


def test_temporary_folders_of_a_killed_process_are_swept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the next process of the same user that needs one, which leaves those of living ones."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    started = subprocess.Popen(
        [sys.executable, "-c", TEMPORARY], stdout=subprocess.PIPE, text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert started.stdout is not None
    places = [Path(started.stdout.readline().strip()) for _ in range(2)]
    assert all(place.is_relative_to(tmp_path) for place in places)
    assert all(stat.S_IMODE(place.parents[0].lstat().st_mode) & 0o077 == 0 for place in places[:1])
    with hidden.temporary():
        assert all((place / "stream.mkv").is_file() for place in places)
    started.kill()
    started.wait()
    with hidden.temporary() as mine:
        assert list(tmp_path.iterdir()) == [mine.parent]
    assert list(tmp_path.iterdir()) == []


def test_links_among_temporary_folders_are_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone may make one where all users' temporary folders are."""
    precious = tmp_path / "precious"
    (precious / "new").mkdir(parents=True)
    for name in ("lock", "new/data"):
        (precious / name).touch()
    place = tmp_path / "tmp"
    place.mkdir()
    (place / f"{hidden.PREFIX}evil").symlink_to(precious)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with hidden.temporary():
        pass
    assert (precious / "new" / "data").is_file()


def test_no_temporary_folder_is_made_otherwise() -> None:
    """Only a worker of Dask's makes its own, in the folder that Dask sweeps."""
    root = Path(hidden.__file__).parents[1]
    makers = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"TemporaryDirectory|mkdtemp|mkstemp", path.read_text(encoding="utf-8"))
    }
    assert makers == {"sweep/away.py"}
