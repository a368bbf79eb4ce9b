"""Every number of accuracy that comes of a run's confusion matrices, under rules that are named and
can be changed.

Two levels. *Dataset level* (the default, that of Cityscapes, PASCAL and the papers compared here):
matrices are added, then divided. Under the aggregate MEAN_OF_DISTANCES they are added for each
distance from the keyframe, and the scores are the unweighted means over distances (AR-Seg, section
4.1); under POOLED all are added (DFF, section 5.1). *Image level*: the mean over frames of each
frame's own mIoU (Csurka et al., "What is a good evaluation measure for semantic segmentation?",
BMVC 2013, argue for it); the rule for absent classes then applies to every frame by itself, so that
a class counts in a frame only if it is in the frame's truth or prediction.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError, UsageError
from vssbench.metrics.confusion import ConfusionMatrix
from vssbench.metrics.iou import Floats, absent_value, by_distance, iou, mean_present, ratio
from vssbench.protocol import MEAN_OF_DISTANCES, POOLED

Ints = npt.NDArray[np.int64]

AGGREGATES = (MEAN_OF_DISTANCES, POOLED)


class Record(Protocol):
    """The scored frames of a run (vssbench.run.records.ConfusionRecord).

    Matrices are int64 (F, C, C), rows are the truth; the rest int64 (F,): distance to the keyframe,
    number of the clip, frame of that clip, number of the group of clips that an interval draws as
    one (None where each clip is drawn by itself), number of the first clip that shows the same
    labelled frame (None where each shows its own).
    """

    @property
    def matrices(self) -> Ints: ...

    @property
    def distances(self) -> Ints: ...

    @property
    def clips(self) -> Ints: ...

    @property
    def frames(self) -> Ints: ...

    @property
    def groups(self) -> Ints | None: ...

    @property
    def views(self) -> Ints | None: ...


@dataclass(frozen=True)
class Scores:
    """Accuracies as fractions, None where nothing was counted.

    ``miou``, ``class_iou``, ``frequency_weighted_iou``, ``pixel_accuracy``, ``mean_accuracy`` and
    ``class_accuracy`` follow the aggregate; so does ``image_miou``, which is at image level where
    the others are at dataset level. ``pooled_miou`` is always that of one matrix.
    ``miou_by_distance`` has the distance as its index. ``frames`` counts labelled frames, ``rows``
    how often they were scored. A class that is left out has None.
    """

    miou: float | None
    miou_by_distance: tuple[float | None, ...]
    pooled_miou: float | None
    image_miou: float | None
    class_iou: tuple[float | None, ...]
    frequency_weighted_iou: float | None
    pixel_accuracy: float | None
    mean_accuracy: float | None
    class_accuracy: tuple[float | None, ...]
    frames: int
    rows: int
    aggregate: str
    absent: str
    left_out: tuple[int, ...]


@dataclass(frozen=True)
class MeanIous:
    """The mean IoU of a record, that at each distance, and the IoU of each class: as
    :class:`Scores` has them, without all else, which takes three times as long."""

    miou: float | None
    miou_by_distance: tuple[float | None, ...]
    class_iou: tuple[float | None, ...]


def scores(
    record: Record,
    aggregate: str = MEAN_OF_DISTANCES,
    absent: str = "skip",
    left_out: Collection[int] = (),
) -> Scores:
    """Return all scores of a record.

    ``absent`` is the rule of :mod:`vssbench.metrics.iou`. Pixels whose truth is a class of
    ``left_out`` are not counted, and that class has no part in any mean; where it is predicted in
    place of another, it is an error as any: 11 classes of a record of CamVid's 12. Raises
    UsageError for an unknown rule or class, DataError where the arrays do not fit.
    """
    matrices, summed = _summed(record, aggregate, absent, left_out)
    rule = partial(_of, absent=absent, left_out=left_out)
    each, pooled = rule(_stacked(summed, matrices)), rule(matrices.sum(axis=0)[None])
    aggregated = pooled if aggregate == POOLED and summed else each
    return Scores(
        miou=_mean(aggregated.miou),
        miou_by_distance=_curve(summed, each.miou),
        pooled_miou=_mean(pooled.miou),
        image_miou=_image_miou(matrices, record.distances, aggregate, absent, left_out),
        class_iou=_columns(aggregated.class_iou),
        frequency_weighted_iou=_mean(aggregated.frequency_weighted_iou),
        pixel_accuracy=_mean(aggregated.pixel_accuracy),
        mean_accuracy=_mean(aggregated.mean_accuracy),
        class_accuracy=_columns(aggregated.class_accuracy),
        frames=len(set(zip(record.clips.tolist(), record.frames.tolist(), strict=True))),
        rows=len(matrices),
        aggregate=aggregate,
        absent=absent,
        left_out=tuple(sorted(left_out)),
    )


def mean_ious(
    record: Record,
    aggregate: str = MEAN_OF_DISTANCES,
    absent: str = "skip",
    left_out: Collection[int] = (),
) -> MeanIous:
    """Return the scores by IoU of a record; rules and errors are those of :func:`scores`."""
    matrices, summed = _summed(record, aggregate, absent, left_out)
    each = _class_ious(_stacked(summed, matrices), absent, left_out)
    of_classes = each
    if aggregate == POOLED and summed:
        of_classes = _class_ious(matrices.sum(axis=0)[None], absent, left_out)
    return MeanIous(
        miou=_mean(mean_present(of_classes)),
        miou_by_distance=_curve(summed, mean_present(each)),
        class_iou=_columns(of_classes),
    )


def _summed(
    record: Record, aggregate: str, absent: str, left_out: Collection[int]
) -> tuple[ConfusionMatrix, dict[int, ConfusionMatrix]]:
    """Return the matrices that are counted, and their sums by distance; raises as scores does."""
    check_rules(aggregate, absent)
    matrices = without(record.matrices, left_out)
    return matrices, by_distance(matrices, record.distances)


def _curve(summed: Collection[int], mious: Floats) -> tuple[float | None, ...]:
    """Return the mean IoU by distance, None where nothing was scored."""
    curve = dict(zip(summed, mious.tolist(), strict=True))
    return tuple(curve.get(distance) for distance in range(max(summed, default=-1) + 1))


def check_rules(aggregate: str, absent: str) -> None:
    """Check that the rules are known. Raises UsageError for rules that are not."""
    absent_value(absent)
    if aggregate not in AGGREGATES:
        raise UsageError(f"unknown aggregate {aggregate!r}: expected {' or '.join(AGGREGATES)}")


def without(matrices: ConfusionMatrix, left_out: Collection[int]) -> ConfusionMatrix:
    """Return matrices (F, C, C) in which pixels whose truth is one of those classes are not
    counted. Raises UsageError, DataError."""
    if matrices.ndim != 3 or matrices.shape[1] != matrices.shape[2]:
        raise DataError(
            f"confusion matrices of shape {matrices.shape}: expected (frames, classes, classes)"
        )
    wrong = [index for index in left_out if not 0 <= index < matrices.shape[1]]
    if wrong:
        raise UsageError(
            f"class {wrong[0]} cannot be left out: there are the classes 0..{matrices.shape[1] - 1}"
        )
    if not left_out:
        return matrices
    kept = matrices.copy()
    kept[:, sorted(left_out)] = 0
    return kept


def _stacked(summed: dict[int, ConfusionMatrix], like: ConfusionMatrix) -> ConfusionMatrix:
    """Return the matrices of the distances as one array (D, C, C)."""
    return np.stack(list(summed.values())) if summed else like[:0]


@dataclass(frozen=True)
class _MatrixScores:
    """Scores of G matrices: (G,) each, and (G, C) of the classes."""

    miou: Floats
    class_iou: Floats
    frequency_weighted_iou: Floats
    pixel_accuracy: Floats
    mean_accuracy: Floats
    class_accuracy: Floats


def _of(matrices: ConfusionMatrix, absent: str, left_out: Collection[int]) -> _MatrixScores:
    """Compute the scores of matrices (G, C, C), each for itself; all NaN where one counts no pixel.

    Pixel accuracy sum_c n_cc / sum_c t_c, mean accuracy (1/C) sum_c n_cc / t_c, frequency-weighted
    IoU sum_c t_c IoU_c / sum_c t_c, with t_c the pixels of class c (Long et al., CVPR 2015, section
    5). A class without a true pixel has no accuracy; the rule for absent classes decides what it
    counts for.
    """
    truth = matrices.sum(axis=2)
    correct = np.diagonal(matrices, axis1=1, axis2=2)
    total = truth.sum(axis=1)
    per_class = _class_ious(matrices, absent, left_out)
    accuracy = _scored(ratio(correct, truth, absent_value(absent)), total, left_out)
    weighted = truth * np.where(truth > 0, per_class, 0.0)
    return _MatrixScores(
        miou=mean_present(per_class),
        class_iou=per_class,
        frequency_weighted_iou=ratio(weighted.sum(axis=1), total),
        pixel_accuracy=ratio(correct.sum(axis=1), total),
        mean_accuracy=mean_present(accuracy),
        class_accuracy=accuracy,
    )


def _class_ious(matrices: ConfusionMatrix, absent: str, left_out: Collection[int]) -> Floats:
    """Return IoU (G, C) of the classes of matrices (G, C, C), each for itself."""
    return _scored(iou(matrices, absent), matrices.sum(axis=(1, 2)), left_out)


def _scored(values: Floats, total: Ints, left_out: Collection[int]) -> Floats:
    """Return values (G, C) without those of classes left out, and of matrices that count no
    pixel."""
    values[:, sorted(left_out)] = np.nan
    values[total == 0] = np.nan
    return values


def _image_miou(
    matrices: ConfusionMatrix,
    distances: Ints,
    aggregate: str,
    absent: str,
    left_out: Collection[int],
) -> float | None:
    counted = matrices.any(axis=(1, 2))
    per_class = iou(matrices[counted], absent)
    per_class[:, sorted(left_out)] = np.nan
    per_frame, at = mean_present(per_class), distances[counted]
    if aggregate == POOLED:
        return _mean(per_frame)
    return _mean(np.array([per_frame[at == distance].mean() for distance in np.unique(at)]))


def _columns(rows: Floats) -> tuple[float | None, ...]:
    return tuple(_number(value) for value in mean_present(rows, axis=0))


def _mean(values: Floats) -> float | None:
    return _number(float(mean_present(values)))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
