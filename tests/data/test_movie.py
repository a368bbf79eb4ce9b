"""Video files by the number of their pictures: the same pictures in any order, pickled or not."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.datasets import fakes
from vssbench.core.errors import DataError
from vssbench.data.colour import rgb
from vssbench.data.movie import Movie
from vssbench.data.videofile import pictures

IMAGES = [fakes.scene(number) for number in range(60)]
KINDS = {
    "film.mkv": ("libx264", {"gop_size": 25, "max_b_frames": 2}),
    "film.mp4": ("libx264", {"gop_size": 60}),
    "film.avi": ("mjpeg", {}),
    "film.mxf": ("mpeg2video", {"gop_size": 1}),
}


@pytest.fixture(params=sorted(KINDS))
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    codec, options = KINDS[request.param]
    return fakes.video(tmp_path / request.param, IMAGES, codec, bit_rate=8_000_000, **options)


def test_any_order_gives_the_pictures_of_a_straight_pass(path: Path) -> None:
    straight = [rgb(picture) for picture in pictures(path)]
    movie = Movie(path)
    assert len(movie) == len(straight) == 60
    assert (movie.size, movie.fps) == ((64, 96), 25.0)
    for index in [0, 1, 2, 59, 58, 57, 5, 45, 5, 6, 6, 30, 0, *range(60)]:
        np.testing.assert_array_equal(movie.image(index), straight[index], err_msg=str(index))


def test_a_pickled_movie_reads_on(path: Path) -> None:
    movie = Movie(path)
    before = movie.image(10)
    other = pickle.loads(pickle.dumps(movie))
    np.testing.assert_array_equal(other.image(10), before)
    np.testing.assert_array_equal(movie.image(9), other.image(9))


@pytest.mark.parametrize("name", ["film.h264", "film.avi"])
def test_pictures_without_ascending_time_stamps_are_counted(tmp_path: Path, name: str) -> None:
    """A bare stream has none; AVI with B-frames tells those of the packets."""
    path = fakes.video(tmp_path / name, IMAGES, "libx264", gop_size=10, max_b_frames=2)
    straight = [rgb(picture) for picture in pictures(path)]
    movie = Movie(path)
    assert len(movie) == 60
    assert movie.times == (None,) * 60
    for index in (3, 4, 40, 2, 59, 0):
        np.testing.assert_array_equal(movie.image(index), straight[index], err_msg=str(index))


def test_pictures_of_two_sizes_are_refused(tmp_path: Path) -> None:
    one = fakes.video(tmp_path / "one.ts", IMAGES[:6], "libx264")
    other = fakes.video(
        tmp_path / "other.ts", [image[:48, :64].copy() for image in IMAGES[:6]], "libx264"
    )
    both = tmp_path / "both.ts"
    both.write_bytes(one.read_bytes() + other.read_bytes())
    with pytest.raises(DataError, match=r"picture 6 of .* is 64x48, those before it 96x64"):
        Movie(both)


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "film.mp4"
    text.write_text("no film")
    with pytest.raises(DataError, match=r"film\.mp4 cannot be read as a video"):
        Movie(text)
    with pytest.raises(DataError, match=r"no file .*absent\.mp4"):
        Movie(tmp_path / "absent.mp4")


def test_a_picture_beyond_the_end_is_refused(tmp_path: Path) -> None:
    movie = Movie(fakes.avi(tmp_path / "film.avi", IMAGES[:3]))
    with pytest.raises(DataError, match="holds 3 pictures; picture 3 is not there"):
        movie.image(3)
