"""The classes file of one's own clips, and masks read by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from tests.datasets.fakes import save
from vssbench.core.errors import DataError
from vssbench.data.classes_file import read_classes


def classes(folder: Path, text: str) -> Path:
    path = folder / "classes.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_names_colours_and_values(tmp_path: Path) -> None:
    read = read_classes(
        classes(
            tmp_path,
            "\ufeff# ours\nroad, 1, 2, 3\n-\n\ntraffic light  # hangs\nIgnore: 7, 8\nignore: 8",
        )
    )
    assert read.names == ("road", "traffic light")
    assert read.values == (0, 2)
    assert read.ignored == (1, 7, 8, 255)
    assert read.palette[0] == (1, 2, 3)
    assert not read.coloured


def test_masks_become_class_indices(tmp_path: Path) -> None:
    read = read_classes(classes(tmp_path, "-\nroad\ncar\nignore: 9"))
    path = save(tmp_path / "mask.png", np.array([[0, 1, 2, 9, 255]], np.uint8))
    np.testing.assert_array_equal(read.reader()(path), [[255, 0, 1, 255, 255]])
    save(path, np.array([[0, 1, 3]], np.uint8))
    with pytest.raises(
        DataError, match=r"holds the label 3, first at x=2 y=0: allowed are 0\.\.2, 9, 255"
    ):
        read.reader()(path)


def test_a_palette_that_contradicts_is_refused(tmp_path: Path) -> None:
    read = read_classes(classes(tmp_path, "road, 10, 20, 30\ncar, 40, 50, 60"))
    image = Pillow.fromarray(np.array([[0, 1]], np.uint8))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.save(tmp_path / "right.png")
    np.testing.assert_array_equal(read.reader()(tmp_path / "right.png"), [[0, 1]])
    image.putpalette([40, 50, 60, 10, 20, 30])
    image.save(tmp_path / "wrong.png")
    with pytest.raises(
        DataError, match=r"wrong\.png shows the value 0 \('road'\) in the colour of 'car'"
    ):
        read.reader()(tmp_path / "wrong.png")
    image.putpalette([1, 1, 1, 2, 2, 2])
    image.save(tmp_path / "other.png")
    np.testing.assert_array_equal(read.reader()(tmp_path / "other.png"), [[0, 1]])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("road", "names 1 classes: expected from 2 to 255"),
        ("", "names 0 classes"),
        ("road\ncar\nroad", r"line 3: the class 'road' is named twice"),
        ("road, 1, 2\ncar", r"line 1 reads 'road, 1, 2': expected NAME or NAME, RED, GREEN, BLUE"),
        ("road\ncar, 1, 2, 256", r"line 2 has '256': expected a whole number from 0 to 255"),
        ("road\ncar\nignore: x", r"line 3 has 'x'"),
        ("road\ncar\nignore: 1", r"ignores the value 1, which is the class 'car'"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_classes(classes(tmp_path, text))


def test_no_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"classes\.txt is missing: expected a text file with a class a line"
    ):
        read_classes(tmp_path / "classes.txt")
