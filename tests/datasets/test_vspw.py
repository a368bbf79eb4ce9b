"""VSPW: names, values of masks, and every bad folder that a user may have."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.datasets import fakes
from vssbench.core.errors import DataError, UsageError
from vssbench.datasets.vspw import Vspw
from vssbench.datasets.vspw.labels import CLASSES, PALETTE

VIDEO = "data/1_wHveSGjXyDY"


def test_a_video_is_a_clip_with_a_label_a_frame(tmp_path: Path) -> None:
    root = fakes.vspw(tmp_path)
    first, second = Vspw(root=root).clips()
    assert (first.name, first.length, first.fps) == ("1_wHveSGjXyDY", 18, 15.0)
    assert (second.name, second.length, second.width) == ("3__7p1azZy2gA", 4, 64)
    assert first.labelled == tuple(range(18))
    path = root / VIDEO / "origin" / "00000169.jpg"
    np.testing.assert_array_equal(first.image(3), np.array(Pillow.open(path)))
    (trained,) = Vspw(root=root).training_clips()
    assert (trained.name, trained.length) == ("0_0wqT_s", 3)


def test_the_folder_above_serves_too(tmp_path: Path) -> None:
    fakes.vspw(tmp_path)
    assert len(Vspw(root=tmp_path).clips()) == 2


def test_values_become_classes_from_0(tmp_path: Path) -> None:
    root = fakes.vspw(tmp_path)
    stored = np.array([[0, 1, 2, 124, 255]], np.uint8).repeat(64, 0).repeat(20, 1)[:, :96]
    fakes.save(root / VIDEO / "mask" / "00000166.png", stored)
    label = Vspw(root=root).clips()[0].label(0)
    assert label is not None
    expected = np.array([[255, 0, 1, 123, 255]], np.uint8).repeat(64, 0).repeat(20, 1)[:, :96]
    np.testing.assert_array_equal(label, expected)


def test_classes_have_names_and_colours_of_their_own() -> None:
    assert (len(CLASSES), len(set(CLASSES)), len(set(PALETTE))) == (124, 124, 124)
    # the value of `sky` in label_num_dic_final.json is 29, that of `train` 124
    assert (CLASSES.index("sky"), CLASSES.index("train"), CLASSES[0]) == (28, 123, "wall")
    # the first colours of PASCAL VOC's classes
    assert PALETTE[:4] == ((128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128))


@pytest.mark.parametrize(
    ("split", "message"),
    [("test", "its masks are not given out"), ("dev", "cannot have split=dev")],
)
def test_bad_parameters(split: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Vspw(root="x", split=split)


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"val\.txt is missing"):
        Vspw(root=tmp_path).clips()
    root = fakes.vspw(tmp_path / "mask")
    (root / VIDEO / "mask" / "00000170.png").unlink()
    with pytest.raises(DataError, match=r"mask/00000170\.png is missing: every frame"):
        Vspw(root=root).clips()
    root = fakes.vspw(tmp_path / "image")
    (root / VIDEO / "origin" / "00000170.jpg").unlink()
    with pytest.raises(DataError, match=r"origin/00000170\.jpg is missing: every frame"):
        Vspw(root=root).clips()
    (root / VIDEO / "mask" / "00000170.png").unlink()
    with pytest.raises(DataError, match="has no frame 170: it goes from 169 to 171"):
        Vspw(root=root).clips()
    root = fakes.vspw(tmp_path / "value")
    fakes.save(root / VIDEO / "mask" / "00000170.png", fakes.mask([125]))
    with pytest.raises(DataError, match="holds the label 125"):
        Vspw(root=root).clips()
    root = fakes.vspw(tmp_path / "list")
    (root / "val.txt").write_text("absent\n")
    with pytest.raises(DataError, match="absent holds no frame"):
        Vspw(root=root).clips()
    (root / "val.txt").write_text("1_wHveSGjXyDY\n1_wHveSGjXyDY\n")
    with pytest.raises(DataError, match="names the video 1_wHveSGjXyDY twice"):
        Vspw(root=root).clips()
    (root / "val.txt").write_text("\n")
    with pytest.raises(DataError, match="names no video"):
        Vspw(root=root).clips()


def test_every_fault_is_named(tmp_path: Path) -> None:
    root = fakes.vspw(tmp_path)
    (root / VIDEO / "mask" / "00000170.png").unlink()
    (root / VIDEO / "origin" / "00000172.jpg").unlink()
    fakes.save(root / VIDEO / "mask" / "00000173.png", fakes.mask([200]))
    (root / VIDEO / "origin" / "00000175.jpg").write_bytes(b"")
    fakes.save(root / VIDEO / "mask" / "frame.png", fakes.mask([1]))
    with (root / "val.txt").open("a") as listing:
        listing.write("absent\n")
    faults = "\n".join(Vspw(root=root).faults())
    for part in (
        "lists 3 videos, expected 343",
        "absent holds no frame",
        "00000170.png is missing",
        "00000172.jpg is missing",
        "has no frame 172: it goes from 171 to 173",
        "holds the label 200",
        "00000175.jpg cannot be read",
        "frame.png is not named as VSPW's files are",
    ):
        assert part in faults
