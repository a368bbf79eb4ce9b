"""The cells of a paper's table as a pandas frame, a row a cell: the published number, ours, their
difference, and which are the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from vssbench.report.fields import Field
from vssbench.report.paper.layout import Layout
from vssbench.report.paper.numbers import METRICS
from vssbench.report.paper.ours import Store
from vssbench.report.typed import typed

#: of 1e9 operations: how far a count may lie from a printed one that it reproduces
COUNT_TOLERANCE = 0.02
#: how far a number read from a figure may lie from what was drawn, in its unit
DIGITISED = 0.05

#: the columns of the frame, in order
FIELDS = (
    Field("layout", "string", "", "name of the table's layout"),
    Field("part", "string", "", "part of the table that the line stands in"),
    Field("line", "string", "", "label of the line"),
    Field("group", "string", "", "heading above the column's own"),
    Field("column", "string", "", "heading of the column"),
    Field("metric", "string", "", "what was measured; empty for a cell without a number"),
    Field("unit", "string", "", "unit of the published number, ours and the difference"),
    Field("published", "float64", "see `unit`", "the number that the paper prints"),
    Field("printed", "string", "see `unit`", "the same with the digits that are printed"),
    Field("status", "string", "", "how far the published number can be trusted"),
    Field("published_note", "string", "", "what must be known to read it"),
    Field("source", "string", "", "where it is printed"),
    Field("variant", "string", "", "the method here, as typed"),
    Field("ours", "float64", "see `unit`", "our number"),
    Field("low", "float64", "see `unit`", "lower end of ours' 95 % interval, where drawn"),
    Field("high", "float64", "see `unit`", "upper end of ours' 95 % interval, where drawn"),
    Field("same", "boolean", "", "whether ours was made under the paper's conditions"),
    Field("difference", "float64", "see `unit`", "ours minus published, under its conditions"),
    Field("reason", "string", "", "why there is none of ours, or what differs"),
    Field("note", "string", "", "what explains a difference of costs; the weights of a run"),
    Field("counted", "float64", "1e9 multiply-accumulates", "what is really multiplied"),
    Field("run_id", "string", "", "the run that ours is of"),
    Field("rank_published", "Int64", "", "1 for the best published number, 2 for the second"),
    Field("rank_ours", "Int64", "", "the same among ours"),
)


def cells(layout: Layout, store: Store) -> pd.DataFrame:
    """Return the cells of a table, line by line, with what stands in a store beside them."""
    lines = []
    for line, column, number in layout.numbers():
        cell: dict[str, Any] = {
            "layout": layout.name, "part": line.part, "line": line.label,
            "group": column.group, "column": column.heading,
            **dict.fromkeys(_TEXTS, ""),
        }  # fmt: skip
        if number is not None:
            cell |= _published(number) | (
                _ours(number, layout, store, "codec" in {*line.select, *column.select})
                if column.ours
                else {}
            )
        lines.append(cell)
    frame = typed(lines, FIELDS)
    by = ["part", "line"] if layout.best == "line" else ["group", "column"]
    if layout.best != "none":
        for name in ("published", "ours"):
            frame[f"rank_{name}"] = _ranks(frame, name, by)
    return frame


_TEXTS = tuple(
    field.name
    for field in FIELDS
    if field.dtype == "string" and field.name not in ("layout", "part", "line", "group", "column")
)


def _published(number: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "published": number["value"],
        "published_note": number["note"],
        "source": number["source_text"],
        **{name: number[name] for name in ("metric", "unit", "printed", "status", "variant")},
    }


def _ours(
    number: Mapping[str, Any], layout: Layout, store: Store, by_codec: bool
) -> dict[str, Any]:
    its = store.of(number, layout.paper, by_codec)
    apart = None if its.value is None or not its.same else its.value - number["value"]
    return {
        "ours": its.value, "low": its.low, "high": its.high, "same": its.same,
        "difference": apart, "reason": its.reason, "note": its.note, "counted": its.counted,
        "run_id": its.run_id,
    }  # fmt: skip


def _ranks(frame: pd.DataFrame, name: str, by: Sequence[str]) -> pd.Series:
    """Return 1 and 2 for the best and the second of each column or line, of two values at least.

    Ours are ranked only among numbers of the same conditions.
    """
    ranks = pd.Series(pd.NA, index=frame.index, dtype="Int64")
    for _, part in frame.groupby(list(by), sort=False):
        values = part[name]
        if name == "published":
            values = values[part["status"] != "misprint"]
        if name == "ours":
            known = part[values.notna()]
            alike = known["reason"].nunique() == 1
            values = (known if alike else known[known["same"].fillna(False)])["ours"]
        for metric, its in values.dropna().groupby(frame["metric"]):
            higher = METRICS[str(metric)][1]
            distinct = sorted(set(its), reverse=bool(higher))
            if higher is None or len(distinct) < 2:
                continue
            for rank, value in enumerate(distinct[:2], 1):
                ranks[its.index[its == value]] = rank
    return ranks


def plain(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a dictionary a row of plain values, None for what is missing."""
    its = frame.astype(object).where(frame.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in its.to_dict("records")]


def decimals(printed: str) -> int:
    """Return the number of decimals that are printed."""
    return len(printed.partition(".")[2])


def shown(value: float, printed: str) -> str:
    """Return ours with the decimals of the published number, and two significant digits at
    least.

    A frame rate of 1.14 beside one printed as 32 is 1.1.
    """
    places = decimals(printed)
    if value:
        places = max(places, 1 - math.floor(math.log10(abs(value))))
    return f"{value:.{places}f}"


def tolerance(cell: Mapping[str, Any]) -> float:
    """Return how far a number may lie from the printed one that it reproduces.

    Half of the last printed digit; of a count of operations at least 0.02 G, or half a per cent
    where that is less; of what was digitised 0.05.
    """
    least = 0.5 * 10.0 ** -decimals(cell["printed"])
    if cell["status"] == "digitised":
        least = max(least, DIGITISED)
    if cell["metric"] == "gmacs":
        least = max(least, min(COUNT_TOLERANCE, 0.005 * cell["published"]))
    return least + 1e-9


def agrees(cell: Mapping[str, Any]) -> bool:
    """Return whether ours is the published number, as far as its digits tell."""
    return abs(cell["ours"] - cell["published"]) <= tolerance(cell)
