"""All scores against loops over pixels, against torchmetrics and against the evaluation of
cityscapesScripts."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vssbench.core import torchvision_guard
from vssbench.core.errors import DataError, UsageError
from vssbench.metrics.confusion import confusion_matrix
from vssbench.metrics.iou import class_iou, miou, miou_by_distance, pooled_miou
from vssbench.metrics.scores import Scores, mean_ious, scores
from vssbench.protocol import MEAN_OF_DISTANCES, POOLED
from vssbench.run.records import ConfusionRecord

CLASSES = 5
CITYSCAPES = Path(os.environ.get("VSSBENCH_TEST_DATA", "/nonexistent")) / "cityscapes_mini"
#: Cityscapes' labelIds of the 19 train ids, in their order
LABEL_IDS = (7, 8, 11, 12, 13, 17, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 31, 32, 33)


def frames_of(
    seed: int, classes: int, count: int = 8, absent: tuple[int, ...] = ()
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predictions uint8 (count, 9, 11); predictions are right half of the time."""
    random = np.random.default_rng(seed)
    there = [c for c in range(classes) if c not in absent]
    labels = random.choice(there, (count, 9, 11)).astype(np.uint8)
    predictions = np.where(
        random.random(labels.shape) < 0.5, labels, random.choice(there, labels.shape)
    ).astype(np.uint8)
    labels[random.random(labels.shape) < 0.1] = 255
    return labels, predictions


def record_of(
    labels: np.ndarray, predictions: np.ndarray, distances: list[int], classes: int
) -> ConfusionRecord:
    matrices = np.stack(
        [confusion_matrix(*pair, classes) for pair in zip(labels, predictions, strict=True)]
    )
    numbers = np.arange(len(labels))
    return ConfusionRecord(matrices, np.array(distances, np.int64), numbers // 5, numbers % 5)


def counted_slowly(
    pairs: list[tuple[np.ndarray, np.ndarray]], classes: int, empty: float | None = None
) -> dict[str, Any]:
    """The scores of frames taken together, by loops over pixels; ``empty`` is what an absent class
    counts for."""
    both = [
        (int(t), int(p))
        for label, guess in pairs
        for t, p in zip(label.flat, guess.flat, strict=True)
        if t != 255
    ]
    ious: list[float | None] = []
    accuracies: list[float | None] = []
    weighted = 0.0
    for c in range(classes):
        hits = sum(t == c == p for t, p in both)
        either = sum(c in pair for pair in both)
        truth = sum(t == c for t, _ in both)
        ious.append(hits / either if either else empty)
        accuracies.append(hits / truth if truth else empty)
        weighted += truth * (hits / either) if either else 0.0
    return {
        "miou": mean(ious),
        "class_iou": ious,
        "frequency_weighted_iou": weighted / len(both),
        "pixel_accuracy": sum(t == p for t, p in both) / len(both),
        "mean_accuracy": mean(accuracies),
        "class_accuracy": accuracies,
    }


def mean(values: list[float | None]) -> float:
    present = [value for value in values if value is not None]
    return sum(present) / len(present)


def same(found: Scores, name: str, expected: Any) -> None:
    value = getattr(found, name)
    assert (list(value) if isinstance(value, tuple) else value) == pytest.approx(
        expected, abs=1e-12
    ), name


@pytest.mark.parametrize(("absent", "empty"), [("skip", None), ("zero", 0.0), ("one", 1.0)])
def test_pooled_scores_equal_those_of_loops_under_each_rule_for_absent_classes(
    absent: str, empty: float | None
) -> None:
    labels, predictions = frames_of(1, CLASSES, absent=(3,))
    expected = counted_slowly(list(zip(labels, predictions, strict=True)), CLASSES, empty)
    found = scores(record_of(labels, predictions, [0, 1, 2, 3] * 2, CLASSES), POOLED, absent)
    for name, value in expected.items():
        same(found, name, value)
    assert found.pooled_miou == found.miou


def test_scores_are_the_means_of_those_at_each_distance() -> None:
    labels, predictions = frames_of(2, CLASSES)
    distances = [0, 0, 0, 1, 1, 1, 1, 3]
    pairs = list(zip(labels, predictions, strict=True))
    each = {
        d: counted_slowly([p for p, at in zip(pairs, distances, strict=True) if at == d], CLASSES)
        for d in (0, 1, 3)
    }
    found = scores(record_of(labels, predictions, distances, CLASSES), MEAN_OF_DISTANCES)
    for name in ("miou", "frequency_weighted_iou", "pixel_accuracy", "mean_accuracy"):
        same(found, name, mean([item[name] for item in each.values()]))
    for name in ("class_iou", "class_accuracy"):
        same(found, name, [mean([item[name][c] for item in each.values()]) for c in range(CLASSES)])
    assert found.miou_by_distance == pytest.approx(
        [each[0]["miou"], each[1]["miou"], None, each[3]["miou"]]
    )
    assert found.pooled_miou == pytest.approx(counted_slowly(pairs, CLASSES)["miou"])


@pytest.mark.parametrize("aggregate", [MEAN_OF_DISTANCES, POOLED])
@pytest.mark.parametrize("absent", ["skip", "zero", "one"])
@pytest.mark.parametrize("left_out", [(), (1,), tuple(range(CLASSES))])
def test_the_scores_by_iou_alone_are_the_same(
    aggregate: str, absent: str, left_out: tuple[int, ...]
) -> None:
    labels, predictions = frames_of(5, CLASSES, absent=(3,))
    labels[4:6] = 255  # a distance at which nothing is counted
    record = record_of(labels, predictions, [0, 0, 1, 1, 2, 2, 4, 4], CLASSES)
    every = scores(record, aggregate, absent, left_out)
    found = mean_ious(record, aggregate, absent, left_out)
    for name, value in vars(found).items():
        assert value == getattr(every, name), name
    assert (found.miou is None) == (len(left_out) == CLASSES)


def test_the_image_level_is_the_mean_of_the_frames_own() -> None:
    labels, predictions = frames_of(3, CLASSES)
    labels[2][labels[2] == 4] = 0
    predictions[2][predictions[2] == 4] = 0
    distances = [0, 0, 0, 0, 0, 1, 1, 1]
    pairs = list(zip(labels, predictions, strict=True))
    record = record_of(labels, predictions, distances, CLASSES)
    for absent, empty in (("skip", None), ("zero", 0.0)):
        own = [counted_slowly([pair], CLASSES, empty)["miou"] for pair in pairs]
        assert scores(record, POOLED, absent).image_miou == pytest.approx(mean(own))
        expected = (mean(own[:5]) + mean(own[5:])) / 2
        assert scores(record, MEAN_OF_DISTANCES, absent).image_miou == pytest.approx(expected)


def test_a_class_left_out_is_not_scored_but_predicting_it_is_an_error() -> None:
    labels, predictions = frames_of(4, CLASSES)
    without = np.where(labels == 4, 255, labels).astype(np.uint8)
    whole = counted_slowly(list(zip(without, predictions, strict=True)), CLASSES)
    found = scores(record_of(labels, predictions, [0] * 8, CLASSES), POOLED, left_out=[4])
    assert found.miou == pytest.approx(mean(whole["class_iou"][:4]))
    assert found.pixel_accuracy == pytest.approx(whole["pixel_accuracy"])
    assert (found.class_iou[4], found.class_accuracy[4]) == (None, None)
    assert found.class_iou[:4] == pytest.approx(whole["class_iou"][:4])


def test_they_agree_with_the_functions_that_give_one_number() -> None:
    record = record_of(*frames_of(5, CLASSES, absent=(1,)), [0, 1, 2, 0, 1, 2, 5, 5], CLASSES)
    found = scores(record)
    assert found.miou == miou(record.matrices, record.distances)
    assert list(found.miou_by_distance) == miou_by_distance(record.matrices, record.distances)
    assert found.pooled_miou == pooled_miou(record.matrices)
    expected = class_iou(record.matrices, record.distances)
    assert [math.nan if v is None else v for v in found.class_iou] == pytest.approx(
        expected.tolist(), nan_ok=True
    )


def test_frames_are_counted_once_however_often_they_are_scored() -> None:
    labels, predictions = frames_of(6, CLASSES, 4)
    record = record_of(labels, predictions, [0, 1, 0, 1], CLASSES)
    twice = ConfusionRecord(
        record.matrices, record.distances, np.zeros(4, np.int64), np.array([7, 7, 8, 8])
    )
    found = scores(twice)
    assert (found.frames, found.rows) == (2, 4)


def test_nothing_scored_gives_none() -> None:
    none = np.zeros(0, np.int64)
    for aggregate in (MEAN_OF_DISTANCES, POOLED):
        found = scores(ConfusionRecord(np.zeros((0, 3, 3), np.int64), none, none, none), aggregate)
        assert (found.miou, found.pooled_miou, found.image_miou, found.pixel_accuracy) == (
            None,
        ) * 4
        assert (found.miou_by_distance, found.class_iou) == ((), (None,) * 3)
    unlabelled = ConfusionRecord(
        np.zeros((1, 3, 3), np.int64), np.array([2]), np.array([0]), np.array([0])
    )
    assert scores(unlabelled).miou is None


@pytest.mark.parametrize(
    ("rules", "kind", "said"),
    [
        ({"absent": "ignore"}, UsageError, "skip, zero, one"),
        ({"aggregate": "median"}, UsageError, "pooled"),
        ({"left_out": [5]}, UsageError, r"classes 0\.\.4"),
    ],
)
def test_unknown_rules_are_refused_in_words(rules: dict, kind: type, said: str) -> None:
    with pytest.raises(kind, match=said):
        scores(record_of(*frames_of(7, CLASSES), [0] * 8, CLASSES), **rules)


def test_arrays_that_do_not_fit_are_refused() -> None:
    none = np.zeros(0, np.int64)
    with pytest.raises(DataError, match="expected"):
        scores(ConfusionRecord(np.zeros((0, 3, 4), np.int64), none, none, none))


@pytest.mark.parametrize("classes", [2, 11, 12, 19])
def test_equal_to_torchmetrics(classes: int) -> None:
    torchvision_guard.install()  # torchmetrics imports torchvision
    torchmetrics = pytest.importorskip("torchmetrics", reason="torchmetrics is not installed")
    random = np.random.default_rng(classes)
    labels = random.integers(0, classes, (6, 40, 50)).astype(np.uint8)
    labels[random.random(labels.shape) < 0.1] = 255
    predictions = random.integers(0, classes, labels.shape).astype(np.uint8)
    record = record_of(labels, predictions, [0, 1, 2] * 2, classes)
    found = scores(record, POOLED)
    both = torch.from_numpy(predictions).long(), torch.from_numpy(labels).long()
    task = {"task": "multiclass", "num_classes": classes, "ignore_index": 255}
    np.testing.assert_array_equal(
        record.matrices.sum(axis=0), torchmetrics.ConfusionMatrix(**task)(*both).numpy()
    )
    for ours, kind, average in (
        (found.miou, "JaccardIndex", "macro"),
        (found.class_iou, "JaccardIndex", "none"),
        (found.frequency_weighted_iou, "JaccardIndex", "weighted"),
        (found.pixel_accuracy, "Accuracy", "micro"),
        (found.mean_accuracy, "Accuracy", "macro"),
        (found.class_accuracy, "Accuracy", "none"),
    ):
        theirs = getattr(torchmetrics, kind)(**task, average=average)(*both).numpy()
        # it adds in float32, whose last digit may differ from that of the true mean
        np.testing.assert_array_max_ulp(
            np.float32(ours), theirs, maxulp=2 if average in ("macro", "weighted") else 0
        )


@pytest.mark.skipif(
    not CITYSCAPES.is_dir(), reason="VSSBENCH_TEST_DATA does not name a folder with cityscapes_mini"
)
def test_equal_to_cityscapes_scripts(tmp_path: Path) -> None:
    evaluation = pytest.importorskip(
        "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling",
        reason="cityscapesScripts is not installed",
    )
    truths = sorted((CITYSCAPES / "gtFine" / "val").rglob("*_gtFine_labelIds.png"))
    train_id = np.full(256, 255, np.uint8)
    train_id[list(LABEL_IDS)] = np.arange(19)
    guesses, matrices = [], []
    for seed, path in enumerate(truths):
        truth = train_id[np.array(Image.open(path))]
        random = np.random.default_rng(seed)
        wrong = np.repeat(np.repeat(random.random((64, 128)) < 0.3, 16, 0), 16, 1)
        guess = np.where(
            wrong | (truth == 255), random.integers(0, 19, truth.shape), np.roll(truth, 3, 1)
        ).astype(np.uint8)
        guess[guess == 255] = 0
        guesses.append(str(tmp_path / f"{seed}.png"))
        Image.fromarray(np.array(LABEL_IDS, np.uint8)[guess]).save(guesses[-1])
        matrices.append(confusion_matrix(truth, guess, 19))
    evaluation.args.quiet, evaluation.args.evalInstLevelScore, evaluation.args.JSONOutput = (
        True,
        False,
        False,
    )
    theirs = evaluation.evaluateImgLists(guesses, [str(path) for path in truths], evaluation.args)

    none = np.zeros(len(matrices), np.int64)
    found = scores(ConfusionRecord(np.stack(matrices), none, none, np.arange(len(matrices))))

    assert len(truths) == 2
    names = ["road", "sidewalk", "building", "wall", "fence", "pole", "traffic light",
    "traffic sign", "vegetation", "terrain",
             "sky", "person", "rider", "car", "truck", "bus", "train", "motorcycle",
             "bicycle"]  # fmt: skip
    assert list(found.class_iou) == [theirs["classScores"][name] for name in names]
    assert found.miou == pytest.approx(theirs["averageScoreClasses"], abs=1e-15)
