"""A decoder that crashes or hangs on a user's video: one message, and the work goes on."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import vssbench
from tests.hostile.test_videos import film
from vssbench.cli import bench
from vssbench.core import apart
from vssbench.core.errors import DataError, MotionUnavailable
from vssbench.data.movie import Movie, _reader
from vssbench.data.videofile import open_videofile
from vssbench.segment.frames import coded


@pytest.fixture(autouse=True)
def dying(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Processes of this test crash and hang as the files' names say."""
    apart.waiting.end()
    _reader.end()
    monkeypatch.setattr(
        apart,
        "PROGRAM",
        apart.PROGRAM.replace("from vss", "import tests.hostile.planted; from vss"),
    )
    yield
    apart.waiting.end()
    _reader.end()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("sound") / "sound.mkv", "libx264")


@pytest.fixture
def named(sound: Path, tmp_path: Path):
    def made(name: str) -> Path:
        path = tmp_path / f"{name}.mkv"
        path.write_bytes(sound.read_bytes())
        return path

    return made


def test_a_crash_at_any_place_is_a_message(named, sound: Path) -> None:
    crashed = r"its decoder crashed \(SIGSEGV\)\. Only the process that decodes was lost"
    with pytest.raises(DataError, match=rf"segv-videofile\.mkv: {crashed}"):
        open_videofile(named("segv-videofile"))
    movie = Movie(named("segv-movie"))  # it is opened and decoded once, and crashes when sought
    other = Movie(sound)
    picture = other.image(2)
    with pytest.raises(DataError, match=rf"picture 1 of .*segv-movie\.mkv: {crashed}"):
        movie.image(1)
    # the reader's process was all files'; the others are opened anew
    np.testing.assert_array_equal(other.image(2), picture)


def test_commands_and_the_library_say_it(named, sound: Path, tmp_path: Path) -> None:
    probe = CliRunner().invoke(bench, ["codec", "probe", str(named("abort-decode")), str(sound)])
    assert isinstance(probe.exception, DataError)
    assert "abort-decode.mkv: its decoder crashed (SIGABRT)" in str(probe.exception)
    with pytest.raises(MotionUnavailable, match=r"cannot be used: .*crashed \(SIGSEGV\)"):
        vssbench.motion(named("segv-vectors"))
    out = tmp_path / "out.mkv"
    method = ("-m", "warp", "-d", "synthetic", "-o", str(out))
    done = CliRunner().invoke(bench, ["segment", str(named("exit-decode")), *method])
    assert isinstance(done.exception, DataError)
    assert "exit-decode.mkv: its decoder left its process (exit status 3)" in str(done.exception)
    assert not out.exists()


def test_a_hang_is_ended(named, monkeypatch: pytest.MonkeyPatch) -> None:
    video = open_videofile(named("hang-decode"))
    monkeypatch.setenv("VSSBENCH_MAX_DECODE_SECONDS", "1")
    with pytest.raises(DataError, match=r"gave nothing for 1 s and was ended.*_SECONDS=2"):
        list(coded(video, None, None))
    assert not len(apart.waiting), "the process that hung waits for work"


def slowly(items: int) -> Iterator[int]:
    """Work that takes longer than the bound, and says that it goes on."""
    for _ in range(items):
        time.sleep(apart.LOOK)
        apart.tick()
    yield items


def test_signs_of_life_keep_a_long_task(monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(apart.each("short", slowly, 0)) == [0]  # the process has begun
    monkeypatch.setenv("VSSBENCH_MAX_DECODE_SECONDS", "2")
    assert list(apart.each("long", slowly, 12)) == [12]


def surroundings() -> tuple[str, str | None]:
    return os.getcwd(), os.environ.get("VSSBENCH_MAX_MEGAPIXELS")


def test_the_process_follows_folder_and_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = apart.call("here", surroundings)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VSSBENCH_MAX_MEGAPIXELS", "7")
    assert first != apart.call("there", surroundings) == (str(tmp_path), "7")
    assert len(apart.waiting) == 1


def arrays(count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for index in range(count):
        yield np.full((40, 50, 3), index, np.uint8), np.arange(index, dtype=np.float32)[::-1]


def test_arrays_come_as_they_are_and_can_be_written_to() -> None:
    for index, (image, line) in enumerate(apart.each("arrays", arrays, 5)):
        assert (image == index).all()
        image += 1
        np.testing.assert_array_equal(line, np.arange(index, dtype=np.float32)[::-1])


def test_items_that_nobody_takes_end_their_process() -> None:
    items = apart.each("arrays", arrays, 10_000)
    next(items)
    items.close()
    assert not len(apart.waiting)
    assert len(list(apart.each("arrays", arrays, 3))) == 3
