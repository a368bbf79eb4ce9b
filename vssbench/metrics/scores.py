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
    check_rules(aggregate, absent)
    matrices = without(record.matrices, left_out)
    summed = by_distance(matrices, record.distances)
    groups = grouped(summed, aggregate)
    each = {distance: _of(matrix, absent, left_out) for distance, matrix in summed.items()}
    aggregated = [_of(matrix, absent, left_out) for matrix in groups]
    pooled = _of(matrices.sum(axis=0), absent, left_out)
    classes = matrices.shape[1]
    return Scores(
        miou=_mean([item.miou for item in aggregated]),
        miou_by_distance=tuple(
            each[d].miou if d in each else None for d in range(max(each, default=-1) + 1)
        ),
        pooled_miou=_number(pooled.miou),
        image_miou=_image_miou(matrices, record.distances, aggregate, absent, left_out),
        class_iou=_columns([item.class_iou for item in aggregated], classes),
        frequency_weighted_iou=_mean([item.frequency_weighted_iou for item in aggregated]),
        pixel_accuracy=_mean([item.pixel_accuracy for item in aggregated]),
        mean_accuracy=_mean([item.mean_accuracy for item in aggregated]),
        class_accuracy=_columns([item.class_accuracy for item in aggregated], classes),
        frames=len(set(zip(record.clips.tolist(), record.frames.tolist(), strict=True))),
        rows=len(matrices),
        aggregate=aggregate,
        absent=absent,
        left_out=tuple(sorted(left_out)),
    )


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


def grouped(summed: dict[int, ConfusionMatrix], aggregate: str) -> list[ConfusionMatrix]:
    """Return the matrices of which scores are made and averaged: one a distance, or one."""
    if aggregate == MEAN_OF_DISTANCES or not summed:
        return list(summed.values())
    return [np.sum(list(summed.values()), axis=0)]


@dataclass(frozen=True)
class _MatrixScores:
    miou: float
    class_iou: Floats
    frequency_weighted_iou: float
    pixel_accuracy: float
    mean_accuracy: float
    class_accuracy: Floats


def _of(matrix: ConfusionMatrix, absent: str, left_out: Collection[int]) -> _MatrixScores:
    """Compute the scores of one matrix (C, C); all NaN where it counts no pixel.

    Pixel accuracy sum_c n_cc / sum_c t_c, mean accuracy (1/C) sum_c n_cc / t_c, frequency-weighted
    IoU sum_c t_c IoU_c / sum_c t_c, with t_c the pixels of class c (Long et al., CVPR 2015, section
    5). A class without a true pixel has no accuracy; the rule for absent classes decides what it
    counts for.
    """
    truth = matrix.sum(axis=1)
    total = truth.sum()
    per_class, accuracy = (
        iou(matrix, absent),
        ratio(np.diagonal(matrix), truth, absent_value(absent)),
    )
    if left_out:
        per_class[sorted(left_out)] = accuracy[sorted(left_out)] = np.nan
    if not total:
        nothing = np.full_like(per_class, np.nan)
        return _MatrixScores(np.nan, nothing, np.nan, np.nan, np.nan, nothing)
    return _MatrixScores(
        miou=float(mean_present(per_class)),
        class_iou=per_class,
        frequency_weighted_iou=float((truth * np.where(truth > 0, per_class, 0.0)).sum() / total),
        pixel_accuracy=float(np.trace(matrix) / total),
        mean_accuracy=float(mean_present(accuracy)),
        class_accuracy=accuracy,
    )


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
        return _mean(list(per_frame))
    return _mean([float(per_frame[at == distance].mean()) for distance in np.unique(at)])


def _columns(rows: list[Floats], classes: int) -> tuple[float | None, ...]:
    means = mean_present(np.array(rows).reshape(len(rows), classes), axis=0)
    return tuple(_number(value) for value in means)


def _mean(values: list[float]) -> float | None:
    return _number(float(mean_present(np.array(values, np.float64))))


def _number(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
