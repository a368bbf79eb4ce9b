"""Shared fixtures: a tiny dataset of still or moving patterns, one thread for small tensors.

One thread is faster on these.
"""

from __future__ import annotations

import gc
import hashlib
import os
import random
import re
import signal
import stat
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.marks import CODEC, LONGEST, SLOW, TRAINING
from tests.warm import Warm, warm
from vssbench.core import apart
from vssbench.core.dataset import Dataset
from vssbench.core.division import Division
from vssbench.core.video import Clip

torch.set_num_threads(1)
# what is compiled is kept, as it usually is: else each process of the tests compiles all anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # so it is in a shell's background: no Ctrl-C would reach the processes that tests start and
    # interrupt
    signal.signal(signal.SIGINT, signal.default_int_handler)

TESTS = Path(__file__).resolve().parent
#: seconds that a test of these marks may take; the others have pyproject.toml's
LONG_TIMEOUT = 600


def pytest_configure(config: pytest.Config) -> None:
    """Let files be begun in the order of their tests, not those of most tests first, and do without
    pytest-timeout where it is not installed: a plug-in's author needs pytest alone."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False
    if not config.pluginmanager.hasplugin("timeout"):
        config.addinivalue_line("markers", "timeout(seconds): of pytest-timeout")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out files of which ``-m`` leaves out every test: they need not be read."""
    place = place_of(collection_path)
    return True if place is not None and unwanted(place, config.option.markexpr) else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first, mark every test by its file (tests/marks.py), and give the long
    ones more time."""
    rank = {TESTS / name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: rank.get(item.path, len(rank)))
    for item in items:
        place = place_of(item.path)
        if place is None:
            continue
        names = marks_of(place, item.name.split("[")[0])
        for name in names:
            item.add_marker(name)
        if names and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(LONG_TIMEOUT))


def pytest_collection_finish() -> None:
    """Spare what is there by now, hundreds of thousands of objects, every search for garbage."""
    gc.collect()
    gc.freeze()


@cache
def place_of(path: Path) -> Path | None:
    """Return a file's place in this folder; None where it lies elsewhere."""
    return path.relative_to(TESTS) if path.is_relative_to(TESTS) else None


def marks_of(path: Path, name: str) -> list[str]:
    """Return the marks of a test of that name in a file of this folder."""
    slow = SLOW.get(path.as_posix())
    marks = kinds_of(path)
    return [*marks, "slow"] if slow is not None and (not slow or name in slow) else [*marks]


@cache
def kinds_of(path: Path) -> tuple[str, ...]:
    """Return the marks that all tests of a file have."""
    return tuple(
        mark
        for mark, places in (("codec", CODEC), ("training", TRAINING))
        if any(path.is_relative_to(place) for place in places)
    )


def unwanted(path: Path, expression: str) -> bool:
    """Return whether an expression such as ``not slow and not codec`` leaves out a file of this
    folder for the marks that all its tests have; files that none of it may leave out are wanted."""
    if not re.fullmatch(r"not \w+( and not \w+)*", expression):
        return False
    of_all = {*kinds_of(path), *(["slow"] if SLOW.get(path.as_posix()) == () else [])}
    return not of_all.isdisjoint(re.findall(r"not (\w+)", expression))


class Patterns(Dataset):
    """Coloured blocks on a textured ground that move by (2, 1) pixels a frame; the label is the
    block."""

    title = "Patterns"
    classes = ("ground", "red", "blue")
    palette = ((0, 0, 0), (255, 0, 0), (0, 0, 255))

    def __init__(
        self, *, frames: int = 6, clips: int = 2, height: int = 64, width: int = 96
    ) -> None:
        self.frames, self.count, self.height, self.width = frames, clips, height, width

    def _clip(self, seed: int) -> Clip:
        rng = np.random.default_rng(seed)
        canvas = rng.integers(60, 120, (self.height * 2, self.width * 2, 3)).astype(np.uint8)
        canvas = np.repeat(np.repeat(canvas[::4, ::4], 4, 0), 4, 1)
        labels = np.zeros(canvas.shape[:2], np.uint8)
        for number in range(12):
            y, x = rng.integers(0, self.height * 2 - 24), rng.integers(0, self.width * 2 - 24)
            kind = 1 + number % 2
            canvas[y : y + 24, x : x + 24, 0 if kind == 1 else 2] += 120
            labels[y : y + 24, x : x + 24] = kind

        def cut(array: np.ndarray, index: int) -> np.ndarray:
            return array[index : index + self.height, 2 * index : 2 * index + self.width].copy()

        fingerprint = hashlib.sha256(canvas.tobytes() + bytes([self.frames])).hexdigest()
        return Clip(
            f"pattern{seed}", self.frames, self.height, self.width, 15.0,
            lambda index: cut(canvas, index), lambda index: cut(labels, index), fingerprint,
        )  # fmt: skip

    def clips(self) -> Sequence[Clip]:
        return [self._clip(seed) for seed in range(self.count)]

    def training_clips(self) -> Sequence[Clip]:
        return [self._clip(100 + seed) for seed in range(self.count)]

    def division(self) -> Division:
        return Division(self.training_clips(), [self._clip(200)], "a pattern of its own")


@pytest.fixture(autouse=True)
def same_random_numbers() -> None:
    """Give each test the random numbers that it has alone, whatever ran before it."""
    torch.manual_seed(0)
    random.seed(0)
    np.random.seed(0)


@pytest.fixture(autouse=True)
def usual_scheduling() -> Iterator[None]:
    """Take back what SVT-AV1 does as root where a test encodes in its own process: it makes all
    threads real-time ones, which whatever is started later would inherit."""
    yield
    if hasattr(os, "sched_getscheduler") and os.sched_getscheduler(0) != os.SCHED_OTHER:
        for thread in os.listdir("/proc/self/task"):
            os.sched_setscheduler(int(thread), os.SCHED_OTHER, os.sched_param(0))


@pytest.fixture
def decoded_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Videos are decoded in this process, where readers and decoders can be replaced."""
    monkeypatch.setattr(apart, "each", lambda what, function, *given: function(*given))
    monkeypatch.setattr(apart, "call", lambda what, function, *given: function(*given))


@pytest.fixture
def full_device(tmp_path: Path) -> Path:
    """A device that is always full. For root one of its own: code at fault would take the machine's
    away."""
    path = tmp_path / "full"
    if not os.access("/dev", os.W_OK):
        path.symlink_to("/dev/full")
        return path
    try:
        os.mknod(path, stat.S_IFCHR | 0o666, os.stat("/dev/full").st_rdev)
        os.close(os.open(path, os.O_WRONLY))
    except OSError as error:
        pytest.skip(f"no device can be made here: {error}")
    return path


@pytest.fixture(scope="session")
def commands() -> Iterator[Warm]:
    """Starts commands of the command line as processes that have imported all already."""
    with warm() as started:
        yield started


@pytest.fixture
def patterns() -> Patterns:
    return Patterns()


@pytest.fixture
def stills() -> Patterns:
    return Patterns(frames=1, clips=8)
