"""Figures over a number in which runs differ: the scale of a family of methods, and the GOP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from vssbench.report.columns import Group, groups, told_apart
from vssbench.report.costs import COST, COSTS, with_cost
from vssbench.report.families import family_of, scale_of, unscaled
from vssbench.report.footnotes import marked_line, unmarked
from vssbench.report.headings import conditions
from vssbench.report.placement import place_labels
from vssbench.report.plots import (
    LOG_FROM,
    drawable,
    in_words,
    name_panels,
    notes_of,
    nothing_to_draw,
    spread_over,
)
from vssbench.report.rows import Row
from vssbench.report.spread import BARS, MOST_BANDS, NO_BANDS, Spread, bar
from vssbench.report.streams import codec_key
from vssbench.report.style import (
    LABEL_SIZE,
    Lettering,
    legend_outside,
    log_ticks,
    looks,
    narrow,
    settle,
    share_y,
    sheet,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ScaleAxis = Literal["scale", "gmacs"]
#: names of the points of a panel that have room
_MOST_LABELS = 40
#: columns that figures of this module add to a row: what stands on the x axis, and the line's name
_X, _LINE = "_x", "_line"


@dataclass(frozen=True)
class _Axis:
    """The x axis of a figure: its name, whether it is logarithmic, its marks and what stands beside
    points by their ``run_id``."""

    label: str
    logarithmic: bool = False
    marks: tuple[float, ...] = ()
    labels: Mapping[str, str] | None = None


def scale(
    rows: Sequence[Row], path: Path, along: ScaleAxis = "scale", spread: Spread | None = None
) -> list[str]:
    """Draw mIoU (%) of each family of methods against the scale at which its network works, or
    against its GMACs a frame with the scale beside each point: AR-Seg's Figure 4a.

    Panels, ``spread`` and files as in `vssbench.report.plots.pareto`. Returns the rows left out, in
    words, among them those of which no other has another scale.
    """
    needed = {"miou": "accuracy"} | ({COST: "GMACs"} if along == "gmacs" else {})
    drawn, left_out = drawable(with_cost(rows, "gmacs"), needed)
    names = Lettering.of(drawn)
    parts = []
    for part in map(told_apart, groups(names.rows)):
        lines: dict[tuple[str, str], list[Row]] = {}
        for row in part.rows:
            if scale_of(row["method"]) is not None:
                key = (str(family_of(row["method"])), unmarked(unscaled(row)))
                lines.setdefault(key, []).append(row)
        several = {
            key: its for key, its in lines.items() if len({scale_of(r["method"]) for r in its}) > 1
        }
        parts.append(replace(part, rows=tuple(_lined(several, along))))
    left_out += _alone(drawn, parts, "no other scale of it was measured")
    parts = [part for part in parts if part.rows]
    if not parts:
        raise nothing_to_draw(left_out)
    every = [row for part in parts for row in part.rows]
    if along == "scale":
        axis = _Axis("scale of the network's input", marks=tuple({row[_X] for row in every}))
    else:
        log = any(spread_over([row[_X] for row in part.rows]) > LOG_FROM for part in parts)
        beside = {row["run_id"]: f"{scale_of(row['method']):g}x" for row in every}
        axis = _Axis(COSTS["gmacs"].axis(drawn), log, labels=beside)
    _draw(parts, path, axis, spread, names.fonts)
    return left_out


def _lined(lines: Mapping[tuple[str, str], Sequence[Row]], along: ScaleAxis) -> list[Row]:
    """Return rows with their place on the axis and the name of their line, the method's as typed
    where two families have the same."""
    shown = [name for _, name in lines]
    made = []
    for (family, name), rows in lines.items():
        whole = marked_line(name if shown.count(name) == 1 else family, rows)
        for row in rows:
            x = row[COST] if along == "gmacs" else scale_of(row["method"])
            made.append(row | {_X: x, _LINE: whole})
    return made


def gop(rows: Sequence[Row], path: Path, spread: Spread | None = None) -> list[str]:
    """Draw mIoU (%) against the frames of a GOP, a line a method, a panel for each dataset, codec
    and protocol.

    ``spread`` and files as in `vssbench.report.plots.pareto`. Returns the rows left out, in words,
    among them those of which no other has another GOP.
    """
    drawn, left_out = drawable(rows, {"miou": "accuracy", "gop": "GOP"})
    names = Lettering.of(drawn)
    merged: dict[tuple[str, ...], list[Group]] = {}
    for part in map(told_apart, groups(names.rows)):
        first = part.rows[0]
        merged.setdefault((*conditions(first), *codec_key(first)), []).append(part)
    parts = []
    for several in merged.values():
        lines: dict[str, list[Row]] = {}
        for row in (row for part in several for row in part.rows):
            lines.setdefault(unmarked(str(row["display"])), []).append(row)
        kept = [
            row | {_X: row["gop"], _LINE: marked_line(name, its)}
            for name, its in lines.items()
            if len({row["gop"] for row in its}) > 1
            for row in its
        ]
        parts.append(replace(several[0], rows=tuple(kept)))
    left_out += _alone(drawn, parts, "no other GOP of it was measured")
    parts = [part for part in parts if part.rows]
    if not parts:
        raise nothing_to_draw(left_out)
    marks = tuple({float(row["gop"]) for part in parts for row in part.rows})
    _draw(parts, path, _Axis("GOP (frames)", marks=marks), spread, names.fonts)
    return left_out


def _alone(drawn: Sequence[Row], parts: Sequence[Group], why: str) -> list[str]:
    """Name the rows that are in no part."""
    kept = {row["run_id"] for part in parts for row in part.rows}
    return in_words([(row, why) for row in drawn if row["run_id"] not in kept])


def _draw(
    parts: Sequence[Group], path: Path, axis: _Axis, spread: Spread | None, fonts: Sequence[str]
) -> None:
    """Draw the lines of each part's rows, by rising x, and write the figure."""
    names = sorted({row[_LINE] for part in parts for row in part.rows})
    styles = looks(names)
    # where all lines have the same marks, bars of many would lie on each other
    crowded = bool(axis.marks) and any(
        len({row[_LINE] for row in part.rows}) > MOST_BANDS for part in parts
    )
    notes = notes_of(parts, spread, NO_BANDS if crowded else BARS)
    spread = {} if crowded or spread is None else spread
    with sheet(Path(path), len(parts), tuple(fonts)) as (figure, panels):
        share_y(panels, [part.rows[0]["dataset"] for part in parts])
        handles, drawn = {}, []
        for axes, part in zip(panels, parts, strict=True):
            lines: list[Any] = []
            drawn.append(lines)
            if axis.logarithmic:
                axes.set_xscale("log")
            for name in names:
                points = sorted(
                    (row[_X], 100 * row["miou"], row["run_id"])
                    for row in part.rows
                    if row[_LINE] == name
                )
                look = styles[name]
                for x, y, run in points:
                    its = spread.get(run)
                    ends = bar(axes, (x, y), its.miou if its else None, look.colour)
                    lines += [] if ends is None else [ends]
                lines.append(np.array([(x, y) for x, y, _ in points]).reshape(-1, 2))
                (handle,) = axes.plot(
                    [x for x, _, _ in points], [y for _, y, _ in points], color=look.colour,
                    marker=look.marker, linestyle=look.dash, markersize=4, label=name, zorder=3,
                )  # fmt: skip
                handles[name] = handle
            if axis.marks:
                _mark(axes, axis.marks)
        heading = name_panels(panels, parts, axis.label)
        ordered = [handles[name] for name in names]
        legend_outside(figure, ordered, heading, notes=notes)
        settle(figure)
        for axes, part, lines in zip(panels, parts, drawn, strict=True):
            if axis.logarithmic:
                log_ticks(axes)
            if axis.labels and not narrow(axes) and len(part.rows) <= _MOST_LABELS:
                xy = [row[_X] for row in part.rows], [100 * row["miou"] for row in part.rows]
                texts = [axis.labels[row["run_id"]] for row in part.rows]
                place_labels(axes, *xy, texts, LABEL_SIZE, [line for line in lines if len(line)])


def _mark(axes: Axes, marks: Sequence[float]) -> None:
    """Set the axis's numbers where something was measured, as far as there is room for them."""
    from matplotlib.ticker import FixedLocator, FuncFormatter

    low, high = min(marks), max(marks)
    room = (high - low) / (6 if narrow(axes) else 12)
    kept: list[float] = []
    for mark in sorted(marks):
        if not kept or mark - kept[-1] >= room:
            kept.append(mark)
    axes.xaxis.set_major_locator(FixedLocator(kept))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
