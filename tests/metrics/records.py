"""Records of simulated frames, correlated in their clips and groups, for tests of intervals."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from vssbench.run.records import ConfusionRecord

CLASSES = 4
SHARES = np.array([0.5, 0.3, 0.15, 0.05])


def series(
    random: np.random.Generator, frames: int, correlation: float, columns: int
) -> np.ndarray:
    """A stationary AR(1) series of variance 1: float64 (frames, columns)."""
    values = random.standard_normal((frames, columns))
    for frame in range(1, frames):
        values[frame] = (
            correlation * values[frame - 1] + math.sqrt(1 - correlation**2) * values[frame]
        )
    return values


def record_of(
    seed: int,
    frames: int = 60,
    correlation: float = 0.0,
    gop: int = 4,
    clips: int = 1,
    skill: float = 2.0,
    every: bool = False,
) -> ConfusionRecord:
    """Frames whose errors follow an AR(1) series, the same for all skills; farther from the
    keyframe they are more."""
    random = np.random.default_rng(seed)
    rows, places = [], []
    for clip in range(clips):
        hardness = series(random, frames, correlation, CLASSES + 1)
        pixels = np.rint(
            SHARES * np.exp(0.3 * series(random, frames, correlation, CLASSES)) * 10_000
        ).astype(np.int64)
        frame = np.repeat(np.arange(frames), gop if every else 1)
        distance = np.tile(np.arange(gop), frames) if every else frame % gop
        badness = -skill + 0.1 * distance[:, None] + 0.5 * hardness[frame, :1]
        badness = badness + 0.4 * hardness[frame, 1:]
        wrong = np.rint(pixels[frame] / (1 + np.exp(-badness))).astype(np.int64)
        matrices = np.zeros((len(frame), CLASSES, CLASSES), np.int64)
        matrices[:, np.arange(CLASSES), (np.arange(CLASSES) + 1) % CLASSES] = wrong
        matrices[:, np.arange(CLASSES), np.arange(CLASSES)] += pixels[frame] - wrong
        rows.append(matrices)
        places.append(np.stack([distance, np.full_like(frame, clip), frame]))
    return ConfusionRecord(np.concatenate(rows), *np.concatenate(places, axis=1))


By = Literal["clip", "frame", "drive"]


def grouped(
    seed: int, lengths: list[int], views: int, correlation: float, by: By
) -> ConfusionRecord:
    """Drives of so many frames, every frame seen at ``views`` distances, each view a clip of its
    own: all frames at one distance, then all at the next, behind their keyframe.

    Groups are none, the source frames, or the drives with the views of each frame.
    """
    drives = [
        record_of(seed + 7919 * place, n, correlation, max(views, 4), every=views > 1)
        for place, n in enumerate(lengths)
    ]
    frames = np.repeat(np.arange(sum(lengths)), views)
    distances = np.tile(np.arange(views), sum(lengths))
    drive = np.repeat(np.arange(len(lengths)), lengths)[frames]
    return ConfusionRecord(
        np.concatenate([record.matrices for record in drives]),
        distances,
        distances * sum(lengths) + frames,
        np.minimum(distances, 1),
        {"clip": None, "frame": frames, "drive": drive}[by],
        frames if by == "drive" and views > 1 else None,
    )
