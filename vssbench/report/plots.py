"""Figures: accuracy against cost with its Pareto front, and accuracy against the distance from the
keyframe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import UsageError
from vssbench.core.variant import parse_variant
from vssbench.report.columns import Group, groups, told_apart
from vssbench.report.costs import COST, COSTS, CostName, with_cost
from vssbench.report.footnotes import footnotes, version_remarks
from vssbench.report.placement import place_labels
from vssbench.report.rows import Row, require
from vssbench.report.spread import (
    BANDS,
    BARS,
    MOST_BANDS,
    NO_BANDS,
    Spread,
    band,
    bar,
    by_distance,
    notes_on,
)
from vssbench.report.style import (
    GREY,
    LABEL_SIZE,
    LETTER_WIDTH,
    TEXT_SIZE,
    Y_AXIS_WIDTH,
    Lettering,
    Look,
    label_axes,
    legend_outside,
    log_ticks,
    looks,
    narrow,
    settle,
    share_y,
    sheet,
    wrapped_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: greatest cost over smallest from which the cost axis is logarithmic
LOG_FROM = 8.0
#: part of the axis's length that is left free on either side of the points, for their labels
_MARGIN = 0.16
#: the same where a legend names the points
_BARE_MARGIN = 0.07
#: part of a panel's width that a label may have, and of about its area that all have together
LONGEST_LABEL, LABELLED = 0.45, 0.16
#: rows of a method that are left out for one reason and named each
_NAMED = 3
#: distances marked on the axis, at most, and in a narrow panel
_TICKS, _NARROW_TICKS = 12, 6


def pareto(
    rows: Sequence[Row], path: Path, cost: CostName = "gmacs", spread: Spread | None = None
) -> list[str]:
    """Draw mIoU (%) against a cost of a frame, a panel for each dataset, codec and protocol, and
    for each machine where the cost is a latency or an energy.

    Points are labelled; where panels are narrow, or have no room for the labels, the legend names
    them instead. ``spread`` are intervals of mIoU, drawn as bars. The format follows
    the file's ending: .png, .pdf or .svg. Returns the rows left out, in words: those without
    accuracy or without a cost. Raises UsageError where no row can be drawn, the ending is another
    or there are too many panels.
    """
    axis = COSTS[cost]
    drawn, left_out = drawable(with_cost(rows, cost), {"miou": "accuracy", COST: axis.lacking})
    names = Lettering.of(drawn)
    parts = [told_apart(part) for part in groups(names.rows)]
    if cost in ("latency", "energy"):
        parts = [each for part in parts for each in by_machine(part)]
    notes = notes_of(parts, spread)
    spread = spread or {}
    logarithmic = any(spread_over([row[COST] for row in part.rows]) > LOG_FROM for part in parts)
    with sheet(Path(path), len(parts), names.fonts) as (figure, panels):
        from matplotlib.lines import Line2D

        share_y(panels, [part.rows[0]["dataset"] for part in parts])
        labelled = not narrow(panels[0]) and all(map(_room_for_labels, panels, parts))
        name: Callable[[Row], str] = _family if labelled else _display
        named = looks(sorted({name(row) for part in parts for row in part.rows}))
        fronts = []
        for axes, part in zip(panels, parts, strict=True):
            axes.margins(_MARGIN if labelled else _BARE_MARGIN)
            its = [named[name(row)] for row in part.rows]
            bars = _bars(axes, part, its, spread)
            fronts.append([_scatter(axes, part, its, logarithmic), *bars])
        heading = name_panels(panels, parts, axis.axis(drawn))
        handles = [
            Line2D([], [], linestyle="", marker=look.marker, color=look.colour, label=text)
            for text, look in named.items()
        ]
        front = Line2D([], [], color=GREY, label="Pareto front")
        legend_outside(figure, [*handles, front], heading, notes=notes)
        settle(figure)
        for axes, part, lines in zip(panels, parts, fronts, strict=True) if labelled else ():
            x, y = _coordinates(part.rows)
            place_labels(axes, x, y, [row["display"] for row in part.rows], LABEL_SIZE, lines)
    return left_out


def distance(rows: Sequence[Row], path: Path, spread: Spread | None = None) -> list[str]:
    """Draw mIoU (%) against the distance from the keyframe (frames), a line a method, panels and
    files as in `pareto`.

    Distances at which nothing was scored have no marker. ``spread`` are intervals, drawn as bands
    where a panel has few enough methods. Returns the rows left out, in words: those
    without accuracy.
    """
    drawn, left_out = drawable(rows, {"miou": "accuracy"})
    names = Lettering.of(drawn)
    parts = [told_apart(part) for part in groups(names.rows)]
    many = any(len(part.rows) > MOST_BANDS for part in parts)
    spread = None if spread is None else by_distance(spread)
    notes = notes_of(parts, spread, NO_BANDS if many else BANDS)
    spread = {} if many or spread is None else spread
    lines = looks(sorted({row["display"] for part in parts for row in part.rows}))
    with sheet(Path(path), len(parts), names.fonts) as (figure, panels):
        share_y(panels, [part.rows[0]["dataset"] for part in parts])
        handles = {}
        for axes, part in zip(panels, parts, strict=True):
            for row in part.rows:
                look = lines[row["display"]]
                if row["run_id"] in spread:
                    band(axes, spread[row["run_id"]].by_distance, look.colour)
                scored = [
                    (d, 100 * value)
                    for d, value in enumerate(row["miou_by_distance"])
                    if value is not None
                ]
                (handles[row["display"]],) = axes.plot(
                    *zip(*scored, strict=True), color=look.colour, marker=look.marker,
                    linestyle=look.dash,
                    markersize=3 if narrow(axes) else 4, label=row["display"],
                )  # fmt: skip
            _distance_ticks(axes, max(len(row["miou_by_distance"]) for row in part.rows))
        heading = name_panels(panels, parts, "distance from the keyframe (frames)")
        legend_outside(figure, [handles[name] for name in lines], heading, notes=notes)
        settle(figure)
    return left_out


def pareto_front(cost: Sequence[float], accuracy: Sequence[float]) -> list[int]:
    """Return indices of the points that no other point beats, that is costs no more and is more
    accurate, by rising cost."""
    front: list[int] = []
    for place in sorted(range(len(cost)), key=lambda item: (cost[item], -accuracy[item])):
        if not front or accuracy[place] > accuracy[front[-1]]:
            front.append(place)
    return front


def drawable(
    rows: Sequence[Row], needed: dict[str, str], unless: Callable[[Row], bool] | None = None
) -> tuple[list[Row], list[str]]:
    """Return the rows that have all that is needed, and the others in words. Of rows with
    ``unless`` the first of what is needed is enough. Raises UsageError where none has."""
    require(rows)
    drawn, left_out = [], list[tuple[Row, str]]()
    for row in rows:
        its = list(needed)[: 1 if unless is not None and unless(row) else None]
        missing = [needed[name] for name in its if row[name] is None]
        if missing:
            why = (
                f"{row['status']}: {row['reason']}"
                if row["status"] != "done"
                else f"no {' and no '.join(missing)}"
            )
            left_out.append((row, why))
        else:
            drawn.append(row)
    if not drawn:
        raise nothing_to_draw(in_words(left_out))
    return drawn, in_words(left_out)


def in_words(left_out: Sequence[tuple[Row, str]]) -> list[str]:
    """Name rows with why they are left out, a method of many for one reason in one line."""
    alike: dict[tuple[str, str], list[Row]] = {}
    for row, why in left_out:
        alike.setdefault((row["display"], why), []).append(row)
    lines = []
    for (_, why), rows in alike.items():
        if len(rows) > _NAMED:
            lines.append(f"{words_of(rows[0])} and {len(rows) - 1} more of it ({why})")
        else:
            lines += [f"{words_of(row)} ({why})" for row in rows]
    return lines


def words_of(row: Row) -> str:
    """Name a row by its method, dataset and codec."""
    return f"{row['display']} on {row['dataset']} through {row['codec']}"


def by_machine(part: Group) -> list[Group]:
    """Part a group's rows by the machine that timed them: their latencies must not be compared."""
    machines = sorted({row["machine"] for row in part.rows})
    if len(machines) < 2:
        return [part]
    return [
        replace(
            part,
            heading=replace(
                part.heading, protocol=f"{part.heading.protocol}, {machine or 'unknown machine'}"
            ),
            rows=tuple(row for row in part.rows if row["machine"] == machine),
        )
        for machine in machines
    ]


def nothing_to_draw(left_out: Sequence[str]) -> UsageError:
    """Return the error where all rows are left out: the first of them, and how many more."""
    more = f" and {len(left_out) - 1} more" if left_out[1:] else ""
    return UsageError(
        f"nothing to draw: {left_out[0]}{more}; measure some first (see `run --help`)"
    )


def _room_for_labels(axes: Axes, part: Group) -> bool:
    """Return whether a panel's labels are few and short enough to stand beside their points."""
    across = axes.get_gridspec().ncols  # type: ignore[union-attr]
    width = axes.figure.get_figwidth() / across - Y_AXIS_WIDTH  # type: ignore[union-attr]
    lengths = [len(row["display"]) * LETTER_WIDTH * LABEL_SIZE / 72 for row in part.rows]
    area = sum(lengths) * LABEL_SIZE / 72
    return max(lengths) < LONGEST_LABEL * width and area < LABELLED * width * width / 2


def notes_of(parts: Sequence[Group], spread: Spread | None, said: str = BARS) -> list[str]:
    """Return what marks behind names say, whether several versions of the code measured, and what
    is ``said`` where rows have intervals; ``spread`` is None where none were asked for."""
    rows = [row for part in parts for row in part.rows]
    return [*notes_on(rows, spread, said), *version_remarks(rows), *footnotes(rows)]


def _family(row: Row) -> str:
    return parse_variant(row["method"]).name


def _display(row: Row) -> str:
    return str(row["display"])


def spread_over(values: Sequence[float]) -> float:
    """Return the greatest of some values over the smallest, 1 where that is 0."""
    return max(values) / min(values) if min(values) > 0 else 1.0


def _coordinates(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    return [row[COST] for row in rows], [100 * row["miou"] for row in rows]


def _bars(
    axes: Axes, part: Group, looks: Sequence[Look], spread: Spread
) -> list[npt.NDArray[np.float64]]:
    """Draw the intervals of a panel's rows; return them as lines in data coordinates."""
    lines = []
    for row, look, x, y in zip(part.rows, looks, *_coordinates(part.rows), strict=True):
        its = spread.get(row["run_id"])
        ends = bar(axes, (x, y), its.miou if its else None, look.colour)
        lines += [] if ends is None else [ends]
    return lines


def _scatter(
    axes: Axes, part: Group, looks: Sequence[Look], logarithmic: bool
) -> npt.NDArray[np.float64]:
    """Draw points and the Pareto front of one panel; return the front's corners (N, 2) in data
    coordinates."""
    cost, accuracy = _coordinates(part.rows)
    if logarithmic:
        axes.set_xscale("log")
    for look, x, y in zip(looks, cost, accuracy, strict=True):
        axes.plot([x], [y], linestyle="", marker=look.marker, color=look.colour, zorder=3)
    front = pareto_front(cost, accuracy)
    corners = [(cost[front[0]], accuracy[front[0]])]
    for place in front[1:]:
        corners += [(cost[place], corners[-1][1]), (cost[place], accuracy[place])]
    axes.plot(*zip(*corners, strict=True), color=GREY, linewidth=1.0, zorder=1)
    if logarithmic:
        log_ticks(axes)
    return np.array(corners)


def _distance_ticks(axes: Axes, length: int) -> None:
    from matplotlib.ticker import MultipleLocator

    most = _NARROW_TICKS if narrow(axes) else _TICKS
    axes.xaxis.set_major_locator(MultipleLocator(max(1, -(-length // most))))


def name_panels(panels: Sequence[Axes], parts: Sequence[Group], xlabel: str) -> str:
    """Title panels by what differs between them, the figure by what all share; name the axes,
    return the legend's heading."""
    short = narrow(panels[0])
    named = [_conditions(part, short) for part in parts]
    shared = [len(set(values)) == 1 and len(parts) > 1 for values in zip(*named, strict=True)]
    for axes, values in zip(panels, named, strict=True):
        own = [value for value, same in zip(values, shared, strict=True) if not same]
        lines = [own[0], " / ".join(own[1:])]
        wrapped_title(axes, "\n".join(lines).replace(" (", "\n(").splitlines() if short else lines)
    common = [value for value, same in zip(named[0], shared, strict=True) if same]
    if common or short:
        panels[0].figure.suptitle(
            " / ".join([*common, *(["measured rates"] if short else [])]), fontsize=TEXT_SIZE
        )
    label_axes(panels, "mIoU (%)", xlabel)
    return xlabel if short else ""


def _conditions(part: Group, short: bool) -> tuple[str, ...]:
    return (
        part.heading.dataset,
        part.stream(gop=False, short=short),
        gop_text(part.rows),
        part.heading.protocol,
    )


def gop_text(rows: Sequence[Row]) -> str:
    """Return the rows' GOP in words, or from which to which they are."""
    gops = sorted({row["gop"] for row in rows})
    return f"GOP {gops[0]}" if len(gops) == 1 else f"GOP {gops[0]} to {gops[-1]}"
