"""Damaged predictions of other programs: each is a message, and none takes memory."""

from __future__ import annotations

import io
import os
import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.hostile.conftest import Campaign
from tests.hostile.mutators import of_bytes
from vssbench.core.errors import DataError
from vssbench.exchange.predictions import read

SIZE = (12, 16)


def sound(ending: str) -> bytes:
    """A prediction as a file's content."""
    labels = (np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) % 3).astype(np.uint8)
    file = io.BytesIO()
    if ending == ".png":
        Image.fromarray(labels).save(file, "PNG")
    else:
        np.save(file, labels)
    return file.getvalue()


@pytest.mark.parametrize("ending", [".png", ".npy"])
def test_mutated_predictions(campaign: Campaign, tmp_path: Path, ending: str) -> None:
    content, path = sound(ending), tmp_path / f"p{ending}"
    read(_written(path, content), SIZE, 3)

    def take(rng: random.Random) -> None:
        read(_written(path, of_bytes(content, rng)), SIZE, 3)

    for seed in campaign.seeds(0.1):
        campaign.attempt(seed, take)
    campaign.check()
    assert campaign.refused > 20


@pytest.mark.parametrize(
    "head",
    [
        "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999, 99999999999), }",
        "{'descr': '|O', 'fortran_order': False, 'shape': (12, 16), }",
        "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (12, 16), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-12, 16), }",
        "((((",
    ],
)
def test_an_arrays_head_is_believed_only_where_it_fits_the_file(tmp_path: Path, head: str) -> None:
    text = head.encode().ljust(117) + b"\n"
    content = b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(192)
    with pytest.raises(DataError, match=r"p\.npy cannot be read as an array"):
        read(_written(tmp_path / "p.npy", content), SIZE, 3)


def test_a_pipe_is_not_read(tmp_path: Path) -> None:
    for name in ("p.png", "p.npy"):
        os.mkfifo(tmp_path / name)
        with pytest.raises(DataError, match="is a device or a pipe: expected a file"):
            read(tmp_path / name, SIZE, 3)


def _written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
