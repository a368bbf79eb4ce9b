"""Files and folders that are written whole or not at all: a draft beside its place, then one
rename.

Drafts are made in a hidden folder (:mod:`vssbench.core.hidden`). Symbolic links are followed.
Devices, pipes and open descriptors (``/dev/full``, ``/dev/stdout``, a FIFO) are written to, never
replaced.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from vssbench.core.errors import DataError
from vssbench.core.hidden import NEW, OLD, give_up, own, sweep, temporary
from vssbench.core.renaming import exchange
from vssbench.core.shown import legible
from vssbench.core.special import is_special, pour

#: what renaming a folder onto a full folder answers (POSIX; Windows)
_OCCUPIED = (errno.ENOTEMPTY, errno.EEXIST, *((errno.EACCES,) if os.name == "nt" else ()))
#: what a full disk, a quota and a limit of a file's size answer
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
#: others that replace the same folder and come between before a writer gives up; seconds between
#: two looks
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
    with told(path):
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
        return self.hidden / NEW

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
        aside = self.hidden / OLD / str(attempt) / target.name
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
    hidden, lock = own(folder)
    try:
        (hidden / NEW).mkdir()
        yield Drafts(hidden, stat.S_IMODE(os.fstat(lock).st_mode))
    finally:
        give_up(hidden, lock)


def remove_folder(folder: Path) -> None:
    """Remove a folder with all that is in it; whoever looks sees all of it or nothing.

    Raises DataError where that fails.
    """
    with told(folder), drafts(folder.parent) as under_way:
        os.rename(folder, under_way.path / folder.name)


def refusal(path: Path, error: Exception) -> NotWritten:
    """Return the error that tells the user of a file or a folder that cannot be written."""
    reason = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
    number = getattr(error, "errno", None)
    remedy = "check the folder" if number not in (None, *_FULL) else "make room"
    return NotWritten(f"cannot write {path}: {reason}; {remedy}, or write elsewhere")


@contextmanager
def told(path: Path) -> Iterator[None]:
    """Say an OSError in words."""
    try:
        yield
    except BrokenPipeError:  # nobody reads any more: nobody need be told
        raise
    except OSError as error:
        raise refusal(path, error) from error
