"""All that a page says of some runs, out of the frames of results: conditions, tables, curves,
facts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from vssbench.metrics.draws import Interval
from vssbench.metrics.resampling import described
from vssbench.report.columns import Group, groups, told_apart
from vssbench.report.costs import COSTS, energy_in_words
from vssbench.report.footnotes import footnotes, version_remarks
from vssbench.report.page.parts import Facet, Facts, Sheet, Shown
from vssbench.report.page.sheets import (
    classes_of,
    facets_of,
    facts_of,
    interval,
    table_of,
)
from vssbench.report.page.verdicts import Verdict, overall, verdict
from vssbench.report.rows import Row, require
from vssbench.run.store import RunStore

#: costs that the plots can have as their axis, and the names of the axes
_AXES = {
    "gmacs": "GMACs a frame",
    "latency": "latency of a frame, ms",
    "params": "parameters, millions",
    "energy": "energy of a frame, J",
}


@dataclass(frozen=True)
class Content:
    """Everything that the page shows beside pictures."""

    conditions: tuple[Group, ...]
    shown: tuple[Shown, ...]
    facets: tuple[Facet, ...]
    verdicts: tuple[Verdict | None, ...]
    overall: tuple[str, ...]
    table: Sheet
    classes: tuple[Sheet, ...]
    facts: tuple[Facts, ...]
    shared: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def names(self) -> list[str]:
        """The names of methods that the plots tell apart, in alphabetical order."""
        return sorted({each.name for each in self.scored})

    @property
    def scored(self) -> list[Shown]:
        """The runs that have an accuracy, which the plots draw."""
        return [each for each in self.shown if each.row["miou"] is not None]

    @property
    def axes(self) -> dict[str, str]:
        """The costs that the plots can have as their axis, and the names of the axes.

        Energy is among them where it was measured.
        """
        measured = any(each.row["joules_gop"] is not None for each in self.scored)
        return {name: text for name, text in _AXES.items() if name != "energy" or measured}

    @property
    def energy(self) -> str:
        """Say by what the energy was counted, or of how many runs it was not measured, and why."""
        return energy_in_words([each.row for each in self.scored])


def content(store: RunStore, rows: Sequence[Row]) -> Content:
    """Gather what a page shows of these rows of a store. Raises UsageError where there are none."""
    require(rows)
    parts = tuple(told_apart(part) for part in groups(rows))
    runs = {row["run_id"]: store.get(row["run_id"]) for row in rows}
    shown: list[Shown] = []
    notes: dict[str, None] = {}
    for number, part in enumerate(parts):
        for row in part.rows:
            its = interval(runs[row["run_id"]], row, notes)
            latency = COSTS["latency"].of(row)
            shown.append(Shown(len(shown), number, row, its, latency))
    verdicts = tuple(verdict(store, part) for part in parts)
    made = described(each.interval.resampling for each in shown if each.interval is not None)
    notes |= dict.fromkeys([*made, *version_remarks(rows), *footnotes(rows)])
    shared, facts = facts_of(shown, runs)
    return Content(
        parts,
        tuple(shown),
        facets_of(shown, parts),
        verdicts,
        tuple(overall([each for each in verdicts if each is not None])),
        table_of(shown, parts),
        classes_of(shown),
        facts,
        shared,
        tuple(notes),
    )


def plotted(page: Content, titles: Sequence[str]) -> dict[str, Any]:
    """Return the data of the plots and filters as JSON has it; mIoUs in per cent."""
    names = page.names
    return {
        "axes": page.axes,
        "conditions": list(titles),
        "names": names,
        "facets": [
            {"name": facet.name, "values": facet.values, "places": facet.places}
            for facet in page.facets
        ],
        "runs": [_curves(each, names.index(each.name)) for each in page.scored],
        "total": len(page.shown),
    }


def _curves(each: Shown, look: int) -> dict[str, Any]:
    row, bounds = each.row, each.interval
    by_distance = bounds.by_distance if bounds else ()
    params = row["params"]
    return {
        "run": each.number,
        "condition": each.condition,
        "look": look,
        "machine": row["machine"],
        "gmacs": row["gmacs_gop"],
        "latency": each.latency,
        "energy": row["joules_gop"],
        "params": None if params is None else params / 1e6,
        "miou": 100 * row["miou"],
        "bounds": _bounds(bounds.miou if bounds else None),
        "curve": [None if value is None else 100 * value for value in row["miou_by_distance"]],
        "curve_bounds": [_bounds(item) for item in by_distance],
    }


def _bounds(interval: Interval | None) -> list[float] | None:
    if interval is None:
        return None
    return [round(100 * end, 4) for end in (interval.low, interval.high)]
