"""The parts of the report page, as its template writes them: tables, facets and facts."""

from __future__ import annotations

import math
from dataclasses import dataclass

from vssbench.metrics.bootstrap import Intervals
from vssbench.report.rows import Row

Value = float | str | None


@dataclass(frozen=True)
class Shown:
    """A run on the page: its row with its name told apart, the number of its conditions, and the
    95 % interval of its mIoU where there is one."""

    number: int
    condition: int
    row: Row
    interval: Intervals | None
    #: network time of a frame in ms, as the figures have it
    latency: float | None

    @property
    def name(self) -> str:
        """The method's name, told apart among those under the same conditions."""
        return str(self.row["display"])


@dataclass(frozen=True)
class Facet:
    """A choice of runs by one property: its name, its values, and each run's place among these."""

    name: str
    values: tuple[str, ...]
    places: tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """A text, by what it is sorted (None: last), and how it is marked."""

    text: str
    value: Value
    marked: bool = False

    @property
    def order(self) -> str:
        """The value as the page's script reads it."""
        if isinstance(self.value, float) and math.isinf(self.value):
            return "Infinity"
        return "" if self.value is None else str(self.value)

    @property
    def share(self) -> str:
        """A fraction as a colour map takes it, between 0 and 1; empty for what is none."""
        if not isinstance(self.value, float):
            return ""
        return f"{min(max(self.value, 0.0), 1.0):.3f}"


@dataclass(frozen=True)
class Line:
    """A line of a table: the number of its run, and its cells."""

    run: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Sheet:
    """A table of the page: a title, its headings and whether numbers stand below each."""

    title: str
    headings: tuple[tuple[str, bool], ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """The facts by which a run can be repeated: texts by their names; the command by itself."""

    run: int
    title: str
    command: str
    entries: tuple[tuple[str, str], ...]
