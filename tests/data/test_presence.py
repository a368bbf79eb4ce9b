"""Masks of 0 and 255, and other masks that lack a class: named by verify, train and run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image

from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.errors import UsageError, WeightsError
from vssbench.core.variant import parse_variant
from vssbench.data.presence import absent_classes
from vssbench.datasets.folder import Folder
from vssbench.weights.file import open_weights
from vssbench.weights.network import check_fit
from vssbench.weights.writing import save_weights

METHOD = "bisenet[width=0.125]"
SAID = (
    "no mask holds the class 'swan': the 3 masks hold only 'background' and 255 (no class: 25.0% "
    "of pixels are not scored)"
)


def masks(root: Path, foreground: int) -> Path:
    """Three frames with masks of 0 and ``foreground``, listed for training too."""
    for kind in ("frames", "labels"):
        (root / "a" / kind).mkdir(parents=True)
    (root / "classes.txt").write_text("background\nswan\n")
    (root / "train.txt").write_text("a\n")
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 255, (64, 96, 3), np.uint8)
        Image.fromarray(image).save(root / "a" / "frames" / f"{number}.png")
        mask = np.zeros((64, 96), np.uint8)
        mask[:32, :48] = foreground
        Image.fromarray(mask).save(root / "a" / "labels" / f"{number}.png")
    return root


def weights(path: Path, classes: tuple[str, ...]) -> Path:
    variant = parse_variant(METHOD)
    model = registry.create("methods", variant, classes=len(classes))
    torch.nn.init.zeros_(next(model.parameters()))
    save_weights(path, model, variant, classes, "folder", {})
    return path


def call(*arguments: object) -> Result:
    return CliRunner().invoke(bench, [str(each) for each in arguments])


def test_verify_names_a_class_that_no_mask_holds(tmp_path: Path) -> None:
    found = call("data", "verify", "folder", "--data-root", masks(tmp_path / "wrong", 255))
    assert found.exit_code == 1
    assert SAID in found.output
    assert "write the class's index in its place" in found.output
    found = call("data", "verify", "folder", "--data-root", masks(tmp_path / "right", 1))
    assert (found.exit_code, "no faults" in found.output) == (0, True)


def test_masks_are_read_until_every_class_was_seen(tmp_path: Path) -> None:
    dataset = Folder(root=masks(tmp_path, 1))
    (clip,) = dataset.clips()
    for number in (1, 2):
        (tmp_path / "a" / "labels" / f"{number}.png").unlink()
    assert absent_classes([clip], dataset.classes) == []
    # masks that are gone are passed over; what holds no class at all is not said to hold one
    (line,) = absent_classes([clip], ("background", "swan", "reed", "sky"))
    assert line.startswith("no mask holds the classes 'reed', 'sky': the 1 masks hold only")


def test_run_names_it_before_it_starts(tmp_path: Path) -> None:
    root, file = masks(tmp_path / "data", 255), tmp_path / "w.safetensors"
    weights(file, ("background", "goose"))
    found = call(
        "run", "-m", METHOD, "-d", "folder", "--data-root", root, "-c", "raw", "--weights", file,
        "--runs", tmp_path / "runs",
    )  # fmt: skip
    assert found.exit_code == 0, found.output
    said = " ".join(found.output.split())
    assert said.index(SAID) < said.index("[1/1]")
    assert "1 of 2 classes have other names than the dataset's: 'goose' for 'swan'" in said


def test_train_names_it_before_it_starts(tmp_path: Path) -> None:
    found = call(
        "train", METHOD, "-d", "folder", "--data-root", masks(tmp_path / "data", 255),
        "--iterations", 1, "--batch", 2, "--out", tmp_path / "w.safetensors",
    )  # fmt: skip
    assert SAID in " ".join(found.output.split()), found.output


@pytest.mark.parametrize("classes", [("swan", "background"), ("Swan", "reed")])
def test_weights_with_the_classes_in_another_order_are_refused(
    tmp_path: Path, classes: tuple[str, ...]
) -> None:
    file = open_weights(weights(tmp_path / "w.safetensors", classes))
    with pytest.raises(WeightsError, match=r"in another order: '[sS]wan' is class 0 there and 1"):
        check_fit(parse_variant(METHOD), ("background", "swan"), file)
    found = call(
        "train", METHOD, "-d", "folder", "--data-root", masks(tmp_path / "data", 1),
        "--init", file.path, "--out", tmp_path / "out.safetensors",
    )  # fmt: skip
    assert isinstance(found.exception, UsageError)
    assert "in another order" in str(found.exception)


def test_spelling_is_no_other_name(tmp_path: Path) -> None:
    file = open_weights(weights(tmp_path / "w.safetensors", ("Back-Ground", "black_swan")))
    check_fit(parse_variant(METHOD), ("back ground", "Black swan"), file)
