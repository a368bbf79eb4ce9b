"""Fresh content for every timed frame: the stream's frames, moved to where they have not been, in
a light in which they have not been.

The stream is short, since its frames must be decoded beforehand. Shown again and again, it would
make caches look better than they are on video, and a method that keeps results by the image
faster than it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vssbench.core.motion import MotionField
from vssbench.core.video import Frame

Levels = npt.NDArray[np.uint8]

#: pixels by which frames move or a multiple of it: whole cells of every field of motion
STEP = 8


#: the least contrast, as a share of the stream's own; grey levels by which each value is changed
#: on its own beside that
_CONTRAST, _SPREAD = 0.9, 1


class Fresh:
    """Gives the frames of a GOP moved by a distance that no GOP before it was moved by.

    What leaves the image on one side enters on the other. A GOP's frames move alike, and their
    motion and residuals with them. Distances begin anew once all were used, after (height / STEP)
    (width / STEP) GOPs. Grey levels are drawn anew for each GOP, alike for its frames: contrast,
    brightness, and each level by itself, so that means and histograms are new ones, too.
    """

    def __init__(self, height: int, width: int, seed: int = 0) -> None:
        self._rows, self._columns = max(1, height // STEP), max(1, width // STEP)
        self._random = np.random.default_rng(seed)
        self._order = self._random.permutation(self._rows * self._columns)
        self._next = 0

    def __call__(self, gop: Sequence[Frame]) -> list[Frame]:
        place = int(self._order[self._next % len(self._order)])
        self._next += 1
        row, column = divmod(place, self._columns)
        levels = self._levels()
        return [_moved(frame, STEP * row, STEP * column, levels) for frame in gop]

    def _levels(self) -> Levels:
        """Draw the level that each level becomes, uint8 (256,)."""
        contrast = self._random.uniform(_CONTRAST, 1)
        brightness = self._random.uniform(0, 255 * (1 - contrast))
        own = self._random.integers(-_SPREAD, _SPREAD, 256, endpoint=True)
        return np.clip(np.rint(contrast * np.arange(256) + brightness) + own, 0, 255).astype(
            np.uint8
        )


def _moved(frame: Frame, down: int, right: int, levels: Levels) -> Frame:
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
    return replace(frame, image=levels[turned(frame.image)], motion=motion, residual=residual)
