"""The number that an interval is about, out of summed confusion matrices: mIoU or a class's IoU."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError
from vssbench.metrics.iou import Floats, absent_value, by_distance, mean_present, ratio
from vssbench.metrics.scores import Ints, Record, check_rules, without
from vssbench.protocol import MEAN_OF_DISTANCES


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


def units_of(record: Record, places: Mapping[int, tuple[int, int]]) -> Ints:
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


class Statistic:
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
        self.units, self.unit_of = np.unique(units_of(record, places), axis=0, return_inverse=True)
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
        """Return the derivative of the mIoU by each labelled frame's weight, all being 1: float64
        (U,), of sum 0."""
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


def check_same(first: Statistic, second: Statistic) -> None:
    """Raise DataError where two records are not of the same labelled frames, truth and classes."""
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


def signed(values: tuple[Floats, ...] | list[Floats]) -> Floats:
    return values[0] if len(values) == 1 else values[0] - values[1]
