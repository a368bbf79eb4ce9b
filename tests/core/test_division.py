"""The training part divided: nothing that methods are scored on is held out, and nothing held out
is trained on."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from tests.datasets import fakes
from vssbench.core.division import Division, divided_by, divided_by_name
from vssbench.core.errors import DataError
from vssbench.core.video import Clip
from vssbench.datasets import arsegdata
from vssbench.datasets.camvid import CamVid, held_out
from vssbench.datasets.cityscapes import Cityscapes
from vssbench.datasets.folder import Folder
from vssbench.datasets.synthetic import Synthetic

DATA = os.environ.get("VSSBENCH_TEST_DATA", "")
needs_camvid = pytest.mark.skipif(
    not Path(DATA, "camvid360").is_dir(), reason="VSSBENCH_TEST_DATA does not hold camvid360/"
)


def clip(name: str, length: int = 1, labelled: tuple[int, ...] = (0,)) -> Clip:
    pixels = np.zeros((4, 4, 3), np.uint8)
    return Clip(
        name,
        length,
        4,
        4,
        1.0,
        lambda index: pixels,
        lambda index: pixels[..., 0],
        name,
        labelled=labelled,
    )


def names(division: Division) -> tuple[list[str], list[str]]:
    return [clip.name for clip in division.training], [clip.name for clip in division.validation]


def test_stills_are_held_out_as_neighbours_with_a_gap() -> None:
    clips = [clip(f"still {number:03d}") for number in range(200)]
    training, validation = names(divided_by_name(clips))
    held = [int(name.split()[1]) for name in validation]
    assert held == list(range(held[0], held[0] + 20))
    trained = {int(name.split()[1]) for name in training}
    assert trained == set(range(200)) - set(range(held[0] - 1, held[-1] + 2))
    assert names(divided_by_name(clips)) == (training, validation)


def test_whole_videos_are_held_out_by_their_names() -> None:
    clips = [clip(f"drive {number}", 30, (19,)) for number in range(20)] + [
        clip("without labels", 30, ())
    ]
    training, validation = names(divided_by_name(clips))
    assert len(validation) == 2
    assert "without labels" in training
    assert sorted(training + validation) == sorted(one.name for one in clips)
    assert set(names(divided_by_name(clips[::-1]))[1]) == set(validation)  # whatever their order


def test_a_single_labelled_clip_stays_whole() -> None:
    assert names(divided_by_name([clip("one", 30), clip("bare", 30, ())])) == (["one", "bare"], [])


def test_a_rule_that_leaves_a_part_empty_gives_way() -> None:
    clips = [clip(str(number)) for number in range(4)]
    for part in ("training", "validation", "neither"):
        division = divided_by(clips, lambda clip, part=part: part, "mine")
        assert (len(division.training), len(division.validation)) == (3, 1)
        assert division.rule != "mine"


def test_a_record_tells_the_parts_apart() -> None:
    record = divided_by_name([clip(str(number)) for number in range(100)]).record()
    assert record["training"].keys() == {"clips", "sha256"}
    assert (
        record["training"]["clips"],
        record["validation"]["clips"],
        len(record["validation"]["names"]),
    ) == (88, 10, 10)
    assert record["training"]["sha256"] != record["validation"]["sha256"]


@pytest.mark.parametrize("dataset", [CamVid, Cityscapes])
def test_a_few_files_of_a_dataset_are_divided_too(
    dataset: type[CamVid | Cityscapes], tmp_path: Path
) -> None:
    """Where none of the frames that are held out by rule is there, or all are."""
    root = {CamVid: fakes.camvid, Cityscapes: fakes.cityscapes}[dataset](tmp_path)
    training, validation = names(dataset(root=root).division())
    found = {clip.name for clip in dataset(root=root).training_clips()}
    assert set(training) | set(validation) == found
    assert len(validation) == (1 if len(found) > 1 else 0)
    assert training


def camvid_of(root: Path, frames: list[tuple[str, int]]) -> Path:
    """SegNet's layout with these training frames, each labelled."""
    fakes.camvid(root)
    lines = []
    for sequence, number in frames:
        name = f"{sequence}_{number:05d}"
        fakes.save(root / "train" / f"{name}.png", fakes.scene(number % 90))
        fakes.save(root / "trainannot" / f"{name}.png", fakes.mask(range(12)))
        lines.append(f"train/{name}.png trainannot/{name}.png\n")
    (root / "train.txt").write_text("".join(lines))
    return root


def test_camvids_stretches_are_cut_out_of_its_video(tmp_path: Path) -> None:
    root = camvid_of(
        tmp_path, [("0016E5", 1620), ("0016E5", 1650), ("0016E5", 1680), ("0016E5", 1710)]
    )
    for number in range(1610, 1716):
        fakes.save(
            root / "sequence" / "0016E5" / f"0016E5_{number:05d}.png", fakes.scene(number % 90)
        )
    division = CamVid(root=root, sequence="on").division()
    assert names(division) == (["0016E5_01610-01649"], ["0016E5_01680-01715"])
    assert division.validation[0].labelled == (0, 30)


@needs_camvid
def test_camvids_held_out_stills() -> None:
    """38 of the 367, none in the val clip or among the test stills, every class among them, two
    seconds from the nearest."""
    root = Path(DATA) / "camvid360"
    division = CamVid(root=root).division()
    training, validation = names(division)
    assert (len(training), len(validation), division.rule) == (321, 38, held_out.RULE)
    assert not set(training) & set(validation)
    scored = {line.split()[0].rpartition("/")[2].partition(".")[0] for split in ("val", "test")
              for line in (root / f"{split}.txt").read_text().splitlines()}  # fmt: skip
    assert len(scored) == 101 + 233
    assert not scored & set(validation)
    assert not scored & set(training)
    places = {
        name: (name.split("_")[0], int(name.split("_")[1].lstrip("f")))
        for name in training + validation
    }
    for name in validation:
        sequence, number = places[name]
        assert all(
            abs(number - places[other][1]) >= 59
            for other in training
            if places[other][0] == sequence
        )
    seen = {value for clip in division.validation for value in np.unique(clip.label(0)).tolist()}
    assert seen == {*range(11), 255}


def test_the_rules_are_the_same_in_arsegs_files() -> None:
    assert arsegdata._drive_part(clip("0006R0_f03270@11")) == "validation"
    assert arsegdata._drive_part(clip("0006R0_f03240@11")) == "neither"
    assert arsegdata._drive_part(clip("0006R0_f03210@11")) == "training"
    assert arsegdata._city_part(clip("erfurt_000003_000019@2")) == "validation"
    assert arsegdata._city_part(clip("jena_000003_000019@2")) == "training"


def test_cityscapes_cities_are_held_out_whole(tmp_path: Path) -> None:
    for name in ("jena_000000_000019", "bochum_000000_000019", "ulm_000001_000019"):
        city = name.split("_")[0]
        fakes.save(
            tmp_path / "leftImg8bit" / "train" / city / f"{name}_leftImg8bit.png", fakes.scene(1)
        )
        fakes.save(
            tmp_path / "gtFine" / "train" / city / f"{name}_gtFine_labelIds.png",
            fakes.mask(range(34)),
        )
    division = Cityscapes(root=tmp_path).division()
    assert names(division) == (
        ["jena_000000_000019"],
        ["bochum_000000_000019", "ulm_000001_000019"],
    )


def test_synthetic_streets_are_held_out_by_seeds_of_their_own() -> None:
    """No street and no texture is shared with training or test, under any seed."""
    parts: list[set[tuple[int, ...]]] = [set(), set(), set()]
    prints: list[str] = []
    for seed in range(3):
        dataset = Synthetic(height=64, width=96, seed=seed)
        division = dataset.division()
        for part, clips in zip(
            parts, (dataset.clips(), division.training, division.validation), strict=True
        ):
            recipes = [clip.image.__self__ for clip in clips]  # type: ignore[attr-defined]
            part |= {("street", *recipe.street_seed) for recipe in recipes}  # type: ignore[misc]
            part |= {("textures", *recipe.texture_seed) for recipe in recipes}  # type: ignore[misc]
            prints += [clip.fingerprint for clip in clips]
    assert parts[0].isdisjoint(parts[1])
    assert (parts[0] | parts[1]).isdisjoint(parts[2])
    assert len(set(prints)) == len(prints) == 3 * (4 + 48 + 8)
    assert [clip.name for clip in division.training] == [
        clip.name for clip in dataset.training_clips()
    ]


def test_a_folders_own_list_names_what_is_held_out(tmp_path: Path) -> None:
    root = fakes.folder(tmp_path)
    assert names(Folder(root=root).division()) == (["drive"], [])
    (root / "train.txt").write_text("drive\nfilm\n")
    assert sorted(map(len, names(Folder(root=root).division()))) == [1, 1]
    (root / "validation.txt").write_text("film\n")
    assert names(Folder(root=root).division()) == (["drive"], ["film"])
    (root / "test.txt").write_text("film\n")
    with pytest.raises(
        DataError, match=r"validation.txt names the clip film, which test.txt names too"
    ):
        Folder(root=root).division()
    (root / "test.txt").unlink()
    (root / "train.txt").write_text("film\n")
    with pytest.raises(DataError, match=r"validation.txt names every labelled clip of train.txt"):
        Folder(root=root).division()
