"""The index of a store: what tables are made of, for each run by its files' names, sizes and times.

It spares reading the arrays of thousands of runs. It is made of the runs, and of them alone: it may
be deleted at any time, and a run whose files are others than it knows is read again.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vssbench.core import files, reading
from vssbench.core.bounds import ARRAYS
from vssbench.core.errors import DataError, UsageError
from vssbench.core.naming import called
from vssbench.core.progress import messages
from vssbench.run.identity import code_version
from vssbench.run.store import RunStore
from vssbench.run.stored import left_out

if TYPE_CHECKING:
    from vssbench.report.facts import Facts

INDEX = ".index.json"
#: runs that must have been read for the index to be written: a small store needs none
WORTH = 50
#: runs that an index must lack for the command that stored them to read them into it
MANY = 250
#: runs whose reading takes so long that it is said
SLOW = 1000
#: packages whose source makes the facts of a run
_PACKAGES = ("core", "metrics", "report", "run")
_logger = logging.getLogger(__name__)


def facts(store: RunStore) -> list[Facts]:
    """Return the facts of every readable run, in the store's order: dataset, codec, method, id.

    A damaged folder is logged and left out.
    """
    entries, faults = _up_to_date(store, _stamps(store), _content(store))
    for fault in faults:
        _logger.warning("%s", fault)
    return sorted((each.facts for each in entries.values() if each.facts is not None), key=_order)


def keep_up(store: RunStore) -> None:
    """Read the runs that the index lacks, where they are many, so that the first table need not
    wait for them."""
    if not _writable(store):
        return
    stamps = _stamps(store)
    if len(stamps) < MANY:
        return
    content = _content(store)
    known = {name: packed["stamp"] for name, packed in content["runs"].items()}
    if len(_lacking(stamps, known)) >= MANY:
        _up_to_date(store, stamps, content)  # whoever reads the runs is told what does not read


@dataclass(frozen=True)
class _Entry:
    """A run in the index: what tells its files from others, and its facts; None where not all of it
    read, which is tried again: that may have been for want of memory or of rights."""

    stamp: str
    facts: Facts | None


def _up_to_date(
    store: RunStore, stamps: Mapping[str, str], content: dict[str, Any]
) -> tuple[dict[str, _Entry], list[str]]:
    """Return the entries of all runs, and what does not read in words; an index that lacked many is
    written. ``content`` is the index as it is stored."""
    known = _entries(content)
    lacking = _lacking(stamps, {name: each.stamp for name, each in known.items()})
    if len(lacking) >= SLOW:
        messages().print(
            f"reading {len(lacking)} runs that the index of {called(store.root)} lacks"
        )
    entries, faults = {}, []
    for name, stamp in stamps.items():
        entry = known.get(name)
        if entry is None or entry.stamp != stamp or entry.facts is None:
            its, fault = _of(store, name)
            entry = _Entry(stamp, its)
            faults += [fault] if fault and store.holds_folder(name) else []
        entries[name] = entry
    if len(lacking) >= WORTH and _writable(store):
        _write(store, entries)
    return entries, faults


def _of(store: RunStore, name: str) -> tuple[Facts | None, str]:
    """Return the facts of a run, or None and why it is left out."""
    from vssbench.report.facts import facts_of  # not for a store that keeps up: pandas is slow

    try:
        return facts_of(store.get(name)), ""
    except (DataError, UsageError) as error:
        return None, left_out(error)


def _stamps(store: RunStore) -> dict[str, str]:
    """Return what tells the files of each run from others."""
    stamps = {}
    for name in store.ids():
        with suppress(UsageError):  # a folder that no run could have is read, and said to be none
            stamps[name] = ""
            stamps[name] = store.stamp(name)
    return stamps


def _lacking(stamps: Mapping[str, str], known: Mapping[str, str]) -> list[str]:
    return [name for name, stamp in stamps.items() if known.get(name) != stamp]


def _order(each: Facts) -> tuple[str, ...]:
    return tuple(each.row[name] for name in ("dataset", "codec", "method", "run_id"))


def _content(store: RunStore) -> dict[str, Any]:
    """Return the index as it is stored; empty where it does not read."""
    path = store.root / INDEX
    with suppress(*_UNREADABLE):
        if path.is_file() and not path.is_symlink():
            text = reading.read_bytes(path, ARRAYS).decode("ascii")
            head = _head(body := "{" + text[_HEAD_LENGTH:])
            if text.startswith(head):
                content: dict[str, Any] = json.loads(body)
                return content
    return {"version": None, "runs": {}}


def _head(body: str) -> str:
    """Return what an index begins with: the digest of the rest, which none has that was altered or
    damaged."""
    return f'{{"sha256": "{hashlib.sha256(body.encode()).hexdigest()}", '


_HEAD_LENGTH = len(_head(""))


def _entries(content: dict[str, Any]) -> dict[str, _Entry]:
    """Return the entries of an index that this source wrote; none of another."""
    if content["version"] != _version():
        return {}
    return {name: _unpacked(packed, content["pool"]) for name, packed in content["runs"].items()}


def _writable(store: RunStore) -> bool:
    """Return whether an index may be written: where another thing has its name, none is."""
    path = store.root / INDEX
    free = path.is_file() or not path.exists()
    return free and not path.is_symlink() and os.access(store.root, os.W_OK)


#: what an index gives that is none, or is too large
_UNREADABLE = (OSError, DataError, ValueError)


def _write(store: RunStore, entries: dict[str, _Entry]) -> None:
    pool = _Pool()
    runs = {name: _packed(entry, pool) for name, entry in entries.items()}
    content = {"version": _version(), "pool": pool.values, "runs": runs}
    with suppress(DataError):  # who may not write here reads the runs each time
        body = json.dumps(content, default=float)
        files.write_text(store.root / INDEX, _head(body) + body.removeprefix("{"))


def _version() -> str:
    return code_version(packages=_PACKAGES)


class _Pool:
    """Values that many runs share, each kept once and referred to by its place."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[str, int] = {}

    def place(self, value: Any) -> int:
        """Return the place of a value, which is added if it is new."""
        text = json.dumps(value, default=float)
        if text not in self._places:
            self._places[text] = len(self.values)
            self.values.append(value)
        return self._places[text]


def _packed(entry: _Entry, pool: _Pool) -> dict[str, Any]:
    """Return a run's entry of the file: numbers as they are, what is none as its place in the pool,
    the lines of the long forms by columns."""
    if entry.facts is None or entry.facts.row["status"] == "damaged":
        return {"stamp": entry.stamp}
    row = entry.facts.row
    values = [
        value if value is None or isinstance(value, int | float) else [pool.place(value)]
        for value in row.values()
    ]
    return {
        "stamp": entry.stamp,
        "row": [pool.place(list(row)), values],
        "distances": _columns(entry.facts.distances, row, pool),
        "classes": _columns(entry.facts.classes, row, pool),
    }


def _columns(lines: list[dict[str, Any]], row: dict[str, Any], pool: _Pool) -> list[Any]:
    """Return lines as the names of what they share with the run's row, those of their own columns,
    and the columns: numbers, or a list's place in the pool."""
    first = lines[0] if lines else {}
    shared = [name for name, value in first.items() if name in row and row[name] == value]
    shared = [name for name in shared if all(line[name] == row[name] for line in lines)]
    own = [name for name in first if name not in shared]
    columns: list[Any] = []
    for name in own:
        column = [line[name] for line in lines]
        numbers = all(value is None or isinstance(value, int | float) for value in column)
        columns.append(column if numbers else pool.place(column))
    return [pool.place(shared), pool.place(own), columns]


def _unpacked(packed: dict[str, Any], pool: list[Any]) -> _Entry:
    from vssbench.report.facts import LONG_FORMS, Facts

    if "row" not in packed:
        return _Entry(packed["stamp"], None)
    names, values = packed["row"]
    row = {
        name: pool[value[0]] if isinstance(value, list) else value
        for name, value in zip(pool[names], values, strict=True)
    }
    lines = (_lines(packed[name], row, pool) for name in LONG_FORMS)
    return _Entry(packed["stamp"], Facts(row, *lines))


def _lines(packed: list[Any], row: dict[str, Any], pool: list[Any]) -> list[dict[str, Any]]:
    shared, own, columns = packed
    common = {name: row[name] for name in pool[shared]}
    names = pool[own]
    full = [pool[column] if isinstance(column, int) else column for column in columns]
    return [common | dict(zip(names, values, strict=True)) for values in zip(*full, strict=True)]
