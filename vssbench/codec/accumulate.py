"""Accumulation over a GOP: every picture's field to its keyframe, through whatever pictures its
blocks refer to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vssbench.codec.motion import MotionSettings, compose, settle
from vssbench.codec.vectors.reader import BlockVectors
from vssbench.core.errors import DataError
from vssbench.core.motion import Grid, MotionField, grid_shape


class Accumulator:
    """Follows one stream in display order and gives each frame its field to the keyframe.

    A frame whose references are not there yet (a B-frame before the anchor that it refers to) waits
    for them. Fields are kept on the grid until the GOP ends, or until :meth:`forget`.
    """

    def __init__(self, height: int, width: int, settings: MotionSettings) -> None:
        self.height, self.width, self.settings = height, width, settings
        self._keyframe = 0
        self._fields: dict[int, Grid] = {}
        self._waiting: dict[int, BlockVectors] = {}

    def add(self, index: int, blocks: BlockVectors, key: bool) -> Iterator[tuple[int, MotionField]]:
        """Take the vectors of the next frame; yields the frames whose fields are known now, with
        the fields.

        Raises DataError where a frame refers to one beyond the keyframes on either side of it (an
        open GOP).
        """
        if key:
            self._refuse_waiting(f"before the keyframe {index}")
            self._keyframe = index
            zero = np.zeros(
                (*grid_shape(self.height, self.width, self.settings.cell), 2), np.float32
            )
            self._fields = {index: zero}
            yield index, MotionField(zero, self.settings.cell, self.height, self.width, 1.0)
            return
        self._waiting[index] = blocks
        ready: list[int] | None = None
        while ready is None or ready:
            ready = [waiting for waiting, its in self._waiting.items() if self._known(waiting, its)]
            for known in ready:
                yield known, self._field(known, self._waiting.pop(known))

    def forget(self, index: int) -> None:
        """Let go of the field of a frame to which no other will refer any more."""
        self._fields.pop(index, None)

    def finish(self) -> None:
        """Check that no frame still waits.

        Raises DataError where a frame refers to one that never came.
        """
        self._refuse_waiting("at the end of the stream")

    def _known(self, index: int, blocks: BlockVectors) -> bool:
        before = [name for name in (*blocks.named, blocks.past) if name < self._keyframe]
        if before:
            raise DataError(
                f"frame {index} refers to frame {before[0]}, which lies before its keyframe "
                f"{self._keyframe}: expected closed GOPs, whose frames refer to nothing outside"
            )
        return blocks.past in self._fields and all(name in self._fields for name in blocks.named)

    def _field(self, index: int, blocks: BlockVectors) -> MotionField:
        step = settle(index, blocks, self.settings.fill)
        grid = compose(step, self._fields, self.settings.cell, self.settings.whole_pixels)
        self._fields[index] = grid
        return MotionField(
            grid, self.settings.cell, self.height, self.width, blocks.intra_share, blocks, step
        )

    def _refuse_waiting(self, where: str) -> None:
        for index, blocks in self._waiting.items():
            absent = [name for name in blocks.named if name not in self._fields]
            raise DataError(
                f"frame {index} refers to frame {absent[0] if absent else blocks.past}, which is "
                f"not there {where}: expected closed GOPs, whose frames refer to nothing outside"
            )
