"""Interface of a run's meters: fed frame by frame, they give arrays to be stored and added."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from vssbench.core.video import Image, LabelMap

Ints = npt.NDArray[np.int64]
Flow = npt.NDArray[np.float32]
Arrays = dict[str, npt.NDArray]


@dataclass(frozen=True, eq=False)
class Seen:
    """One predicted frame.

    ``prediction`` is uint8 (H, W), ``label`` uint8 (H, W) or None where the frame carries none.
    ``episode`` numbers the run of frames that were encoded together: frames of two episodes are
    never taken for neighbours in time. ``clip``, ``frame`` and ``distance`` are stored as in a
    ConfusionRecord. ``flow`` gives the exact backward motion float32 (H, W, 2) to the frame before,
    (x, y) in pixels, NaN where that frame does not show the point; it is asked only where it is
    needed. Where it is None, motion is estimated from ``image`` uint8 (H, W, 3), and not at all
    where that is None too.
    """

    prediction: LabelMap
    label: LabelMap | None
    episode: int
    clip: int
    frame: int
    distance: int
    flow: Callable[[], Flow] | None = None
    image: Image | None = None


class Meter(Protocol):
    """Counts what it is shown, in memory that does not grow but for a few numbers a frame."""

    def add(self, seen: Seen) -> None:
        """Take in the next frame of its episode. Raises DataError where shapes do not fit."""

    def arrays(self) -> Arrays:
        """Return the counts as arrays to be stored."""
