"""Exported frames are what methods see: a program that reads nothing else scores as `run` does."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.datasets import fakes
from tests.exchange.conftest import CODEC, STREET, save_png
from vssbench.core import registry
from vssbench.core.errors import DataError, ExperimentRefused, UsageError
from vssbench.core.motion import MotionField
from vssbench.core.variant import parse_variant
from vssbench.core.video import Frame
from vssbench.exchange.export import CLASSES, FRAMES, RECORD, Export
from vssbench.exchange.input import Input, open_input
from vssbench.exchange.score import Scoring, score
from vssbench.fast.prepare import prepare
from vssbench.run.experiment import Experiment
from vssbench.run.measuring import measure
from vssbench.run.store import RunStore
from vssbench.run.stream import Stream
from vssbench.weights.network import load_into

Make = Callable[..., Experiment]
Street = Callable[..., Input]


def listed(folder: Path) -> list[dict[str, str]]:
    with (folder / FRAMES).open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pixels(path: Path) -> np.ndarray:
    return np.array(Pillow.open(path))


def test_files_are_what_the_codec_gives(small_street: Street, tmp_path: Path) -> None:
    source = small_street()
    out = Export(source, tmp_path / "out").write()
    lines = listed(out)
    assert len(lines) == 14
    assert not list(tmp_path.glob(".*"))
    for clip in source.clips:
        its = [line for line in lines if line["clip"] == clip.name]
        for frame, line in zip(source.codec.frames(clip), its, strict=True):
            key = frame.index - frame.distance
            assert line["frame"] == str(frame.index)
            assert (line["distance"], line["keyframe"]) == (str(frame.distance), str(key))
            assert (line["picture_type"], line["bits"]) == (frame.picture_type, str(frame.bits))
            assert line["scored"] == "1"
            assert line["image"] == f"frames/{clip.name}/{frame.index:06d}.png"
            assert line["keyframe_image"] == f"frames/{clip.name}/{key:06d}.png"
            assert line["prediction"] == f"{clip.name}/{frame.index:06d}.png"
            np.testing.assert_array_equal(pixels(out / line["image"]), frame.image)
            np.testing.assert_array_equal(pixels(out / line["label"]), clip.label(frame.index))
            assert frame.motion is not None
            if frame.distance:
                field = np.load(out / line["motion"])["field"]
                assert field.dtype == np.float32
                np.testing.assert_array_equal(field, frame.motion.dense())
            else:
                assert line["motion"] == ""
    names = [line.split(",")[1] for line in (out / CLASSES).read_text().splitlines()]
    assert names == ["name", *source.dataset.classes]
    record = json.loads((out / RECORD).read_text())
    assert (record["dataset"], record["codec"], record["protocol"]) == (STREET, CODEC, "dense")


@pytest.mark.parametrize("protocol", ["dense", "every-distance", "pairs"])
def test_a_program_elsewhere_scores_as_run_does(
    protocol: str, small_street: Street, experiment_of: Make, tmp_path: Path
) -> None:
    """It reads the export alone, frame by frame in the order of the list, and writes predictions
    where that says."""
    source = small_street(protocol=protocol)
    experiment = experiment_of("warp[network=bisenet[width=0.125]]", source)
    store = RunStore(tmp_path / "runs")
    measured = store.get(measure(experiment, store, "test").run_id)
    folder = Export(source, tmp_path / "out").write()
    model = registry.create("methods", experiment.method, classes=11)
    load_into(model, experiment.method, source.dataset.classes, experiment.weights)
    stream = Stream(prepare(model))
    for line in listed(folder):
        distance, image = int(line["distance"]), pixels(folder / line["image"])
        if distance:
            stream.segment(Frame(0, pixels(folder / line["keyframe_image"]), "I", 0))
            field = np.load(folder / line["motion"])["field"]
            motion = MotionField(field, 1, *image.shape[:2], 0.0)
            labels, _ = stream.segment(Frame(distance, image, "P", distance, motion=motion))
        else:
            labels, _ = stream.segment(Frame(0, image, "I", 0))
        save_png(tmp_path / "predictions" / line["prediction"].removesuffix(".png"), labels)
    scoring = Scoring(tmp_path / "predictions", parse_variant("theirs"), source)
    theirs = store.get(score(scoring, store, "test", scoring.predictions.digest()).run_id)
    assert theirs.confusion is not None
    assert measured.confusion is not None
    np.testing.assert_array_equal(theirs.confusion.matrices, measured.confusion.matrices)
    np.testing.assert_array_equal(theirs.confusion.distances, measured.confusion.distances)


def test_uncompressed_frames_come_without_motion(small_street: Street, tmp_path: Path) -> None:
    source = small_street("raw[gop=3]")
    out = Export(source, tmp_path / "out").write()
    lines = listed(out)
    assert {line["motion"] for line in lines} == {""}
    assert not (out / "motion").exists()
    np.testing.assert_array_equal(pixels(out / lines[4]["image"]), source.clips[0].image(4))


def test_frames_bear_the_names_of_the_dataset(tmp_path: Path) -> None:
    root = fakes.vspw(tmp_path, frames=4)
    source = open_input("vspw", root, "raw[gop=2]", None, "dense")
    lines = listed(Export(source, tmp_path / "out").write())
    assert lines[1]["name"] == "00000167"
    assert lines[1]["prediction"] == "1_wHveSGjXyDY/00000167.png"


def test_a_folder_that_is_not_empty_is_refused(small_street: Street, tmp_path: Path) -> None:
    source, out = small_street("raw[gop=3]"), tmp_path / "out"
    export = Export(source, out)
    out.mkdir()
    export.check(force=False)
    (out / "thesis.tex").write_text("mine")
    for force in (False, True):
        with pytest.raises(UsageError, match="is not empty, and is no export"):
            export.check(force)
    shutil.rmtree(out)
    export.write()
    with pytest.raises(UsageError, match="holds an export: give another one, or --force"):
        export.check(force=False)
    (out / "frames" / "stray.png").write_text("of an older export")
    export.check(force=True)
    export.write()
    assert not (out / "frames" / "stray.png").exists()
    with pytest.raises(UsageError, match="is a file: expected a folder"):
        Export(source, out / FRAMES).check(force=True)


def test_what_cannot_be_scored_is_refused_before_anything_is_written(
    small_street: Street, tmp_path: Path
) -> None:
    source = small_street("raw[gop=12]", "pairs")
    with pytest.raises(ExperimentRefused, match="needs 11 frames before a labelled one"):
        Export(source, tmp_path / "out").check(force=False)
    assert not (tmp_path / "out").exists()


def test_nothing_is_left_of_an_export_that_fails(
    small_street: Street, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, count = small_street("raw[gop=3]"), []

    def fail() -> None:
        count.append(1)
        if len(count) == 5:
            raise DataError("the fifth frame is broken")

    with pytest.raises(DataError, match="the fifth frame"):
        Export(source, tmp_path / "out").write(fail)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("protocol", "images", "motion"),
    [("dense", 14, 8), ("pairs", 50, 20), ("every-distance", 50, 20)],
)
def test_the_size_is_told_before(
    protocol: str, images: int, motion: int, small_street: Street, tmp_path: Path
) -> None:
    """Random noise is what PNGs of a street come near: within a half of what is written."""
    export = Export(small_street(protocol=protocol), tmp_path / "out")
    found = export.estimate()
    out = export.write()
    pngs = [path for kind in ("frames", "keyframes") for path in (out / kind).rglob("*.png")]
    assert (found.images, found.motion) == (images, motion)
    assert len(pngs) == images
    assert len(list((out / "motion").rglob("*.npz"))) == motion
    assert len(list((out / "labels").rglob("*.png"))) == found.labels
    written = sum(path.stat().st_size for path in out.rglob("*.p*"))
    assert 0.5 < found.size / written < 2


def test_a_disk_without_room_is_said(
    small_street: Street, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil._ntuple_diskusage(10**6, 10**6 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DataError, match=r"14 images, .* and 1 kB are free: make room"):
        Export(small_street("raw[gop=3]"), tmp_path / "new" / "out").estimate()
