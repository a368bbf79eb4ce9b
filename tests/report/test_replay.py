"""Frames of stored runs that are segmented again, and the pictures made of them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vssbench.core import registry
from vssbench.core.dataset import Dataset
from vssbench.core.errors import DataError, WeightsError
from vssbench.core.variant import parse_variant
from vssbench.protocol import Dense, EveryDistance, Pairs, Protocol
from vssbench.report.page import replay as module
from vssbench.report.page import scenes
from vssbench.report.page.content import content
from vssbench.report.page.pictures import WRONG, Pictures, drawing, errors
from vssbench.report.page.replay import Place, Replay, Sources
from vssbench.report.page.scenes import Wish, pictures
from vssbench.report.rows import rows
from vssbench.run.experiment import Experiment
from vssbench.run.measuring import measure
from vssbench.run.store import RunStore
from vssbench.weights.file import open_weights
from vssbench.weights.writing import save_weights

Measured = Callable[..., RunStore]
GOP = 4


@pytest.fixture
def measured(patterns: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Measured:
    """A store with runs of small networks on the patterns, whose weights lie beside it."""
    monkeypatch.setattr(module, "open_dataset", lambda variant, root: patterns)

    def make(
        protocol: Protocol | None = None,
        methods: tuple[str, ...] = ("bisenet",),
        without: tuple[str, ...] = (),
    ) -> RunStore:
        store = RunStore(tmp_path / "runs")
        for seed, method in enumerate(methods):
            torch.manual_seed(seed)
            variant, codec = parse_variant(f"{method}[width=0.125]"), parse_variant("raw[gop=4]")
            path = tmp_path / f"{method}.safetensors"
            if not path.exists():
                model = registry.create("methods", variant, classes=3)
                save_weights(path, model, variant, patterns.classes, "patterns", {})
            experiment = Experiment(
                variant, open_weights(path), parse_variant("patterns"), patterns, codec,
                registry.create("codecs", codec), protocol or Dense(),
                without=without,
            )  # fmt: skip
            assert measure(experiment, store, "test").status == "done"
        return store

    return make


def sources(store: RunStore) -> Sources:
    return Sources(weights=sorted(store.root.parent.glob("*.safetensors")))


@pytest.mark.parametrize("protocol", [Dense(), EveryDistance(), EveryDistance("label"), Pairs()])
def test_predictions_are_those_that_were_scored(measured: Measured, protocol: Protocol) -> None:
    store = measured(protocol)
    (run,) = store.runs()
    record = run.confusion
    assert record is not None
    places = [
        Place(int(clip), int(frame), int(distance))
        for clip, frame, distance in zip(record.clips, record.frames, record.distances, strict=True)
    ]
    found = Replay(run, sources(store)).frames(places)
    assert found.keys() == set(places)
    assert {seen.differing for seen in found.values()} == {0.0}
    for place, seen in found.items():
        assert seen.image.shape == (64, 96, 3)
        assert seen.label is not None
        assert seen.prediction.shape == seen.label.shape, place


def test_classes_that_are_not_scored_are_ignored_in_labels(measured: Measured) -> None:
    store = measured(without=("red",))
    (run,) = store.runs()
    record = run.confusion
    assert record is not None
    place = Place(int(record.clips[0]), int(record.frames[0]), int(record.distances[0]))
    for further, values in (((), {0, 2, 255}), (("BLUE",), {0, 255})):
        seen = Replay(run, sources(store), further).frames([place])[place]
        assert seen.differing == 0.0
        assert seen.label is not None
        assert set(np.unique(seen.label)) == values


def test_a_prediction_that_is_another_is_counted(measured: Measured) -> None:
    store = measured()
    (run,) = store.runs()
    record = run.confusion
    assert record is not None
    record.matrices[0] = np.roll(record.matrices[0], 1, axis=1)
    place = Place(int(record.clips[0]), int(record.frames[0]), int(record.distances[0]))
    seen = Replay(run, sources(store)).frames([place])[place]
    assert seen.differing is not None
    assert seen.differing > 0


def test_what_is_not_here_is_said(measured: Measured, patterns: Dataset) -> None:
    store = measured()
    (run,) = store.runs()
    with pytest.raises(WeightsError, match=r"the weights bisenet.safetensors .* are not here"):
        Replay(run, Sources())
    other = replace(run, measurement=run.measurement.model_copy(update={"data": "0" * 16}))
    with pytest.raises(DataError, match="are not those that were scored"):
        Replay(other, sources(store))


def test_a_device_that_is_not_here_is_replaced_by_the_cpu(measured: Measured) -> None:
    store = measured()
    (run,) = store.runs()
    other = replace(run, measurement=run.measurement.model_copy(update={"device": "cuda:99"}))
    if torch.cuda.device_count() > 99:
        pytest.skip("a hundred GPUs")
    assert Replay(other, sources(store)).stream.device == "cpu"


def picture(source: str) -> np.ndarray:
    kind, _, data = source.partition(",")
    assert kind == "data:image/webp;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def made(store: RunStore, wish: Wish, told: list[str] | None = None) -> Pictures:
    page = content(store, rows(store.runs()))
    return pictures(store, page, wish, sources(store), (told if told is not None else []).append)


def test_the_worst_frames_are_drawn_by_every_method(measured: Measured) -> None:
    store = measured(methods=("bisenet", "pspnet"))
    told: list[str] = []
    found = made(store, Wish(2, (1, 3)), told)
    assert len(told) == 2
    assert found.notes == ()
    (scene,) = found.scenes
    assert [name for name, _ in scene.colours] == ["ground", "red", "blue"]
    assert len(scene.strips) == 4  # two clips: two frames at each of two distances
    means: dict[tuple[int, int, int], list[float]] = {}
    for run in store.runs():
        record = run.confusion
        assert record is not None
        for clip, frame, distance, matrix in zip(
            record.clips, record.frames, record.distances, record.matrices, strict=True
        ):
            union = matrix.sum(0) + matrix.sum(1) - np.diag(matrix)
            score = np.mean(np.diag(matrix)[union > 0] / union[union > 0])
            means.setdefault((int(clip), int(frame), int(distance)), []).append(float(score))
    third = {place: np.mean(values) for place, values in means.items() if place[2] == 3}
    worst = min(third, key=third.__getitem__)
    strip = scene.strips[2]
    assert f"Frame {worst[1]} of" in strip.title
    assert f"{100 * third[worst]:.2f} %" in strip.title
    assert [tile.run for tile in strip.tiles] == [None, 0, 1]
    assert all(len(tile.pictures) == 2 for tile in strip.tiles)
    assert picture(strip.tiles[1].pictures[0].source).shape == (64, 96, 3)
    assert scene.loop is not None
    assert scene.loop.length == GOP
    assert [series.run for series in scene.loop.series] == [None, None, 0, 1]


def test_by_default_the_greatest_distance_is_shown(measured: Measured) -> None:
    (scene,) = made(measured(), Wish(1)).scenes
    (strip,) = scene.strips
    assert f"{GOP - 1} frames after its keyframe" in strip.title


def test_runs_that_cannot_be_segmented_again_are_named(measured: Measured) -> None:
    store = measured(methods=("bisenet", "pspnet"))
    (store.root.parent / "pspnet.safetensors").unlink()
    found = made(store, Wish(1))
    assert len(found.scenes) == 1
    (note,) = found.notes
    assert note.startswith("No pictures of PSPNet18")
    assert "pspnet.safetensors" in note


def test_pictures_end_where_the_page_would_become_large(
    measured: Measured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scenes, "MOST_BYTES", 10)
    store = measured()
    measured(EveryDistance())
    found = made(store, Wish(1))
    assert len(found.scenes) == 1
    assert found.notes[-1].startswith("1 set of conditions has no pictures")


def test_labels_and_errors_as_pictures() -> None:
    palette = np.zeros((256, 3), np.uint8)
    palette[1] = (10, 200, 30)
    label = np.array([[1] * 32] * 32, np.uint8)
    guess = label.copy()
    guess[:, 16:] = 0
    label[:8] = 255
    image = np.full((32, 32, 3), 90, np.uint8)
    coloured = picture(drawing(label, palette))
    assert (coloured[8:] == palette[1]).all()
    assert np.ptp(coloured[:8]) > 0  # hatched
    wrong = picture(errors(image, label, guess)).astype(int)
    assert np.abs(wrong[24, 24] - WRONG).max() < 40
    assert np.ptp(wrong[24, 4]) < 12  # grey
    assert wrong[24, 4].mean() == pytest.approx(90 // 2 + 100, abs=12)
