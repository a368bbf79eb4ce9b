"""95 % bootstrap intervals of mIoU, and of the difference of two methods on the same frames.

What is drawn again, and why intervals are widened, is said in :mod:`vssbench.metrics.resampling`. A
frame's contribution, by whose correlation the blocks' length is chosen, is the derivative of the
score by the frame's weight (the infinitesimal jackknife): the correlation is then that of the very
number whose interval is wanted.

The interval is that of percentiles, their distances from the replicates' median widened and laid
about the score itself.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError
from vssbench.metrics.iou import Floats, absent_value, by_distance, mean_present, ratio
from vssbench.metrics.resampling import (
    LEVEL,
    MIN_CLIPS,
    Resampling,
    equal_clips,
    plan,
    weights,
    widening_of_clips,
)
from vssbench.metrics.scores import Ints, Record, check_rules, without
from vssbench.protocol import MEAN_OF_DISTANCES

REPLICATES = 2000
#: frames at a distance under which that distance has no interval of its own; nor has it where too
#: few clips show it
MIN_FRAMES_AT_DISTANCE = 5
#: weights that are held at a time
_CHUNK = 4_000_000


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


class Draws(TypedDict, total=False):
    """Settings of the draws of :func:`difference`; the defaults are those of :func:`intervals`."""

    block: int | None
    replicates: int
    seed: int


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
    """95 % intervals of a record's mIoU; the rules are those of
    :func:`vssbench.metrics.scores.scores`.

    ``block`` sets the block's length in labelled frames, and has blocks drawn whatever the number
    of clips. Raises DataError where there are too few frames for an interval, UsageError for an
    unknown rule.
    """
    statistic = _Statistic(record, places_of(record), aggregate, absent, left_out)
    return _intervals([statistic], block, replicates, seed)


def difference(
    first: Record,
    second: Record,
    aggregate: str = MEAN_OF_DISTANCES,
    absent: str = "skip",
    left_out: Collection[int] = (),
    **draws: Unpack[Draws],
) -> Intervals:
    """95 % intervals of the first record's mIoU minus the second's, both of the same draws; see
    :func:`intervals`.

    What both methods find hard cancels, so that this interval is narrower than the two methods' own
    suggest. Raises DataError where the records are not of the same labelled frames with the same
    labels.
    """
    places = places_of(first, second)
    both = [_Statistic(record, places, aggregate, absent, left_out) for record in (first, second)]
    _check_same(*both)
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
    both = [_Statistic(record, places, aggregate, absent, left_out) for record in (first, second)]
    _check_same(*both)
    resampling, drawn = _drawn(both, **draws)
    once = [item.classes(np.ones((1, len(item.units))))[0] for item in both]
    replicates = [[item.classes(weights) for item in both] for weights in drawn]
    moved = np.concatenate([each[0] - each[1] for each in replicates])
    return tuple(
        ClassDifference(
            float(values[0]),
            float(values[1]),
            _about(float(values[0] - values[1]), moved[:, number], resampling.widening, -1.0),
        )
        for number, values in enumerate(zip(*once, strict=True))
    )


def places_of(*records: Record) -> dict[int, tuple[int, int]]:
    """Return the group of each clip and the first clip that shows the same labelled frame, by the
    clip's number, of the record that knows most of them.

    Of records that know none, each clip is a group; so is a clip that only another record has.
    """
    known = max(records, key=lambda each: (each.views is not None, each.groups is not None))
    views = known.clips if known.views is None else known.views
    groups = views if known.groups is None else known.groups
    pairs = zip(groups.tolist(), views.tolist(), strict=True)
    places = dict(zip(known.clips.tolist(), pairs, strict=True))
    rest = {int(clip) for record in records for clip in record.clips} - places.keys()
    beyond = max((group for group, _ in places.values()), default=-1) + 1
    return places | {clip: (beyond + clip, clip) for clip in rest}


def _units(record: Record, places: Mapping[int, tuple[int, int]]) -> Ints:
    """Return the labelled frame of each row: its group, the first clip that shows it, and the frame
    in it, int64 (F, 3).

    Views of a frame hold it at places of their own, behind more or fewer frames: in clips that may
    be views, frames count from the first that is scored.
    """
    of_rows = np.array([places[clip] for clip in record.clips.tolist()], np.int64).reshape(-1, 2)
    frames = record.frames
    if any(view != clip for clip, (_, view) in places.items()):
        each, of_clip = np.unique(record.clips, return_inverse=True)
        first = np.full(len(each), np.iinfo(np.int64).max)
        np.minimum.at(first, of_clip, frames)
        frames = frames - first[of_clip]
    return np.concatenate([of_rows, frames[:, None]], axis=1)


class _Statistic:
    """mIoU of a record as a function of its labelled frames' weights."""

    def __init__(
        self,
        record: Record,
        places: Mapping[int, tuple[int, int]],
        aggregate: str,
        absent: str,
        left_out: Collection[int],
    ) -> None:
        check_rules(aggregate, absent)
        matrices = without(record.matrices, left_out)
        self.by_distance = aggregate == MEAN_OF_DISTANCES
        self.empty, self.left_out = absent_value(absent), sorted(left_out)
        self.distances = record.distances
        self.scored = sorted(by_distance(matrices, record.distances))
        if not self.scored:
            raise DataError("no interval: not one pixel was scored")
        self.clips = len(np.unique(record.clips))
        #: labelled frames int64 (U, 3), group, clip and frame, in order; and the row's number among
        #: them (F,)
        self.units, self.unit_of = np.unique(_units(record, places), axis=0, return_inverse=True)
        self.unit_of = self.unit_of.reshape(-1)
        correct = np.diagonal(matrices, axis1=1, axis2=2)
        self.truth = matrices.sum(axis=2)
        union = self.truth + matrices.sum(axis=1) - correct
        #: pixels in the intersection and in the union of each row and class: float64 (F, 2 C)
        self.tally = np.concatenate([correct, union], axis=1).astype(np.float64)

    def groups(self) -> list[npt.NDArray[np.bool_]]:
        """Return the rows (F,) that are summed to each of the mIoU's matrices."""
        if self.by_distance:
            return [self.distances == distance for distance in self.scored]
        return [np.ones(len(self.tally), bool)]

    def at(self, rows: npt.NDArray[np.bool_], drawn: Floats) -> Floats:
        """Compute the mIoU of those rows, drawn (R, U) times -> (R,).

        It is NaN where none of their frames is drawn.
        """
        return mean_present(self._ious(rows, drawn))

    def classes(self, drawn: Floats) -> Floats:
        """Compute the IoU of each class, drawn (R, U) times -> (R, C): the mean over distances
        where the mIoU is one."""
        return mean_present(np.stack([self._ious(rows, drawn) for rows in self.groups()]), axis=0)

    def _ious(self, rows: npt.NDArray[np.bool_], drawn: Floats) -> Floats:
        """Compute the IoU of each class over those rows, drawn (R, U) times -> (R, C)."""
        summed = drawn[:, self.unit_of[rows]] @ self.tally[rows]
        classes = summed.shape[1] // 2
        correct, union = summed[:, :classes], summed[:, classes:]
        values = ratio(correct, union, self.empty)
        values[:, self.left_out] = np.nan
        return np.where(union.any(axis=1, keepdims=True), values, np.nan)

    def influence(self) -> Floats:
        """Derivative of the mIoU by each labelled frame's weight, all being 1: float64 (U,), of sum
        0."""
        moved = np.zeros(len(self.units))
        groups = self.groups()
        for rows in groups:
            tally = self.tally[rows]
            classes = tally.shape[1] // 2
            correct, union = tally[:, :classes], tally[:, classes:]
            total = union.sum(axis=0)
            value = ratio(correct.sum(axis=0), total)
            counted = np.ones(classes, bool) if not np.isnan(self.empty) else total > 0
            counted[self.left_out] = False
            each = np.where(
                counted & (total > 0),
                ratio(correct - value * union, np.maximum(total, 1.0)[None]),
                0.0,
            )
            np.add.at(
                moved, self.unit_of[rows], each.sum(axis=1) / max(counted.sum(), 1) / len(groups)
            )
        return moved


def _check_same(first: _Statistic, second: _Statistic) -> None:
    if first.units.shape != second.units.shape or (first.units != second.units).any():
        sets = [
            {(int(clip), int(frame)) for _, clip, frame in item.units} for item in (first, second)
        ]
        shared, example = len(sets[0] & sets[1]), min(sets[0] ^ sets[1])
        raise DataError(
            f"the two methods were scored on different frames ({len(sets[0])} and {len(sets[1])}, "
            f"{shared} of them the same; frame {example[1]} of clip {example[0]} with one of them "
            "only): compare runs of the same data and protocol"
        )
    if first.truth.shape[1] != second.truth.shape[1]:
        raise DataError(
            f"the two methods were scored on {first.truth.shape[1]} and {second.truth.shape[1]} "
            "classes: compare runs of the same data"
        )
    truths = []
    for item in (first, second):
        truth = np.zeros((len(item.units), item.truth.shape[1]), np.int64)
        truth[item.unit_of] = item.truth
        truths.append(truth)
    wrong = np.flatnonzero((truths[0] != truths[1]).any(axis=1))
    if wrong.size:
        _, clip, frame = first.units[wrong[0]]
        raise DataError(
            f"the two methods were scored against different labels (in {wrong.size} of "
            f"{len(truths[0])} frames, the first of them frame {frame} of clip {clip}): compare "
            "runs of the same data at the same size"
        )


def _intervals(
    statistics: list[_Statistic],
    block: int | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Intervals:
    resampling, each_drawn = _drawn(statistics, block, replicates, seed)
    drawn = _Draws(statistics, resampling)
    for chunk in each_drawn:
        drawn.add(chunk)
    once = _Draws(statistics, resampling)
    once.add(np.ones((1, len(statistics[0].units))))
    each = [drawn.interval(once, distance) for distance in range(drawn.distances)]
    whole = drawn.interval(once, None)
    if whole is None:
        raise DataError("no interval: the draws hold too few scored pixels")
    return Intervals(whole, tuple(each), resampling)


def _drawn(
    statistics: list[_Statistic],
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
    step = max(1, _CHUNK // len(units))
    return resampling, (
        weights(resampling, lengths, min(step, replicates - first), random)
        for first in range(0, replicates, step)
    )


class _Draws:
    """The statistic, or the difference of two, in every draw: of the mIoU, and of each mIoU_d."""

    def __init__(self, statistics: list[_Statistic], resampling: Resampling) -> None:
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
        self.whole.append(_signed(whole))
        for distance in self.scored:
            self.each[distance].append(_signed([values[distance] for values in each]))

    def _of(self, item: _Statistic, drawn: Floats) -> tuple[Floats, dict[int, Floats]]:
        each = {distance: item.at(item.distances == distance, drawn) for distance in item.scored}
        if item.by_distance:
            return mean_present(np.stack(list(each.values()), axis=1)), each
        return item.at(item.groups()[0], drawn), each

    def interval(self, once: _Draws, distance: int | None) -> Interval | None:
        """Return the interval about the value that ``once`` has without a draw.

        It is None where too little was drawn.
        """
        if distance is not None and distance not in self.each:
            return None
        values = np.concatenate(self.whole if distance is None else self.each[distance])
        value = float((once.whole if distance is None else once.each[distance])[0][0])
        least = 0.0 if len(self.statistics) == 1 else -1.0
        return _about(value, values, self._widening(distance), least)


def _about(value: float, replicates: Floats, widening: float, least: float) -> Interval | None:
    """Lay the widened percentiles of the replicates about a value; None where all or the value are
    NaN. ``least`` is the least that the score can be."""
    known = replicates[~np.isnan(replicates)]
    if np.isnan(value) or not known.size:
        return None
    low, middle, high = np.quantile(known, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
    ends = value + widening * (low - middle), value + widening * (high - middle)
    return Interval(value, max(float(ends[0]), least), min(float(ends[1]), 1.0))


def _signed(values: tuple[Floats, ...] | list[Floats]) -> Floats:
    return values[0] if len(values) == 1 else values[0] - values[1]
