"""The cache of bitstreams: how much there is, its limit, and what goes where there is too much.

A stream is in use for as long as a process holds its lock; what is in use is never removed.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path

from vssbench.core import files, locks
from vssbench.core.errors import DataError

SUFFIX, RECORD_SUFFIX = ".mkv", ".json"
_LOCKS, _LIMIT = "locks", "limit.json"


@dataclass(frozen=True)
class Kept:
    """A stream of a cache: its key, its file, the bytes of it and of its record, and when it was
    last read, in seconds since the epoch."""

    key: str
    path: Path
    size: int
    used: float


def in_use(cache: Path, key: str) -> AbstractContextManager[bool]:
    """Keep a stream from being removed, for the length of a block."""
    return locks.lock(cache / _LOCKS, key, shared=True, waiting=lambda: None)


def encoding(cache: Path, key: str, waiting: Callable[[], None]) -> AbstractContextManager[bool]:
    """Wait until nobody encodes a stream, and let nobody else, for the length of a block.

    ``waiting`` is called meanwhile, and may raise.
    """
    return locks.lock(cache / _LOCKS, f"{key} encoding", waiting=waiting)


def touch(path: Path) -> None:
    """Note that a stream is read now."""
    with suppress(OSError):
        os.utime(path)


def kept(cache: Path) -> list[Kept]:
    """Return the streams of a cache, those first that were not read for longest."""
    return sorted(_kept(cache), key=lambda stream: (stream.used, stream.key))


def limit(cache: Path) -> int | None:
    """Return the most bytes that a cache may hold; None without a limit.

    Raises DataError where the limit does not read.
    """
    path = cache / _LIMIT
    try:
        value = json.loads(path.read_text(encoding="utf-8"))["bytes"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
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
    """Remove streams that are not in use, the longest unread first, until the limit is kept.

    Returns the bytes that were removed.
    """
    most = limit(cache)
    if most is None:
        return 0
    streams = kept(cache)
    return _remove(cache, streams, sum(stream.size for stream in streams) - most)


def clear(cache: Path) -> tuple[int, int]:
    """Remove every stream that is not in use; returns the bytes removed, and how many streams are
    left."""
    streams = kept(cache)
    removed = _remove(cache, streams, sum(stream.size for stream in streams))
    return removed, len(kept(cache))


def _remove(cache: Path, streams: list[Kept], excess: int) -> int:
    removed = 0
    for stream in streams:
        if removed >= excess:
            break
        with locks.lock(cache / _LOCKS, stream.key) as unused:
            if unused:
                # the stream first: a record alone is no stream
                stream.path.unlink(missing_ok=True)
                stream.path.with_suffix(RECORD_SUFFIX).unlink(missing_ok=True)
                removed += stream.size
    return removed


def _kept(cache: Path) -> Iterator[Kept]:
    for path in cache.glob(f"*{SUFFIX}"):
        record = path.with_suffix(RECORD_SUFFIX)
        with suppress(FileNotFoundError):  # another process removed it
            status = path.stat()
            size = status.st_size + (record.stat().st_size if record.exists() else 0)
            yield Kept(path.name.split(".")[0], path, size, status.st_mtime)
