"""Pictures as they are viewed: colours by their tags, time stamps, turned and resized motion."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from tests.segment.conftest import turn
from vssbench.codec.decode import Foreign, decode
from vssbench.core.motion import MotionField
from vssbench.core.video import Frame
from vssbench.data.videofile import VideoFile, open_videofile, turned
from vssbench.segment.frames import Pictures
from vssbench.segment.pictures import (
    resized_motion,
    resized_residual,
    turned_motion,
    viewed,
)

COLOUR = (200, 60, 30)
FILE = VideoFile(
    Path("drive.mp4"),
    "h264",
    64,
    96,
    "yuv420p",
    Fraction(1, 1000),
    Fraction(25),
    8,
    0,
    Fraction(1),
    2,
    0,
    False,
    False,
    0,
)


@pytest.mark.parametrize(
    ("options", "encoder", "name"),
    [
        ({"tag": 1}, "libx264", "a.mp4"),
        ({"tag": 6}, "libx264", "a.mp4"),
        ({"tag": 1, "full": True}, "libx264", "a.mp4"),
        ({}, "libx264", "a.mp4"),
        ({"pixel_format": "yuv422p10le", "tag": 1}, "libx264", "a.mkv"),
        ({"pixel_format": "yuv444p", "tag": 6}, "libx264", "a.mkv"),
        (
            {
                "pixel_format": "yuv420p10le",
                "tag": 1,
                "options": {"x265-params": "log-level=none:bframes=0"},
            },
            "libx265",
            "a.mp4",
        ),
        ({"size": (65, 97), "pixel_format": "yuv444p"}, "libx264", "a.mkv"),
        ({"pixel_format": "yuvj420p", "full": True, "tag": 6, "options": {}}, "mjpeg", "a.avi"),
    ],
)
def test_colours_follow_the_tags(make, options, encoder, name) -> None:
    size = options.get("size", (64, 96))
    path = make(name, encoder, length=2, image=np.full((*size, 3), COLOUR, np.uint8), **options)
    for frame in decode(path, None, foreign=Foreign(Pictures(open_videofile(path)))):
        assert frame.image.shape == (*size, 3)
        assert np.abs(frame.image.astype(int) - COLOUR).max() <= 6


def test_times_begin_at_0_and_never_stand_still() -> None:
    pictures = Pictures(FILE)
    for stamp in (5000, 5033, None, 5100, 5100, 5050, 5200):
        picture = av.VideoFrame(96, 64, "yuv420p")
        picture.pts = stamp
        pictures(picture, 64, 96)
    assert [pictures.next_time() for _ in range(7)] == [0, 33, 73, 100, 101, 102, 200]


def test_a_clock_that_begins_anew() -> None:
    """Joined files: one frame (40 ms) after the last, then on from there."""
    pictures = Pictures(FILE)
    for stamp in (0, 40, 2040, 0, 40, 80):
        picture = av.VideoFrame(96, 64, "yuv420p")
        picture.pts = stamp
        pictures(picture, 64, 96)
    assert [pictures.next_time() for _ in range(6)] == [0, 40, 2040, 2080, 2120, 2160]


def test_reordered_pictures_in_a_container_without_their_times(make) -> None:
    """AVI tells when packets are decoded: the pictures still follow each other frame by frame."""
    source = open_videofile(
        make("a.avi", options={"x264-params": "bframes=3:b-adapt=0"}, length=14)
    )
    pictures = Pictures(source)
    shown = list(decode(source.path, None, foreign=Foreign(pictures)))
    assert {"P", "B"} <= {frame.picture_type for frame in shown}
    assert [pictures.next_time() for _ in shown] == list(range(14))


@pytest.mark.parametrize(
    ("matrix", "rotation", "mirrored"),
    [
        ((1, 0, 0, 1), 0, False),
        ((0, 1, -1, 0), -90, False),
        ((-1, 0, 0, -1), 180, False),
        ((0, -1, 1, 0), 90, False),
        ((-1, 0, 0, 1), 0, True),
        ((1, 0, 0, -1), 180, True),
    ],
)
def test_how_a_file_wants_to_be_turned(make, matrix, rotation, mirrored) -> None:
    path = make("a.mp4", length=2)
    turn(path, matrix)
    source = open_videofile(path)
    assert (source.rotation % 360, source.mirrored) == (rotation % 360, mirrored)
    assert any("mirrored" in remark for remark in source.remarks()) == mirrored


@pytest.mark.parametrize("rotation", [0, 90, -90, 180, 270])
def test_motion_turns_with_the_picture(rotation: int) -> None:
    """A vector of a turned picture points at the same content: checked pixel by pixel."""
    rng = np.random.default_rng(0)
    height, width = 6, 9
    keyframe = rng.integers(0, 256, (height, width, 3)).astype(np.uint8)
    rows, columns = np.indices((height, width))
    goal = rng.integers(0, height, (height, width)), rng.integers(0, width, (height, width))
    motion = np.stack([goal[1] - columns, goal[0] - rows], -1).astype(np.float32)
    seen, field = turned(keyframe, rotation), turned_motion(motion, rotation)
    expected = turned(keyframe[goal], rotation)
    for y in range(seen.shape[0]):
        for x in range(seen.shape[1]):
            across, down = field[y, x].astype(int)
            assert seen[y + down, x + across].tolist() == expected[y, x].tolist()


def test_resized_motion_is_in_new_pixels() -> None:
    field = np.zeros((4, 8, 2), np.float32)
    field[:2, 4:] = (8, -4)
    smaller = resized_motion(field, (2, 2))
    assert smaller.tolist() == [[[0, 0], [2, -2]], [[0, 0], [0, 0]]]
    assert resized_motion(field, (4, 8)) is field


def test_a_frame_as_it_is_viewed() -> None:
    grid = np.tile(np.array([4, 2], np.float32), (8, 12, 1))
    motion = MotionField(grid, 8, 64, 96, 0.25)
    image, residual = np.zeros((64, 96, 3), np.uint8), np.full((64, 96, 3), -9, np.int16)
    frame = Frame(3, image, "P", 3, 100, motion, residual=residual)
    seen = viewed(frame, turned(image, -90), -90, (48, 32))
    assert seen.image.shape == (48, 32, 3)
    assert seen.motion is not None
    assert seen.motion.intra_share == 0.25
    assert seen.motion.dense().shape == (48, 32, 2)
    # right becomes down, down becomes left
    assert np.unique(seen.motion.dense().reshape(-1, 2), axis=0).tolist() == [[-1, 2]]
    assert seen.residual is not None
    assert np.unique(seen.residual).tolist() == [-9]
    assert resized_residual(residual, (64, 96)) is residual
    same = viewed(frame, image, 0, (64, 96))
    assert same.motion is motion
