"""A small drive on disk with masks, weights for it, and a process that forks for each command: on
these the faults are provoked."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from tests.faults.forks import Forks
from vssbench.core import registry
from vssbench.core.variant import parse_variant
from vssbench.weights.writing import save_weights

#: in no Latin script: what is written and printed has to hold them
CLASSES = ("街道", "天空", "車")
METHOD = "bisenet[width=0.125]"
CLIPS, FRAMES, HEIGHT, WIDTH = 2, 4, 64, 96


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """The process that forks, in a folder that every user may write; pytest's own are closed."""
    with tempfile.TemporaryDirectory(prefix="vssbench-faults-") as folder:
        Path(folder).chmod(0o777)
        process = Forks(Path(folder))
        yield process
        process.end()


@pytest.fixture
def drive(tmp_path: Path) -> Path:
    """Two clips of four frames, all with masks, in the layout of the dataset ``folder``."""
    root = tmp_path / "drive"
    random = np.random.default_rng(0)
    for clip in range(CLIPS):
        for name in ("frames", "labels"):
            (root / f"clip{clip}" / name).mkdir(parents=True)
        for index in range(FRAMES):
            pixels = np.kron(
                random.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3)), np.ones((8, 8, 1))
            )
            picture = Image.fromarray(pixels.astype(np.uint8))
            picture.save(root / f"clip{clip}" / "frames" / f"{index:06d}.png")
            mask = np.kron(random.integers(0, 3, (HEIGHT // 16, WIDTH // 16)), np.ones((16, 16)))
            Image.fromarray(mask.astype(np.uint8)).save(
                root / f"clip{clip}" / "labels" / f"{index:06d}.png"
            )
    (root / "train.txt").write_text("clip0\nclip1\n", encoding="utf-8")
    (root / "classes.txt").write_text("".join(f"{name}\n" for name in CLASSES), encoding="utf-8")
    return root


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights for the drive's classes."""
    torch.manual_seed(0)
    variant = parse_variant(METHOD)
    path = tmp_path_factory.mktemp("weights") / "w.safetensors"
    path.parent.chmod(0o755)
    model = registry.create("methods", variant, classes=len(CLASSES))
    save_weights(path, model, variant, CLASSES, "folder", {})
    return path


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """A video of a second, with motion."""
    path = tmp_path / "film.mp4"
    random = np.random.default_rng(0)
    still = np.kron(random.integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3)), np.ones((8, 8, 1)))
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        for index in range(10):
            moved = np.roll(still, index, 1).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(moved, "rgb24")))
        container.mux(stream.encode())
    return path
