"""Fresh content for every timed frame: the stream's frames, moved to where they have not been.

The stream is short, since its frames must be decoded beforehand. Shown again and again, it would
make caches look better than they are on video, and a method that keeps results by the image
faster than it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from vssbench.core.motion import MotionField
from vssbench.core.video import Frame

#: pixels by which frames move or a multiple of it: whole cells of every field of motion
STEP = 8


class Fresh:
    """Gives the frames of a GOP moved by a distance that no GOP before it was moved by.

    What leaves the image on one side enters on the other. A GOP's frames move alike, and their
    motion and residuals with them. Distances begin anew once all were used, after (height / STEP)
    (width / STEP) GOPs.
    """

    def __init__(self, height: int, width: int, seed: int = 0) -> None:
        self._rows, self._columns = max(1, height // STEP), max(1, width // STEP)
        self._order = np.random.default_rng(seed).permutation(self._rows * self._columns)
        self._next = 0

    def __call__(self, gop: Sequence[Frame]) -> list[Frame]:
        place = int(self._order[self._next % len(self._order)])
        self._next += 1
        row, column = divmod(place, self._columns)
        return [_moved(frame, STEP * row, STEP * column) for frame in gop]


def _moved(frame: Frame, down: int, right: int) -> Frame:
    def turned(values: np.ndarray, cell: int = 1) -> np.ndarray:
        return np.roll(values, (down // cell, right // cell), (0, 1))

    motion = frame.motion
    if motion is not None:
        motion = MotionField(
            turned(motion.grid, motion.cell),
            motion.cell,
            motion.height,
            motion.width,
            motion.intra_share,
        )
    residual = None if frame.residual is None else turned(frame.residual)
    return replace(frame, image=turned(frame.image), motion=motion, residual=residual)
