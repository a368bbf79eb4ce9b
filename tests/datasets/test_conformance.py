"""The rules that every dataset must keep.

Clips read as they say; fingerprints; pickling; and what folders say of themselves.
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.datasets import fakes
from vssbench.core import registry
from vssbench.core.dataset import Dataset
from vssbench.core.errors import DataError
from vssbench.core.variant import Variant, parse_variant
from vssbench.core.video import IGNORE
from vssbench.data.ondisk import MISSING, OnDisk
from vssbench.data.status import on_disk

#: dataset as typed -> what makes its folder
MAKERS: dict[str, Callable[[Path], Path]] = {
    "camvid": fakes.camvid,
    "camvid[split=test,classes=12]": fakes.camvid,
    "cityscapes": fakes.cityscapes,
    "cityscapes[sequence=off,size=32x48]": fakes.cityscapes,
    "arsegdata[gop=4]": fakes.arseg_camvid,
    "arsegdata": fakes.arseg_cityscapes,
    "folder": fakes.folder,
    "vspw": fakes.vspw,
}
# a dataset of an installed package, or one that was begun with `bench.py new`, brings its example
for _name in registry.plugins("datasets"):
    if _name not in (*MAKERS, "synthetic"):
        MAKERS[_name] = registry.load("datasets", _name).example
SMALL_STREET = "synthetic[height=64,width=96,clips=2,frames=3]"
CASES = [*MAKERS, SMALL_STREET]


def opened(text: str, folder: Path) -> Dataset:
    variant = parse_variant(text)
    if text not in MAKERS:
        return registry.create("datasets", variant)
    return registry.create("datasets", variant, root=str(MAKERS[text](folder)))


def test_every_dataset_is_tried() -> None:
    assert {parse_variant(text).name for text in CASES} == set(registry.plugins("datasets"))
    assert set(on_disk()) == {parse_variant(text).name for text in MAKERS}


@pytest.mark.parametrize("text", CASES)
def test_clips_are_what_they_say(text: str, tmp_path: Path) -> None:
    dataset = opened(text, tmp_path)
    assert len(dataset.palette) == len(dataset.classes)
    clips = dataset.clips()
    assert len({clip.name for clip in clips}) == len(clips)
    assert len({clip.fingerprint for clip in clips}) == len(clips)
    for clip in clips:
        assert clip.fps > 0
        assert clip.labelled is not None
        for index in range(clip.length):
            image, label = clip.image(index), clip.label(index)
            assert (image.dtype, image.shape) == (np.uint8, (clip.height, clip.width, 3))
            assert (label is not None) == (index in clip.labelled)
            if label is not None:
                assert (label.dtype, label.shape) == (np.uint8, (clip.height, clip.width))
                assert set(np.unique(label).tolist()) <= {*range(len(dataset.classes)), IGNORE}


@pytest.mark.parametrize("text", CASES)
def test_clips_pickle_and_repeat(text: str, tmp_path: Path) -> None:
    dataset = opened(text, tmp_path / "a")
    clip = dataset.clips()[-1]
    again = pickle.loads(pickle.dumps(clip))
    if isinstance(dataset, OnDisk) and dataset.root is not None:
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        moved = tmp_path / "b" / dataset.root.relative_to(tmp_path / "a")
        other = registry.create("datasets", parse_variant(text), root=str(moved)).clips()[-1]
    else:
        other = opened(text, tmp_path).clips()[-1]
    assert clip.fingerprint == again.fingerprint == other.fingerprint
    for index in (clip.length - 1, 0):
        np.testing.assert_array_equal(again.image(index), clip.image(index))
        np.testing.assert_array_equal(other.image(index), clip.image(index))


@pytest.mark.parametrize("text", MAKERS)
def test_outlines_foretell_the_clips(text: str, tmp_path: Path) -> None:
    dataset = opened(text, tmp_path)
    assert isinstance(dataset, OnDisk)
    foretold = [(outline.name, outline.length, outline.labelled) for outline in dataset.outlines()]
    assert foretold == [(clip.name, clip.length, clip.labelled) for clip in dataset.clips()]


@pytest.mark.parametrize("text", MAKERS)
def test_a_changed_pixel_changes_the_fingerprint(text: str, tmp_path: Path) -> None:
    before = [clip.fingerprint for clip in opened(text, tmp_path).clips()]
    root = tmp_path
    changed = 0
    for path in sorted([*root.rglob("*.png"), *root.rglob("*.jpg")]):
        if (
            changed == 0
            and "mask" not in path.parts
            and "abel" not in str(path)
            and "annot" not in str(path)
            and "frames" not in path.parts[-3]
        ):
            fakes.save(path, 255 - fakes.scene(1))
            changed += 0 if _same(text, root, before) else 1
    assert changed == 1


def _same(text: str, root: Path, before: list[str]) -> bool:
    made = (
        root / "leftImg8bit_sequence"
        if (root / "leftImg8bit_sequence" / "5M-GOP12").is_dir()
        else root
    )
    dataset = registry.create("datasets", parse_variant(text), root=str(made))
    return [clip.fingerprint for clip in dataset.clips()] == before


@pytest.mark.parametrize("text", MAKERS)
def test_parts_and_faults(text: str, tmp_path: Path) -> None:
    dataset = opened(text, tmp_path)
    assert isinstance(dataset, OnDisk)
    assert dataset.root is not None
    cls = type(dataset)
    assert cls.held_in(dataset.root)
    empty = tmp_path / "empty"
    empty.mkdir()
    assert all(part.state == MISSING and part.remedy for part in cls.parts(empty))
    assert not cls.held_in(empty)
    assert all(isinstance(fault, str) and fault for fault in dataset.faults())


@pytest.mark.parametrize("name", sorted({parse_variant(text).name for text in MAKERS}))
def test_without_files_the_error_says_where_to_get_them(name: str, tmp_path: Path) -> None:
    cls = registry.load("datasets", name)
    with pytest.raises(DataError, match="--data-root"):
        registry.create("datasets", Variant(name)).clips()
    with pytest.raises(DataError) as error:
        registry.create("datasets", Variant(name), root=str(tmp_path / "absent")).clips()
    assert cls.where() in str(error.value)
