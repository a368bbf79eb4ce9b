"""The index of a store: what tables are made of, for each run by its files' names, sizes and times.

It spares reading the arrays of thousands of runs. It is made of the runs, and of them alone: it may
be deleted at any time, and a run whose files are others than it knows is read again.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from vssbench.core import files, reading
from vssbench.core.bounds import ARRAYS
from vssbench.core.errors import DataError, UsageError
from vssbench.run.identity import code_version
from vssbench.run.store import RunStore

if TYPE_CHECKING:
    from vssbench.report.facts import Facts

INDEX = ".index.json"
#: runs that must have been read for the index to be written: a small store needs none
WORTH = 50
#: runs that an index must lack for the command that stored them to read them into it
MANY = 250
#: packages whose source makes the facts of a run
_PACKAGES = ("core", "metrics", "report", "run")
_logger = logging.getLogger(__name__)


def facts(store: RunStore) -> list[Facts]:
    """Return the facts of every readable run, in the store's order: dataset, codec, method, id.

    A damaged folder is logged and left out.
    """
    from vssbench.report.facts import facts_of  # not for a store that keeps up: pandas is slow

    known = _read(store)
    entries: dict[str, _Entry] = {}
    fresh = 0
    for name in store.ids():
        try:
            stamp = store.stamp(name)
            entry = known.get(name)
            if entry is None or entry.stamp != stamp:
                entry = _Entry(stamp, facts_of(store.get(name)))
                fresh += 1
            entries[name] = entry
        except (DataError, UsageError) as error:
            _logger.warning("left out a damaged run: %s", error)
    if fresh >= WORTH:
        _write(store, entries)
    return sorted((entry.facts for entry in entries.values()), key=_order)


def keep_up(store: RunStore) -> None:
    """Read the runs that the index lacks, where they are many, so that the first table need not
    wait for them."""
    there = len(store.ids())
    if there >= MANY and there - _count(store) >= MANY:
        facts(store)


def _count(store: RunStore) -> int:
    """Return how many runs are in the index, whichever source wrote it; none where it does not
    read."""
    with suppress(*_UNREADABLE):
        return len(reading.read_json(store.root / INDEX, ARRAYS)["runs"])
    return 0


@dataclass(frozen=True)
class _Entry:
    """A run in the index: what tells its files from others, and its facts."""

    stamp: str
    facts: Facts


def _order(each: Facts) -> tuple[str, ...]:
    return tuple(each.row[name] for name in ("dataset", "codec", "method", "run_id"))


def _read(store: RunStore) -> dict[str, _Entry]:
    """Return the entries of an index that this source wrote; none where it does not read."""
    entries = {}
    with suppress(*_UNREADABLE):
        content = reading.read_json(store.root / INDEX, ARRAYS)
        if content["version"] == _version():
            for name, packed in content["runs"].items():
                with suppress(*_UNREADABLE):  # an entry of another form: the run is read again
                    entries[name] = _unpacked(packed, content["pool"])
    return entries


_UNREADABLE = (OSError, DataError, ValueError, KeyError, TypeError, AttributeError, IndexError)


def _write(store: RunStore, entries: dict[str, _Entry]) -> None:
    pool = _Pool()
    runs = {name: _packed(entry, pool) for name, entry in entries.items()}
    content = {"version": _version(), "pool": pool.values, "runs": runs}
    with suppress(DataError):  # who may not write here reads the runs each time
        files.write_text(store.root / INDEX, json.dumps(content, default=float))


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
    from vssbench.report.facts import Facts

    names, values = packed["row"]
    row = {
        name: pool[value[0]] if isinstance(value, list) else value
        for name, value in zip(pool[names], values, strict=True)
    }
    lines = (_lines(packed[name], row, pool) for name in ("distances", "classes"))
    return _Entry(packed["stamp"], Facts(row, *lines))


def _lines(packed: list[Any], row: dict[str, Any], pool: list[Any]) -> list[dict[str, Any]]:
    shared, own, columns = packed
    common = {name: row[name] for name in pool[shared]}
    names = pool[own]
    full = [pool[column] if isinstance(column, int) else column for column in columns]
    return [common | dict(zip(names, values, strict=True)) for values in zip(*full, strict=True)]
