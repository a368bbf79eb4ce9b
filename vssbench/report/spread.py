"""Intervals of the accuracies that a figure shows, and how they are drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError
from vssbench.metrics.bootstrap import Intervals, intervals
from vssbench.metrics.draws import Interval
from vssbench.report.counted import unscored_of
from vssbench.report.rows import Row
from vssbench.run.store import RunStore

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: intervals of runs by their ``run_id``
Spread = Mapping[str, Intervals]
#: says below a figure that intervals are drawn, or why they are not
BARS = "Bars: 95 % intervals of mIoU."
BANDS = "Bands: 95 % intervals of mIoU."
#: lines of a panel up to which bands can be told apart
MOST_BANDS = 4
#: says of which rows an interval is missing, and why
LACKING = "No 95 % interval, for too few labelled frames or no matrices of them: "
NO_BANDS = f"Intervals of mIoU are drawn for at most {MOST_BANDS} methods in a panel: choose by -m."


def spread_of(store: RunStore, rows: Sequence[Row]) -> dict[str, Intervals]:
    """Return the intervals of the rows that have one, as `bench.py scores` says them.

    A run of too few frames, or whose matrices are gone, has none.
    """
    found = {}
    for row in rows:
        try:
            run = store.get(row["run_id"])
            if row["miou"] is not None and run.confusion is not None:
                unscored = unscored_of(run, row)
                found[row["run_id"]] = intervals(
                    run.confusion, str(row["aggregate"]), "skip", unscored
                )
        except DataError:
            continue
    return found


def by_distance(spread: Spread) -> dict[str, Intervals]:
    """Return those intervals that have one at a distance at least."""
    return {name: its for name, its in spread.items() if any(its.by_distance)}


def notes_on(rows: Sequence[Row], spread: Spread | None, said: str) -> list[str]:
    """Return what is ``said`` where rows have intervals, and which rows have none; nothing where
    none were asked for (None)."""
    if spread is None:
        return []
    known = [row for row in rows if row["run_id"] in spread]
    names = list(dict.fromkeys(row["display"] for row in rows if row not in known))
    lacking = [f"{LACKING}{', '.join(names)}."] if names and said != NO_BANDS else []
    return [*([said] if known else []), *lacking]


def bar(
    axes: Axes, place: tuple[float, float], interval: Interval | None, colour: str
) -> npt.NDArray[np.float64] | None:
    """Draw an interval (a fraction) as a bar through a point at ``place``, mIoU in %; return its
    ends (2, 2) in data coordinates."""
    if interval is None:
        return None
    x, y = place
    below, above = (
        max(0.0, 100 * end) for end in (y / 100 - interval.low, interval.high - y / 100)
    )
    axes.errorbar(
        [x], [y], yerr=[[below], [above]], fmt="none", ecolor=colour, elinewidth=0.9, capsize=2.0,
        alpha=0.75, zorder=2,
    )  # fmt: skip
    return np.array([[x, y - below], [x, y + above]])


def band(axes: Axes, its: Sequence[Interval | None], colour: str) -> None:
    """Draw the intervals of a curve by distance (fractions) as a band."""
    known = [
        (place, 100 * each.low, 100 * each.high)
        for place, each in enumerate(its)
        if each is not None
    ]
    if known:
        places, low, high = zip(*known, strict=True)
        axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0, zorder=1)
