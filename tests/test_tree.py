"""A clone stays light: what is tracked has a limit, together and a file."""

from __future__ import annotations

import io
import json
import re
from contextlib import ExitStack

import numpy as np
import pytest
from PIL import Image, ImageDraw

from tests.tracked import ROOT, tracked_files
from tools.repack_results import repacked_json, repacked_plot
from vssbench.run.archive import unpacked

LIMIT = 40 * 2**20
FILE_LIMIT = 10_000_000


@pytest.fixture(scope="module")
def tracked() -> dict[str, int]:
    """Size of every tracked file that is there."""
    return {path.relative_to(ROOT).as_posix(): path.lstat().st_size for path in tracked_files()}


def test_commands_of_results_name_no_folder_of_a_machine() -> None:
    reference = ROOT / "results" / "reference"
    stores = sorted(reference.glob("*/runs.tar.xz"))
    assert len(stores) >= 3
    with ExitStack() as opened:
        folders = [reference, *(opened.enter_context(unpacked(path)) for path in stores)]
        found = [
            path
            for folder in folders
            for path in folder.rglob("*.json")
            if re.search(r'"command": ?"[^"]*[ =]/', path.read_text(encoding="utf-8"))
        ]
    assert found == []


def test_the_tracked_tree_is_light(tracked: dict[str, int]) -> None:
    largest = sorted(tracked, key=lambda name: -tracked[name])[:8]
    assert sum(tracked.values()) < LIMIT, f"the largest are {largest}"


def test_no_tracked_file_is_large(tracked: dict[str, int]) -> None:
    assert {name: size for name, size in tracked.items() if size > FILE_LIMIT} == {}


def test_a_repacked_record_says_the_same() -> None:
    record = {"method": "m \u00b7 \u65e5", "miou": [0.1, 1e-17], "frames": 12, "reason": None}
    content = json.dumps(record, indent=1).encode()
    packed = repacked_json(content)
    assert len(packed) < len(content)
    assert json.loads(packed) == record
    assert repacked_json(packed) == packed


def test_a_repacked_plot_looks_the_same() -> None:
    image = Image.new("RGB", (320, 200), "white")
    drawing = ImageDraw.Draw(image)
    for number in range(40):
        colour = (6 * number, 90, 250 - 6 * number)
        drawing.line((0, 5 * number, 319, 199 - 5 * number), fill=colour)
    file = io.BytesIO()
    image.save(file, "png")
    packed = repacked_plot(file.getvalue())
    assert len(packed) < len(file.getvalue())
    with Image.open(io.BytesIO(packed)) as read:
        difference = np.asarray(read.convert("RGB"), float) - np.asarray(image, float)
    assert np.abs(difference).max() < 8
    assert repacked_plot(packed) == packed
