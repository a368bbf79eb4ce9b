"""Tables of results: Markdown, CSV, LaTeX and JSON as text, and a compact one for the terminal."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vssbench.errors import UsageError
from vssbench.report.columns import DASH, FULL, PRINTED, TERMINAL, Column, Group, groups, told_apart
from vssbench.report.rows import Row, require

if TYPE_CHECKING:
    from rich.table import Table

#: widest method column on a terminal; longer names are folded
METHOD_WIDTH = 34

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}",
}  # fmt: skip


def render(rows: Sequence[Row], format: str, per_class: bool = False) -> str:
    """The rows as text in ``md``, ``csv``, ``latex`` (booktabs) or ``json``; ``per_class`` adds each class's IoU.

    Rows are grouped by dataset, frame size, codec, GOP and protocol, best mIoU first, whatever order they come in; names
    that occur twice in a group are told apart by what differs. Markdown and LaTeX
    print percentages; CSV and JSON hold every field as it is in the row (fractions), and JSON always has ``per_class``.
    """
    if format not in FORMATS:
        raise UsageError(f"unknown table format {format!r}: expected {', '.join(FORMATS)}")
    require(rows)
    return FORMATS[format](groups(rows), per_class)


def _markdown(parts: Sequence[Group], per_class: bool) -> str:
    blocks = []
    for group in map(told_apart, parts):
        blocks += [f"### {_md(group.title)}", _markdown_table(group, group.columns(FULL))]
        if per_class and group.classes:
            blocks += ["IoU of each class:", _markdown_table(group, group.class_columns())]
        blocks += ["\n".join(f"- {_md(remark)}" for remark in group.remarks())]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _markdown_table(group: Group, columns: Sequence[Column]) -> str:
    table = [[_md(column.heading) for column in columns]]
    for row in group.rows:
        cells = [_md(column.cell(row)) for column in columns]
        table.append([f"**{c}**" if group.is_best(row, column) else c for c, column in zip(cells, columns, strict=True)])
    widths = [max(3, *(len(line[place]) for line in table)) for place in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = [":" + "-" * (widths[0] - 1), *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([line(table[0]), line(rule), *(line(cells) for cells in table[1:])])


def _md(text: str) -> str:
    """One line of Markdown in which nothing is markup."""
    flat = " ".join(text.split())
    return "".join(f"\\{mark}" if mark in "\\|*_`[]<>" else mark for mark in flat)


def _csv(parts: Sequence[Group], per_class: bool) -> str:
    records = [_flat(row, per_class) for group in parts for row in group.rows]
    headings = list(dict.fromkeys(name for record in records for name in record))
    file = io.StringIO()
    writer = csv.DictWriter(file, headings, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return file.getvalue()


def _flat(row: Row, per_class: bool) -> Row:
    """A row of single values: ``miou_d0``, ``miou_d1``, ... for the distances, ``iou_<class>`` for the classes."""
    flat = {name: value for name, value in row.items() if name not in ("miou_by_distance", "per_class")}
    flat["protocol_details"] = json.dumps(row["protocol_details"], sort_keys=True)
    flat |= {f"miou_d{distance}": value for distance, value in enumerate(row["miou_by_distance"])}
    if per_class:
        flat |= {f"iou_{name}": value for name, value in row["per_class"].items()}
    return flat


def _json(parts: Sequence[Group], per_class: bool) -> str:
    return json.dumps(_finite([row for group in parts for row in group.rows]), indent=1, allow_nan=False) + "\n"


def _finite(value: Any) -> Any:
    """NaN and infinities as None: JSON has no such numbers."""
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _latex(parts: Sequence[Group], per_class: bool) -> str:
    blocks = ["% needs \\usepackage{booktabs}"]
    for group in map(told_apart, parts):
        blocks += [_latex_table(group, group.columns(PRINTED), _tex(group.title))]
        if per_class and group.classes:
            blocks += [_latex_table(group, group.class_columns(), f"{_tex(group.title)}: IoU of each class")]
        if group.remarks():
            blocks += ["\\par\\smallskip\n" + "\\\\\n".join(_tex(remark) for remark in group.remarks())]
    return "\n\n".join(blocks) + "\n"


def _latex_table(group: Group, columns: Sequence[Column], caption: str) -> str:
    lines = [
        f"\\begin{{tabular}}{{l{'r' * (len(columns) - 1)}}}",
        "\\toprule",
        f"\\multicolumn{{{len(columns)}}}{{l}}{{{caption}}} \\\\",
        "\\midrule",
        " & ".join(_tex(column.heading) for column in columns) + " \\\\",
        "\\midrule",
    ]
    for row in group.rows:
        cells = [_tex(column.cell(row)) if column.cell(row) != DASH else "--" for column in columns]
        bold = [f"\\textbf{{{c}}}" if group.is_best(row, column) else c for c, column in zip(cells, columns, strict=True)]
        lines.append(" & ".join(bold) + " \\\\")
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}"])


def _tex(text: str) -> str:
    return "".join(_LATEX.get(mark, mark) for mark in " ".join(text.split()))


def terminal(rows: Sequence[Row]) -> Table:
    """A compact table for a terminal of 100 columns: a part for each dataset, codec and protocol, best mIoU bold."""
    from rich.table import Table
    from rich.text import Text

    require(rows)
    parts = [told_apart(group) for group in groups(rows)]
    width = min(METHOD_WIDTH, max(len(row["display"]) for group in parts for row in group.rows))
    sheet = Table.grid()
    said: set[str] = set()
    for group in parts:
        sheet.add_row(Text(group.title, style="bold cyan"))
        sheet.add_row(_terminal_part(group, width))
        new = [remark for remark in group.remarks() if remark not in said]
        sheet.add_row(Text("\n".join([*new, ""])))
        said.update(new)
    return sheet


def _terminal_part(group: Group, width: int) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    columns = group.columns(TERMINAL)
    part = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for place, column in enumerate(columns):
        wide = {"justify": "left", "width": width} if place == 0 else {"justify": "right", "no_wrap": True}
        part.add_column(column.heading, overflow="fold", **wide)  # type: ignore[arg-type]
    for row in group.rows:
        styles = ["bold green" if group.is_best(row, column) else "" for column in columns]
        part.add_row(*(Text(column.cell(row), style=s) for column, s in zip(columns, styles, strict=True)))
    return part


FORMATS: dict[str, Callable[[Sequence[Group], bool], str]] = {
    "md": _markdown,
    "csv": _csv,
    "latex": _latex,
    "json": _json,
}
