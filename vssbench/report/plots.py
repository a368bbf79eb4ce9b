"""Figures: accuracy against cost with its Pareto front, and accuracy against the distance from the keyframe."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vssbench.report.columns import Group, groups, told_apart
from vssbench.report.placement import place_labels
from vssbench.report.rows import Row, require
from vssbench.report.style import GREY, LABEL_SIZE, Look, legend_below, looks, settle, sheet, wrapped_title
from vssbench.variant import parse_variant

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: greatest cost over smallest from which the cost axis is logarithmic
LOG_FROM = 8.0
#: part of the axis's length that is left free on either side of the points, for their labels
_MARGIN = 0.16
#: distances marked on the axis, at most
_TICKS = 12


def pareto(rows: Sequence[Row], path: Path) -> list[str]:
    """Draw mIoU (%) against GMACs a frame (mean over a GOP), a panel for each dataset, codec and protocol.

    The format follows the file's ending: .png, .pdf or .svg. Returns the rows left out, in words: those without accuracy
    or without a cost. Raises UsageError where no row can be drawn, the ending is another or there are too many panels.
    """
    drawn, left_out = _split(rows, {"miou": "accuracy", "gmacs_gop": "GMACs"})
    parts = [told_apart(part) for part in groups(drawn)]
    families = looks(sorted({_family(row) for row in drawn}))
    logarithmic = any(_spread([row["gmacs_gop"] for row in part.rows]) > LOG_FROM for part in parts)
    with sheet(Path(path), len(parts)) as (figure, panels):
        from matplotlib.lines import Line2D

        fronts = [_scatter(axes, part, families, logarithmic) for axes, part in zip(panels, parts, strict=True)]
        _label_axes(panels, parts, "GMACs per frame (mean over a GOP)")
        handles = [
            Line2D([], [], linestyle="", marker=look.marker, color=look.colour, label=family)
            for family, look in families.items()
        ]
        legend_below(figure, [*handles, Line2D([], [], color=GREY, label="Pareto front")])
        settle(figure)
        for axes, part, front in zip(panels, parts, fronts, strict=True):
            cost, accuracy = _coordinates(part.rows)
            place_labels(axes, cost, accuracy, [row["display"] for row in part.rows], LABEL_SIZE, front)
    return left_out


def distance(rows: Sequence[Row], path: Path) -> list[str]:
    """Draw mIoU (%) against the distance from the keyframe (frames), a line a method, panels and files as in `pareto`.

    Distances at which nothing was scored have no marker. Returns the rows left out, in words: those without accuracy.
    """
    drawn, left_out = _split(rows, {"miou": "accuracy"})
    parts = [told_apart(part) for part in groups(drawn)]
    lines = looks(sorted({row["display"] for part in parts for row in part.rows}))
    with sheet(Path(path), len(parts)) as (figure, panels):
        handles = {}
        for axes, part in zip(panels, parts, strict=True):
            for row in part.rows:
                look = lines[row["display"]]
                scored = [(d, 100 * value) for d, value in enumerate(row["miou_by_distance"]) if value is not None]
                (handles[row["display"]],) = axes.plot(
                    *zip(*scored, strict=True), color=look.colour, marker=look.marker, linestyle=look.dash,
                    markersize=4, label=row["display"],
                )  # fmt: skip
            _distance_ticks(axes, max(len(row["miou_by_distance"]) for row in part.rows))
        _label_axes(panels, parts, "distance from the keyframe (frames)")
        legend_below(figure, [handles[name] for name in lines])
        settle(figure)
    return left_out


def pareto_front(cost: Sequence[float], accuracy: Sequence[float]) -> list[int]:
    """Indices of the points that no other point beats, that is costs no more and is more accurate, by rising cost."""
    front: list[int] = []
    for place in sorted(range(len(cost)), key=lambda item: (cost[item], -accuracy[item])):
        if not front or accuracy[place] > accuracy[front[-1]]:
            front.append(place)
    return front


def _split(rows: Sequence[Row], needed: dict[str, str]) -> tuple[list[Row], list[str]]:
    """The rows that have all that is needed, and the others in words. Raises UsageError where none has."""
    drawn, left_out = [], []
    for row in rows:
        missing = [words for name, words in needed.items() if row[name] is None]
        if missing:
            why = f"{row['status']}: {row['reason']}" if row["status"] != "done" else f"no {' and no '.join(missing)}"
            left_out.append(f"{row['display']} on {row['dataset']} through {row['codec']} ({why})")
        else:
            drawn.append(row)
    require(drawn)
    return drawn, left_out


def _family(row: Row) -> str:
    return parse_variant(row["method"]).name


def _spread(values: Sequence[float]) -> float:
    return max(values) / min(values) if min(values) > 0 else 1.0


def _coordinates(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    return [row["gmacs_gop"] for row in rows], [100 * row["miou"] for row in rows]


def _scatter(axes: Axes, part: Group, families: dict[str, Look], logarithmic: bool) -> npt.NDArray[np.float64]:
    """Points and Pareto front of one panel; returns the front's corners (N, 2) in data coordinates."""
    cost, accuracy = _coordinates(part.rows)
    if logarithmic:
        axes.set_xscale("log")
    axes.margins(_MARGIN)
    for row, x, y in zip(part.rows, cost, accuracy, strict=True):
        look = families[_family(row)]
        axes.plot([x], [y], linestyle="", marker=look.marker, color=look.colour, zorder=3)
    front = pareto_front(cost, accuracy)
    corners = [(cost[front[0]], accuracy[front[0]])]
    for place in front[1:]:
        corners += [(cost[place], corners[-1][1]), (cost[place], accuracy[place])]
    axes.plot(*zip(*corners, strict=True), color=GREY, linewidth=1.0, zorder=1)
    _plain_ticks(axes, logarithmic)
    return np.array(corners)


def _plain_ticks(axes: Axes, logarithmic: bool) -> None:
    """Costs as plain numbers; 1, 2, 5, 10, ... on a logarithmic axis, which may span little more than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    if logarithmic:
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _distance_ticks(axes: Axes, length: int) -> None:
    from matplotlib.ticker import MultipleLocator

    axes.xaxis.set_major_locator(MultipleLocator(max(1, -(-length // _TICKS))))


def _label_axes(panels: Sequence[Axes], parts: Sequence[Group], xlabel: str) -> None:
    for axes, part in zip(panels, parts, strict=True):
        wrapped_title(axes, part.title.split(" / ", 1))
        axes.set_xlabel(xlabel)
        if axes.get_subplotspec().is_first_col():  # type: ignore[union-attr]
            axes.set_ylabel("mIoU (%)")
