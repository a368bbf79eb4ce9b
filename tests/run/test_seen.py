"""Weights that have seen the frames that they are scored on are told, and marked in every table and
figure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.conftest import Patterns
from vssbench.core.division import MOST_MARKS, Division
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip
from vssbench.datasets.folder import Folder
from vssbench.run.seen import Seen, seen

VARIANT = parse_variant("patterns")


class Published(Patterns):
    """A dataset whose training part is that of a publication."""

    disjoint = True
    split = "val"


def record(*parts: list[Clip], **more: Any) -> dict[str, Any]:
    """The record of a training on some clips, with others held out."""
    training, validation = (*parts, [])[:2]
    return {"dataset": "patterns", "pictures": Division(training, validation, "").pictures, **more}


def test_frames_of_training_and_of_selection_are_counted() -> None:
    """Train and val together, scored on val; val held out to choose by; neither; a part."""
    dataset = Patterns()
    training, scored = list(dataset.training_clips()), list(dataset.scored_clips)
    frames = 2 * 6
    cases = (
        (record(training + scored), Seen(frames, 0, frames, True)),
        (record(training, scored), Seen(0, frames, frames, True)),
        (record(training), Seen(0, 0, frames, True)),
        (record([scored[0].part(1, 3)]), Seen(3, 0, frames, True)),
        (record(training, initial=[{"training": record(scored)}]), Seen(frames, 0, frames, True)),
        (record(training, initial=[{"training": {}}]), Seen(0, 0, frames, False)),
        ({"imported from": ["PSPNet of its authors"]}, Seen(0, 0, frames, False)),
        ({"pictures": {"training": {"digests": 3}}}, Seen(0, 0, frames, False)),
        ({"pictures": "torn"}, Seen(0, 0, frames, False)),
    )
    for given, expected in cases:
        assert seen(given, VARIANT, dataset) == expected, given


def test_a_backbone_of_imagenet_has_seen_none_of_it() -> None:
    start = {"training": {"imported from": ["torchvision ImageNet ResNet (torchvision)"]}}
    given = record(list(Patterns().training_clips()), initial=[start])
    assert seen(given, VARIANT, Patterns()).known


def test_a_record_of_a_published_part_tells_by_the_split() -> None:
    """Weights that were trained before pictures were recorded."""
    dataset = Published()
    assert seen({"dataset": "patterns"}, VARIANT, dataset) == Seen(0, 0, 12, True)
    dataset.split = "train"
    assert seen({"dataset": "patterns"}, VARIANT, dataset) == Seen(12, 0, 12, True)
    assert not seen({"dataset": "another"}, VARIANT, dataset).known
    assert not seen({"dataset": "patterns"}, VARIANT, Patterns()).known


def test_what_another_dataset_draws_is_in_no_other() -> None:
    """Weights that were first trained on the drawn street, before pictures were recorded."""
    start = {"training": {"dataset": "synthetic[seed=3]"}}
    given = record(list(Patterns().training_clips()), initial=[start])
    assert seen(given, VARIANT, Patterns()).known
    start["training"]["dataset"] = "camvid"
    assert not seen(given, VARIANT, Patterns()).known


def test_of_many_pictures_the_share_is_told_by_the_smallest_digests(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dataset = Patterns(clips=8)
    monkeypatch.setattr("vssbench.core.division.MOST_MARKS", 20)
    assert MOST_MARKS > 20
    given = record(list(dataset.scored_clips))
    assert len(given["pictures"]["training"]["digests"]) == 200
    assert seen(given, VARIANT, dataset) == Seen(48, 0, 48, True)


def test_the_same_picture_is_known_under_another_name_and_in_another_folder(
    tmp_path: Path,
) -> None:
    """A folder's clip that was trained on, copied and renamed; without lists all is scored."""
    picture = np.random.default_rng(0).integers(0, 256, (3, 16, 24, 3)).astype(np.uint8)
    for folder, name in (("a", "one"), ("b", "two")):
        root = tmp_path / folder
        (root / name / "frames").mkdir(parents=True)
        (root / name / "labels").mkdir()
        (root / "classes.txt").write_text("road\nsky\n")
        (root / "train.txt").write_text(f"{name}\n")
        for number in range(3):
            Pillow.fromarray(picture[number]).save(root / name / "frames" / f"{number + 1}.png")
            label = Pillow.fromarray(np.full((16, 24), number % 2, np.uint8))
            label.save(root / name / "labels" / f"{number + 1}.png")
    first, second = Folder(root=tmp_path / "a"), Folder(root=tmp_path / "b")
    given = {"dataset": "folder", "pictures": first.division().pictures}
    assert seen(given, parse_variant("folder"), second) == Seen(3, 0, 3, True)
