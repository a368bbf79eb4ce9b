"""A table by codec, as AR-Seg's Table 4 (CVPR 2023): a line a stream at its measured rate, a column
a method, and its gain."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from vssbench.core.errors import UsageError
from vssbench.core.variant import parse_variant
from vssbench.report.choose import matches
from vssbench.report.columns import (
    Group,
    groups,
    percent,
    quantity,
    told_apart,
)
from vssbench.report.footnotes import footnotes, unmarked, version_remarks
from vssbench.report.headings import Conditions, conditions
from vssbench.report.markup import DASH, PARTS, Cell, Grid, terminal_grid
from vssbench.report.rows import Row, require
from vssbench.report.streams import codec_title, measured_rate, quality_text, stream_title
from vssbench.report.table import LATEX_NEEDS, check_format, csv_text, json_text

if TYPE_CHECKING:
    from rich.table import Table

#: methods beside each other on a terminal; more are written below
TERMINAL_METHODS = 3


@dataclass(frozen=True)
class Pivot:
    """One dataset and protocol: ``lines`` map a method's name to its row under one stream;
    ``methods`` begin with the base."""

    title: str
    methods: tuple[str, ...]
    lines: tuple[dict[str, Row], ...]

    @property
    def base(self) -> str:
        """The method over which the others gain."""
        return self.methods[0]

    def grid(self, methods: Sequence[str], ssim: bool = True) -> Grid:
        """Return the streams, and for these of the methods mIoU and gain; without ``ssim`` the
        streams have one column less."""
        headings = ["Codec", "Asked", "kbit/s measured", "PSNR dB", *(["SSIM"] if ssim else [])]
        for method in methods:
            headings += [method, *(["gain"] if method != self.base else [])]
        return Grid(
            tuple(headings),
            tuple(tuple(self._cells(line, methods, ssim)) for line in self.lines),
            left=2,
        )

    def _cells(self, line: dict[str, Row], methods: Sequence[str], ssim: bool) -> Iterator[Cell]:
        rows = list(line.values())
        yield Cell(self._codec(rows[0]))
        yield Cell(rows[0]["codec_rate"] or DASH)
        yield Cell(measured_rate(rows) or DASH)
        yield Cell(quality_text(rows, "psnr_db") or DASH)
        if ssim:
            yield Cell(quality_text(rows, "ssim") or DASH)
        for method in methods:
            yield Cell(_miou(line.get(method)), _is_best(line, method))
            if method != self.base:
                gained = self.gain(line, method)
                yield Cell(DASH if gained is None else f"{100 * gained:+.2f}")

    def gain(self, line: dict[str, Row], method: str) -> float | None:
        """Return the method's mIoU less the base's under that stream, a fraction; None where either
        was not measured."""
        own, base = (line[name]["miou"] if name in line else None for name in (method, self.base))
        return None if own is None or base is None else own - base

    def _codec(self, row: Row) -> str:
        return codec_title(row) if self.gop else f"{codec_title(row)}, GOP {row['gop']}"

    @property
    def gop(self) -> int:
        """The GOP of all streams, 0 where they have several."""
        return _common([row["gop"] for line in self.lines for row in line.values()]) or 0

    @property
    def heading(self) -> str:
        """Dataset, frame size, protocol, and the GOP if there is but one."""
        return f"{self.title} / GOP {self.gop}" if self.gop else self.title

    def remarks(self) -> list[str]:
        """Explain the gains, the methods' costs, and why a cell has no number."""
        gain = (
            f"; gain: points of mIoU of the method to its left over {self.base}"
            if self.methods[1:]
            else ""
        )
        said = [f"mIoU in %{gain}."]
        costs = [(method, self._cost(method)) for method in self.methods]
        if all(cost is not None for _, cost in costs):
            said.append(
                f"GMACs/frame: {'; '.join(f'{method} {quantity(cost)}' for method, cost in costs)}."
            )
        for method in self.methods:
            files = sorted(
                {
                    line[method]["weights"]
                    for line in self.lines
                    if method in line and line[method]["weights"]
                }
            )
            if len(files) > 1:
                said.append(f"{method} has other weights under other codecs: {', '.join(files)}.")
        for line in self.lines:
            for name, row in line.items():
                if row["status"] != "done":
                    reason = row["reason"] or "no reason was recorded"
                    stream = stream_title([row], gop=not self.gop)
                    said.append(f"{name} under {stream}, {row['status']}: {reason}")
        rows = [row for line in self.lines for row in line.values()]
        return list(dict.fromkeys([*said, *version_remarks(rows), *footnotes(rows)]))

    def _cost(self, method: str) -> float | None:
        return _common(
            [
                line[method]["gmacs_gop"]
                for line in self.lines
                if method in line and _done(line[method])
            ]
        )

    def records(self) -> list[dict[str, Any]]:
        """Return a record a stream, fractions: what identifies it, its measured rate and quality,
        ``miou`` and ``gain`` by method."""
        return [self._record(line) for line in self.lines]

    def _record(self, line: dict[str, Row]) -> dict[str, Any]:
        first = next(iter(line.values()))
        names = (
            "dataset",
            "split",
            "classes",
            "height",
            "width",
            "protocol",
            "gop",
            "codec",
            "codec_name",
            "codec_rate",
        )
        record = {name: first[name] for name in names}
        for name in ("bitrate_kbps", "psnr_db", "ssim"):
            record[name] = next((row[name] for row in line.values() if row[name] is not None), None)
        record["base"] = self.base
        record["miou"] = {
            method: line[method]["miou"] if method in line else None for method in self.methods
        }
        record["gain"] = {method: self.gain(line, method) for method in self.methods[1:]}
        return record


def pivots(rows: Sequence[Row], base: str | None = None) -> list[Pivot]:
    """Return a table for each dataset, frame size and protocol.

    Methods stand by falling GMACs, after the base: the method that ``base`` names (a variant, its
    beginning or its name in tables), by default the costliest. Raises UsageError where ``base``
    names none of them, or several.
    """
    require(rows)
    tables = []
    for _, members in groupby(sorted(groups(rows), key=_conditions), key=_conditions):
        parts = [told_apart(group) for group in members]
        heading = parts[0].heading
        lines = tuple({row["display"]: row for row in part.rows} for part in parts)
        tables.append(
            Pivot(f"{heading.dataset} / {heading.protocol}", _ordered(lines, base), lines)
        )
    return tables


def _ordered(lines: Sequence[dict[str, Row]], base: str | None) -> tuple[str, ...]:
    cost = {name: 0.0 for line in lines for name in line}
    variants = {name: row["method"] for line in lines for name, row in line.items()}
    for line in lines:
        for name, row in line.items():
            cost[name] = max(cost[name], row["gmacs_gop"] or 0.0)
    names = sorted(cost, key=lambda name: (-cost[name], name))
    if base is None:
        return tuple(names)
    bases = [
        name
        for name in names
        if base in (name, unmarked(name), variants[name])
        or parse_variant(variants[name]) == _variant(base)
    ]
    bases = bases or [name for name in names if matches(base, variants[name])]
    if len(bases) != 1:
        problem = "several methods" if bases else "no method"
        raise UsageError(
            f"--base {base} names {problem} of this table: expected one of "
            f"{', '.join(bases or names)}"
        )
    return (bases[0], *(name for name in names if name != bases[0]))


def render_pivot(rows: Sequence[Row], format: str, base: str | None = None) -> str:
    """Return the tables by codec in a format of `vssbench.report.table.render`; CSV and JSON hold
    fractions."""
    check_format(format)
    tables = pivots(rows, base)
    if format == "json":
        return json_text([record for table in tables for record in table.records()])
    if format == "csv":
        return csv_text([_flat(record) for table in tables for record in table.records()])
    blocks = [LATEX_NEEDS] if format == "latex" else []
    for table in tables:
        grid = table.grid(table.methods)
        blocks += PARTS[format](grid, table.heading, table.remarks())
    return "\n\n".join(blocks) + "\n"


def terminal_pivot(rows: Sequence[Row], base: str | None = None) -> Table:
    """Return the tables by codec for a terminal of 100 columns; methods that do not fit beside the
    others follow below."""
    from rich.table import Table
    from rich.text import Text

    sheet = Table.grid()
    for table in pivots(rows, base):
        sheet.add_row(Text(table.heading, style="bold cyan"))
        for start in range(0, len(table.methods), TERMINAL_METHODS):
            grid = table.grid(table.methods[start : start + TERMINAL_METHODS], ssim=False)
            sheet.add_row(terminal_grid(grid, fold=True))
        sheet.add_row(Text("\n".join([*table.remarks(), ""])))
    return sheet


def _conditions(group: Group) -> Conditions:
    return conditions(group.rows[0])


def _flat(record: dict[str, Any]) -> Row:
    """Flatten a record: ``miou <method>`` and ``gain <method>`` become single values."""
    flat = {name: value for name, value in record.items() if name not in ("miou", "gain")}
    return flat | {
        f"{kind} {method}": value
        for kind in ("miou", "gain")
        for method, value in record[kind].items()
    }


def _is_best(line: dict[str, Row], method: str) -> bool:
    """Return whether the method has the line's greatest mIoU, of two at least."""
    values = [row["miou"] for row in line.values() if row["miou"] is not None]
    return method in line and len(values) > 1 and line[method]["miou"] == max(values)


def _miou(row: Row | None) -> str:
    if row is None:
        return DASH
    return percent(row["miou"]) if _done(row) else row["status"]


def _done(row: Row) -> bool:
    return row["status"] == "done"


def _variant(text: str) -> object:
    """Parse the variant, None where the text is not one: a name in tables need not be."""
    try:
        return parse_variant(text)
    except UsageError:
        return None


def _common(values: Sequence[Any]) -> Any:
    """Return the value that all share, None where they differ or there are none."""
    return values[0] if len(set(values)) == 1 else None
