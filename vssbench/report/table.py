"""Tables of results, a line a method: Markdown, CSV, LaTeX, HTML and JSON as text, and a compact
one for the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from vssbench.core.errors import UsageError
from vssbench.report.columns import FULL, METHOD, PRINTED, TERMINAL, Group, groups, told_apart
from vssbench.report.fields import RUN_FIELDS
from vssbench.report.markup import (
    NAME_WIDTH,
    html_grid,
    html_list,
    latex_grid,
    latex_list,
    markdown,
    markdown_grid,
    markdown_list,
    terminal_grid,
)
from vssbench.report.rows import Row, require

if TYPE_CHECKING:
    from rich.table import Table

#: what a LaTeX document must load for our tables
LATEX_NEEDS = "% needs \\usepackage{booktabs}"


def render(rows: Sequence[Row], format: str, per_class: bool = False) -> str:
    """Return the rows as text in ``md``, ``csv``, ``latex`` (booktabs), ``html`` or ``json``;
    ``per_class`` adds each class's IoU.

    Rows are grouped by dataset, frame size, codec, GOP and protocol, best mIoU first, whatever
    order they come in; names that occur twice in a group are told apart by what differs. Markdown,
    LaTeX and HTML print percentages; CSV and JSON hold every field as it is in the row (fractions),
    and JSON always has ``per_class``; an infinite PSNR is null in JSON.
    """
    check_format(format)
    require(rows)
    return FORMATS[format](groups(rows), per_class)


def parquet_of(rows: Sequence[Row], per_class: bool = False) -> bytes:
    """Return the rows as a Parquet file, in the order and with the columns of the CSV.

    Dtypes are those of :data:`vssbench.report.fields.RUN_FIELDS`, and float64. Raises UsageError
    where pyarrow is not installed.
    """
    import pandas as pd

    from vssbench.report.frames import parquet
    from vssbench.report.typed import typed

    require(rows)
    ordered = [row for group in groups(rows) for row in group.rows]
    flat = pd.DataFrame([_flat(row, per_class) for row in ordered])
    more = flat.drop(columns=[field.name for field in RUN_FIELDS]).astype("float64")
    return parquet(pd.concat([typed(ordered, RUN_FIELDS), more], axis=1))


def check_format(format: str) -> None:
    """Check that a table can be written in that format. Raises UsageError where none can."""
    if format not in FORMATS:
        raise UsageError(f"unknown table format {format!r}: expected {', '.join(FORMATS)}")


def _markdown(parts: Sequence[Group], per_class: bool) -> str:
    blocks = []
    for group in map(told_apart, parts):
        blocks += [f"### {markdown(group.title)}", markdown_grid(group.grid(group.columns(FULL)))]
        if per_class and group.classes:
            blocks += ["IoU of each class:", markdown_grid(group.grid(group.class_columns()))]
        blocks += [markdown_list(group.remarks())]
    return "\n\n".join(filter(None, blocks)) + "\n"


def _csv(parts: Sequence[Group], per_class: bool) -> str:
    return csv_text([_flat(row, per_class) for group in parts for row in group.rows])


def csv_text(records: Sequence[Row]) -> str:
    """Return records under the headings of all of them; what a record lacks stays empty."""
    import pandas as pd

    headings = list(dict.fromkeys(name for record in records for name in record))
    table = pd.DataFrame(records, columns=headings, dtype=object)
    return table.to_csv(index=False, lineterminator="\n")


def _flat(row: Row, per_class: bool) -> Row:
    """Return a row of single values: ``miou_d0``, ``miou_d1``, ... for the distances,
    ``iou_<class>`` for the classes."""
    flat = {
        name: value for name, value in row.items() if name not in ("miou_by_distance", "per_class")
    }
    flat["protocol_details"] = json.dumps(row["protocol_details"], sort_keys=True)
    flat |= {f"miou_d{distance}": value for distance, value in enumerate(row["miou_by_distance"])}
    if per_class:
        flat |= {f"iou_{name}": value for name, value in row["per_class"].items()}
    return flat


def _json(parts: Sequence[Group], per_class: bool) -> str:
    return json_text([row for group in parts for row in group.rows])


def json_text(value: Any) -> str:
    """Return JSON with null for NaN and infinities, which JSON has no numbers for.

    pandas' ``to_json`` rounds to 15 decimals: what is read back would not be what was measured.
    """
    return json.dumps(finite(value), indent=1, allow_nan=False) + "\n"


def finite(value: Any) -> Any:
    """Return a structure with None for NaN and infinities, which JSON has no numbers for."""
    if isinstance(value, dict):
        return {name: finite(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _latex(parts: Sequence[Group], per_class: bool) -> str:
    blocks = [LATEX_NEEDS]
    for group in map(told_apart, parts):
        blocks += [latex_grid(group.grid(group.columns(PRINTED)), group.title)]
        if per_class and group.classes:
            blocks += [
                latex_grid(group.grid(group.class_columns()), f"{group.title}: IoU of each class")
            ]
        if group.remarks():
            blocks += [latex_list(group.remarks())]
    return "\n\n".join(blocks) + "\n"


def _html(parts: Sequence[Group], per_class: bool) -> str:
    blocks = []
    for group in map(told_apart, parts):
        blocks += [html_grid(group.grid(group.columns(FULL)), group.title)]
        if per_class and group.classes:
            title = f"{group.title}: IoU of each class"
            blocks += [html_grid(group.grid(group.class_columns()), title)]
        blocks += [html_list(group.remarks())]
    return "\n".join(filter(None, blocks)) + "\n"


def terminal(rows: Sequence[Row]) -> Table:
    """Return a compact table for a terminal of 100 columns: a part for each dataset, codec and
    protocol, best mIoU bold."""
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    require(rows)
    parts = [told_apart(group) for group in groups(rows)]
    names = [METHOD.heading, *(row["display"] for group in parts for row in group.rows)]
    width = min(NAME_WIDTH, max(map(cell_len, names)))
    sheet = Table.grid()
    said: set[str] = set()
    for group in parts:
        sheet.add_row(Text(group.title, style="bold cyan"))
        sheet.add_row(terminal_grid(group.grid(group.columns(TERMINAL)), width))
        new = [remark for remark in group.remarks() if remark not in said]
        sheet.add_row(Text("\n".join([*new, ""])))
        said.update(new)
    return sheet


FORMATS: dict[str, Callable[[Sequence[Group], bool], str]] = {
    "md": _markdown,
    "csv": _csv,
    "latex": _latex,
    "html": _html,
    "json": _json,
}
