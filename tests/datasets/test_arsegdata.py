"""AR-Seg's processed data: pairs of keyframe and labelled frame with the motion that lies beside
them."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.datasets import fakes
from vssbench.core.errors import DataError, ExperimentRefused, UsageError
from vssbench.data.given import given_frames
from vssbench.datasets.arsegdata import ArSegData
from vssbench.datasets.arsegdata.vectors import read_motion


def test_every_distance_of_camvid(tmp_path: Path) -> None:
    dataset = ArSegData(root=fakes.arseg_camvid(tmp_path), gop=4)
    clips = dataset.clips()
    assert len(dataset.classes) == 12
    assert [clip.name for clip in clips] == [
        f"{name}@{distance}"
        for distance in (0, 1, 3)
        for name in ("0001TP_008550", "Seq05VD_f00030")
    ]
    assert [(clip.group, clip.view_of) for clip in clips] == [
        ("0001TP", "0001TP_008550"),
        ("Seq05VD", "Seq05VD_f00030"),
    ] * 3
    for number, clip in enumerate(clips):
        distance, seed = (0, 1, 3)[number // 2], number % 2
        assert clip.given is not None
        assert clip.given.distances == ((0, distance) if distance else (0,))
        assert clip.labelled == (clip.length - 1,)
        np.testing.assert_array_equal(
            clip.image(clip.length - 1), fakes.scene(20 + distance, seed=seed)
        )
        np.testing.assert_array_equal(
            clip.label(clip.length - 1), fakes.mask([*range(12), 255], seed)
        )
        assert not clip.given.motion(0).any()
        if distance:
            np.testing.assert_array_equal(clip.image(0), fakes.scene(20 - distance, seed=seed))
            np.testing.assert_array_equal(
                clip.given.motion(1), fakes.vectors(seed + distance) / np.float32(4)
            )
    assert len({clip.fingerprint for clip in clips}) == 6


def test_the_split_that_auto_stands_for_is_told(tmp_path: Path) -> None:
    camvid = fakes.arseg_camvid(tmp_path / "a")
    assert ArSegData(root=camvid, gop=4).split == "test"
    assert ArSegData(root=fakes.arseg_cityscapes(tmp_path / "b")).split == "val"
    assert ArSegData(root=camvid, gop=4, split="train").split == "train"


def test_train_ids_under_the_name_of_label_ids_are_named(tmp_path: Path) -> None:
    dataset = ArSegData(root=fakes.arseg_cityscapes(tmp_path))
    (path,) = tmp_path.rglob("*_labelIds.png")
    fakes.save(path, fakes.mask([*range(19), 255], 5))
    said = f"{path}: train ids under the name of label ids: found 255 and no other value above 18"
    assert [fault for fault in dataset.faults() if said in fault]
    with pytest.raises(DataError) as refused:
        dataset.clips()
    assert said in str(refused.value)


def test_cityscapes_is_known_by_its_folders(tmp_path: Path) -> None:
    dataset = ArSegData(root=fakes.arseg_cityscapes(tmp_path))
    still, pair = dataset.clips()
    assert len(dataset.classes) == 19
    assert (still.length, pair.length, pair.fps) == (1, 2, 17.0)
    assert (still.group, pair.group) == ("bonn", "bonn")
    assert (still.view_of, pair.view_of) == ("bonn_000001_000119",) * 2
    np.testing.assert_array_equal(pair.image(0), fakes.scene(20))
    label = pair.label(1)
    assert label is not None
    assert set(np.unique(label)) <= {*range(19), 255}


def test_labels_may_lie_beside_another_distance(tmp_path: Path) -> None:
    root = fakes.arseg_camvid(tmp_path)
    for path in (root / "3M-GOP4" / "decoded_GOP4_dist_3" / "test_labels_with_ignored").iterdir():
        path.unlink()
    assert ArSegData(root=root / "3M-GOP4", gop=4).clips()[-1].label(1) is not None


def test_frames_carry_distance_and_motion(tmp_path: Path) -> None:
    clip = ArSegData(root=fakes.arseg_camvid(tmp_path), gop=4).clips()[-1]
    key, frame = given_frames(clip, 4, motion=True)
    assert (key.picture_type, key.distance, frame.picture_type, frame.distance) == ("I", 0, "P", 3)
    assert key.motion is not None
    assert frame.motion is not None
    assert not key.motion.dense().any()
    np.testing.assert_array_equal(frame.motion.dense(), fakes.vectors(4) / np.float32(4))
    assert [each.motion for each in given_frames(clip, 4, motion=False)] == [None, None]
    with pytest.raises(ExperimentRefused, match="a GOP of 3 does not hold: use --gop 4"):
        list(given_frames(clip, 3, motion=False))
    with pytest.raises(ExperimentRefused, match="does not begin with a keyframe"):
        list(given_frames(clip.part(1, 1), 4, motion=False))
    with pytest.raises(ExperimentRefused, match="brings no motion of its own"):
        list(given_frames(replace(clip, given=None), 4, motion=True))


def test_a_part_keeps_what_was_given(tmp_path: Path) -> None:
    clip = ArSegData(root=fakes.arseg_camvid(tmp_path), gop=4).clips()[-1]
    part = clip.part(1, 1)
    assert part.given is not None
    assert part.given.distances == (3,)
    np.testing.assert_array_equal(part.given.motion(0), fakes.vectors(4) / np.float32(4))


def test_clips_pickle(tmp_path: Path) -> None:
    clip = pickle.loads(
        pickle.dumps(ArSegData(root=fakes.arseg_camvid(tmp_path), gop=4).clips()[-1])
    )
    np.testing.assert_array_equal(clip.given.motion(1), fakes.vectors(4) / np.float32(4))


def test_a_file_of_vectors_must_fit_the_frame(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    np.array([[[4, -8], [1, 0]]], "<i2").tofile(path)
    np.testing.assert_array_equal(read_motion(path, 1, 2), [[[1, -2], [0.25, 0]]])
    with pytest.raises(
        DataError, match=r"has 8 bytes: expected 16, two int16 for each pixel of 2x2"
    ):
        read_motion(path, 2, 2)


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no decoded_GOP12_dist_0"):
        ArSegData(root=tmp_path).clips()
    root = fakes.arseg_camvid(tmp_path / "a")
    with pytest.raises(
        DataError, match="no frame of the split test at a GOP of 12: found GOP 4 at distance 0"
    ):
        ArSegData(root=root).clips()
    (root / "3M-GOP4" / "frames" / "0001TP" / "0001TP_001890.png").unlink()
    with pytest.raises(
        DataError, match=r"0001TP_001890\.png is missing: expected for .*0001TP_008550\.png"
    ):
        ArSegData(root=root, gop=4).clips()
    with pytest.raises(UsageError, match="unknown split 'dev'"):
        ArSegData(root=root, split="dev")
    with pytest.raises(UsageError, match="cannot have gop=0"):
        ArSegData(root=root, gop=0)


def test_every_fault_is_named(tmp_path: Path) -> None:
    root = fakes.arseg_camvid(tmp_path)
    base = root / "3M-GOP4"
    (base / "decoded_GOP4_dist_1" / "test" / "Seq05VD_f00030.png").unlink()
    (base / "frames" / "0001TP" / "0001TP_001888.png").unlink()
    np.full((64, 96, 2), 4000, "<i2").tofile(
        base / "MVmap_GOP4_dist_3" / "Seq05VD" / "Seq05VD_f00030.bin"
    )
    (base / "MVmap_GOP4_dist_1" / "0001TP" / "0001TP_008550.bin").write_bytes(b"short")
    faults = "\n".join(ArSegData(root=root, gop=4).faults())
    for part in (
        "distance 1 has 1 frames, others 2",
        "distance 2 has 0 frames",
        "0001TP_001888.png is missing",
        "6144 of its 6144 vectors lead out of the frame",
        "has 5 bytes: expected 24576",
    ):
        assert part in faults
