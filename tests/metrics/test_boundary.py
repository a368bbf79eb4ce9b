"""Boundary counts and F against a loop over all pairs of boundary pixels."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vssbench.core.errors import DataError, UsageError
from vssbench.metrics.boundary import BoundaryMeter, boundary_counts, boundary_scores, disc, f_score
from vssbench.metrics.meter import Seen
from vssbench.protocol import POOLED


def boundary_of(values: np.ndarray, label: np.ndarray, wanted: int) -> list[tuple[int, int]]:
    height, width = values.shape
    found = []
    for y, x in np.ndindex(values.shape):
        around = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
        inside = [
            (v, u) for v, u in around if 0 <= v < height and 0 <= u < width and label[v, u] != 255
        ]
        if (
            values[y, x] == wanted
            and label[y, x] != 255
            and any(values[place] != wanted for place in inside)
        ):
            found.append((y, x))
    return found


def matched(some: list[tuple[int, int]], others: list[tuple[int, int]], tolerance: float) -> int:
    return sum(any(math.hypot(y - v, x - u) < tolerance for v, u in others) for y, x in some)


def counted_slowly(
    label: np.ndarray, prediction: np.ndarray, classes: int, share: float
) -> list[list[int]]:
    tolerance = share * math.hypot(*label.shape)
    counts: list[list[int]] = [[], [], [], []]
    for wanted in range(classes):
        predicted, true = (boundary_of(values, label, wanted) for values in (prediction, label))
        numbers = (
            matched(predicted, true, tolerance),
            len(predicted),
            matched(true, predicted, tolerance),
            len(true),
        )
        for row, number in zip(counts, numbers, strict=True):
            row.append(number)
    return counts


def blobs(seed: int, classes: int, ignored: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    """A label and a prediction uint8 (24, 30): coarse squares, the prediction moved and with
    noise."""
    random = np.random.default_rng(seed)
    label = np.repeat(np.repeat(random.integers(0, classes, (4, 5)), 6, 0), 6, 1).astype(np.uint8)
    prediction = np.roll(label, (1, 2), (0, 1))
    prediction[random.random(label.shape) < 0.05] = classes - 1
    label[random.random(label.shape) < ignored] = 255
    return label, prediction


@pytest.mark.parametrize("classes", [3, 12, 19, 40, 150])
@pytest.mark.parametrize("share", [0.01, 0.0261, 0.06, 0.2, 2.0])
def test_counts_equal_those_of_all_pairs_of_pixels(classes: int, share: float) -> None:
    label, prediction = blobs(classes, classes)
    counts = boundary_counts(label, prediction, classes, share)
    assert counts.dtype == np.int64
    assert counts.tolist() == counted_slowly(label, prediction, classes, share)


def test_the_disc_holds_the_offsets_that_are_nearer_than_the_radius() -> None:
    for radius in (0.5, 1.0, 1.01, 2.0, 2.5, 5.0, 9.0):
        widths = disc(radius)
        inside = {(y, x) for y in range(12) for x in range(12) if math.hypot(y, x) < radius}
        assert {(y, x) for y, width in enumerate(widths) for x in range(width + 1)} == inside


def test_a_perfect_prediction_has_f_1_and_a_shift_within_the_tolerance_too() -> None:
    label = np.zeros((96, 128), np.uint8)
    label[20:60, 30:70] = 1
    shifted = np.roll(label, 1, 1)
    assert f_score(boundary_counts(label, label, 2)).tolist() == [1.0, 1.0]
    assert f_score(boundary_counts(label, shifted, 2, tolerance=0.01)).tolist() == [1.0, 1.0]
    assert (f_score(boundary_counts(label, np.roll(label, 9, 1), 2)) < 0.8).all()


def test_a_class_with_a_boundary_in_one_of_the_two_has_f_0_and_one_without_has_none() -> None:
    label = np.zeros((20, 20), np.uint8)
    label[5:15, 5:15] = 1
    prediction = label.copy()
    prediction[0:3, 0:3] = 2
    values = f_score(boundary_counts(label, prediction, 4))
    assert values[2] == 0
    assert np.isnan(values[3])


def test_neither_the_pictures_edge_nor_an_unscored_region_makes_a_boundary() -> None:
    label = np.zeros((20, 20), np.uint8)
    label[:, 8:12] = 255
    prediction = np.zeros((20, 20), np.uint8)
    prediction[:, 9:11] = 1
    assert not boundary_counts(label, prediction, 2).any()


def shown(label: np.ndarray | None, prediction: np.ndarray, frame: int, distance: int) -> Seen:
    return Seen(prediction, label, episode=0, clip=0, frame=frame, distance=distance)


def test_the_meter_keeps_counts_and_scores_follow_from_them() -> None:
    pairs = [blobs(seed, 4) for seed in range(5)]
    distances = [0, 1, 1, 0, 3]
    meter = BoundaryMeter(4, tolerance=0.04)
    for number, ((label, prediction), distance) in enumerate(zip(pairs, distances, strict=True)):
        meter.add(shown(label, prediction, number, distance))
        meter.add(shown(None, prediction, number, distance))
    arrays = meter.arrays()
    own = [np.array(counted_slowly(label, prediction, 4, 0.04)) for label, prediction in pairs]
    assert arrays["counts"].tolist() == [counts.tolist() for counts in own]
    assert arrays["distances"].tolist() == distances
    assert arrays["frames"].tolist() == [0, 1, 2, 3, 4]

    def f(counts: np.ndarray) -> float:
        values = []
        for right, predicted, found, true in counts.T:
            if predicted + true:
                precision, recall = (
                    right / predicted if predicted else 0,
                    found / true if true else 0,
                )
                values.append(
                    2 * precision * recall / (precision + recall) if precision + recall else 0.0
                )
        return sum(values) / len(values)

    at = [
        [counts for counts, d in zip(own, distances, strict=True) if d == wanted]
        for wanted in (0, 1, 3)
    ]
    dataset = [f(np.sum(rows, axis=0)) for rows in at]
    image = [sum(map(f, rows)) / len(rows) for rows in at]
    by_distance = boundary_scores(arrays)
    assert by_distance.f == pytest.approx(sum(dataset) / 3)
    assert by_distance.by_distance == pytest.approx([dataset[0], dataset[1], None, dataset[2]])
    assert by_distance.tolerance == 0.04
    assert boundary_scores(arrays, "image").f == pytest.approx(sum(image) / 3)
    assert boundary_scores(arrays, aggregate=POOLED).f == pytest.approx(f(np.sum(own, axis=0)))
    assert boundary_scores(arrays, "image", POOLED).f == pytest.approx(sum(map(f, own)) / 5)


def test_a_meter_that_saw_nothing_has_no_score() -> None:
    arrays = BoundaryMeter(3).arrays()
    assert arrays["counts"].shape == (0, 4, 3)
    for aggregate in ("mean of mIoU_d", POOLED):
        found = boundary_scores(arrays, aggregate=aggregate)
        assert (found.f, found.by_distance, found.per_class) == (None, (), (None,) * 3)


def test_what_does_not_fit_is_refused_in_words() -> None:
    label, prediction = blobs(0, 4)
    with pytest.raises(DataError, match="shape"):
        boundary_counts(label, prediction[1:], 4)
    with pytest.raises(DataError, match=r"expected 0\.\.1"):
        boundary_counts(label, prediction, 2)
    with pytest.raises(UsageError, match="more than 0"):
        BoundaryMeter(2, tolerance=0.0)
    with pytest.raises(UsageError, match="dataset or image"):
        boundary_scores(BoundaryMeter(2).arrays(), "pixel")
