"""The confusion matrix against counting pixel by pixel."""

from __future__ import annotations

import numpy as np
import pytest

from vssbench.core.errors import DataError, UsageError
from vssbench.metrics.confusion import confusion_matrix


def counted_one_by_one(
    label: np.ndarray, prediction: np.ndarray, classes: int, ignore: int
) -> list[list[int]]:
    counts = [[0] * classes for _ in range(classes)]
    for truth, predicted in zip(label.ravel().tolist(), prediction.ravel().tolist(), strict=True):
        if truth != ignore:
            counts[truth][predicted] += 1
    return counts


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
@pytest.mark.parametrize(
    ("classes", "ignore"), [(1, 255), (2, 0), (11, 255), (19, 255), (200, 254)]
)
def test_equals_counting_pixel_by_pixel(dtype: type, classes: int, ignore: int) -> None:
    random = np.random.default_rng(classes)
    label = random.integers(0, classes, (17, 23), dtype=np.uint8)
    label[random.random(label.shape) < 0.2] = ignore
    prediction: np.ndarray = random.integers(0, classes, label.shape).astype(dtype)

    matrix = confusion_matrix(label, prediction, classes, ignore)

    assert matrix.dtype == np.int64
    assert matrix.tolist() == counted_one_by_one(label, prediction, classes, ignore)


def test_rows_are_the_truth() -> None:
    matrix = confusion_matrix(np.array([[0, 0, 0]], np.uint8), np.array([[1, 1, 0]]), 2)
    assert matrix.tolist() == [[1, 2], [0, 0]]


def test_a_prediction_at_an_ignored_pixel_is_never_looked_at() -> None:
    matrix = confusion_matrix(np.array([[255, 1]], np.uint8), np.array([[250, 1]], np.uint8), 2)
    assert matrix.tolist() == [[0, 0], [0, 1]]


def test_a_frame_without_labels_counts_nothing() -> None:
    assert not confusion_matrix(np.full((4, 5), 255, np.uint8), np.zeros((4, 5), np.int64), 3).any()


def test_the_arguments_are_left_as_they_were() -> None:
    label, prediction = np.array([[255, 1]], np.uint8), np.array([[0, 1]])
    confusion_matrix(label, prediction, 2)
    assert (label.tolist(), prediction.tolist()) == ([[255, 1]], [[0, 1]])


@pytest.mark.parametrize(
    ("label", "prediction", "said"),
    [
        ([[0, 3]], [[0, 0]], r"label with the value 3: expected 0\.\.2"),
        ([[0, 1]], [[0, 3]], r"prediction with the value 3: expected 0\.\.2"),
        ([[0, 1]], [[0, -1]], r"prediction with the value -1"),
        ([[0, 1]], [[0]], r"shape \(1, 1\) for a label of shape \(1, 2\)"),
    ],
)
def test_what_is_no_class_is_refused_in_words(label: list, prediction: list, said: str) -> None:
    with pytest.raises(DataError, match=said):
        confusion_matrix(np.array(label, np.uint8), np.array(prediction), 3)


def test_no_classes_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one"):
        confusion_matrix(np.zeros((1, 1), np.uint8), np.zeros((1, 1), np.int64), 0)
