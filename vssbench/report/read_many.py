"""Many runs read for tables, by several processes where there are several cores."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from vssbench.core.errors import DataError, UsageError
from vssbench.report.facts import Numbers, damage, key_of, numbers_of, row_of
from vssbench.report.index_entries import shared
from vssbench.run.store import RunStore
from vssbench.run.stored import left_out
from vssbench.sweep.forks import child, forkable

#: runs that are read by one process, since others take as long to start
FEW = 500
#: processes at most: a disk serves no more
_MOST = 8
#: runs that a process is given at a time
_PART = 200


@dataclass(frozen=True)
class Reading:
    """A run as it was read: its row, None where it does not read; the key of its numbers, empty
    where its arrays do not; and what does not, in words."""

    run_id: str
    row: dict[str, Any] | None = None
    key: str = ""
    fault: str = ""


def read_many(
    store: RunStore, run_ids: Sequence[str], numbers: dict[str, Numbers]
) -> Iterator[Reading]:
    """Yield runs in the order of their ids as given, and add their numbers to those that are known
    by their keys."""
    done = 0
    if len(run_ids) >= FEW and forkable({"cpu"}) and _cores() > 1:
        for part in _by_processes(store, run_ids, numbers):
            done += len(part)
            yield from part
    known: dict[Hashable, Any] = {}
    for run_id in run_ids[done:]:
        yield _read(store, run_id, numbers, known)


def _cores() -> int:
    return min(len(os.sched_getaffinity(0)), _MOST)


def _by_processes(
    store: RunStore, run_ids: Sequence[str], numbers: dict[str, Numbers]
) -> Iterator[list[Reading]]:
    """Yield runs by parts, in their order, as far as processes can be had and live."""
    parts = [run_ids[first : first + _PART] for first in range(0, len(run_ids), _PART)]
    count = min(_cores(), len(parts))
    readers: list[tuple[BaseProcess, Connection]] = []
    try:
        # EOFError: one was ended by the system
        with suppress(OSError, EOFError):
            for number in range(count):
                readers.append(child(_serve, store, parts[number::count], numbers))
            for number in range(len(parts)):
                part, new = readers[number % count][1].recv()
                numbers |= new
                yield part
    finally:
        for process, connection in readers:
            process.kill()
            process.join()
            connection.close()


def _serve(
    connection: Connection,
    store: RunStore,
    parts: list[Sequence[str]],
    numbers: dict[str, Numbers],
) -> None:
    """Send each part: its runs, and the numbers that were not known."""
    with suppress(Exception):  # of this process: the command reads on, and says what is wrong
        known: dict[Hashable, Any] = {}
        for part in parts:
            old = set(numbers)
            readings = [_read(store, run_id, numbers, known) for run_id in part]
            new = {key: its for key, its in numbers.items() if key not in old}
            connection.send((readings, new))


def _read(
    store: RunStore, run_id: str, numbers: dict[str, Numbers], known: dict[Hashable, Any]
) -> Reading:
    """Read a run; ``known`` is what rows before it hold."""
    try:
        run = store.get(run_id, whole=True)
        row = shared(row_of(run.measurement), known)
    except (DataError, UsageError) as error:
        return Reading(run_id, fault=left_out(error) if store.holds_folder(run_id) else "")
    try:
        key = key_of(run)
        if key not in numbers:
            numbers[key] = numbers_of(run)
    except DataError as error:
        return Reading(run_id, row | damage(error))
    return Reading(run_id, row, key)
