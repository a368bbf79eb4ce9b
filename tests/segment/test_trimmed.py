"""Files that were trimmed without loss: their edit list hides pictures that others refer to."""

from __future__ import annotations

import numpy as np
import pytest

from tests.segment.conftest import trim
from vssbench.codec.contents import contents
from vssbench.codec.decode import Foreign, MotionSource, decode
from vssbench.codec.vectors.h264 import H264Vectors
from vssbench.data.movie import Movie
from vssbench.data.videofile import open_videofile
from vssbench.segment.frames import Pictures

FIRST = 2
BFRAMES = {
    "x264-params": "ref=1:b-pyramid=none:weightp=0:weightb=0:keyint=12:min-keyint=12:scenecut=0:"
    "bframes=1:b-adapt=0"
}


@pytest.mark.parametrize("motion", [None, MotionSource(H264Vectors, residual=True)])
def test_the_first_picture_that_is_shown_is_a_keyframe(make, motion: MotionSource | None) -> None:
    path = make("drive.mp4", length=14)
    whole = list(decode(path, None))
    trim(path, FIRST)
    source = open_videofile(path)
    images = Pictures(source)
    frames = list(decode(path, None, motion, frame_threads=motion is None, foreign=Foreign(images)))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.distance for frame in frames] == [0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 0, 1]
    assert [frame.picture_type for frame in frames] == list("PPPPIPPPPPIP")
    assert [frame.bits for frame in frames] == [frame.bits for frame in whole[FIRST:]]
    step = round(1 / (source.rate * source.time_base))
    assert [images.next_time() for _ in frames] == [step * number for number in range(12)]
    for frame, before in zip(frames, whole[FIRST:], strict=True):
        np.testing.assert_array_equal(frame.image, before.image)


def test_vectors_lead_to_the_first_picture_that_is_shown(make) -> None:
    """The pan of the fixture moves by (2, 1) pixels a frame."""
    path = make("drive.mp4", length=14)
    trim(path, FIRST)
    for frame in decode(path, None, MotionSource(H264Vectors)):
        assert frame.motion is not None
        middle = np.median(frame.motion.dense()[16:48, 16:80], (0, 1))
        np.testing.assert_allclose(np.abs(middle), np.array([2, 1]) * frame.distance, atol=0.3)


@pytest.mark.parametrize("first", [1, 2, 3])
def test_pictures_that_are_reordered(make, first: int) -> None:
    """The file begins at a B-frame or at a picture that one before refers to."""
    path = make("drive.mp4", options=BFRAMES, length=12)
    whole = list(decode(path, None))
    trim(path, first)
    frames = list(decode(path, None, MotionSource(H264Vectors)))
    assert [frame.distance for frame in frames] == list(range(12 - first))
    for frame, before in zip(frames, whole[first:], strict=True):
        np.testing.assert_array_equal(frame.image, before.image)
        assert frame.motion is not None


def test_every_reader_counts_the_same_pictures(make) -> None:
    path = make("drive.mp4", length=14)
    trim(path, FIRST)
    assert contents(path).frames == len(Movie(path)) == open_videofile(path).frames == 12
