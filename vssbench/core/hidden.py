"""Hidden folders ``.vssbench-RANDOM``, in which one process makes what others must not see yet.

Its owner holds a lock on the file ``lock`` in it. The system gives the lock back when a process
ends, however it ends: a hidden folder whose lock is free belongs to nobody, and the next who makes
one beside it removes it. What was set aside there to be replaced, and was not, is put back.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: they are not locked there, and those of killed processes stay
    fcntl = None  # type: ignore[assignment]

PREFIX = ".vssbench-"
#: what a hidden folder holds: its lock, what is made, what is replaced
_LOCK, NEW, OLD = "lock", "new", "old"


def own(folder: Path, mode: int = 0o777) -> tuple[Path, int]:
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
    for orphan in _orphans(folder, mine=True):
        _remove(orphan)
    hidden, lock = own(folder, mode=0o700)
    (hidden / NEW).mkdir()

    return hidden / NEW, partial(give_up, hidden, lock)


def give_up(hidden: Path, lock: int) -> None:
    """Remove a hidden folder of one's own, and let go of its lock."""
    _remove(hidden)
    os.close(lock)


def _remove(hidden: Path) -> None:
    """Remove a hidden folder whose lock is ours. The lock's file goes last: what has none is
    empty."""
    for name in (NEW, OLD):
        shutil.rmtree(hidden / name, ignore_errors=True)
    with suppress(OSError):
        if os.listdir(hidden) == [_LOCK]:
            (hidden / _LOCK).unlink()
            hidden.rmdir()


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
        folders.extend(hidden.glob(f"{OLD}/*/*"))
    return folders


def _put_back(hidden: Path) -> None:
    for path in _set_aside_in(hidden):
        place = hidden.parent / path.name
        if not os.path.lexists(place):
            with suppress(OSError):
                os.rename(path, place)


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


def _orphans(folder: Path, mine: bool = False) -> Iterator[Path]:
    """Yield the hidden folders whose lock is free, of any user or of this one's ``mine`` alone; it
    is held while the caller deals with one."""
    for hidden in filter(_is_own, _hidden(folder)) if mine else _hidden(folder):
        try:
            lock = os.open(hidden / _LOCK, os.O_RDWR)
        except OSError:  # gone meanwhile, not locked yet, or another user's
            continue
        try:
            if _locked(lock, wait=False):
                yield hidden
        finally:
            os.close(lock)


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
