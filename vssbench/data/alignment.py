"""Which picture of a video a still is: found by comparing, whatever size or colour matrix either
has.

Pictures are compared as small grey images of equal mean and contrast, so that another matrix, range
or scaler between the video and the still does not count; what is left is how much the scene
differs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow

from vssbench.core.errors import DataError
from vssbench.core.video import Image
from vssbench.data.colour import grey

#: width and height at which pictures are compared
THUMBNAIL = (120, 90)
#: mean difference, as a share of the contrast, up to which two pictures can be the same;
#: neighbouring frames of a drive differ by 0.08 and more at 15 Hz, a still at half its size from
#: the same frame by less than 0.01
SAME = 0.06
#: how much better another offset must be before the expected one is given up: a car that stands
#: still shows equal pictures
BETTER = 0.9

Thumbnail = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Offset:
    """``picture = frame - first``: which picture of the file a frame of the sequence is, and the
    mean difference there."""

    first: int
    difference: float


def thumbnail(image: Image) -> Thumbnail:
    """Return an image as it is compared: grey, small, of mean 0 and standard deviation 1."""
    small = np.asarray(
        Pillow.fromarray(grey(image)).resize(THUMBNAIL, Pillow.Resampling.BOX), np.float32
    )
    return (small - small.mean()) / max(float(small.std()), 1.0)


def difference(one: Thumbnail, other: Thumbnail) -> float:
    """Return the mean absolute difference, as a share of the pictures' contrast."""
    return float(np.abs(one - other).mean())


def find_offset(
    video: Iterable[tuple[int, Thumbnail]],
    stills: Mapping[int, Thumbnail],
    expected: int,
    reach: int,
    what: str,
) -> Offset:
    """Return the offset at which some stills, by frame number, lie in a video, given as (number,
    picture); the expected one unless another fits clearly better.

    Offsets up to ``reach`` frames to either side are tried. Raises DataError where none fits.
    """
    total: dict[int, list[float]] = {
        first: [] for first in range(expected - reach, expected + reach + 1)
    }
    for number, picture in video:
        for frame, still in stills.items():
            if (first := frame - number) in total:
                total[first].append(difference(picture, still))
    means = {
        first: sum(each) / len(each) for first, each in total.items() if len(each) == len(stills)
    }
    if expected not in means:
        raise DataError(
            f"{what}: the video is too short to hold the frames {_numbers(sorted(stills))}; is it "
            "the whole file?"
        )
    best = min(means, key=lambda first: means[first])
    if means[expected] * BETTER <= means[best]:
        best = expected
    if means[best] > SAME:
        raise DataError(
            f"{what}: the stills are not found in it. They were compared at {len(means)} offsets "
            f"around the expected one; the best differs by {means[best]:.2f} of the contrast, "
            f"expected {SAME} at most. Is it the video of this sequence, as published?"
        )
    return Offset(best, means[best])


def check_place(
    still: Thumbnail, around: Sequence[tuple[int, Thumbnail]], number: int, what: str
) -> float:
    """Return the difference of a still and picture ``number`` of the video.

    The picture is given with those beside it.

    Raises DataError where that picture shows something else, or one beside it is clearly the still.
    """
    values = {place: difference(picture, still) for place, picture in around}
    best = min(values, key=lambda place: values[place])
    if values[number] > SAME or values[best] < BETTER * values[number] - 0.01:
        raise DataError(
            f"{what} is not where it is expected: picture {number} differs from it by "
            f"{values[number]:.2f} of the contrast, picture {best} by {values[best]:.2f}. The "
            "video has lost or repeated pictures before this one: get it again"
        )
    return values[number]


def _numbers(values: Sequence[int]) -> str:
    return f"{values[0]}" if len(values) == 1 else f"{values[0]} to {values[-1]}"
