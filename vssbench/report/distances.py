"""A table by distance: a line a method, a column a distance from the keyframe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from vssbench.core.errors import UsageError
from vssbench.report.columns import METHOD, Group, groups, percent, told_apart
from vssbench.report.fields import FIELDS
from vssbench.report.markup import PARTS, Cell, Grid, terminal_grid
from vssbench.report.rows import Row, require
from vssbench.report.table import LATEX_NEEDS, check_format, csv_text, json_text

if TYPE_CHECKING:
    from rich.table import Table

#: columns of the long form that a row of a table knows
_KNOWN = tuple(
    field for field in FIELDS["distance"] if field.name not in ("frames", "latency_ms")
)  # fmt: skip


def render_distances(rows: Sequence[Row], format: str) -> str:
    """Return the tables by distance in a format of :func:`vssbench.report.table.render`; CSV and
    JSON hold a row a distance, and fractions."""
    check_format(format)
    parts = _parts(rows)
    if format in ("csv", "json"):
        return (csv_text if format == "csv" else json_text)(_records(parts))
    blocks = [LATEX_NEEDS] if format == "latex" else []
    for part in parts:
        blocks += PARTS[format](_grid(part), _title(part), _remarks(part))
    return "\n\n".join(filter(None, blocks)) + "\n"


def parquet_distances(rows: Sequence[Row]) -> bytes:
    """Return the rows by distance as a Parquet file. Raises UsageError where pyarrow is not
    installed."""
    from vssbench.report.frames import parquet
    from vssbench.report.typed import typed

    return parquet(typed(_records(_parts(rows)), _KNOWN))


def terminal_distances(rows: Sequence[Row]) -> Table:
    """Return the tables by distance for a terminal."""
    from rich.table import Table
    from rich.text import Text

    sheet = Table.grid()
    for part in _parts(rows):
        sheet.add_row(Text(_title(part), style="bold cyan"))
        sheet.add_row(terminal_grid(_grid(part), fold=True))
        sheet.add_row(Text("\n".join([*_remarks(part), ""])))
    return sheet


def _parts(rows: Sequence[Row]) -> list[Group]:
    require(rows)
    parts = [told_apart(group) for group in groups(rows)]
    if not any(_distances(part) for part in parts):
        raise UsageError("no measured run has a mIoU by distance: leave --by distance out")
    return parts


def _title(part: Group) -> str:
    return f"{part.title}: mIoU % by distance from the keyframe"


def _remarks(part: Group) -> list[str]:
    """Return the remarks of a group that are not of times, which this table has none of."""
    return [remark for remark in part.remarks() if not remark.startswith("Machine")]


def _distances(part: Group) -> int:
    return max(len(row["miou_by_distance"]) for row in part.rows)


def _grid(part: Group) -> Grid:
    """Return mIoU of each method at each distance, the best of a distance bold."""
    columns = [_at(part, distance) for distance in range(_distances(part))]
    best = [max((v for v in values if v is not None), default=None) for values in columns]
    several = len(part.rows) > 1
    lines = []
    for place, row in enumerate(part.rows):
        values = [column[place] for column in columns]
        numbers = (
            Cell(percent(value), several and value is not None and value == top)
            for value, top in zip(values, best, strict=True)
        )
        lines.append((Cell(METHOD.cell(row)), *numbers))
    headings = ("Method", *(f"d={distance}" for distance in range(len(columns))))
    return Grid(headings, tuple(lines))


def _at(part: Group, distance: int) -> list[float | None]:
    return [
        row["miou_by_distance"][distance] if distance < len(row["miou_by_distance"]) else None
        for row in part.rows
    ]


def _records(parts: Sequence[Group]) -> list[dict[str, Any]]:
    """Return a line for each run and distance."""
    return [
        {field.name: row[field.name] for field in _KNOWN if field.name in row}
        | {"distance": distance, "miou": miou}
        for part in parts
        for row in part.rows
        for distance, miou in enumerate(row["miou_by_distance"])
    ]
