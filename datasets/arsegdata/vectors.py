"""AR-Seg's files of motion: read, and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError

#: units of a stored vector in a pixel
UNITS = 4


def motion_of(index: int, path: Path | None, height: int, width: int) -> npt.NDArray[np.float32]:
    """Return the motion of a clip's frame to its keyframe, float32 (H, W, 2) in pixels.

    It is zero at the keyframe, which is frame 0.
    """
    if index == 0 or path is None:
        return np.zeros((height, width, 2), np.float32)
    return read_motion(path, height, width)


def read_motion(path: Path, height: int, width: int) -> npt.NDArray[np.float32]:
    """Read a file of vectors: float32 (H, W, 2) in pixels, (x, y).

    Raises DataError where it is of another size.
    """
    check_size(path, height, width)
    stored = np.fromfile(path, "<i2").reshape(height, width, 2)
    return stored.astype(np.float32) / np.float32(UNITS)


def check_size(path: Path, height: int, width: int) -> None:
    """Check the size of a file of vectors. Raises DataError where it is another."""
    expected = height * width * 2 * 2
    if path.stat().st_size != expected:
        raise DataError(
            f"{path} has {path.stat().st_size} bytes: expected {expected}, two int16 for each "
            f"pixel of {width}x{height}; copy it again from the source"
        )


def check_motion(path: Path, height: int, width: int) -> None:
    """Check that a file's vectors lie in the frame, as AR-Seg's always do.

    Raises DataError where they do not.
    """
    motion = read_motion(path, height, width)
    x, y = motion[..., 0] + np.arange(width), motion[..., 1] + np.arange(height)[:, None]
    beyond = int(((x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)).sum())
    if beyond:
        raise DataError(
            f"{path}: {beyond} of its {width * height} vectors lead out of the frame: "
            "expected backward motion in quarter pixels, int16 (H, W, 2), (x, y); was it written "
            "by another tool?"
        )
