"""Intersection over union, and the mean IoU at each distance from the keyframe, from confusion
matrices.

Absent classes: a class that occurs neither in the truth nor in the prediction has no IoU. The rule
``absent`` says what becomes of it: ``skip``, the default, gives it none (NaN) and leaves it out of
the mean; ``zero`` and ``one`` count it as 0 or as 1. A class that is predicted but never true, or
true but never predicted, has IoU 0 and counts. This is decided on the summed matrix, so a class
need only occur in one of the frames that are summed.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError, UsageError
from vssbench.metrics.confusion import ConfusionMatrix

Floats = npt.NDArray[np.float64]

#: what a class counts for that occurs neither in the truth nor in the prediction
ABSENT = {"skip": float("nan"), "zero": 0.0, "one": 1.0}


def absent_value(absent: str) -> float:
    """Return the value that an absent class counts for, NaN for nothing.

    Raises UsageError for an unknown rule.
    """
    if absent not in ABSENT:
        raise UsageError(
            f"unknown rule {absent!r} for absent classes: expected {', '.join(ABSENT)}"
        )
    return ABSENT[absent]


def ratio(part: npt.NDArray, whole: npt.NDArray, empty: float = float("nan")) -> Floats:
    """Return ``part / whole``, and ``empty`` where ``whole`` is 0: float64 of their common
    shape."""
    return np.divide(
        part,
        whole,
        out=np.full(np.broadcast_shapes(part.shape, whole.shape), empty),
        where=whole > 0,
    )


def mean_present(values: Floats, axis: int = -1) -> Floats:
    """Return the mean along an axis over what is not NaN; NaN where all is."""
    present = ~np.isnan(values)
    return ratio(np.where(present, values, 0.0).sum(axis=axis), present.sum(axis=axis))


def iou(confusion: ConfusionMatrix, absent: str = "skip") -> Floats:
    """Return IoU of each class as a fraction: (..., C, C) -> float64 (..., C), NaN for an absent
    class, or what ``absent`` says."""
    correct = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    union = confusion.sum(axis=-2) + confusion.sum(axis=-1) - correct
    return ratio(correct, union, absent_value(absent))


def mean_iou(confusion: ConfusionMatrix, absent: str = "skip") -> float:
    """Return the mean of the classes' IoU (C, C) as a fraction; NaN where the matrix counts no
    pixel."""
    return float(mean_present(iou(confusion, absent))) if confusion.any() else float("nan")


def by_distance(
    matrices: ConfusionMatrix, distances: npt.NDArray[np.integer]
) -> dict[int, ConfusionMatrix]:
    """Return matrices (F, C, C) summed over the frames of each distance (F,), in ascending order of
    distance.

    Distances without a counted pixel are left out. Raises DataError where the shapes do not fit.
    """
    if (
        matrices.ndim != 3
        or matrices.shape[1] != matrices.shape[2]
        or distances.shape != matrices.shape[:1]
    ):
        raise DataError(
            f"confusion matrices of shape {matrices.shape} with distances of shape "
            f"{distances.shape}: expected (frames, classes, classes) and (frames,)"
        )
    if distances.size and distances.min() < 0:
        raise DataError(
            f"a frame at distance {distances.min()} from its keyframe: expected 0 or more"
        )
    summed = {
        int(distance): matrices[distances == distance].sum(axis=0)
        for distance in np.unique(distances)
    }
    return {distance: matrix for distance, matrix in summed.items() if matrix.any()}


def miou_by_distance(
    matrices: ConfusionMatrix, distances: npt.NDArray[np.integer]
) -> list[float | None]:
    """Return mIoU_d as fractions, index = distance d, None where no frame was scored at that
    distance.

    Each mIoU_d comes from one matrix, summed over all frames (F, C, C) at that distance (F,); IoUs
    of single frames are never averaged.
    """
    summed = by_distance(matrices, distances)
    return [
        mean_iou(summed[d]) if d in summed else None for d in range(max(summed, default=-1) + 1)
    ]


def miou(matrices: ConfusionMatrix, distances: npt.NDArray[np.integer]) -> float | None:
    """Return the unweighted mean of mIoU_d over the distances that have frames (AR-Seg, section
    4.1); None where none has."""
    values = [value for value in miou_by_distance(matrices, distances) if value is not None]
    return float(np.mean(values)) if values else None


def pooled_miou(matrices: ConfusionMatrix) -> float | None:
    """Return mIoU of one matrix summed over all frames (F, C, C), whatever their distance; None
    where no pixel is counted."""
    total = matrices.sum(axis=0)
    return mean_iou(total) if total.any() else None


def class_iou(matrices: ConfusionMatrix, distances: npt.NDArray[np.integer]) -> Floats:
    """Return IoU of each class (C,), averaged over the distances at which the class has one; NaN
    where it has none.

    Averaged over distances as :func:`miou` is: where every class occurs at every distance, their
    mean is the mIoU.
    """
    summed = by_distance(matrices, distances)
    values = np.array([iou(matrix) for matrix in summed.values()]).reshape(
        len(summed), matrices.shape[1]
    )
    return mean_present(values, axis=0)
