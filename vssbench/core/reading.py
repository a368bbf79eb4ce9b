"""Files that others wrote: read within bounds, and only where they end."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
import stat
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

from vssbench.core.bounds import LINE, LINES, TEXT, Bound
from vssbench.core.errors import DataError
from vssbench.core.shortage import shortage

#: what the system answers where a disk is gone or fails, or a file may not be read
_OF_THE_SYSTEM = frozenset(
    (
        errno.ENOENT, errno.ENOTDIR, errno.EIO, errno.ENODEV, errno.ENXIO, errno.ENOTCONN,
        errno.ESTALE, errno.EREMOTEIO, errno.ESHUTDOWN, errno.ETIMEDOUT, errno.EACCES, errno.EPERM,
        errno.EMFILE, errno.ENFILE,
    )
)  # fmt: skip
#: bytes that are read of a file whose size is not told, as in /proc
_LEAST_READ = 1 << 16
#: sum over the lines of a TOML file of the square of their dots: Python's reader takes as many
#: steps, and as much memory, for the parts of a key
_MOST_DOTS = 10**7


def check_readable(path: Path) -> int:
    """Check that a path is a file that ends, and return its bytes: reading a pipe or a device may
    never end.

    Raises FileNotFoundError where there is nothing, DataError for what is no file.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        kind = "a folder" if stat.S_ISDIR(status.st_mode) else "a device or a pipe"
        raise DataError(f"{path} is {kind}: expected a file")
    return status.st_size


def fault_elsewhere(path: Path, error: BaseException) -> str:
    """Say why a file could not be read where that is no fault of its content: it is gone or its
    disk fails, it may not be read, memory ran out. Empty for other errors."""
    if short := shortage(error):
        return f"{path} cannot be read: {short}"
    number = getattr(error, "errno", None)
    if number not in _OF_THE_SYSTEM:
        return ""
    reason = os.strerror(number)
    gone = [each for each in (path, *path.absolute().parents) if not os.path.lexists(each)]
    if not gone:
        return f"{path} cannot be read: {reason}; check the disk, and who may read it"
    what = "it is" if gone[-1] == path else f"the folder {gone[-1]} is"
    return (
        f"{path} cannot be read: {reason}; {what} not there any more: connect its disk again, or "
        "put it back"
    )


def read_bytes(path: Path, bound: Bound = TEXT) -> bytes:
    """Return a file's content. Raises OSError, and DataError for what is no file or larger than the
    bound."""
    size = check_readable(path)
    bound.check(size, f"{path} is too large")
    with path.open("rb") as file:
        # as much as there is: room for all that is asked for is taken at once
        return file.read(min(bound.most, max(size, _LEAST_READ)))


def read_text(path: Path, errors: str = "strict", encoding: str = "utf-8") -> str:
    """Return a file's text with line ends as they are in it; raises what :func:`read_bytes` does,
    and UnicodeDecodeError."""
    return read_bytes(path).decode(encoding, errors)


def read_json(path: Path, bound: Bound = TEXT) -> Any:
    """Return what a JSON file holds; raises what :func:`read_bytes` does, and ValueError."""
    try:
        return json.loads(read_bytes(path, bound))
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Return what a TOML file holds; raises what :func:`read_bytes` does, and ValueError."""
    text = read_text(path)
    if sum(line.count(".") ** 2 for line in text.splitlines()) > _MOST_DOTS:
        raise ValueError("its keys have too many parts (a.b.c)")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error


def read_lines(path: Path) -> list[str]:
    """Return the lines of a list, each of a bounded length, and as many of them.

    What is not UTF-8 is replaced by a mark. Raises what :func:`read_bytes` does, and DataError that
    names a line which is too long.
    """
    lines = read_text(path, "replace", "utf-8-sig").splitlines()
    LINES.check(len(lines), f"{path} is too long")
    for number, line in enumerate(lines, start=1):
        LINE.check(len(line), f"{path} line {number} is too long")
    return lines


def read_table(path: Path, columns: Collection[str]) -> list[dict[str, str]]:
    """Return the lines of a CSV by the names of its head, each with a cell a column.

    ``columns`` must all be there. Raises DataError, OSError.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_text(path), newline=""), strict=True)
        head = list(reader.fieldnames or ())
        if not set(columns) <= set(head) or len(set(head)) < len(head):
            raise DataError(
                f"{path.name} has the columns {', '.join(head)[:400]}; expected "
                f"{', '.join(columns)}"
            )
        records = list(reader)
    except (csv.Error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is no CSV in UTF-8: {error}; get it again") from error
    LINES.check(len(records), f"{path} is too long")
    for number, line in enumerate(records, 2):
        if None in line or None in line.values():
            raise DataError(
                f"{path.name}, line {number}: expected {len(head)} cells, as there are columns"
            )
    return records


def inside(root: Path, path: Path) -> Path:
    """Return a path that a list names, which must lie in a folder as it is written.

    Links that the folder's owner made are followed. Raises DataError for ``..`` and absolute paths
    that lead out.
    """
    written = Path(os.path.normpath(root / path))
    if not written.is_relative_to(os.path.normpath(root)):
        raise DataError(f"{str(path)!r} leads out of {root}: expected a path below that folder")
    return root / path
