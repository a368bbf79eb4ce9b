"""Networks whose logits are not finite, from weights that are: nothing is drawn of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from tests.faults.forks import Forks


@pytest.fixture
def diverging(weights: Path, tmp_path: Path) -> Path:
    """Weights so large that their products are not finite."""
    path = tmp_path / "diverging.safetensors"
    with safe_open(weights, "pt") as file:
        metadata = file.metadata()
    state = {
        name: torch.full(value.shape, 3e38) if value.is_floating_point() else value
        for name, value in load_file(weights).items()
    }
    save_file(state, path, metadata)
    return path


@pytest.mark.parametrize("out", ["o.mp4", "labels"])
def test_a_video_is_refused_and_nothing_is_left(
    forks: Forks, film: Path, diverging: Path, tmp_path: Path, out: str
) -> None:
    place = tmp_path / "out"
    place.mkdir()
    ended = forks.run(
        "segment", str(film), "--weights", str(diverging), "-o", str(place / out),
        "--stats", str(place / "s.csv"),
    )  # fmt: skip
    assert ended.status == 2
    assert ended.said.startswith("frame 0: ")
    assert "are not finite (NaN or infinite), so that no class is the largest" in ended.said
    assert list(place.iterdir()) == []
