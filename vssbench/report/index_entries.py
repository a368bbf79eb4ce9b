"""The content of a store's index, and how it is packed: what many runs share is kept once."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from vssbench.report.facts import LONG_FORMS, NOTHING, Facts, Numbers, joined
from vssbench.report.index_file import version

_T = TypeVar("_T")


@dataclass(frozen=True)
class Entry:
    """A run in the index: what tells its files from others, its row, and the key of its numbers.

    The row is None where the run did not read, the key empty where its arrays did not: that is
    tried again, since it may have been for want of memory or of rights.
    """

    stamp: str
    row: dict[str, Any] | None = None
    key: str = ""


@dataclass(frozen=True)
class Index:
    """The runs of a store by their ids, and the numbers of their arrays by their keys: those of a
    copied run, and of a store that was copied, are known."""

    runs: dict[str, Entry]
    numbers: dict[str, Numbers]

    def facts(self) -> list[Facts]:
        """Return the facts of the runs that read."""
        return [
            joined(each.row, self.numbers.get(each.key, NOTHING))
            for each in self.runs.values()
            if each.row is not None
        ]


def packed(index: Index) -> dict[str, Any]:
    """Return an index as it is stored, without the numbers that no run has any more."""
    pool = _Pool()
    runs = {name: _run(entry, pool) for name, entry in index.runs.items()}
    keys = dict.fromkeys(each.key for each in index.runs.values() if each.key)
    numbers = {key: _numbers(index.numbers[key], pool) for key in keys}
    return {"version": version(), "pool": pool.values, "numbers": numbers, "runs": runs}


def unpacked(content: dict[str, Any]) -> Index:
    """Return an index that this source stored; an empty one of another."""
    if content["version"] != version():
        return Index({}, {})
    pool = content["pool"]
    numbers = {
        key: Numbers(_unnamed(row, pool), *(_lines(columns, pool) for columns in longs))
        for key, (row, *longs) in content["numbers"].items()
    }
    runs = {
        name: Entry(each["stamp"], _unnamed(each["row"], pool), each["key"])
        if "row" in each
        else Entry(each["stamp"])
        for name, each in content["runs"].items()
    }
    return Index(runs, numbers)


def shared(row: dict[str, Any], known: dict[Hashable, Any]) -> dict[str, Any]:
    """Return a row whose texts and structures are those that are known where they are equal, and
    add the others: what thousands of runs share is sent, stored and shown the sooner."""
    return {
        name: known.setdefault(_content(value), value)
        if isinstance(value, str | list | dict)
        else value
        for name, value in row.items()
    }


def once(make: Callable[[Any], _T]) -> Callable[[Any], _T]:
    """Return a function that makes something of each value but once; all of them must live as long
    as it does. Thousands of runs share what they hold."""
    made: dict[int, _T] = {}

    def known(value: Any) -> _T:
        if id(value) not in made:
            made[id(value)] = make(value)
        return made[id(value)]

    return known


def _content(value: Any) -> Hashable:
    """Return what a text or a structure has in common with those that are equal, and with no
    other."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return (tuple(value),)  # sooner than as JSON
    return (json.dumps(value, default=float),)


class _Pool:
    """Values that many runs share, each kept once and referred to by its place."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self._places: dict[Hashable, int] = {}
        #: the same as ``place``, sooner, of a value that lives as long as the pool does
        self.place_of_living = once(self.place)

    def place(self, value: Any) -> int:
        """Return the place of a value, which is added if it is new."""
        content = _content(value)
        if content not in self._places:
            self._places[content] = len(self.values)
            self.values.append(value)
        return self._places[content]


def _run(entry: Entry, pool: _Pool) -> dict[str, Any]:
    if entry.row is None or not entry.key:
        return {"stamp": entry.stamp}
    return {"stamp": entry.stamp, "row": _named(entry.row, pool), "key": entry.key}


def _numbers(numbers: Numbers, pool: _Pool) -> list[Any]:
    longs = (_columns(getattr(numbers, name), pool) for name in LONG_FORMS)
    return [_named(numbers.row, pool), *longs]


def _named(row: dict[str, Any], pool: _Pool) -> list[Any]:
    """Return a row as the place of its names and its values: numbers as they are, what is none as a
    list of its place."""
    values = [
        value if value is None or isinstance(value, int | float) else [pool.place_of_living(value)]
        for value in row.values()
    ]
    return [pool.place(list(row)), values]


def _unnamed(packed_row: list[Any], pool: list[Any]) -> dict[str, Any]:
    names, values = packed_row
    return {
        name: pool[value[0]] if isinstance(value, list) else value
        for name, value in zip(pool[names], values, strict=True)
    }


def _columns(lines: Sequence[dict[str, Any]], pool: _Pool) -> list[Any]:
    """Return lines as the place of their names and their columns: numbers, or a list's place."""
    names = list(lines[0]) if lines else []
    columns: list[Any] = []
    for name in names:
        column = [line[name] for line in lines]
        numbers = all(value is None or isinstance(value, int | float) for value in column)
        columns.append(column if numbers else pool.place(column))
    return [pool.place(names), columns]


def _lines(packed_lines: list[Any], pool: list[Any]) -> list[dict[str, Any]]:
    names, columns = packed_lines
    full = [pool[column] if isinstance(column, int) else column for column in columns]
    return [dict(zip(pool[names], values, strict=True)) for values in zip(*full, strict=True)]
