"""One's own clips: frames or a video file, masks by frame number, and a sentence for each thing
that can be wrong."""

from __future__ import annotations

import pickle
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.datasets import fakes
from tests.segment.conftest import turn
from vssbench.core.errors import DataError, UsageError
from vssbench.datasets.folder import Folder


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return fakes.folder(tmp_path / "mine")


def expected_label(number: int, values: list[int]) -> np.ndarray:
    stored = fakes.mask(values, number)
    expected = np.full_like(stored, 255)
    for index, value in enumerate((0, 1, 3)):  # the classes file skips 2
        expected[stored == value] = index
    return expected


def test_frames_and_a_film_become_clips(root: Path) -> None:
    dataset = Folder(root=root)
    assert dataset.classes == ("road", "car", "sky")
    assert dataset.palette[:2] == ((128, 64, 128), (0, 0, 142))
    drive, film = dataset.clips()
    assert (drive.name, drive.length, drive.labelled, drive.fps) == ("drive", 6, (2, 5), 30.0)
    assert (film.name, film.length, film.labelled, film.fps) == ("film", 12, (7,), 25.0)
    np.testing.assert_array_equal(drive.image(3), fakes.scene(13))
    assert np.abs(film.image(7).astype(int) - fakes.scene(7, seed=4)).mean() < 25
    np.testing.assert_array_equal(drive.label(5), expected_label(15, [0, 1, 2, 3, 9, 255]))
    np.testing.assert_array_equal(film.label(7), expected_label(7, [0, 1, 3]))
    assert film.label(6) is None


def test_splits_training_and_rates(root: Path) -> None:
    assert [clip.name for clip in Folder(root=root).training_clips()] == ["drive"]
    (root / "test.txt").write_text("film  # by night\n\n")
    (clip,) = Folder(root=root, split="test", fps=50, first=1).clips()
    assert (clip.name, clip.fps, clip.labelled) == ("film", 50.0, (6,))
    with pytest.raises(DataError, match=r"dev\.txt is missing"):
        Folder(root=root, split="dev").clips()
    with pytest.raises(UsageError, match="expected numbers of 0 or more"):
        Folder(root=root, fps=-1)


def test_groups_of_clips_are_stated_in_a_file(root: Path) -> None:
    def groups() -> dict[str, str]:
        return {clip.name: clip.group for clip in Folder(root=root).clips()}

    assert groups() == {"drive": "drive", "film": "film"}
    (root / "groups.txt").write_text("\ufefffilm, drive\n# by night\n\n", encoding="utf-8")
    alone = groups()
    assert alone["drive"] != alone["film"]  # though the group has the other clip's name
    (root / "groups.txt").write_text("film, Berlin # east\ndrive , Berlin\n")
    assert set(groups().values()) == {"group Berlin"}
    assert Folder(root=root).clips()[0].fingerprint  # which is the pixels' alone
    assert list(Folder(root=root).faults()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("film\n", r"groups\.txt line 1 is 'film': expected a clip, a comma and its group"),
        ("film, a\nfilm, b\n", "line 2 names the clip 'film' again"),
        ("night, a\n", "line 1 names the clip 'night', which is no folder of .*found drive, film"),
        (", a\n", "expected a clip, a comma"),
    ],
)
def test_a_wrong_list_of_groups_is_refused_and_verified(
    root: Path, text: str, message: str
) -> None:
    (root / "groups.txt").write_text(text)
    with pytest.raises(DataError, match=message):
        Folder(root=root).clips()
    assert any(re.search(message, fault) for fault in Folder(root=root).faults())


def test_a_film_pickles(root: Path) -> None:
    clip = Folder(root=root).clips()[1]
    again = pickle.loads(pickle.dumps(clip))
    np.testing.assert_array_equal(again.image(4), clip.image(4))
    np.testing.assert_array_equal(again.label(7), clip.label(7))


def test_the_fingerprint_follows_masks_and_numbers(root: Path) -> None:
    before = Folder(root=root).clips()[1].fingerprint
    assert Folder(root=root, first=1).clips()[1].fingerprint != before
    fakes.save(root / "film" / "labels" / "mask-7.png", fakes.mask([0, 1, 3], 8))
    assert Folder(root=root).clips()[1].fingerprint != before


def no_classes(root: Path) -> None:
    (root / "classes.txt").unlink()


def no_clips(root: Path) -> None:
    shutil.rmtree(root / "drive")
    shutil.rmtree(root / "film")


def no_masks(root: Path) -> None:
    shutil.rmtree(root / "drive" / "labels")
    shutil.rmtree(root / "film" / "labels")


def no_frames(root: Path) -> None:
    shutil.rmtree(root / "drive" / "frames")


def empty_frames(root: Path) -> None:
    no_frames(root)
    (root / "drive" / "frames").mkdir()


def both(root: Path) -> None:
    shutil.copy(root / "film" / "film.mp4", root / "drive" / "film.mp4")


def two_films(root: Path) -> None:
    shutil.copy(root / "film" / "film.mp4", root / "film" / "more.mp4")


def gap(root: Path) -> None:
    (root / "drive" / "frames" / "shot_0013.png").unlink()


def unnumbered(root: Path) -> None:
    fakes.save(root / "drive" / "frames" / "cover.png", fakes.scene(0))


def twice(root: Path) -> None:
    fakes.save(root / "drive" / "frames" / "other_12.png", fakes.scene(0))


def mask_without_frame(root: Path) -> None:
    fakes.save(root / "drive" / "labels" / "40.png", fakes.mask([0]))


def mask_beyond_film(root: Path) -> None:
    fakes.save(root / "film" / "labels" / "12.png", fakes.mask([0]))


def small_frame(root: Path) -> None:
    fakes.save(root / "drive" / "frames" / "shot_0014.png", fakes.scene(0, (48, 32)))


def small_mask(root: Path) -> None:
    fakes.save(root / "film" / "labels" / "mask-7.png", fakes.mask([0], size=(48, 32)))


def wrong_value(root: Path) -> None:
    fakes.save(root / "drive" / "labels" / "12.png", fakes.mask([5]))


def colours(root: Path) -> None:
    fakes.save(root / "film" / "labels" / "mask-7.png", fakes.scene(0))


def broken_film(root: Path) -> None:
    (root / "film" / "film.mp4").write_bytes(b"nothing")


def damaged_film(root: Path) -> None:
    fakes.damaged(root / "film" / "film.mp4")


def lossy_mask(root: Path) -> None:
    path = root / "drive" / "labels" / "12.png"
    Pillow.fromarray(fakes.mask([0, 1])).save(path, "JPEG")


def listed_nowhere(root: Path) -> None:
    (root / "all.txt").write_text("")
    (root / "train.txt").write_text("drive\nnight\n")


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_classes, r"classes\.txt is missing"),
        (no_clips, "holds no clip"),
        (no_masks, "has a mask: nothing to score"),
        (no_frames, "no folder frames/ and no video file: expected either"),
        (empty_frames, "holds no frame: expected images"),
        (both, r"a folder frames/ and film\.mp4: expected either"),
        (two_films, r"film\.mp4, more\.mp4: expected either"),
        (gap, "has no frame 13: it goes from 12 to 14, elsewhere by 1"),
        (unnumbered, r"cover\.png has no number in its name"),
        (twice, "both have the number 12"),
        (
            mask_without_frame,
            r"40\.png is for frame 40, which .* does not have \(it has 10 to 15\)",
        ),
        (mask_beyond_film, r"12\.png is for picture 12: .*film\.mp4 has pictures 0 to 11"),
        (small_frame, r"shot_0014\.png is 48x32"),
        (small_mask, r"mask-7\.png is 48x32"),
        (wrong_value, r"12\.png holds the label 5"),
        (colours, "pixels of type RGB"),
        (broken_film, r"film\.mp4 cannot be read as a video"),
        (damaged_film, r"film\.mp4 cannot be decoded beyond its first \d+ pictures"),
        (lossy_mask, r"12\.png is JPEG, which changes values"),
    ],
)
def test_each_thing_that_can_be_wrong(
    root: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(root)
    with pytest.raises(DataError, match=message):
        Folder(root=root).clips()


def test_damage_inside_a_film_is_a_fault(root: Path) -> None:
    damaged_film(root)
    assert any("decoded beyond its first" in fault for fault in Folder(root=root).faults())


def test_masks_meet_a_film_the_right_way_up(root: Path) -> None:
    """A mask is of the size that players show; one of the stored size no longer fits."""
    turn(root / "film" / "film.mp4")
    faults = list(Folder(root=root).faults())
    assert any("mask-7.png is 96x64" in fault and "is 64x96" in fault for fault in faults)
    fakes.save(root / "film" / "labels" / "mask-7.png", fakes.mask([0, 1, 3], 7, (64, 96)))
    clip = Folder(root=root).clips()[1]
    assert (clip.height, clip.width) == clip.image(7).shape[:2] == (96, 64)
    upright = np.rot90(fakes.scene(7, seed=4), -1)
    assert np.abs(clip.image(7).astype(int) - upright).mean() < 25


def test_a_list_that_names_no_clip(root: Path) -> None:
    listed_nowhere(root)
    with pytest.raises(
        DataError,
        match=r"train\.txt names the clip 'night', which is no folder of .*: found drive, film",
    ):
        Folder(root=root).training_clips()


def test_every_fault_is_named(root: Path) -> None:
    for spoil in (small_frame, wrong_value, small_mask):
        spoil(root)
    shutil.copytree(root / "drive", root / "other")
    gap(root)
    faults = "\n".join(Folder(root=root).faults())
    for part in (
        "drive/frames has no frame 13",
        "mask-7.png is 48x32",
        "other/frames/shot_0014.png is 48x32",
        "the label 5",
    ):
        assert part in faults
