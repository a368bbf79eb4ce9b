"""IoU against sets of pixels, and the means over classes, distances and frames against loops."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest

from vssbench.core.errors import DataError
from vssbench.metrics.confusion import confusion_matrix
from vssbench.metrics.iou import class_iou, iou, mean_iou, miou, miou_by_distance, pooled_miou

CLASSES = 4


def iou_of_sets(pairs: list[tuple[np.ndarray, np.ndarray]], classes: int) -> list[float | None]:
    """IoU over all frames at once, from the sets of pixels (frame, y, x) of each class; None for an
    absent class."""
    values: list[float | None] = []
    for wanted in range(classes):
        truth, predicted = set(), set()
        for number, (label, prediction) in enumerate(pairs):
            for place in np.ndindex(label.shape):
                if label[place] != 255:
                    truth |= {(number, *place)} if label[place] == wanted else set()
                    predicted |= {(number, *place)} if prediction[place] == wanted else set()
        values.append(
            len(truth & predicted) / len(truth | predicted) if truth | predicted else None
        )
    return values


def mean(values: list[float | None]) -> float:
    present = [value for value in values if value is not None]
    return sum(present) / len(present)


@pytest.fixture
def frames() -> list[tuple[np.ndarray, np.ndarray]]:
    """Nine frames of four classes, of which class 3 never occurs and class 2 is predicted but never
    true."""
    random = np.random.default_rng(7)
    labels = random.choice([0, 1, 255], p=[0.5, 0.4, 0.1], size=(9, 6, 8)).astype(np.uint8)
    return [(label, np.where(random.random(label.shape) < 0.3, 2, label % 2)) for label in labels]


def matrices_of(frames: list[tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    return np.stack([confusion_matrix(label, prediction, CLASSES) for label, prediction in frames])


def test_iou_equals_that_of_sets_of_pixels(frames: list) -> None:
    for frame, matrix in zip(frames, matrices_of(frames), strict=True):
        expected = iou_of_sets([frame], CLASSES)
        assert iou(matrix).tolist() == pytest.approx(
            [math.nan if v is None else v for v in expected], nan_ok=True
        )
        assert mean_iou(matrix) == pytest.approx(mean(expected))


def test_an_absent_class_is_left_out_and_one_only_predicted_counts_as_zero() -> None:
    matrix = np.array([[3, 0, 1], [0, 0, 0], [0, 0, 0]])
    assert iou(matrix).tolist() == pytest.approx([0.75, math.nan, 0.0], nan_ok=True)
    assert mean_iou(matrix) == 0.375


def test_a_matrix_without_pixels_has_no_mean_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert math.isnan(mean_iou(np.zeros((3, 3), np.int64)))


def test_each_distance_has_one_matrix_and_the_mean_is_unweighted(frames: list) -> None:
    distances = np.array([0, 0, 0, 0, 1, 1, 1, 3, 3])
    expected = [
        mean(
            iou_of_sets(
                [frame for frame, d in zip(frames, distances, strict=True) if d == distance],
                CLASSES,
            )
        )
        for distance in (0, 1, 3)
    ]
    matrices = matrices_of(frames)

    assert miou_by_distance(matrices, distances) == pytest.approx(
        [expected[0], expected[1], None, expected[2]]
    )
    assert miou(matrices, distances) == pytest.approx(sum(expected) / 3)
    assert pooled_miou(matrices) == pytest.approx(mean(iou_of_sets(frames, CLASSES)))


def test_the_order_of_frames_does_not_matter(frames: list) -> None:
    matrices, distances = matrices_of(frames), np.array([0, 1, 2] * 3)
    shuffled = np.random.default_rng(0).permutation(9)
    assert miou_by_distance(matrices[shuffled], distances[shuffled]) == miou_by_distance(
        matrices, distances
    )


def test_a_distance_whose_frames_have_no_labels_has_no_miou() -> None:
    matrices = np.stack(
        [np.eye(2, dtype=np.int64), np.zeros((2, 2), np.int64), np.eye(2, dtype=np.int64)]
    )
    assert miou_by_distance(matrices, np.array([0, 1, 2])) == [1.0, None, 1.0]
    assert miou(matrices, np.array([0, 1, 2])) == 1.0


def test_nothing_scored_gives_none() -> None:
    empty, none = np.zeros((0, 3, 3), np.int64), np.zeros(0, np.int64)
    assert miou_by_distance(empty, none) == []
    assert miou(empty, none) is None
    assert pooled_miou(empty) is None
    assert np.isnan(class_iou(empty, none)).all()


def test_class_iou_is_the_mean_over_the_distances_where_the_class_occurs() -> None:
    first, second = (
        np.array([[2, 2, 0], [0, 4, 0], [0, 0, 0]]),
        np.array([[3, 0, 0], [0, 0, 0], [0, 0, 0]]),
    )
    values = class_iou(np.stack([first, second]), np.array([0, 5]))
    assert values.tolist() == pytest.approx([(0.5 + 1.0) / 2, 4 / 6, math.nan], nan_ok=True)


@pytest.mark.parametrize(
    ("matrices", "distances", "said"),
    [
        (np.zeros((2, 3, 3), np.int64), np.zeros(3, np.int64), "expected"),
        (np.zeros((2, 3, 4), np.int64), np.zeros(2, np.int64), "expected"),
        (np.zeros((1, 3, 3), np.int64), np.array([-1]), "distance -1"),
    ],
)
def test_arrays_that_do_not_fit_are_refused_in_words(
    matrices: np.ndarray, distances: np.ndarray, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        miou_by_distance(matrices, distances)
