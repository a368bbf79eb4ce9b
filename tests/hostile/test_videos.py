"""Damaged videos, and videos that say what cannot be."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from click.testing import CliRunner

from tests.hostile.conftest import Campaign
from tests.hostile.mutators import of_bytes
from vssbench.cli import bench
from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import encode
from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.core.errors import DataError
from vssbench.data.movie import Movie
from vssbench.data.videofile import open_videofile, pictures

KINDS = {
    "h264.mp4": "libx264", "h264.avi": "libx264", "mpeg4.avi": "mpeg4", "mpeg2.ts": "mpeg2video",
    "vp9.mkv": "libvpx-vp9", "hevc.mkv": "libx265", "mjpeg.mov": "mjpeg",
}  # fmt: skip


def film(path: Path, codec: str, rate: Fraction = Fraction(25)) -> Path:
    """Six small pictures."""
    rng = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=rate)
        stream.height, stream.width = 48, 64
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        if codec == "libx265":
            stream.codec_context.options = {"x265-params": "log-level=error:pools=1"}
        for _ in range(6):
            image = rng.integers(0, 255, (48, 64, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("videos")
    return {name: film(folder / name, codec).read_bytes() for name, codec in KINDS.items()}


def with_motion(path: Path) -> None:
    for _ in decode(path, None, MotionSource(EstimatedVectors)):
        pass


def test_mutated_videos(samples: dict[str, bytes], campaign: Campaign, tmp_path: Path) -> None:
    readers: tuple[Callable[[Path], object], ...] = (
        open_videofile, lambda path: list(pictures(path)), lambda path: Movie(path).image(3),
        with_motion,
    )  # fmt: skip

    def take(rng: random.Random) -> None:
        name = rng.choice(sorted(samples))
        path = tmp_path / f"mutated{Path(name).suffix}"
        path.write_bytes(of_bytes(samples[name], rng))
        rng.choice(readers)(path)

    for seed in campaign.seeds(0.1):
        campaign.attempt(seed, take)
    campaign.check()
    assert campaign.refused > 0
    assert campaign.sound > 0


def test_an_avi_that_is_cut_is_refused(samples: dict[str, bytes], tmp_path: Path) -> None:
    path = tmp_path / "cut.avi"
    whole = samples["mpeg4.avi"]
    path.write_bytes(whole)
    assert len(Movie(path)) == 6
    path.write_bytes(whole[: len(whole) - 3000])
    with pytest.raises(DataError, match="it is cut short"):
        open_videofile(path)
    with pytest.raises(DataError, match="it is cut short"):
        Movie(path)


def test_a_million_frames_a_second_are_refused(tmp_path: Path) -> None:
    path = film(tmp_path / "fast.mkv", "mpeg4", Fraction(1000))
    assert open_videofile(path).rate == 1000
    with av.open(str(tmp_path / "faster.mov"), "w") as container:
        stream = container.add_stream("mpeg4", rate=Fraction(20_000))
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for _ in range(4):
            picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), "rgb24")
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    with pytest.raises(DataError, match="20000 frames/s by its time stamps: expected at most 1000"):
        open_videofile(tmp_path / "faster.mov")
    image = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(DataError, match=r"1e\+06 frames/s, at which video is not written"):
        encode(iter([image]), tmp_path / "out.mkv", None, 1e6)  # type: ignore[arg-type]


@pytest.mark.parametrize(("height", "width"), [(1, 1), (4, 64), (8, 12), (11, 11), (40, 9)])
def test_motion_of_the_smallest_pictures_is_estimated(height: int, width: int) -> None:
    """OpenCV raises an error below 8 or 12 pixels, and from there on reads beyond the picture."""
    reader = EstimatedVectors(height, width, 4)
    noise = np.random.default_rng(0).integers(0, 255, (height, width)).astype(np.uint8)
    for index in range(2):
        vectors = reader.follow(index, noise)
    assert vectors.vectors.shape == (1, -(-height // 4), -(-width // 4), 2)
    assert np.abs(vectors.vectors).max() < 0.5


def test_motion_between_pictures_of_two_sizes_is_refused() -> None:
    reader = EstimatedVectors(32, 48, 4)
    reader.follow(0, np.zeros((32, 48), np.uint8))
    for shape in ((16, 48), (32, 40)):
        with pytest.raises(DataError, match="motion is estimated between pictures of one size"):
            reader.follow(1, np.zeros(shape, np.uint8))


def test_a_pipe_is_no_video(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(DataError, match="is a device or a pipe: expected a file"):
        Movie(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("name", ["film.mp4", "folder/film", "no/such.mkv"])
def test_probe_says_that_a_file_is_missing(name: str) -> None:
    result = CliRunner().invoke(bench, ["codec", "probe", name])
    assert isinstance(result.exception, DataError)
    assert str(result.exception) == f"no file {name}: expected a video file"
