"""Predictions for VSPW in its own layout: mIoU and VC as its authors' script counts them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.datasets import fakes
from vssbench.core.variant import parse_variant
from vssbench.exchange.input import open_input
from vssbench.exchange.score import Scoring, score
from vssbench.metrics.consistency import vc
from vssbench.run.store import RunStore

LONG = "1_wHveSGjXyDY"


def authors_vc(labels: list[np.ndarray], predictions: list[np.ndarray], length: int) -> list[float]:
    """The share of pixels of lasting truth whose prediction lasts, of each window but the last."""
    shares = []
    for first in range(len(labels) - length):
        truth, predicted = (
            np.all([each == values[first] for each in values[first : first + length]], axis=0)
            for values in (labels, predictions)
        )
        shares.append(float((truth & predicted).sum() / truth.sum()))
    return shares


def test_vc_of_predictions_is_the_authors(tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="motion is estimated by OpenCV")
    root = fakes.vspw(tmp_path, frames=20)
    rng = np.random.default_rng(3)
    labels: list[np.ndarray] = []
    predictions: list[np.ndarray] = []
    for path in sorted((root / "data").glob("[13]_*/mask/*.png")):
        label = np.array(Pillow.open(path))
        # classes from 0, right but where nothing is scored and in a few pixels of some frames
        predicted = np.where((label == 0) | (label == 255), 1, label).astype(np.uint8) - 1
        predicted[rng.random(predicted.shape) < 0.01] = 7
        fakes.save(tmp_path / "out" / path.parts[-3] / path.name, predicted)
        if path.parts[-3] == LONG:
            labels.append(label)
            predictions.append(predicted)
    assert len(labels) == 20
    source = open_input("vspw", root, "raw[gop=1]", None, "dense")
    scoring = Scoring(tmp_path / "out", parse_variant("theirs"), source, measures=("consistency",))
    store = RunStore(tmp_path / "runs")
    run = store.get(score(scoring, store, "test", scoring.predictions.digest()).run_id)
    arrays = run.meter("consistency")
    assert arrays is not None
    for length in (8, 16):
        expected = authors_vc(labels, predictions, length)
        assert expected
        assert vc(arrays, length) == pytest.approx(np.mean(expected), abs=1e-12)
    # the short video has no window, and every frame of both is scored
    assert run.measurement.frames == 24
    assert run.measurement.dataset_title == "VSPW 64x64 to 64x96"
