"""Files that are written whole or not at all: kills at every step, special files, links, modes,
drafts without an owner."""

from __future__ import annotations

import errno
import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vssbench.core import files, hidden, outputs
from vssbench.core.errors import DataError

#: more than any write here takes
_MOST_STEPS = 200


def hidden_folders(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(hidden.PREFIX)]


def fill(folder: Path, content: str) -> None:
    """Write a folder of two files through a draft."""
    with files.draft(folder) as draft:
        draft.mkdir()
        (draft / "first").write_text(content)
        (draft / "second").write_text(content)


def killed_at_every_step(work: Callable[[], None], prepare: Callable[[], None]) -> Iterator[int]:
    """Do the work in a process that is killed before its first change of the file system, its
    second, and so on; yields after each kill. Ends with the process that reaches its end."""
    for step in range(_MOST_STEPS):
        prepare()
        child = os.fork()
        if child == 0:
            try:
                _kill_at(step)
                work()
                os._exit(0)
            finally:
                os._exit(1)
        _, status = os.waitpid(child, 0)
        yield step
        if not os.WIFSIGNALED(status):
            assert os.waitstatus_to_exitcode(status) == 0
            return
    raise AssertionError("the work takes more steps than expected")


def _kill_at(step: int) -> None:
    left = step
    watched = {
        "open",
        "os.mkdir",
        "os.rename",
        "os.remove",
        "os.rmdir",
        "os.chmod",
        "os.listdir",
        "os.scandir",
    }

    def count(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal left
        if event in watched:
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            left -= 1

    sys.addaudithook(count)


@pytest.mark.parametrize("exchange", [True, False])
def test_a_folder_that_is_replaced_is_old_or_new_whenever_the_writer_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exchange: bool
) -> None:
    if not exchange:
        monkeypatch.setattr(files, "exchange", lambda first, second: False)
    place = tmp_path / "place"
    seen = []
    for _ in killed_at_every_step(lambda: fill(place, "new"), lambda: fill(place, "old")):
        hidden.adopt(tmp_path)
        contents = {path.name: path.read_text() for path in place.iterdir()}
        assert contents in ({"first": "old", "second": "old"}, {"first": "new", "second": "new"})
        seen.append(contents["first"])
    assert set(seen) == {"old", "new"}
    assert len(seen) > 10
    fill(place, "last")
    assert hidden_folders(tmp_path) == []


def test_a_file_that_is_replaced_is_old_or_new_whenever_the_writer_is_killed(
    tmp_path: Path,
) -> None:
    place = tmp_path / "place"
    seen = []
    work = killed_at_every_step(
        lambda: files.write_text(place, "new"), lambda: files.write_text(place, "old")
    )
    for _ in work:
        seen.append(place.read_text())
    assert set(seen) == {"old", "new"}
    files.write_text(place, "last")
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_drafts_of_a_killed_process_are_swept_and_those_of_a_living_one_stay(
    tmp_path: Path,
) -> None:
    code = "import sys; from pathlib import Path; from vssbench.core import files\n"
    code += (
        "with files.draft(Path(sys.argv[1])) as draft:\n  draft.write_text('half'); "
        "print('ready', flush=True); input()\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "theirs")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    files.write_text(tmp_path / "ours", "")
    assert len(hidden_folders(tmp_path)) == 1
    process.kill()
    process.communicate()
    assert len(hidden_folders(tmp_path)) == 1
    files.write_text(tmp_path / "ours", "")
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


def test_drafts_of_two_processes_of_one_number_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "getpid", lambda: 1)  # as in every container
    with files.draft(tmp_path / "a") as first, files.draft(tmp_path / "a") as second:
        assert first != second
        assert first.name == second.name == "a"
        first.write_text("1")
        second.write_text("2")
    assert (tmp_path / "a").read_text() == "1"  # the outer one ends last


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_fails_leaves_what_was_there(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "place"
    fill(place, "old") if kind == "folder" else files.write_text(place, "old")

    def fails() -> None:
        with files.draft(place) as draft:
            draft.mkdir() if kind == "folder" else draft.write_text("half")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(
        DataError, match=r"cannot write .*place: No space left on device; make room"
    ):
        fails()
    assert (place / "first" if kind == "folder" else place).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_folder_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "a", tmp_path / "file" / "b" / "a"):
        with pytest.raises(DataError, match="cannot write"):
            files.write_text(place, "")
    with pytest.raises(DataError, match="cannot write"):
        outputs.check_folder(tmp_path / "file" / "runs")


def test_modes_honour_the_umask_whoever_makes_the_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with files.draft(tmp_path / "a") as draft:
            # as tempfile and safetensors do
            os.close(os.open(draft, os.O_CREAT | os.O_WRONLY, 0o600))
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_file_that_is_replaced_keeps_its_mode(tmp_path: Path) -> None:
    place = tmp_path / "a"
    place.touch()
    place.chmod(0o604)
    files.write_text(place, "new")
    assert (stat.S_IMODE(place.stat().st_mode), place.read_text()) == (0o604, "new")


def test_links_are_followed(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for name in ("file", "new"):
        (tmp_path / name).symlink_to(tmp_path / "there" / name)
    files.write_text(tmp_path / "there" / "file", "old")
    for name in ("file", "new"):
        files.write_text(tmp_path / name, "written")
        assert (tmp_path / name).is_symlink()
        assert (tmp_path / "there" / name).read_text() == "written"


def test_special_files_are_written_to(tmp_path: Path, full_device: Path) -> None:
    fifo, link = tmp_path / "fifo", tmp_path / "link"
    os.mkfifo(fifo)
    link.symlink_to(full_device)
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(fifo.read_bytes()))
    reader.start()
    files.write_text(fifo, "through the pipe")
    reader.join()
    assert found == [b"through the pipe"]
    assert stat.S_ISFIFO(fifo.stat().st_mode)
    for full in (full_device, link):
        with pytest.raises(DataError, match="No space left on device"):
            files.write_text(full, "too much")
    assert full_device.is_char_device()
    assert link.is_symlink()


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_output_that_is_a_file_of_the_shells_is_written_on(tmp_path: Path, name: str) -> None:
    code = "print('before')\nfrom pathlib import Path\nfrom vssbench.core import files\n"
    code += f"files.write_text(Path({name!r}), 'text\\n')\nprint('after')"
    with (tmp_path / "out").open("w") as out:
        subprocess.run([sys.executable, "-c", code], stdout=out, check=True)
    assert (tmp_path / "out").read_text() == "before\ntext\nafter\n"
