"""95 % bootstrap intervals of mIoU, and of the difference of two methods on the same frames.

What is drawn again, and why intervals are widened, is said in :mod:`vssbench.metrics.resampling`. A
frame's contribution, by whose correlation the blocks' length is chosen, is the derivative of the
score by the frame's weight (the infinitesimal jackknife): the correlation is then that of the very
number whose interval is wanted.

The interval is that of percentiles, their distances from the replicates' median widened and laid
about the score itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Unpack

import numpy as np

from vssbench.core.errors import DataError
from vssbench.metrics.draws import CHUNK, Drawing, Draws, Interval, about
from vssbench.metrics.iou import Floats
from vssbench.metrics.resampling import (
    Resampling,
    plan,
    weights,
)
from vssbench.metrics.scores import Record
from vssbench.metrics.statistic import Statistic, check_same, places_of
from vssbench.protocol import MEAN_OF_DISTANCES

REPLICATES = 2000


@dataclass(frozen=True)
class Intervals:
    """Intervals of the mIoU, or of a difference of two, and of each mIoU_d.

    Index = distance; None where too few frames were scored.
    """

    miou: Interval
    by_distance: tuple[Interval | None, ...]
    resampling: Resampling


@dataclass(frozen=True)
class ClassDifference:
    """One class: its IoU of the first record and of the second, as fractions, and the 95 % interval
    of their difference.

    An IoU is NaN where the class is absent, the interval None where one of the two is.
    """

    first: float
    second: float
    interval: Interval | None


def intervals(
    record: Record,
    aggregate: str = MEAN_OF_DISTANCES,
    absent: str = "skip",
    left_out: Collection[int] = (),
    *,
    block: int | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Intervals:
    """Return 95 % intervals of a record's mIoU; the rules are those of
    :func:`vssbench.metrics.scores.scores`.

    ``block`` sets the block's length in labelled frames, and has blocks drawn whatever the number
    of clips. Raises DataError where there are too few frames for an interval, UsageError for an
    unknown rule.
    """
    statistic = Statistic(record, places_of(record), aggregate, absent, left_out)
    return _intervals([statistic], block, replicates, seed)


def difference(
    first: Record,
    second: Record,
    aggregate: str = MEAN_OF_DISTANCES,
    absent: str = "skip",
    left_out: Collection[int] = (),
    **draws: Unpack[Draws],
) -> Intervals:
    """Return 95 % intervals of the first record's mIoU minus the second's, both of the same draws;
    see :func:`intervals`.

    What both methods find hard cancels, so that this interval is narrower than the two methods' own
    suggest. Raises DataError where the records are not of the same labelled frames with the same
    labels.
    """
    places = places_of(first, second)
    both = [Statistic(record, places, aggregate, absent, left_out) for record in (first, second)]
    check_same(*both)
    return _intervals(both, **draws)


def class_differences(
    first: Record,
    second: Record,
    aggregate: str = MEAN_OF_DISTANCES,
    absent: str = "skip",
    left_out: Collection[int] = (),
    **draws: Unpack[Draws],
) -> tuple[ClassDifference, ...]:
    """Return of each class what :func:`difference` is of the mIoU, from the same draws.

    A class's IoU is the mean of those at each distance where the mIoU is, that of all frames
    together where it is pooled. Raises as :func:`difference`.
    """
    places = places_of(first, second)
    both = [Statistic(record, places, aggregate, absent, left_out) for record in (first, second)]
    check_same(*both)
    resampling, drawn = _drawn(both, **draws)
    once = [item.classes(np.ones((1, len(item.units))))[0] for item in both]
    replicates = [[item.classes(weights) for item in both] for weights in drawn]
    moved = np.concatenate([each[0] - each[1] for each in replicates])
    return tuple(
        ClassDifference(
            float(values[0]),
            float(values[1]),
            about(float(values[0] - values[1]), moved[:, number], resampling.widening, -1.0),
        )
        for number, values in enumerate(zip(*once, strict=True))
    )


def _intervals(
    statistics: list[Statistic],
    block: int | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Intervals:
    resampling, each_drawn = _drawn(statistics, block, replicates, seed)
    drawn = Drawing(statistics, resampling)
    for chunk in each_drawn:
        drawn.add(chunk)
    once = Drawing(statistics, resampling)
    once.add(np.ones((1, len(statistics[0].units))))
    each = [drawn.interval(once, distance) for distance in range(drawn.distances)]
    whole = drawn.interval(once, None)
    if whole is None:
        raise DataError("no interval: the draws hold too few scored pixels")
    return Intervals(whole, tuple(each), resampling)


def _drawn(
    statistics: list[Statistic],
    block: int | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> tuple[Resampling, Iterator[Floats]]:
    """Plan the draws of one record or of two, and yield how often each labelled frame is drawn,
    (R, U), some draws at a time."""
    units = statistics[0].units
    lengths = np.unique(units[:, 0], return_counts=True)[1]
    influence = statistics[0].influence() - (
        statistics[1].influence() if len(statistics) == 2 else 0.0
    )
    resampling = plan(influence, lengths, block, replicates, seed, statistics[0].clips)
    random = np.random.default_rng(seed)
    step = max(1, CHUNK // len(units))
    return resampling, (
        weights(resampling, lengths, min(step, replicates - first), random)
        for first in range(0, replicates, step)
    )
