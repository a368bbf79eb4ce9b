"""Boundary F-score: how well the outlines of each class agree (BF of Csurka, Larlus and Perronnin,
"What is a good evaluation measure for semantic segmentation?", BMVC 2013).

For a class c let B_p and B_t be the boundary pixels of its regions in prediction and truth, d the
Euclidean distance of a pixel to a set of pixels, theta the tolerance, 0.75 % of the picture's
diagonal:

    precision = |{x in B_p: d(x, B_t) < theta}| / |B_p|
    recall = |{x in B_t: d(x, B_p) < theta}| / |B_t|
    F = 2 precision recall / (precision + recall)

Pixels may be matched by several, as there and in MATLAB's ``bfscore``; no assignment of pixels to
each other is sought. A boundary pixel of c is one of c with a pixel of another class above, below,
left or right of it. The picture's edge is no boundary, nor is the edge of a region that is not
scored; unscored pixels carry no boundary, in the prediction neither.

The four counts are kept for each frame and class. Image level, the paper's: F of every frame and
class, averaged over the classes that have a boundary in the frame's truth or prediction, then over
frames. Dataset level: counts are added first. A class with a boundary in one of the two only has F
= 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError, UsageError
from vssbench.core.video import IGNORE, LabelMap
from vssbench.metrics.iou import Floats, mean_present, ratio
from vssbench.metrics.meter import Arrays, Ints, Seen
from vssbench.protocol import MEAN_OF_DISTANCES

Mask = npt.NDArray[np.bool_]
#: one bit a class
Bits = npt.NDArray[Any]

#: tolerance as a share of the picture's diagonal, that of Csurka et al. and MATLAB's default
TOLERANCE = 0.0075
#: what is counted, in this order: predicted boundary pixels that are matched, all; true ones that
#: are matched, all
COUNTS = ("matched_prediction", "prediction", "matched_truth", "truth")
LEVELS = ("dataset", "image")
#: classes that one pass tells apart: bits of the widest integer
_BITS = 64
_KINDS = [np.dtype(kind) for kind in (np.uint8, np.uint16, np.uint32, np.uint64)]


def boundary_counts(
    label: LabelMap,
    prediction: LabelMap,
    classes: int,
    tolerance: float = TOLERANCE,
    ignore: int = IGNORE,
) -> Ints:
    """Return the four counts of each class, int64 (4, C) as in COUNTS, of a label and a prediction
    uint8 (H, W).

    Each class is one bit of an integer a pixel, so that one dilation by the disc of radius
    ``tolerance`` times the diagonal serves all classes. Raises DataError where shapes differ or a
    boundary's value is no class.
    """
    if label.shape != prediction.shape:
        raise DataError(
            f"a prediction of shape {prediction.shape} for a label of shape {label.shape}: resize "
            "it first"
        )
    scored = label != ignore
    widths = disc(tolerance * math.hypot(*label.shape))[: label.shape[0]]
    counts = np.zeros((len(COUNTS), classes), np.int64)
    predicted, true = (np.flatnonzero(_boundary(values, scored)) for values in (prediction, label))
    its, their = prediction.ravel()[predicted], label.ravel()[true]
    for what, values in (("prediction", its), ("label", their)):
        if values.size and values.max() >= classes:
            raise DataError(f"{what} with the value {values.max()}: expected 0..{classes - 1}")
    counts[1], counts[3] = (np.bincount(values, minlength=classes) for values in (its, their))
    for first in range(0, classes, _BITS):
        group = min(_BITS, classes - first)
        near_truth = _near(true, their, label.shape, first, group, widths)
        near_prediction = _near(predicted, its, label.shape, first, group, widths)
        counts[0] += _matched(near_truth, predicted, its, first, group, classes)
        counts[2] += _matched(near_prediction, true, their, first, group, classes)
    return counts


def disc(radius: float) -> list[int]:
    """Return the disc of offsets nearer than ``radius`` pixels, as half its width by row.

    Rows are 0, 1, ...: [] where it holds nothing.
    """
    rows = range(math.ceil(radius))
    return [math.ceil(math.sqrt(radius * radius - row * row)) - 1 for row in rows]


def _boundary(values: LabelMap, scored: Mask) -> Mask:
    """Return scored pixels that have a scored neighbour of another value, of the four: bool (H,
    W)."""
    edges = np.zeros(values.shape, bool)
    for ahead, behind in ((np.s_[1:, :], np.s_[:-1, :]), (np.s_[:, 1:], np.s_[:, :-1])):
        differ = values[ahead] != values[behind]
        differ &= scored[ahead]
        differ &= scored[behind]
        edges[ahead] |= differ
        edges[behind] |= differ
    return edges


def _near(
    places: npt.NDArray[np.intp],
    values: LabelMap,
    shape: tuple[int, ...],
    first: int,
    group: int,
    widths: list[int],
) -> Bits:
    """Return for each pixel, the classes (one bit each) that have one of the boundary pixels
    ``places`` within the disc: (H * W,)."""
    kind = next(kind for kind in _KINDS if group <= kind.itemsize * 8)
    bits = np.left_shift(np.ones(1, kind), np.arange(group, dtype=kind))
    run: Bits = np.zeros(shape, kind)
    chosen = (values >= first) & (values < first + group)
    run.reshape(-1)[places[chosen]] = bits[values[chosen] - first]
    source, near = run.copy(), np.zeros_like(run)
    reached = 0
    for width, row in sorted((width, row) for row, width in enumerate(widths)):
        for step in range(reached + 1, width + 1):
            run[:, step:] |= source[:, :-step]
            run[:, :-step] |= source[:, step:]
        reached = width
        near[row:] |= run[: run.shape[0] - row]
        near[: near.shape[0] - row] |= run[row:]
    return near.ravel()


def _matched(
    near: Bits,
    places: npt.NDArray[np.intp],
    values: LabelMap,
    first: int,
    group: int,
    classes: int,
) -> Ints:
    """Count each class's boundary pixels that have one of the same class near: int64 (C,)."""
    chosen = (values >= first) & (values < first + group)
    its, there = values[chosen], near[places[chosen]]
    hit = (there >> (its - first).astype(there.dtype)) & there.dtype.type(1)
    return np.bincount(its[hit != 0], minlength=classes)


class BoundaryMeter:
    """The counts of every labelled frame that is shown to it; see vssbench.metrics.meter.Meter."""

    def __init__(self, classes: int, tolerance: float = TOLERANCE) -> None:
        if not tolerance > 0:
            raise UsageError(f"a tolerance of {tolerance} of the diagonal: expected more than 0")
        self.classes, self.tolerance = classes, tolerance
        self._counts: list[Ints] = []
        self._scored: list[tuple[int, int, int]] = []

    def add(self, seen: Seen) -> None:
        """See Meter: frames without a label are passed over."""
        if seen.label is None:
            return
        self._counts.append(
            boundary_counts(seen.label, seen.prediction, self.classes, self.tolerance)
        )
        self._scored.append((seen.clip, seen.frame, seen.distance))

    def arrays(self) -> Arrays:
        """Return ``counts`` int64 (F, 4, C) as in COUNTS; ``clips``, ``frames``, ``distances``
        int64 (F,); ``tolerance`` a number."""
        clips, frames, distances = np.array(self._scored, np.int64).reshape(-1, 3).T
        counts = np.array(self._counts, np.int64).reshape(-1, len(COUNTS), self.classes)
        return {
            "counts": counts,
            "clips": clips.copy(),
            "frames": frames.copy(),
            "distances": distances.copy(),
            "tolerance": np.array(self.tolerance),
        }


@dataclass(frozen=True)
class BoundaryScores:
    """Boundary F-scores as fractions, None where there was no boundary: mean over classes, by
    distance, of each class."""

    f: float | None
    by_distance: tuple[float | None, ...]
    per_class: tuple[float | None, ...]
    level: str
    tolerance: float


def boundary_scores(
    arrays: Arrays, level: str = "dataset", aggregate: str = MEAN_OF_DISTANCES
) -> BoundaryScores:
    """Return the scores of a BoundaryMeter's arrays, at ``dataset`` or ``image`` level.

    ``aggregate`` is a protocol's: with MEAN_OF_DISTANCES the scores at each distance are averaged,
    else all frames count alike. Raises UsageError for an unknown level.
    """
    if level not in LEVELS:
        raise UsageError(f"unknown level {level!r}: expected {' or '.join(LEVELS)}")
    counts, distances = arrays["counts"], arrays["distances"]
    groups = {int(d): counts[distances == d] for d in np.unique(distances)}
    each = {d: _of(rows, level) for d, rows in groups.items()}
    chosen = list(each.values()) if aggregate == MEAN_OF_DISTANCES else list(_pooled(counts, level))
    values = np.array([value for value, _ in chosen], np.float64)
    per_class = np.array([classes for _, classes in chosen]).reshape(len(chosen), counts.shape[2])
    return BoundaryScores(
        f=_number(mean_present(values)),
        by_distance=tuple(
            _number(each[d][0]) if d in each else None for d in range(max(each, default=-1) + 1)
        ),
        per_class=tuple(_number(value) for value in mean_present(per_class, axis=0)),
        level=level,
        tolerance=float(arrays["tolerance"]),
    )


def _pooled(counts: Ints, level: str) -> Iterator[tuple[Floats, Floats]]:
    if len(counts):
        yield _of(counts, level)


def _of(counts: Ints, level: str) -> tuple[Floats, Floats]:
    """Return the mean F, and F of each class (C,), of frames (F, 4, C)."""
    if level == "dataset":
        per_class = f_score(counts.sum(axis=0))
        return mean_present(per_class), per_class
    each = f_score(counts)
    return mean_present(mean_present(each)), mean_present(each, axis=0)


def f_score(counts: Ints) -> Floats:
    """Compute F of counts (..., 4, C): float64 (..., C), NaN for a class without a boundary."""
    matched_prediction, prediction, matched_truth, truth = np.moveaxis(counts, -2, 0)
    precision, recall = ratio(matched_prediction, prediction, 0.0), ratio(matched_truth, truth, 0.0)
    f = ratio(2 * precision * recall, precision + recall, 0.0)
    return np.where(prediction + truth > 0, f, np.nan)


def _number(value: Floats | np.floating) -> float | None:
    return None if np.isnan(value) else float(value)
