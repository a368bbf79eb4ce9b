"""CamVid as it is distributed, where VSSBENCH_TEST_DATA holds it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.datasets.test_camvid import UNMERGED, VAL
from vssbench.datasets.camvid import CamVid

DATA = os.environ.get("VSSBENCH_TEST_DATA", "")

needs_data = pytest.mark.skipif(
    not (Path(DATA) / "camvid360").is_dir() or not DATA,
    reason="VSSBENCH_TEST_DATA does not hold camvid360/",
)
needs_full_size = pytest.mark.skipif(
    not (Path(DATA) / "camvid720_val").is_dir() or not DATA,
    reason="VSSBENCH_TEST_DATA does not hold camvid720_val/",
)


@needs_data
def test_real_val_is_one_clip_of_101_frames() -> None:
    (clip,) = CamVid(root=Path(DATA) / "camvid360").clips()
    assert (clip.length, clip.height, clip.width, clip.fps) == (101, 360, 480, 15.0)
    labels = [clip.label(index) for index in range(0, 101, 10)]
    assert all(label is not None and set(np.unique(label)) <= {*range(11), 255} for label in labels)


@needs_data
def test_real_train_and_test_are_stills() -> None:
    dataset = CamVid(root=Path(DATA) / "camvid360", split="test")
    assert [clip.length for clip in dataset.clips()] == [1] * 233
    assert [clip.length for clip in dataset.training_clips()] == [1] * 367


@needs_full_size
def test_real_colours_and_ids_give_the_same_classes() -> None:
    by_ids, by_colours = (
        CamVid(root=Path(DATA) / "camvid720_val", labels=kind).clips()
        for kind in ("ids", "colours")
    )
    assert [clip.length for clip in by_colours] == [3, 6, 10, 6, 16, 6, 10, 6, 14]
    for one, other in zip(by_ids, by_colours, strict=True):
        for index in range(0, one.length, 3):
            np.testing.assert_array_equal(one.label(index), other.label(index))


@needs_full_size
def test_real_twelve_classes_merge_nothing(tmp_path: Path) -> None:
    for name in VAL:
        for path in (Path("val", f"{name}.jpg"), Path("val_labels", f"{name}_L.png")):
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).symlink_to(Path(DATA).resolve() / "camvid720_val" / path)
    merged, unmerged = (CamVid(root=tmp_path, classes=classes).clips()[0] for classes in (11, 12))
    for index, name in enumerate(VAL):
        with Pillow.open(tmp_path / "val_labels" / f"{name}_L.png") as file:
            colour_of_pixel = np.asarray(file.convert("RGB"))
        expected = np.full(colour_of_pixel.shape[:2], 255)
        for colour, number in UNMERGED.items():
            expected[(colour_of_pixel == colour).all(-1)] = number
        np.testing.assert_array_equal(unmerged.label(index), expected)
        eleven = expected < 11
        np.testing.assert_array_equal(np.asarray(merged.label(index))[eleven], expected[eleven])
