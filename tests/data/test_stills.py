"""Labelled stills: where consecutive frames make a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from vssbench.core.errors import DataError
from vssbench.data.stills import Still, runs


def stills(numbers: list[int], sequence: str = "s") -> list[Still]:
    return [
        Still(Path(f"{number}.png"), Path(f"{number}_L.png"), sequence, number)
        for number in numbers
    ]


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [
        ([7, 1, 3, 5, 15, 17, 45], [([1, 3, 5, 7], 2), ([15, 17], 2), ([45], 2)]),
        ([0, 14, 28], [([0, 14, 28], 14)]),
        ([0, 15, 30], [([0], 15), ([15], 15), ([30], 15)]),
        ([0, 3, 5, 10], [([0], 2), ([3, 5], 2), ([10], 2)]),
        ([4], [([4], 15)]),
        ([], []),
    ],
)
def test_runs_break_at_gaps_and_stills_stay_alone(
    numbers: list[int], expected: list[tuple[list[int], int]]
) -> None:
    found = [
        ([still.number for still in run], spacing)
        for run, spacing in runs(stills(numbers), longest_gap=14)
    ]
    assert found == expected


def test_sequences_have_their_own_spacing() -> None:
    found = runs([*stills([0, 4, 8], "b"), *stills([1, 2], "a")], longest_gap=14)
    assert [(run[0].sequence, len(run), spacing) for run, spacing in found] == [
        ("a", 2, 1),
        ("b", 3, 4),
    ]


def test_the_same_frame_twice_is_an_error() -> None:
    with pytest.raises(DataError, match=r"3\.png and 3\.png are the same frame"):
        runs(stills([1, 3, 3]), longest_gap=14)
