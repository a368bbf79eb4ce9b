"""The layouts of papers' tables: which published number stands in which cell, and how a paper
measured, as it is typed here. They are data, ``results/published/<paper>.toml``.

A line and a column of a table each select by columns of the numbers (``row``, ``metric``, ...); a
cell is the one number that both select, and is empty where there is none. ``[[setting]]`` says for
numbers with these columns by which dataset, codec and protocol they are measured here; ``same``
names parameters of methods whose values count as one, ``classes`` classes by their names here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pandas as pd

from vssbench.core.errors import DataError, UsageError
from vssbench.core.program import CHECKOUT_ONLY
from vssbench.report.paper import numbers

Best = Literal["column", "line", "none"]
Select = dict[str, str]

#: columns of the numbers by which a layout selects
KEYS = tuple(
    field.name
    for field in numbers.FIELDS
    if field.name not in ("paper", "table", "value", "printed", "source", "source_text", "note")
)


@dataclass(frozen=True)
class Line:
    """A line of a table: its label, the part of the table that it stands in, what it selects."""

    label: str
    part: str
    select: Select


@dataclass(frozen=True)
class Column:
    """A column of a table: its heading, the heading above it, what it selects; ``ours`` is false
    where ours follows from other columns."""

    heading: str
    group: str
    select: Select
    ours: bool = True

    @property
    def title(self) -> str:
        """Both headings as one text."""
        return " ".join(filter(None, [self.group, self.heading]))


@dataclass(frozen=True)
class Setting:
    """The way in which a paper measured, and the numbers that it holds for.

    ``dataset``, ``codec`` and ``protocol`` are what is typed for it here, ``also`` other ways to
    the same frames, such as the authors' own files.
    """

    select: Select
    dataset: str
    codec: str
    protocol: str
    also: tuple[Setting, ...] = ()

    @property
    def ways(self) -> tuple[Setting, ...]:
        """All ways to measure so here, the plain one first."""
        return (self, *self.also)


@dataclass(frozen=True)
class Paper:
    """A paper: its key, its title, the settings of its measurements.

    ``same`` are the values of a method's parameters that count as one, by method and parameter;
    ``classes`` the names here of classes that it names otherwise.
    """

    key: str
    title: str
    settings: tuple[Setting, ...]
    same: Mapping[str, Mapping[str, tuple[Any, ...]]]
    classes: Mapping[str, str]

    def setting(self, number: Mapping[str, Any]) -> Setting | None:
        """Return the first setting that holds for a number, None where there is none."""
        return next((its for its in self.settings if chosen(number, its.select)), None)


@dataclass(frozen=True)
class Layout:
    """A table of a paper in its own layout. ``best`` says among what the best is sought."""

    name: str
    paper: Paper
    table: str
    title: str
    heading: str
    lines: tuple[Line, ...]
    columns: tuple[Column, ...]
    best: Best
    remarks: tuple[str, ...]
    #: names of tables for which this one stands
    also: tuple[str, ...]

    def numbers(self) -> Iterator[tuple[Line, Column, dict[str, Any] | None]]:
        """Yield line, column and published number of each cell, None where none is printed.

        Raises DataError where a cell selects several.
        """
        frame = numbers.published(self.paper.key)
        of_table = frame[frame["table"] == self.table].astype(object)
        its = [
            {str(key): None if pd.isna(value) else value for key, value in number.items()}
            for number in of_table.to_dict("records")
        ]
        for line in self.lines:
            of_line = [number for number in its if chosen(number, line.select)]
            for column in self.columns:
                selected = [number for number in of_line if chosen(number, column.select)]
                if len(selected) > 1:
                    where = f"{line.label} and {column.title}"
                    raise DataError(f"{self.name}: {where} select {len(selected)} numbers")
                yield line, column, selected[0] if selected else None


def chosen(number: Mapping[str, Any], select: Mapping[str, str]) -> bool:
    """Return whether a number has these values; an empty one selects what is missing."""
    return all(
        ("" if number[key] is None else str(number[key])) == value for key, value in select.items()
    )


def layouts(where: Path | None = None) -> dict[str, Layout]:
    """Return all layouts by name. Raises DataError where there are none or a file does not read."""
    folder = where or numbers.folder()
    files = sorted(folder.glob("*.toml"))
    if not files:
        raise DataError(f"no layouts of papers' tables in {folder}: they {CHECKOUT_ONLY}")
    known: dict[str, Layout] = {}
    for file in files:
        text = _toml(file)
        paper = _paper(text, file)
        its = [_layout(table, paper, file) for table in text.get("table", ())]
        known |= {layout.name: layout for layout in its}
    return known


def find(name: str) -> Layout:
    """Return the layout of that name, or of a table that it stands for.

    Raises UsageError, listing what there is, for an unknown one.
    """
    known = layouts()
    for its in known.values():
        if name in (its.name, *its.also):
            return its
    raise UsageError(f"no layout {name!r}: there are {', '.join(known)}")


def of_paper(key: str, table: str | None = None) -> list[Layout]:
    """Return the layouts of a paper, or that of one table (``1``, ``fig4a``).

    Raises UsageError, listing what there is, for an unknown one.
    """
    known = layouts().values()
    its = [layout for layout in known if layout.paper.key == key]
    if not its:
        there = ", ".join(dict.fromkeys(layout.paper.key for layout in known))
        raise UsageError(f"no tables of {key!r}: there are those of {there}")
    if table is None:
        return its
    wanted = [each for each in its if f"{key}-{table}" in (each.name, *each.also)]
    if not wanted:
        there = ", ".join(each.name.removeprefix(f"{key}-") for each in its)
        raise UsageError(f"no table {table!r} of {key}: there are {there}")
    return wanted


def _toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise DataError(f"{file} is no TOML: {error}") from error


def _paper(text: dict[str, Any], file: Path) -> Paper:
    try:
        settings = tuple(_setting(each, file) for each in text.get("setting", ()))
        same = {
            method: {key: tuple(values) for key, values in its.items()}
            for method, its in text.get("same", {}).items()
        }
        return Paper(file.stem, text["title"], settings, same, text.get("classes", {}))
    except (KeyError, TypeError) as error:
        raise DataError(f"{file.name}: a setting lacks or has too much: {error}") from error


def _setting(text: dict[str, Any], file: Path) -> Setting:
    select = _select(text, file, "as", "also")
    also = tuple(Setting(select, **each) for each in text.get("also", ()))
    return Setting(select, **text["as"], also=also)


def _layout(text: dict[str, Any], paper: Paper, file: Path) -> Layout:
    try:
        lines = [_line(each, text.get("lines_by", "row"), file) for each in text["lines"]]
        columns = [
            Column(
                each["heading"], each.get("group", ""),
                _select(each, file, "heading", "group", "ours"), each.get("ours", True),
            )
            for each in text["columns"]
        ]  # fmt: skip
        titles = [column.title for column in columns]
        if len(set(titles)) < len(titles):
            twice = next(title for title in titles if titles.count(title) > 1)
            raise DataError(f"{file.name}: two columns of a table have the headings {twice!r}")
        return Layout(
            f"{paper.key}-{text['name']}", paper, text["table"], text["title"],
            text.get("heading", "Method"), tuple(lines), tuple(columns),
            text.get("best", "column"), tuple(text.get("remarks", ())),
            tuple(f"{paper.key}-{name}" for name in text.get("also", ())),
        )  # fmt: skip
    except KeyError as error:
        raise DataError(f"{file.name}: a table lacks {error}") from error


def _line(text: str | dict[str, Any], key: str, file: Path) -> Line:
    if isinstance(text, str):
        return Line(text, "", {key: text})
    return Line(text["label"], text.get("part", ""), _select(text, file, "label", "part"))


def _select(text: Mapping[str, Any], file: Path, *others: str) -> Select:
    unknown = [key for key in text if key not in KEYS and key not in others]
    if unknown:
        raise DataError(f"{file.name}: {unknown[0]!r} is no column of the published numbers")
    return {key: str(value) for key, value in text.items() if key not in others}
