"""Cityscapes: naming, snippets, train ids, scaling, and every bad folder that a user may have."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

from tests.datasets import fakes
from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import parse_variant
from vssbench.datasets.cityscapes import Cityscapes
from vssbench.datasets.cityscapes.labels import EVALUATED, PALETTE
from vssbench.weights.writing import save_weights

DATA = os.environ.get("VSSBENCH_TEST_DATA", "")
MINI = Path(DATA) / "cityscapes_mini"


def test_a_snippet_is_a_clip_with_its_label_at_19(tmp_path: Path) -> None:
    still, clip = Cityscapes(root=fakes.cityscapes(tmp_path)).clips()
    assert (clip.name, clip.length, clip.labelled, clip.fps) == (
        "lindau_000003_000019",
        30,
        (19,),
        17.0,
    )
    assert (still.group, clip.group) == ("bonn", "lindau")
    assert (still.name, still.length, still.labelled) == ("bonn_000001_000119", 1, (0,))
    for index in (0, 19, 29):
        np.testing.assert_array_equal(clip.image(index), fakes.scene(index, seed=1))
    assert [index for index in range(30) if clip.label(index) is not None] == [19]


def test_label_ids_become_train_ids(tmp_path: Path) -> None:
    clip = Cityscapes(root=fakes.cityscapes(tmp_path)).clips()[0]
    ids = fakes.mask(range(34), 2)
    expected = np.full_like(ids, 255)
    for train_id, label_id in enumerate(EVALUATED):
        expected[ids == label_id] = train_id
    np.testing.assert_array_equal(clip.label(0), expected)


def test_a_part_of_a_snippet_works_with_what_is_there(tmp_path: Path) -> None:
    root = fakes.cityscapes(tmp_path, full=False)
    clip = Cityscapes(root=root).clips()[1]
    assert (clip.length, clip.labelled) == (7, (4,))
    (root / "leftImg8bit_sequence/val/lindau/lindau_000003_000017_leftImg8bit.png").unlink()
    clip = Cityscapes(root=root).clips()[1]
    assert (clip.length, clip.labelled) == (4, (1,))
    np.testing.assert_array_equal(clip.image(0), fakes.scene(18, seed=1))


def test_the_labelled_frame_may_be_in_either_folder(tmp_path: Path) -> None:
    root = fakes.cityscapes(tmp_path)
    name = "lindau/lindau_000003_000019_leftImg8bit.png"
    (root / "leftImg8bit/val" / name).unlink()
    assert Cityscapes(root=root).clips()[1].length == 30
    root = fakes.cityscapes(tmp_path)
    (root / "leftImg8bit_sequence/val" / name).unlink()
    assert Cityscapes(root=root).clips()[1].labelled == (19,)


def test_sequence_off_gives_stills_and_on_demands_video(tmp_path: Path) -> None:
    root = fakes.cityscapes(tmp_path)
    assert [clip.length for clip in Cityscapes(root=root, sequence="off").clips()] == [1, 1]
    with pytest.raises(DataError, match="no frame beside the labelled frame bonn_000001_000119"):
        Cityscapes(root=root, sequence="on").clips()
    with pytest.raises(DataError, match=r"sequence=on needs .*leftImg8bit_sequence/train"):
        Cityscapes(root=root, split="train", sequence="on").clips()


def test_training_clips_are_the_train_split(tmp_path: Path) -> None:
    (clip,) = Cityscapes(
        root=fakes.cityscapes(tmp_path), size="32x48", labels="full"
    ).training_clips()
    label = clip.label(0)
    assert label is not None
    assert (clip.name, clip.height, clip.width, label.shape) == (
        "ulm_000000_000019",
        32,
        48,
        (32, 48),
    )


def test_size_takes_means_of_images_and_middles_of_labels(tmp_path: Path) -> None:
    root = fakes.cityscapes(tmp_path)
    whole = Cityscapes(root=root).clips()[1]
    half = Cityscapes(root=root, size="32x48").clips()[1]
    kept = Cityscapes(root=root, size="32x48", labels="full").clips()[1]
    assert (half.height, half.width) == (32, 48)
    expected = whole.image(3).reshape(32, 2, 48, 2, 3).mean((1, 3))
    assert np.abs(half.image(3) - expected).max() <= 1
    label = whole.label(19)
    assert label is not None
    np.testing.assert_array_equal(half.label(19), label[1::2, 1::2])
    np.testing.assert_array_equal(kept.label(19), label)
    assert len({whole.fingerprint, half.fingerprint, kept.fingerprint}) == 3
    with pytest.raises(DataError, match=r"64x96 .*less than the 128x192"):
        Cityscapes(root=root, size="128x192").clips()


def test_train_ids_are_read_where_label_ids_are_missing(tmp_path: Path) -> None:
    root = fakes.cityscapes(tmp_path)
    path = root / "gtFine/val/bonn/bonn_000001_000119_gtFine_labelIds.png"
    path.unlink()
    ids = fakes.mask([*range(19), 255], 8)
    fakes.save(path.with_name(path.name.replace("labelIds", "labelTrainIds")), ids)
    np.testing.assert_array_equal(Cityscapes(root=root).clips()[0].label(0), ids)


def renamed(root: Path, split: str, values: list[int]) -> Path:
    """A folder whose files of label ids, of one split, hold these values alone."""
    for number, path in enumerate(sorted((root / "gtFine" / split).rglob("*_labelIds.png"))):
        fakes.save(path, fakes.mask(values, number))
    return root


TRAIN_IDS = [*range(19), 255]
COMMANDS = {
    "verify": ("data", "verify", "cityscapes"),
    "run": ("run", "-m", "bisenet[width=0.125]", "-d", "cityscapes", "-c", "raw"),
    "train": ("train", "bisenet[width=0.125]", "-d", "cityscapes", "--iterations", "1"),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_train_ids_under_the_name_of_label_ids_are_named_by(command: str, tmp_path: Path) -> None:
    split = "train" if command == "train" else "val"
    root = renamed(fakes.cityscapes(tmp_path / "data"), split, TRAIN_IDS)
    line = [*COMMANDS[command], "--data-root", str(root)]
    out, trained = tmp_path / "out.safetensors", tmp_path / "w.safetensors"
    if command == "run":
        variant = parse_variant("bisenet[width=0.125]")
        model = registry.create("methods", variant, classes=19)
        save_weights(trained, model, variant, Cityscapes(root=root).classes, "cityscapes", {})
        line += ["--weights", str(trained), "--runs", str(tmp_path / "runs")]
    elif command == "train":
        line += ["--out", str(out)]
    found = CliRunner().invoke(bench, line)
    said = " ".join(f"{found.output} {found.exception}".split())
    assert found.exit_code == 1
    city = "ulm" if command == "train" else "bonn"
    assert f"{city}/{city}_" in said
    assert (
        "train ids under the name of label ids: found 255 and no other value above 18, expected "
        "label ids (0-33, without 255), by which 7 is road; rename files"
    ) in said
    assert not out.exists()


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([7, 8, 11, 17, 26, 255], id="a license plate as 255, on its car"),
        pytest.param([0, 1, 3, 7, 8, 11, 17], id="a street without sky, plants and cars"),
        pytest.param([*range(34)], id="every label id"),
        pytest.param([255], id="nothing that is labelled"),
    ],
)
def test_label_ids_are_never_taken_for_train_ids(values: list[int], tmp_path: Path) -> None:
    dataset = Cityscapes(root=renamed(fakes.cityscapes(tmp_path), "val", values))
    label = dataset.clips()[0].label(0)
    assert label is not None
    expected = {EVALUATED.index(value) if value in EVALUATED else 255 for value in values}
    assert set(np.unique(label).tolist()) == expected
    assert not any("train ids" in fault for fault in dataset.faults())


def test_one_file_of_a_city_without_what_is_above_18_does_not_decide(tmp_path: Path) -> None:
    root = fakes.cityscapes(tmp_path)
    (first,) = (root / "gtFine/val/bonn").glob("*_labelIds.png")
    fakes.save(first, fakes.mask([7, 8, 255]))
    with pytest.raises(DataError, match=r"bonn_000001_000119_gtFine_labelIds\.png: train ids"):
        Cityscapes(root=root).clips()
    second = first.with_name("bonn_000002_000119_gtFine_labelIds.png")
    fakes.save(second, fakes.mask([7, 26, 255]))
    image = root / "leftImg8bit/val/bonn/bonn_000002_000119_leftImg8bit.png"
    fakes.save(image, fakes.scene(1))
    assert len(Cityscapes(root=root).clips()) == 3


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"split": "test"}, "its labels are not published"),
        ({"split": "dev"}, "unknown split 'dev'"),
        ({"sequence": "yes"}, "unknown sequence 'yes'"),
        ({"size": "12"}, "expected full or HEIGHTxWIDTH"),
        ({"labels": "half"}, "unknown labels 'half'"),
    ],
)
def test_bad_parameters(parameters: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Cityscapes(root="x", **parameters)


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="pass --data-root DIR"):
        Cityscapes().clips()
    with pytest.raises(DataError, match="does not exist"):
        Cityscapes(root=tmp_path / "absent").clips()
    with pytest.raises(DataError, match="has no labels of the split val"):
        Cityscapes(root=tmp_path).clips()
    root = fakes.cityscapes(tmp_path / "a")
    (root / "leftImg8bit/val/bonn/bonn_000001_000119_leftImg8bit.png").unlink()
    with pytest.raises(
        DataError,
        match=r"the labelled frame bonn_000001_000119 has no image: expected .*leftImg8bit\.png",
    ):
        Cityscapes(root=root).clips()
    root = fakes.cityscapes(tmp_path / "b")
    fakes.save(
        root / "gtFine/val/lindau/lindau_000003_000019_gtFine_labelIds.png", fakes.mask([40])
    )
    with pytest.raises(DataError, match="holds the label 40"):
        Cityscapes(root=root).clips()


def test_every_fault_is_named(tmp_path: Path) -> None:
    root = fakes.cityscapes(tmp_path)
    (root / "leftImg8bit/val/bonn/bonn_000001_000119_leftImg8bit.png").unlink()
    fakes.save(
        root / "gtFine/val/lindau/lindau_000003_000019_gtFine_labelIds.png", fakes.mask([40])
    )
    fakes.save(root / "gtFine/val/lindau/lindau_3_19_gtFine_labelIds.png", fakes.mask([7]))
    fakes.save(
        root / "leftImg8bit_sequence/val/lindau/lindau_000003_000021_leftImg8bit.png",
        fakes.scene(1, (48, 32)),
    )
    (root / "leftImg8bit_sequence/val/lindau/lindau_000003_000005_leftImg8bit.png").write_text(
        "cut"
    )
    faults = "\n".join(Cityscapes(root=root).faults())
    for part in (
        "bonn_000001_000119_leftImg8bit.png is missing",
        "found 1 labelled frames, expected 500",
        "lindau_3_19_gtFine_labelIds.png is not named",
        "holds the label 40",
        "000021_leftImg8bit.png is 48x32",
        "000005_leftImg8bit.png cannot be read",
    ):
        assert part in faults


def test_palette_has_a_colour_a_class() -> None:
    assert len(PALETTE) == len(EVALUATED) == len(Cityscapes(root="x").classes) == 19
    assert len(set(PALETTE)) == 19


@pytest.mark.skipif(not MINI.is_dir(), reason="VSSBENCH_TEST_DATA has no cityscapes_mini")
def test_real_frames_read_by_their_genuine_names() -> None:
    still, clip = Cityscapes(root=MINI).clips()
    assert (still.length, clip.length, clip.labelled, clip.height, clip.width) == (
        1,
        7,
        (4,),
        1024,
        2048,
    )
    label = clip.label(4)
    assert label is not None
    stem = MINI / "gtFine/val/frankfurt/frankfurt_000001_047552_gtFine_labelTrainIds.png"
    np.testing.assert_array_equal(label, np.array(Pillow.open(stem)))
    colours = np.array(Pillow.open(str(stem).replace("labelTrainIds", "color")).convert("RGB"))
    for train_id in np.unique(label[label < 19]).tolist():
        np.testing.assert_array_equal(
            np.unique(colours[label == train_id], axis=0), [PALETTE[train_id]]
        )
    assert len(Cityscapes(root=MINI, split="train").clips()) == 2
