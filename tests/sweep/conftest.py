"""A codec that fails in every way, a method and a dataset that are nearly nothing, as installed
plug-ins, and sweeps of them as a user starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from tests.sweep.cluster import ROOT, until
from tests.sweep.conducting import STREET
from tests.warm import Command, Warm
from vssbench.run.store import RunStore
from vssbench.sweep.conduct import Wishes, conduct, planned
from vssbench.sweep.executor import Executor, Site
from vssbench.sweep.planner import Planner
from vssbench.sweep.points import points, read

#: one small clip
BLOCKS = "blocks[frames=3]"
FAULTY = '''
"""Uncompressed video that fails on its way."""
import ctypes, os, sys, time
from pathlib import Path
from vssbench.core import registry

Raw = registry.load("codecs", "raw")


class Faulty(Raw):
    """Fails as ``kind`` says, and notes each time it is asked in the file FAULTY_NOTES."""

    def __init__(self, *, kind: str = "none", gop: int = 3) -> None:
        super().__init__(gop=gop)
        if kind == "unmade":
            raise KeyError("no such kind")
        if kind == "abort-made":
            print("the library says why", file=sys.stderr, flush=True)
            os.abort()
        if kind == "exit-made":
            os._exit(3)
        if kind == "hang-made":
            time.sleep(600)
        if kind == "elsewhere-made":
            os.chdir(Path(os.environ["FAULTY_NOTES"]).parent)
        self.kind = kind

    def frames(self, clip, cache=None, motion=True, residual=False):
        with open(os.environ["FAULTY_NOTES"], "a") as file:
            file.write(self.kind + "\\n")
        print("this codec was asked for", self.kind, flush=True)
        if self.kind == "abort":
            os.abort()
        if self.kind == "crash":
            ctypes.string_at(0)
        if self.kind == "slow":
            time.sleep(2)
        if self.kind == "hang":
            time.sleep(600)
        if self.kind == "elsewhere":
            os.chdir(Path(os.environ["FAULTY_NOTES"]).parent)
        taken = []
        while self.kind == "memory":
            if len(taken) < 40:
                taken.append(b"x" * 100_000_000)
            time.sleep(0.02)
        return super().frames(clip, cache, motion, residual)

    def settings(self):
        if self.kind == "crash-said":
            ctypes.string_at(0)
        if self.kind == "elsewhere-said":
            os.chdir(Path(os.environ["FAULTY_NOTES"]).parent)
        return {**super().settings(), "kind": object() if self.kind == "unsaid" else self.kind}
'''

TINY = '''
"""One convolution of one pixel."""
import torch
from vssbench.core.segmenter import VideoSegmenter


class Tiny(VideoSegmenter):
    """Classifies each pixel by its colour."""

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.layer = torch.nn.Conv2d(3, classes, 1)

    def keyframe(self, image):
        return self.layer(image), None
'''

DATASET = '''
"""One clip of random blocks, which takes no time to draw."""
import numpy as np
from vssbench.core.dataset import Dataset
from vssbench.core.video import Clip

COLOURS = np.array([[90, 80, 90], [200, 40, 30], [20, 60, 210]], np.uint8)


class Blocks(Dataset):
    """Blocks of three classes, each of one colour."""

    title, disjoint, drawn = "Blocks", True, True
    classes, palette = ("ground", "red", "blue"), ((0, 0, 0), (255, 0, 0), (0, 0, 255))

    def __init__(self, *, frames: int = 3) -> None:
        self.frames = frames

    def clips(self):
        blocks = np.random.default_rng(0).integers(0, 3, (self.frames, 4, 6)).astype(np.uint8)
        labels = blocks.repeat(8, 1).repeat(8, 2)
        return [
            Clip("one", self.frames, 32, 48, 15.0, lambda index: COLOURS[labels[index]],
                 lambda index: labels[index].copy(), f"blocks {self.frames}")
        ]

    def training_clips(self):
        return self.clips()
'''

POINTS = """
[vssbench.codecs]
faulty = faulty:Faulty
[vssbench.methods]
tiny = tiny:Tiny
[vssbench.datasets]
blocks = blocks:Blocks
"""
#: writes the weights of the small method, with random values
SAVE = f"""
import sys, torch
from pathlib import Path
from vssbench.core import registry
from vssbench.core.variant import parse_variant
from vssbench.weights.writing import save_weights

torch.manual_seed(0)
classes = registry.create("datasets", parse_variant("{BLOCKS}")).classes
variant = parse_variant("tiny")
model = registry.create("methods", variant, classes=len(classes))
save_weights(Path(sys.argv[1]), model, variant, classes, "blocks", {{}})
"""


@dataclass(frozen=True)
class Installed:
    """The environment that has the plug-ins, and the weights of the small method."""

    environment: dict[str, str]
    weights: Path


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    folder = tmp_path_factory.mktemp("installed")
    info = folder / "faulty-1.0.dist-info"
    info.mkdir()
    for path, text in (
        (folder / "faulty.py", FAULTY),
        (folder / "tiny.py", TINY),
        (folder / "blocks.py", DATASET),
        (info / "METADATA", "Metadata-Version: 2.1\nName: faulty\nVersion: 1.0\n"),
        (info / "entry_points.txt", POINTS),
    ):
        path.write_text(text, encoding="utf-8")
    paths = [str(folder), str(ROOT), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1",
    }  # fmt: skip
    weights = folder / "tiny.safetensors"
    subprocess.run([sys.executable, "-c", SAVE, str(weights)], env=environment, check=True)
    return Installed(environment, weights)


class Sweeps:
    """Starts sweeps into one store, with the plug-ins installed."""

    def __init__(self, folder: Path, installed: Installed, commands: Warm) -> None:
        folder.mkdir(exist_ok=True)
        self.commands = commands
        self.runs, self.notes = folder / "runs", folder / "notes.txt"
        self.weights = installed.weights
        self.environment = {**installed.environment, "FAULTY_NOTES": str(self.notes)}

    def start(self, *options: str) -> Command:
        """Start a sweep of the blocks."""
        words = [
            "sweep", "-d", BLOCKS, "-m", "tiny",
            "--weights", str(self.weights), "--runs", str(self.runs), *options,
        ]  # fmt: skip
        return self.commands.start(words, ROOT, self.environment)

    def run(self, *options: str) -> tuple[int, str]:
        """Run a sweep to its end; returns its exit status and what it said."""
        process = self.start(*options)
        said, _ = process.communicate()
        return process.wait(), said

    def asked(self) -> list[str]:
        """List the kinds of which the codec was asked for frames, each time."""
        return self.notes.read_text(encoding="utf-8").split() if self.notes.exists() else []


@pytest.fixture
def sweeps(tmp_path: Path, installed: Installed, commands: Warm) -> Sweeps:
    return Sweeps(tmp_path, installed, commands)


@pytest.fixture
def wait() -> Callable[[Callable[[], bool]], None]:
    """Wait until something is so."""
    return until


@pytest.fixture
def grid(tmp_path):
    """Return the plan of a grid of that many seeds against the store, and what conducts it."""
    store = RunStore(tmp_path / "runs")

    def made(seeds: int, executor: Executor, **wishes):
        sweep = read(
            None,
            {"method": "bisenet", "dataset": STREET, "codec": "raw", "seed": list(range(seeds))},
        )
        wanted = points(sweep)
        plan = planned(wanted, Planner(tmp_path / "cache").experiments(wanted), store)
        site = Site(store.root, tmp_path / "cache", threads=torch.get_num_threads())
        return plan, conduct(plan, store, executor, site, Wishes("test", **wishes))

    return store, made
