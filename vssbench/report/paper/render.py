"""A paper's table in every format, made of the frame of its cells."""

from __future__ import annotations

import pandas as pd

from vssbench.core.errors import UsageError
from vssbench.report.frames import parquet
from vssbench.report.paper.cells import plain
from vssbench.report.paper.layout import Layout
from vssbench.report.paper.sheet import html_sheet, latex_sheet, markdown_sheet, sheet
from vssbench.report.table import LATEX_NEEDS, csv_text, json_text


def render(layout: Layout, frame: pd.DataFrame, format: str) -> str:
    """Return the cells of a table as text: laid out as in the paper in Markdown, LaTeX and HTML; a
    row a cell in CSV and JSON. Raises UsageError for an unknown format."""
    if format in ("csv", "json"):
        return (csv_text if format == "csv" else json_text)(plain(frame))
    its = sheet(layout, frame)
    if format == "md":
        return markdown_sheet(its)
    if format == "latex":
        return f"{LATEX_NEEDS}\n\n{latex_sheet(its)}"
    if format == "html":
        return html_sheet(its)
    raise UsageError(f"unknown table format {format!r}: expected md, csv, latex, html, json")


def parquet_of(frame: pd.DataFrame) -> bytes:
    """Return the cells as a Parquet file. Raises UsageError where pyarrow is not installed."""
    return parquet(frame)
