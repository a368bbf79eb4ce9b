"""Draws with replacement of clips, their groups, and runs of frames in them, for intervals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

import numpy as np

from vssbench.metrics.iou import Floats, mean_present
from vssbench.metrics.resampling import (
    LEVEL,
    MIN_CLIPS,
    Resampling,
    equal_clips,
    widening_of_clips,
)
from vssbench.metrics.scores import Ints
from vssbench.metrics.statistic import Statistic, signed

#: frames at a distance under which that distance has no interval of its own; nor has it where too
#: few clips show it
MIN_FRAMES_AT_DISTANCE = 5
#: weights that are held at a time
CHUNK = 4_000_000


@dataclass(frozen=True)
class Interval:
    """A score, or a difference of two, and its 95 % interval, as fractions."""

    value: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval excludes 0: of a difference, one method is the better at 95 %."""
        return self.low > 0 or self.high < 0


class Draws(TypedDict, total=False):
    """Settings of the draws; the defaults are those of
    :func:`vssbench.metrics.bootstrap.intervals`."""

    block: int | None
    replicates: int
    seed: int


class Drawing:
    """The statistic, or the difference of two, in every draw: of the mIoU, and of each mIoU_d."""

    def __init__(self, statistics: list[Statistic], resampling: Resampling) -> None:
        self.statistics, self.resampling = statistics, resampling
        shared = set(statistics[0].scored).intersection(*(item.scored for item in statistics))
        self.scored = sorted(distance for distance in shared if self._comparable(distance))
        self.distances = max(self.scored, default=-1) + 1
        self.whole: list[Floats] = []
        self.each: dict[int, list[Floats]] = {distance: [] for distance in self.scored}

    def _comparable(self, distance: int) -> bool:
        """Return whether a distance has enough frames of enough clips, the same for both."""
        frames = [np.unique(item.unit_of[item.distances == distance]) for item in self.statistics]
        few = len(frames[0]) < MIN_FRAMES_AT_DISTANCE
        if not few and self.resampling.units == "clips":
            few = equal_clips(self._lengths(distance)) < MIN_CLIPS
        return not few and all(np.array_equal(frames[0], other) for other in frames)

    def _lengths(self, distance: int) -> Ints:
        """Count labelled frames at that distance in each group of clips that has any."""
        first = self.statistics[0]
        units = np.unique(first.unit_of[first.distances == distance])
        return np.unique(first.units[units, 0], return_counts=True)[1]

    def _widening(self, distance: int | None) -> float:
        """Return the factor by which an interval is widened.

        At a distance that not all clips show, it is that of the clips that do.
        """
        if distance is None or self.resampling.units == "blocks":
            return self.resampling.widening
        return widening_of_clips(self._lengths(distance))

    def add(self, drawn: Floats) -> None:
        """Take in how often each labelled frame was drawn (R, U)."""
        whole, each = zip(*(self._of(item, drawn) for item in self.statistics), strict=True)
        self.whole.append(signed(whole))
        for distance in self.scored:
            self.each[distance].append(signed([values[distance] for values in each]))

    def _of(self, item: Statistic, drawn: Floats) -> tuple[Floats, dict[int, Floats]]:
        each = {distance: item.at(item.distances == distance, drawn) for distance in item.scored}
        if item.by_distance:
            return mean_present(np.stack(list(each.values()), axis=1)), each
        return item.at(item.groups()[0], drawn), each

    def interval(self, once: Drawing, distance: int | None) -> Interval | None:
        """Return the interval about the value that ``once`` has without a draw.

        It is None where too little was drawn.
        """
        if distance is not None and distance not in self.each:
            return None
        values = np.concatenate(self.whole if distance is None else self.each[distance])
        value = float((once.whole if distance is None else once.each[distance])[0][0])
        least = 0.0 if len(self.statistics) == 1 else -1.0
        return about(value, values, self._widening(distance), least)


def about(value: float, replicates: Floats, widening: float, least: float) -> Interval | None:
    """Lay the widened percentiles of the replicates about a value; None where all or the value are
    NaN. ``least`` is the least that the score can be."""
    known = replicates[~np.isnan(replicates)]
    if np.isnan(value) or not known.size:
        return None
    low, middle, high = np.quantile(known, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    ends = value + widening * (low - middle), value + widening * (high - middle)
    return Interval(value, max(float(ends[0]), least), min(float(ends[1]), 1.0))
