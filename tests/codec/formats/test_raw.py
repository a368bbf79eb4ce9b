"""Uncompressed video: the clip's own frames, GOPs by number."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from vssbench.codec.formats.raw import Raw
from vssbench.core.errors import DataError
from vssbench.core.video import Clip

Pan = Callable[..., Clip]


def test_frames_are_the_clips_own(pan: Pan) -> None:
    clip = pan(33, 47, 7, (1, 0))
    codec = Raw(gop=3)
    assert not codec.has_motion
    for index, frame in enumerate(codec.frames(clip)):
        np.testing.assert_array_equal(frame.image, clip.image(index))
        assert (frame.index, frame.distance, frame.bits, frame.motion) == (
            index,
            index % 3,
            24 * 33 * 47,
            None,
        )
        assert frame.picture_type == ("I" if index % 3 == 0 else "P")
    assert index == 6


def test_frames_of_another_size_are_refused(pan: Pan) -> None:
    with pytest.raises(DataError, match="one size"):
        list(Raw().frames(replace(pan(32, 48, 2), width=40)))
