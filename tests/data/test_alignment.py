"""Stills found in a video by comparing, and what does not fit said in words."""

from __future__ import annotations

import numpy as np
import pytest

from tests.datasets.fakes import scene
from vssbench.core.errors import DataError
from vssbench.data.alignment import check_place, difference, find_offset, thumbnail

VIDEO = [(number, thumbnail(scene(number))) for number in range(40)]


def test_a_still_of_other_size_range_and_contrast_is_the_same_picture() -> None:
    image = scene(3, (240, 180))
    paler = np.clip(16 + image * (219 / 255), 0, 255).astype(np.uint8)
    half = paler.reshape(90, 2, 120, 2, 3).mean((1, 3)).round().astype(np.uint8)
    assert difference(thumbnail(image), thumbnail(half)) < 0.04
    assert difference(thumbnail(image), thumbnail(scene(4, (240, 180)))) > 0.1


@pytest.mark.parametrize("first", [-3, -1, 0, 4])
def test_the_offset_is_found(first: int) -> None:
    stills = {number + first: thumbnail(scene(number)) for number in (10, 20, 25)}
    found = find_offset(VIDEO, stills, -1, 6, "film")
    assert (found.first, found.difference) == (first, 0)


def test_the_expected_offset_holds_where_nothing_moves() -> None:
    still = thumbnail(scene(0))
    found = find_offset(
        [(number, still) for number in range(20)], {10: still, 12: still}, 2, 4, "film"
    )
    assert found.first == 2


def test_stills_of_another_drive_are_refused() -> None:
    stills = {number: thumbnail(scene(number, seed=9)) for number in (10, 20)}
    with pytest.raises(DataError, match="film: the stills are not found in it"):
        find_offset(VIDEO, stills, 0, 5, "film")


def test_a_video_that_ends_before_the_stills_is_refused() -> None:
    with pytest.raises(DataError, match="too short to hold the frames 100 to 120"):
        find_offset(VIDEO, {100: VIDEO[0][1], 120: VIDEO[1][1]}, 0, 5, "film")


def test_a_still_that_its_neighbour_shows_is_refused() -> None:
    assert check_place(VIDEO[5][1], VIDEO[4:7], 5, "still") == 0
    with pytest.raises(
        DataError, match=r"picture 5 differs from it by 0\.\d+ of the contrast, picture 6 by 0\.00"
    ):
        check_place(VIDEO[6][1], VIDEO[4:7], 5, "still")
