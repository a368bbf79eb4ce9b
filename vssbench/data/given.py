"""Frames that come coded and decoded already, with motion to their keyframe: what a codec would
have made of them."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from vssbench.core.errors import DataError, ExperimentRefused
from vssbench.core.motion import MotionField
from vssbench.core.video import Clip, Frame


def given_frames(clip: Clip, gop: int, motion: bool) -> Iterator[Frame]:
    """Yield the frames of a clip that brings its own coding, at the distances at which they were
    coded.

    Their size in the stream is not known (0 bits), nor their source (PSNR and SSIM NaN). With
    ``motion`` each has its field, a cell a pixel. Raises ExperimentRefused where the clip does not
    begin with a keyframe, or a distance does not fit the GOP length, or brings no coding; DataError
    where a field is not (H, W, 2).
    """
    given = clip.given
    if given is None:
        raise ExperimentRefused(
            f"the clip {clip.name!r} brings no motion of its own: motion=given is for data that "
            "were coded elsewhere; use motion=estimated, or a codec"
        )
    if given.distances[0] != 0:
        raise ExperimentRefused(
            f"the clip {clip.name!r} does not begin with a keyframe that was coded: frames that "
            "come coded are scored as they come alone; use --protocol dense"
        )
    if max(given.distances) >= gop:
        raise ExperimentRefused(
            f"the clip {clip.name!r} was coded with a frame {max(given.distances)} frames after "
            f"its keyframe, which a GOP of {gop} does not hold: use --gop "
            f"{max(given.distances) + 1} or more, as the data were coded"
        )
    for index, distance in enumerate(given.distances):
        frame = Frame(index, clip.image(index), "P" if distance else "I", distance)
        if motion:
            started = time.perf_counter()
            grid = given.motion(index)
            if grid.shape != (clip.height, clip.width, 2):
                raise DataError(
                    f"{clip.name!r}: motion of frame {index} is {grid.shape}, expected "
                    f"{(clip.height, clip.width, 2)}"
                )
            frame.motion = MotionField(
                np.ascontiguousarray(grid, np.float32), 1, clip.height, clip.width, float("nan")
            )
            frame.motion_seconds = time.perf_counter() - started
        yield frame
