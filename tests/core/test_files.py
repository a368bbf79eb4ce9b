"""Files that are written whole or not at all: kills at every step, special files, links, modes,
drafts without an owner."""

from __future__ import annotations

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from vssbench.core import files
from vssbench.core.errors import DataError, UsageError

#: more than any write here takes
_MOST_STEPS = 200


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.name.startswith(files.PREFIX)]


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
        files.adopt(tmp_path)
        contents = {path.name: path.read_text() for path in place.iterdir()}
        assert contents in ({"first": "old", "second": "old"}, {"first": "new", "second": "new"})
        seen.append(contents["first"])
    assert set(seen) == {"old", "new"}
    assert len(seen) > 10
    fill(place, "last")
    assert hidden(tmp_path) == []


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
    assert len(hidden(tmp_path)) == 1
    process.kill()
    process.communicate()
    assert len(hidden(tmp_path)) == 1
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
        files.check_folder(tmp_path / "file" / "runs")


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


def test_an_output_that_is_there_needs_force(tmp_path: Path) -> None:
    place = tmp_path / "a.png"
    files.check_output(place)
    place.write_text("drawn by hand")
    with pytest.raises(
        UsageError, match=r"-o .*a\.png is there already: give another name, or --force"
    ):
        files.check_output(place)
    files.check_output(place, force=True)
    files.check_output(Path("/dev/null"))  # which is only looked at
    with pytest.raises(UsageError, match="is a folder"):
        files.check_output(tmp_path, force=True)


@pytest.mark.parametrize("way", ["name", "other name", "symbolic link", "hard link", "in a folder"])
def test_an_input_is_no_output_even_with_force(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    given = tmp_path / "data" / "given"
    given.parent.mkdir()
    given.write_text("precious")
    out = tmp_path / "out"
    if way == "symbolic link":
        out.symlink_to(given)
    elif way == "hard link":
        out.hardlink_to(given)
    elif way == "other name":
        monkeypatch.chdir(given.parent)
        out = Path("..") / "data" / "given"
    else:
        out = given
    inputs = [tmp_path / "absent", given.parent if way == "in a folder" else given]
    with pytest.raises(UsageError, match="never written over"):
        files.check_output(out, inputs, force=True, option="--out")


def test_a_folder_is_read_again_when_it_was_replaced_meanwhile(tmp_path: Path) -> None:
    place, reads = tmp_path / "place", []
    fill(place, "0")

    def read() -> str:
        first = (place / "first").read_text()
        if len(reads) < 3:
            reads.append(first)
            fill(place, str(len(reads)))
        return first + (place / "second").read_text()

    assert files.steady(place, read) == "33"
    with pytest.raises(FileNotFoundError):
        files.steady(tmp_path / "absent", lambda: os.listdir(tmp_path / "absent"))


def test_a_writer_that_ends_while_it_is_looked_at_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its hidden folder goes away between two looks into it."""

    def vanishing(folder: Path, pattern: str) -> Iterator[Path]:
        yield folder / "old" / "0" / "seen"
        raise FileNotFoundError(folder / "old")

    (tmp_path / f"{files.PREFIX}0").mkdir()
    monkeypatch.setattr(Path, "glob", vanishing)
    assert files.set_aside(tmp_path) == {"seen"}


def test_a_folder_that_a_killed_process_set_aside_is_put_back_by_a_reader(tmp_path: Path) -> None:
    place = tmp_path / "place"
    fill(place, "old")
    aside = tmp_path / f"{files.PREFIX}0" / "old" / "0" / "place"
    aside.parent.mkdir(parents=True)
    (aside.parents[2] / "lock").touch()
    place.rename(aside)
    assert files.set_aside(tmp_path) == {"place"}
    assert files.steady(place, lambda: (place / "first").read_text()) == "old"


TEMPORARY = """
import sys, time
from vssbench.core import files
from vssbench.training.pairs import OwnFolder
with files.temporary() as first:
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
    with files.temporary():
        assert all((place / "stream.mkv").is_file() for place in places)
    started.kill()
    started.wait()
    with files.temporary() as mine:
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
    (place / f"{files.PREFIX}evil").symlink_to(precious)
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    with files.temporary():
        pass
    assert (precious / "new" / "data").is_file()


def test_no_temporary_folder_is_made_otherwise() -> None:
    """Only a worker of Dask's makes its own, in the folder that Dask sweeps."""
    root = Path(files.__file__).parents[1]
    makers = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if re.search(r"TemporaryDirectory|mkdtemp|mkstemp", path.read_text(encoding="utf-8"))
    }
    assert makers == {"sweep/away.py"}
