"""Warm-up: until the times of successive windows agree.

The first passes of a network compile kernels, fill caches and raise the clock, for how long depends
on the machine. A window is a keyframe and a few frames after it; its medians, of keyframes and of
others, must agree with those of the window before it, twice in a row.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

#: frames after the keyframe in a window
OTHERS = 3
#: medians of successive windows that agree differ by at most this share
TOLERANCE = 0.05
#: agreements in a row that end the warm-up
AGREEMENTS = 2
#: where the warm-up is given up: windows, and seconds (but at least AGREEMENTS + 1 windows)
MOST_WINDOWS, MOST_SECONDS = 60, 30.0


@dataclass(frozen=True)
class WarmUp:
    """The warm-up of a process.

    Its seconds, frames and windows; whether it settled before it was given up; the medians of
    keyframes and of others of the first and of the last window, in milliseconds (others are 0 where
    every frame is a keyframe).
    """

    seconds: float
    frames: int
    windows: int
    settled: bool
    first_ms: tuple[float, float]
    last_ms: tuple[float, float]


def settled(windows: Sequence[tuple[float, ...]]) -> bool:
    """Return whether the latest windows agree.

    They do if AGREEMENTS times in a row each median agrees with the one before it.
    """
    if len(windows) <= AGREEMENTS:
        return False
    latest = windows[-AGREEMENTS - 1 :]
    return all(_agree(before, after) for before, after in itertools.pairwise(latest))


def given_up(windows: int, seconds: float) -> bool:
    """Return whether the warm-up has taken long enough to be given up."""
    return windows >= MOST_WINDOWS or (seconds >= MOST_SECONDS and windows > AGREEMENTS)


def _agree(before: tuple[float, ...], after: tuple[float, ...]) -> bool:
    return all(abs(a - b) <= TOLERANCE * min(a, b) for a, b in zip(before, after, strict=True))
