"""The cache of bitstreams and of their motion: how much there is, its limit, and what goes where
there is too much.

An entry, a stream or its motion, is in use for as long as a process holds its lock; what is in use
is never removed.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from vssbench.core import files, locks, reading
from vssbench.core.errors import DataError

SUFFIX, RECORD_SUFFIX = ".mkv", ".json"
#: the ending of the vectors that were read of a stream
MOTION_SUFFIX = ".npz"
_LOCKS, _LIMIT = "locks", "limit.json"
#: nanoseconds by which file systems tell two times apart
_TICK = 1000


@dataclass(frozen=True)
class Kept:
    """An entry of a cache, a stream or its motion: its key, its file, the bytes of it and of its
    record, and when it was last read, in seconds since the epoch."""

    key: str
    path: Path
    size: int
    used: float

    @property
    def is_motion(self) -> bool:
        """Whether it is motion, and no stream."""
        return self.path.suffix == MOTION_SUFFIX


def in_use(cache: Path, key: str) -> AbstractContextManager[bool]:
    """Keep an entry from being removed, for the length of a block."""
    return locks.lock(cache / _LOCKS, key, shared=True, waiting=lambda: None)


def encoding(cache: Path, key: str, waiting: Callable[[], None]) -> AbstractContextManager[bool]:
    """Wait until nobody encodes a stream, and let nobody else, for the length of a block.

    ``waiting`` is called meanwhile, and may raise.
    """
    return locks.lock(cache / _LOCKS, f"{key} encoding", waiting=waiting)


def recording(cache: Path, key: str) -> AbstractContextManager[bool]:
    """Keep the motion of a stream alone, for the length of a block; False where another does."""
    return locks.lock(cache / _LOCKS, f"{key} recording")


def touch(path: Path) -> None:
    """Note that an entry is read now: later than every other, also where the machine's clock was
    set back meanwhile. The file of the locks has the time of the last one that was read."""
    last = path.parent / _LOCKS
    with suppress(OSError):
        now = time.time_ns()
        if last.exists():
            now = max(now, last.stat().st_mtime_ns + _TICK)
            os.utime(last, ns=(now, now))
        os.utime(path, ns=(now, now))


def kept(cache: Path) -> list[Kept]:
    """Return the entries of a cache, those first that were not read for longest."""
    return sorted(_kept(cache), key=lambda entry: (entry.used, entry.key))


def limit(cache: Path) -> int | None:
    """Return the most bytes that a cache may hold; None without a limit.

    Raises DataError where the limit does not read.
    """
    path = cache / _LIMIT
    try:
        value = reading.read_json(path)["bytes"]
    except FileNotFoundError:
        return None
    except (OSError, DataError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} does not read: {error}; set the limit anew") from error
    if not isinstance(value, int) or value < 0:
        raise DataError(f"{path} does not read: bytes = {value!r}; set the limit anew")
    return value


def set_limit(cache: Path, size: int | None) -> int:
    """Set or lift the limit of a cache; returns how many bytes were removed for it."""
    if size is None:
        (cache / _LIMIT).unlink(missing_ok=True)
        return 0
    files.write_text(cache / _LIMIT, json.dumps({"bytes": size}) + "\n")
    return trim(cache)


def trim(cache: Path) -> int:
    """Remove entries that are not in use, the longest unread first, until the limit is kept.

    Returns the bytes that were removed.
    """
    most = limit(cache)
    if most is None:
        return 0
    entries = kept(cache)
    return _remove(cache, entries, sum(entry.size for entry in entries) - most)


def clear(cache: Path) -> tuple[int, int]:
    """Remove every entry that is not in use; returns the bytes removed, and how many entries are
    left."""
    entries = kept(cache)
    removed = _remove(cache, entries, sum(entry.size for entry in entries))
    return removed, len(kept(cache))


def _remove(cache: Path, entries: list[Kept], excess: int) -> int:
    removed = 0
    for entry in entries:
        if removed >= excess:
            break
        with locks.lock(cache / _LOCKS, entry.key) as unused:
            if unused:
                # the stream first: a record alone is no stream
                entry.path.unlink(missing_ok=True)
                if not entry.is_motion:
                    entry.path.with_suffix(RECORD_SUFFIX).unlink(missing_ok=True)
                removed += entry.size
    return removed


def _kept(cache: Path) -> Iterator[Kept]:
    for path in (*cache.glob(f"*{SUFFIX}"), *cache.glob(f"*{MOTION_SUFFIX}")):
        record = path.with_suffix(RECORD_SUFFIX)
        with suppress(FileNotFoundError):  # another process removed it
            status = path.stat()
            size = status.st_size + (record.stat().st_size if record.exists() else 0)
            yield Kept(path.name.split(".")[0], path, size, status.st_mtime)
