"""Costs of a frame that stand on the axis of a figure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from vssbench.core.energy import NOT_MEASURED
from vssbench.protocol import PRICED
from vssbench.report.headings import keyframes_alone
from vssbench.report.rows import Row

CostName = Literal["gmacs", "latency", "params", "energy"]
#: the column that a figure puts a row's cost into
COST = "_cost"


@dataclass(frozen=True)
class Cost:
    """One cost: the name of its axis, what a row without it lacks, and how it is found."""

    label: str
    lacking: str
    of: Callable[[Row], float | None]
    #: the axis's name where keyframes alone are scored
    of_keyframes: str = ""

    def axis(self, rows: Sequence[Row]) -> str:
        """Return the name of the axis for those rows."""
        if self.of_keyframes and all(map(keyframes_alone, rows)):
            return self.of_keyframes
        return self.label


def _latency(row: Row) -> float | None:
    """Return the network's mean time over the GOP that GMACs are priced by, of the medians of
    keyframes and of others."""
    key, other = row["latency_key_ms"], row["latency_nonkey_ms"]
    gop = row["protocol_details"].get(PRICED, row["gop"] or 1)
    if key is None or gop == 1 or keyframes_alone(row):
        return None if key is None else float(key)
    if other is None:
        return None
    return float((key + (gop - 1) * other) / gop)


def _params(row: Row) -> float | None:
    return None if row["params"] is None else row["params"] / 1e6


COSTS: dict[str, Cost] = {
    "gmacs": Cost(
        "GMACs per frame (mean over a GOP)", "GMACs", lambda row: row["gmacs_gop"],
        "GMACs per keyframe (keyframes alone are scored)",
    ),
    "latency": Cost(
        "network, ms per frame (mean over a GOP)", "latency", _latency,
        "network, ms per keyframe (keyframes alone are scored)",
    ),
    "energy": Cost(
        "energy, J per frame (mean over a GOP)", "energy (the column energy says why)",
        lambda row: row["joules_gop"], "energy, J per keyframe (keyframes alone are scored)",
    ),
    "params": Cost("parameters (millions)", "number of parameters", _params),
}  # fmt: skip


def with_cost(rows: Sequence[Row], name: str) -> list[Row]:
    """Return the rows with a cost of that name as the column :data:`COST`."""
    return [row | {COST: COSTS[name].of(row)} for row in rows]


def energy_in_words(rows: Sequence[Row]) -> str:
    """Say by what the energy of runs was counted, or of how many it was not, and why."""
    without = [row for row in rows if row["joules_gop"] is None]
    counters = sorted({row["energy"] for row in rows if row["joules_gop"] is not None})
    said = f"Energy was counted by: {', '.join(counters)}." if counters else ""
    if not without:
        return said
    of = f" of {len(without)} of {len(rows)} runs" if counters else ""
    reasons = {
        row["energy"].removeprefix(NOT_MEASURED)
        for row in without
        if row["energy"].startswith(NOT_MEASURED)
    }
    why = f": {'; '.join(sorted(reasons))}" if reasons else ""
    return f"{said} Energy was not measured{of}{why}.".strip()
