"""Files and folders that are written whole or not at all: a draft beside its place, then one
rename.

Drafts lie in a hidden folder ``.vssbench-RANDOM`` beside what they become; its owner holds a
lock on the file ``lock`` in it. The system gives the lock back when a process ends, however it
ends: a hidden folder whose lock is free belongs to nobody, and the next writer there removes it.
Symbolic links are followed. Devices, pipes and open descriptors (``/dev/full``, ``/dev/stdout``, a
FIFO) are written to, never replaced.
"""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from vssbench.core.errors import DataError, UsageError, VssbenchError
from vssbench.core.renaming import exchange
from vssbench.core.shown import legible
from vssbench.core.special import is_special, pour

try:
    import fcntl
except ImportError:  # Windows: drafts are not locked there, and those of killed processes stay
    fcntl = None  # type: ignore[assignment]

T = TypeVar("T")

PREFIX = ".vssbench-"
_LOCK, _NEW, _OLD = "lock", "new", "old"
#: what renaming a folder onto a full folder answers (POSIX; Windows)
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, *((errno.EACCES,) if os.name == "nt" else ()))
#: what a full disk, a quota and a limit of a file's size answer
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: others that replace the same folder and come between before a writer or a reader gives up;
#: seconds between two looks
_ATTEMPTS, _PAUSE = 200, 0.005


class NotWritten(DataError):
    """A file or a folder that could not be written: a full disk, no permission, a file in a
    folder's place."""


@contextmanager
def draft(path: Path) -> Iterator[Path]:
    """Yield a path of the same name where a file or a folder can be made; it takes its place when
    all went well.

    What lay there is replaced in one step, and a file that is replaced keeps its mode. Raises
    DataError for an OSError.
    """
    with _told(path):
        if is_special(path):
            with temporary() as folder:
                made = folder / path.name
                yield made
                pour(made, path)
            return
        target = Path(os.path.realpath(path))
        with drafts(target.parent) as under_way:
            made = under_way.path / target.name
            yield made
            under_way.publish(made, target)


def write_text(path: Path, text: str) -> None:
    """Replace a file's content by a text in UTF-8. Raises DataError."""
    write_bytes(path, legible(text).encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file's content. Raises DataError."""
    with draft(path) as made:
        made.write_bytes(content)


@dataclass(frozen=True)
class Drafts:
    """A hidden folder for drafts, locked while it is in use: ``path`` is where they are made."""

    hidden: Path
    mode: int

    @property
    def path(self) -> Path:
        """The folder in which drafts are made."""
        return self.hidden / _NEW

    def publish(self, made: Path, target: Path) -> None:
        """Rename a draft into its place. At no moment is there neither what was there nor what
        comes."""
        if made.is_dir():
            self._publish_folder(made, target)
            return
        # some libraries make their files 0600, whatever the umask
        with suppress(FileNotFoundError):
            made.chmod(stat.S_IMODE(made.stat().st_mode) | self.mode)
        with suppress(FileNotFoundError):
            made.chmod(stat.S_IMODE(target.stat().st_mode))
        os.replace(made, target)

    def _publish_folder(self, made: Path, target: Path) -> None:
        for attempt in range(_ATTEMPTS):
            try:
                os.rename(made, target)  # onto nothing, or an empty folder
                return
            except OSError as error:
                if error.errno not in _OCCUPIED:
                    raise
            with suppress(FileNotFoundError):  # another writer may have it under way
                if exchange(made, target) or self._replace_folder(made, target, attempt):
                    return
            time.sleep(_PAUSE)
        raise DataError(f"{target} is rewritten by other processes all the time: write it once")

    def _replace_folder(self, made: Path, target: Path, attempt: int) -> bool:
        """Make two renames, where the system has no exchange: whoever comes after a kill in between
        puts the old one back."""
        aside = self.hidden / _OLD / str(attempt) / target.name
        aside.parent.mkdir(parents=True)
        os.rename(target, aside)
        try:
            os.rename(made, target)
        except OSError as error:
            if error.errno not in _OCCUPIED:
                os.rename(aside, target)
                raise
            return False  # another writer was faster: its folder is next to be replaced
        return True


@contextmanager
def drafts(folder: Path) -> Iterator[Drafts]:
    """Yield a hidden folder within ``folder``, which is made where it is missing; removed at the
    end, with all that is left in it.

    Hidden folders of processes that are gone are removed first.
    """
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    hidden, lock = _own(folder)
    try:
        (hidden / _NEW).mkdir()
        yield Drafts(hidden, stat.S_IMODE(os.fstat(lock).st_mode))
    finally:
        _remove(hidden)
        os.close(lock)


@contextmanager
def temporary() -> Iterator[Path]:
    """Yield a folder of the system's temporary ones, for this process alone, removed at the end;
    see :func:`take_temporary`."""
    path, end = take_temporary()
    try:
        yield path
    finally:
        end()


def take_temporary() -> tuple[Path, Callable[[], None]]:
    """Make a temporary folder and return it, and what removes it.

    Those that this user's killed processes left are removed first. Raises OSError.
    """
    folder = Path(tempfile.gettempdir())
    for orphan in _orphans(folder, own=True):
        _remove(orphan)
    hidden, lock = _own(folder, mode=0o700)
    (hidden / _NEW).mkdir()

    def end() -> None:
        _remove(hidden)
        os.close(lock)

    return hidden / _NEW, end


def sweep(folder: Path) -> None:
    """Remove the hidden folders whose owners are gone; a folder that was set aside and never
    replaced is put back."""
    for hidden in _orphans(folder):
        _put_back(hidden)
        _remove(hidden)
    for hidden in _hidden(folder):
        with suppress(OSError):
            hidden.rmdir()  # its owner ended before it was locked, or after all else was removed


def adopt(folder: Path) -> None:
    """Put back what killed processes had set aside and not replaced, where it may be written;
    remove nothing."""
    for hidden in _orphans(folder):
        _put_back(hidden)


def set_aside(folder: Path) -> set[str]:
    """Return the names of the folders that are being replaced at this moment, and are in their
    place neither old nor new."""
    return {path.name for hidden in _hidden(folder) for path in _set_aside_in(hidden)}


def _set_aside_in(hidden: Path) -> list[Path]:
    """List what is set aside in a writer's hidden folder, which may go away meanwhile."""
    folders: list[Path] = []
    with suppress(FileNotFoundError):
        folders.extend(hidden.glob(f"{_OLD}/*/*"))
    return folders


def steady(folder: Path, read: Callable[[], T]) -> T:
    """Return what ``read`` finds in a folder, and read again where the folder was replaced in the
    meantime.

    Raises what ``read`` raises of a folder that nobody replaces.
    """
    for _ in range(_ATTEMPTS):
        before = _stamp(folder)
        value, failed = None, None
        try:
            value = read()
        except (OSError, VssbenchError) as error:
            failed = error
        if _stamp(folder) == before and (before is not None or not _returns(folder)):
            break
        time.sleep(_PAUSE)
    if failed is not None:
        raise failed
    return value  # type: ignore[return-value]


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it; whoever looks sees all of it or nothing.

    Raises DataError where that fails.
    """
    with _told(folder), drafts(folder.parent) as under_way:
        os.rename(folder, under_way.path / folder.name)


def check_output(
    path: Path, inputs: Iterable[Path] = (), force: bool = False, option: str = "-o"
) -> None:
    """Raise UsageError for a file that is read, a folder, or one that is there already without
    ``force``; DataError where the folder cannot be written. To be asked before any work is done."""
    for given in inputs:
        if _is_within(path, given):
            raise UsageError(
                f"{option} {path} is read by this command: give another name, an input is never "
                "written over"
            )
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder: give the name of a file")
    if is_special(path):
        return
    if path.exists() and not force:
        raise UsageError(
            f"{option} {path} is there already: give another name, or --force to replace it"
        )
    check_folder(Path(os.path.realpath(path)).parent)


def overlap(path: Path, given: Path) -> bool:
    """Return whether an output that is there lies within an input folder, is it, or holds it."""
    if not path.exists() or not given.exists():
        return False
    out, root = (Path(os.path.realpath(each)) for each in (path, given))
    return out == root or root in out.parents or out in root.parents


def check_regular(path: Path, option: str = "-o") -> None:
    """Raise UsageError for a device, a pipe or an open descriptor."""
    if is_special(path):
        raise UsageError(
            f"{option} {path} is a device or a pipe: this command needs a file, give the name of "
            "one"
        )


def check_folder(folder: Path) -> None:
    """Make a folder, and try to write into it. Raises DataError where that fails."""
    with _told(folder), drafts(folder):
        pass


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold others off who ask for the same folder, until the block or the process ends.

    Where the system cannot lock a folder nobody is held off.
    """
    if fcntl is None:
        yield
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        _locked(lock, wait=True)
        yield
    finally:
        os.close(lock)


def refusal(path: Path, error: Exception) -> NotWritten:
    """Return the error that tells the user of a file or a folder that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
    number = getattr(error, "errno", None)
    remedy = "check the folder" if number not in (None, *_FULL) else "make room"
    return NotWritten(f"cannot write {path}: {reason}; {remedy}, or write elsewhere")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say an OSError in words."""
    try:
        yield
    except BrokenPipeError:  # nobody reads any more: nobody need be told
        raise
    except OSError as error:
        raise refusal(path, error) from error


def _own(folder: Path, mode: int = 0o777) -> tuple[Path, int]:
    """Return a new hidden folder and the open file that holds its lock."""
    while True:
        hidden = folder / f"{PREFIX}{uuid.uuid4().hex}"
        hidden.mkdir(mode)
        # one who sweeps may remove the folder before it is locked: another is made then
        with suppress(FileNotFoundError):
            lock = os.open(hidden / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            if _locked(lock, wait=True) is not None and _is_at(lock, hidden / _LOCK):
                return hidden, lock
            os.close(lock)


def _locked(lock: int, wait: bool) -> bool | None:
    """Return whether the lock was free and is ours now; True where the file system has no locks and
    we were to wait."""
    if fcntl is None:
        return wait
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return wait
    return True


def _is_at(lock: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False


def _hidden(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder) if name.startswith(PREFIX)]
    except OSError:
        return []


def _is_own(hidden: Path) -> bool:
    """Return whether a path is a folder of this user, and no link to one."""
    try:
        status = hidden.lstat()
    except OSError:
        return False
    user = os.geteuid() if hasattr(os, "geteuid") else status.st_uid
    return stat.S_ISDIR(status.st_mode) and status.st_uid == user


def _orphans(folder: Path, own: bool = False) -> Iterator[Path]:
    """Yield the hidden folders whose lock is free, of any user or of this one's ``own`` alone; it
    is held while the caller deals with one."""
    for hidden in filter(_is_own, _hidden(folder)) if own else _hidden(folder):
        try:
            lock = os.open(hidden / _LOCK, os.O_RDWR)
        except OSError:  # gone meanwhile, not locked yet, or another user's
            continue
        try:
            if _locked(lock, wait=False):
                yield hidden
        finally:
            os.close(lock)


def _remove(hidden: Path) -> None:
    """Remove a hidden folder whose lock is ours. The lock's file goes last: what has none is
    empty."""
    for name in (_NEW, _OLD):
        shutil.rmtree(hidden / name, ignore_errors=True)
    with suppress(OSError):
        if os.listdir(hidden) == [_LOCK]:
            (hidden / _LOCK).unlink()
            hidden.rmdir()


def _put_back(hidden: Path) -> None:
    for path in _set_aside_in(hidden):
        place = hidden.parent / path.name
        if not os.path.lexists(place):
            with suppress(OSError):
                os.rename(path, place)


def _returns(folder: Path) -> bool:
    """Return whether a folder that is missing is being replaced, or was put back now."""
    if folder.name in set_aside(folder.parent):
        adopt(folder.parent)
        return True
    return os.path.lexists(folder)


def _stamp(folder: Path) -> tuple[int, int, int] | None:
    """Return what tells a folder from the one that replaces it."""
    try:
        status = folder.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino, status.st_mtime_ns


def _is_within(path: Path, given: Path) -> bool:
    """Return whether a file is an input, under whatever name, or a file that lies in an input
    folder."""
    if not path.exists() or not given.exists():
        return False
    if given.is_dir():
        return (
            path.is_file() and Path(os.path.realpath(given)) in Path(os.path.realpath(path)).parents
        )
    return os.path.samefile(path, given)
