"""Video files as users have them: turned, damaged, trimmed without loss, of varying frame rate."""

from __future__ import annotations

import logging
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace
from click.testing import CliRunner
from PIL import Image as Pillow

from tests.datasets import fakes
from tests.segment.conftest import trim, turn
from vssbench.cli import bench
from vssbench.cli.codec import open_clip
from vssbench.codec.contents import contents
from vssbench.codec.formats.raw import Raw
from vssbench.core.errors import DataError
from vssbench.data.colour import rgb, untagged
from vssbench.data.footage import footage
from vssbench.data.movie import Movie
from vssbench.data.videofile import open_videofile, pictures, timing
from vssbench.segment.frames import coded, recoded
from vssbench.view.page import Page
from vssbench.view.sheet import TITLE

TICKS = Fraction(1, 1000)
#: side of a block that is a bit of a picture's number
BIT = 16


def numbered(number: int) -> np.ndarray:
    """A picture that shows its number in six blocks, least bit left."""
    image = np.full((64, 96, 3), 90, np.uint8)
    for bit in range(6):
        image[:BIT, BIT * bit : BIT * (bit + 1)] = 235 if number >> bit & 1 else 20
    return image


def number_of(image: np.ndarray) -> int:
    blocks = image[BIT // 2, BIT // 2 :: BIT].mean(-1)
    return sum(1 << bit for bit in range(6) if blocks[bit] > 128)


def film(path: Path, times: list[int], base: int = 1000, **options: int) -> Path:
    """A file of numbered pictures that are shown at some times, in parts ``base`` of a second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width, stream.pix_fmt = 64, 96, "yuv420p"
        for name, value in options.items():
            setattr(stream.codec_context, name, value)
        stream.codec_context.time_base = Fraction(1, base)
        for number, time in enumerate(times):
            picture = av.VideoFrame.from_ndarray(numbered(number), "rgb24")
            picture.pts, picture.time_base = time, Fraction(1, base)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    return path


def test_pictures_before_an_edit_lists_start_are_not_shown(tmp_path: Path) -> None:
    times = [40 * number for number in range(40)]
    path = film(tmp_path / "trimmed.mp4", times, gop_size=40, max_b_frames=0)
    trim(path, 5)
    movie = Movie(path)
    assert (len(movie), movie.file.frames) == (35, 35)
    assert [number_of(movie.image(place)) for place in (0, 1, 34, 20, 3, 0)] == [5, 6, 39, 25, 8, 5]


@pytest.mark.parametrize(
    ("matrix", "quarters"), [((0, 1, -1, 0), -1), ((-1, 0, 0, -1), 2), ((0, -1, 1, 0), 1)]
)
def test_pictures_are_the_right_way_up(
    tmp_path: Path, matrix: tuple[int, int, int, int], quarters: int
) -> None:
    path = fakes.video(tmp_path / "drive.mp4", [fakes.scene(number) for number in range(3)],
                       "libx264", bit_rate=8_000_000)  # fmt: skip
    before = Movie(path).image(1)
    turn(path, matrix)
    expected = np.rot90(before, quarters)
    for clip in (Movie(path), footage(path), open_clip(str(path), None)):
        np.testing.assert_array_equal(clip.image(1), expected)
    assert Movie(path).size == footage(path).image(0).shape[:2] == expected.shape[:2]
    told = contents(path)
    assert (told.height, told.width) == expected.shape[:2]
    assert any("it is turned by" in remark for remark in told.remarks)


def test_codec_show_draws_pictures_the_right_way_up(tmp_path: Path) -> None:
    path = fakes.video(tmp_path / "drive.mp4", [fakes.scene(0)], "libx264", bit_rate=8_000_000)
    turn(path)
    call = ["codec", "show", str(path), "-c", "raw", "--frame", "0"]
    result = CliRunner().invoke(bench, [*call, "-o", str(tmp_path / "a.png")])
    assert result.exit_code == 0, result.exception
    with Pillow.open(tmp_path / "a.png") as picture:
        drawn = np.asarray(picture.convert("RGB"))
    expected = Movie(path).image(0)
    times = drawn.shape[1] // expected.shape[1]
    height, width = expected.shape[:2]
    top = Page(drawn.shape[1]).px(TITLE)
    tall = drawn[top : top + times * height, : times * width].astype(float)
    small = tall.reshape(height, times, width, times, 3).mean((1, 3))
    assert np.abs(small - expected).mean() < 3


@pytest.mark.parametrize(("size", "matrix"), [((64, 96), 6), ((720, 64), 1), ((64, 1026), 1)])
def test_colours_of_files_without_tags_are_the_same_to_all(
    tmp_path: Path, size: tuple[int, int], matrix: int
) -> None:
    """The readers of ``folder``, ``codec show``, ``latency``, ``segment`` convert them alike."""
    image = np.zeros((*size, 3), np.uint8)
    image[:, : size[1] // 2] = (200, 60, 30)
    path = fakes.video(tmp_path / "drive.mp4", [image] * 2, "libx264", bit_rate=8_000_000)
    file = open_videofile(path)
    assert file.colour == 2  # unspecified
    (frame, _), *_ = coded(file, None, None)
    (again, _), *_ = recoded(file, Raw(), frozenset())
    expected = Movie(path).image(0)
    others = (footage(path).image(0), open_clip(str(path), None).image(0), frame.image, again.image)
    for other in others:
        np.testing.assert_array_equal(other, expected)
    with av.open(str(path)) as container:
        picture = next(container.decode(video=0))
    np.testing.assert_array_equal(rgb(picture, Colorspace(untagged(*size))), expected)
    wrong = rgb(picture, Colorspace.ITU601 if matrix == 1 else Colorspace.ITU709)
    assert np.abs(wrong.astype(int) - expected).max() > 5


READERS = (
    Movie, footage, contents, lambda path: list(pictures(path)),
    lambda path: open_clip(str(path), None),
)  # fmt: skip


@pytest.mark.parametrize("reader", READERS)
def test_damage_is_refused(tmp_path: Path, reader) -> None:  # type: ignore[no-untyped-def]
    path = fakes.damaged(tmp_path / "drive.mp4")
    with pytest.raises(DataError, match=r"decoded beyond its first \d+ (pictures|frames)"):
        reader(path)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_a_varying_rate_is_the_mean_and_said(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    times = [0]
    for number in range(39):
        times.append(times[-1] + (20 if number % 2 else 100))
    path = film(tmp_path / f"drive{suffix}", times)
    with caplog.at_level(logging.WARNING):
        movie = Movie(path)
    assert movie.fps == pytest.approx(1000 * 39 / times[-1], rel=1e-2)
    assert any("varies" in remark for remark in contents(path).remarks)
    assert "its frame rate varies: frames last 20 to 100 ms" in caplog.text
    assert any("varies" in remark for remark in open_videofile(path).remarks())


def test_a_pause_is_named_and_left_out(tmp_path: Path) -> None:
    times = [40 * number + (60_000 if number >= 20 else 0) for number in range(40)]
    file = open_videofile(film(tmp_path / "drive.mp4", times))
    assert file.rate == 25
    assert any("it has a pause of 60.04 s" in remark for remark in file.remarks())


def test_rates_of_time_stamps() -> None:
    film_rate = Fraction(30000, 1001)
    stamps = [round(1000 * number / film_rate) for number in range(100)]
    assert timing(stamps, TICKS, [film_rate]).rate == film_rate
    assert timing(stamps, TICKS, [film_rate]).remarks == ()
    assert timing([], TICKS, [Fraction(24)]).rate == 24
    assert timing([0], TICKS, []).rate == 25
    # a picture every two seconds is a slow film, not one of pauses
    slow = timing([2000 * number for number in range(9)], TICKS, [Fraction(25)])
    assert (slow.rate, slow.remarks) == (Fraction(1, 2), ())
    stopped = timing([0, 40, 80, 5080, 5120], TICKS, [])
    assert stopped.rate == 25
    assert "it has a pause of 5 s" in stopped.remarks[0]


def test_every_command_takes_the_same_rate(tmp_path: Path) -> None:
    times = [40 * number + (60_000 if number >= 20 else 0) for number in range(40)]
    path = film(tmp_path / "drive.mp4", times)
    assert Movie(path).fps == footage(path).fps == contents(path).fps == 25
