"""Folders that are replaced while they are read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from vssbench.core import files, hidden, steady


def fill(folder: Path, content: str) -> None:
    """Write a folder of two files through a draft."""
    with files.draft(folder) as draft:
        draft.mkdir()
        (draft / "first").write_text(content)
        (draft / "second").write_text(content)


def test_a_folder_is_read_again_when_it_was_replaced_meanwhile(tmp_path: Path) -> None:
    place, reads = tmp_path / "place", []
    fill(place, "0")

    def read() -> str:
        first = (place / "first").read_text()
        if len(reads) < 3:
            reads.append(first)
            fill(place, str(len(reads)))
        return first + (place / "second").read_text()

    assert steady.steady(place, read) == "33"
    with pytest.raises(FileNotFoundError):
        steady.steady(tmp_path / "absent", lambda: os.listdir(tmp_path / "absent"))


def test_a_folder_that_a_killed_process_set_aside_is_put_back_by_a_reader(tmp_path: Path) -> None:
    place = tmp_path / "place"
    fill(place, "old")
    aside = tmp_path / f"{hidden.PREFIX}0" / "old" / "0" / "place"
    aside.parent.mkdir(parents=True)
    (aside.parents[2] / "lock").touch()
    place.rename(aside)
    assert hidden.set_aside(tmp_path) == {"place"}
    assert steady.steady(place, lambda: (place / "first").read_text()) == "old"
