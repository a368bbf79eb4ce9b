"""Scores from a run's meters beside its mIoU: boundary F-score, temporal consistency."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from vssbench.metrics.boundary import BoundaryScores, boundary_scores
from vssbench.metrics.consistency import WINDOWS, TemporalConsistency, tc, vc
from vssbench.metrics.meter import Arrays
from vssbench.metrics.meters import BOUNDARY, CONSISTENCY, fitting
from vssbench.report.columns import percent
from vssbench.report.markup import Cell
from vssbench.run.stored import Run

BOUNDARY_HEADINGS = ("boundary F %", "image boundary F %")
CONSISTENCY_HEADINGS = ("TC %", *(f"VC{length} %" for length in WINDOWS))


@dataclass(frozen=True)
class Further:
    """The meters' numbers, None (an empty dictionary for ``vc``) where the run was not asked for
    them. ``boundary`` is at dataset level, ``image_boundary`` at image level; ``vc`` maps a
    window's length to VC as VSPW's script has it."""

    boundary: BoundaryScores | None
    image_boundary: BoundaryScores | None
    tc: TemporalConsistency | None
    vc: dict[int, float | None]

    @classmethod
    def nothing(cls) -> Further:
        """Return the numbers of a run without meters, or whose meters' arrays do not read."""
        return cls(None, None, None, {})

    def record(self) -> dict[str, Any]:
        """Return the numbers for CSV and JSON."""
        record: dict[str, Any] = {}
        if self.boundary is not None and self.image_boundary is not None:
            record |= {
                "boundary_f": self.boundary.f,
                "boundary_f_by_distance": self.boundary.by_distance,
            }
            record |= {
                "boundary_f_per_class": self.boundary.per_class,
                "boundary_f_image": self.image_boundary.f,
            }
            record |= {"boundary_tolerance": self.boundary.tolerance}
        if self.tc is not None:
            record |= {"tc": self.tc.tc, "tc_by_distance": self.tc.by_distance}
            record |= {"tc_pairs": self.tc.pairs, "tc_pairs_of_exact_motion": self.tc.exact}
            record |= {f"vc{length}": value for length, value in self.vc.items()}
        return record


def further(run: Run, absent: str, left_out: Collection[int]) -> Further:
    """Return the numbers of a run's meters, under the rules of its mIoU; classes that are left out
    have no part in the boundary F-score's mean. Raises DataError where arrays do not read."""
    outlines, steadiness = _arrays(run, BOUNDARY), _arrays(run, CONSISTENCY)
    chosen = None if outlines is None else _without(outlines, left_out)
    dataset, image = (
        None if chosen is None else boundary_scores(chosen, level, run.measurement.aggregate)
        for level in ("dataset", "image")
    )
    return Further(
        boundary=dataset,
        image_boundary=image,
        tc=None if steadiness is None else tc(steadiness, absent),
        vc={} if steadiness is None else {length: vc(steadiness, length) for length in WINDOWS},
    )


def _arrays(run: Run, name: str) -> Arrays | None:
    arrays = run.meter(name)
    return None if arrays is None else fitting(name, arrays, len(run.measurement.classes))


def _without(arrays: Arrays, left_out: Collection[int]) -> Arrays:
    counts = arrays["counts"].copy()
    counts[:, :, [number for number in left_out if number < counts.shape[2]]] = 0
    return {**arrays, "counts": counts}


def headings(items: Sequence[Further]) -> tuple[str, ...]:
    """Return the headings of the columns that any run of a table fills."""
    outlines, steadiness = any(item.boundary for item in items), any(item.tc for item in items)
    return (*(BOUNDARY_HEADINGS if outlines else ()), *(CONSISTENCY_HEADINGS if steadiness else ()))


def cells(item: Further, wanted: Sequence[str]) -> tuple[Cell, ...]:
    """Return a run's entries below those headings."""
    values = (
        item.boundary.f if item.boundary else None,
        item.image_boundary.f if item.image_boundary else None,
        item.tc.tc if item.tc else None,
        *(item.vc.get(length) for length in WINDOWS),
    )
    known = dict(zip((*BOUNDARY_HEADINGS, *CONSISTENCY_HEADINGS), values, strict=True))
    return tuple(Cell(percent(known[name])) for name in wanted)


def notes(items: Sequence[Further]) -> list[str]:
    """Explain the columns, and with which motion TC was measured."""
    said = []
    tolerances = sorted({item.boundary.tolerance for item in items if item.boundary})
    if tolerances:
        shares = ", ".join(f"{100 * value:.3g} %" for value in tolerances)
        said.append(
            f"Boundary F: outlines of a class match within {shares} of the diagonal (Csurka et "
            "al., BMVC 2013)."
        )
    pairs, exact = (
        sum(getattr(item.tc, name) for item in items if item.tc) for name in ("pairs", "exact")
    )
    if pairs:
        motion = {0: "estimated (DIS) between source frames", pairs: "the dataset's exact one"}
        how = motion.get(
            exact,
            f"the dataset's exact one for {exact} of {pairs} pairs of frames, else estimated (DIS)",
        )
        said.append(
            f"TC: mIoU of each prediction with the one before, warped by motion that is {how}. VC "
            "as VSPW's script."
        )
    return said
