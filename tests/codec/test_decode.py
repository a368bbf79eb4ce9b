"""Streams that are not what they should be end in a DataError that says so."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vssbench.codec.bitstream import bitstream
from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import encode
from vssbench.codec.formats.h264 import H264
from vssbench.codec.vectors.h264 import H264Vectors
from vssbench.core.errors import DataError, MotionUnavailable, UsageError
from vssbench.core.video import Clip

Pan = Callable[..., Clip]


@pytest.fixture
def stream(pan: Pan) -> bytes:
    file = io.BytesIO()
    assert len(encode(pan(64, 96, 13, (2, 1)).images(), file, H264().encoder(), 30.0)) == 13
    return file.getvalue()


def test_a_file_object_is_decoded(stream: bytes) -> None:
    frames = list(decode(io.BytesIO(stream), 12, MotionSource(H264Vectors), length=13))
    assert [frame.index for frame in frames] == list(range(13))
    assert frames[11].motion is not None
    assert frames[11].motion.dense()[30, 40].tolist() == pytest.approx([22, 11], abs=1)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.95])
def test_a_stream_that_is_cut_short(stream: bytes, share: float) -> None:
    with pytest.raises(DataError, match=r"encode it again"):
        list(decode(io.BytesIO(stream[: int(share * len(stream))]), 12, length=13))


def test_something_else_than_a_video() -> None:
    with pytest.raises(DataError, match="cannot be decoded"):
        list(decode(io.BytesIO(b"no video at all " * 100), 12))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="No such file"):
        list(decode(tmp_path / "absent.mkv", 12))


def test_overwritten_bytes(stream: bytes) -> None:
    broken = bytearray(stream)
    middle = len(broken) // 3
    broken[middle : middle + 400] = bytes(400)
    with pytest.raises(DataError, match="encode it again"):
        list(decode(io.BytesIO(bytes(broken)), 12, length=13))


@pytest.mark.parametrize("suffix", [".mkv", ".json"])
def test_what_was_damaged_in_the_cache_is_encoded_again(
    pan: Pan, tmp_path: Path, caplog: pytest.LogCaptureFixture, suffix: str
) -> None:
    clip = pan(64, 96, 13, (2, 1))
    before = list(H264().frames(clip, tmp_path))
    (path,) = tmp_path.glob(f"*{suffix}")
    content = bytearray(path.read_bytes())
    content[-200] ^= 128
    path.write_bytes(content)
    after = list(H264().frames(clip, tmp_path))
    assert "is not as it was written" in caplog.text
    assert all(
        np.array_equal(one.image, other.image) for one, other in zip(before, after, strict=True)
    )
    caplog.clear()
    assert len(list(H264().frames(clip, tmp_path))) == 13
    assert not caplog.text


def test_a_kept_stream_is_for_all_users_of_the_cache(pan: Pan, tmp_path: Path) -> None:
    list(H264().frames(pan(64, 96, 2, (2, 1)), tmp_path))
    kept = [path for path in tmp_path.iterdir() if path.name != "locks"]
    modes = {path.suffix: path.stat().st_mode & 0o777 for path in kept}
    other = tmp_path / "other"
    other.touch()
    assert modes == dict.fromkeys((".mkv", ".json"), other.stat().st_mode & 0o777)


def test_another_gop_than_expected(stream: bytes) -> None:
    with pytest.raises(DataError, match=r"frame 5 is of type P, expected I with keyframes every 5"):
        list(decode(io.BytesIO(stream), 5))
    with pytest.raises(
        DataError, match=r"frame 12 is of type I, expected P or B with keyframes every 24"
    ):
        list(decode(io.BytesIO(stream), 24))


def test_an_open_gop_is_refused(pan: Pan) -> None:
    settings = H264(bframes=2, gop=3).encoder()
    options = {
        **settings.options,
        "x264-params": settings.options["x264-params"].replace("open-gop=0", "open-gop=1"),
    }
    file = io.BytesIO()
    encode(
        pan(64, 96, 13, (2, 1)).images(),
        file,
        type(settings)("libx264", 3, 2, 1_000_000, options),
        30.0,
    )
    with pytest.raises(MotionUnavailable, match="keeps references by command"):
        list(decode(io.BytesIO(file.getvalue()), 3, MotionSource(H264Vectors)))


def test_a_size_change_inside_a_stream(pan: Pan) -> None:
    """Two H.264 streams of different sizes, one after the other."""
    file = io.BytesIO()
    for height in (64, 96):
        part = io.BytesIO()
        encode(pan(height, 96, 12, (1, 0)).images(), part, H264().encoder(), 30.0)
        file.write(annex_b(part.getvalue()))
    with pytest.raises(DataError, match=r"frame 12 is 96x96"):
        list(decode(io.BytesIO(file.getvalue()), 12))


def annex_b(stream: bytes) -> bytes:
    """The bare H.264 stream in a file, parameter sets included."""
    file = io.BytesIO()
    with av.open(io.BytesIO(stream), "r") as source, av.open(file, "w", format="h264") as target:
        video = source.streams.video[0]
        copy = target.add_stream_from_template(video)
        for packet in source.demux(video):
            if packet.size:
                packet.stream = copy
                target.mux(packet)
    return file.getvalue()


def test_frames_smaller_than_expected(stream: bytes) -> None:
    with pytest.raises(DataError, match="holds 96x64 frames, expected 128x64"):
        list(decode(io.BytesIO(stream), 12, size=(64, 128)))


@pytest.mark.parametrize(
    ("images", "words"),
    [
        ([], "no frame"),
        ([np.zeros((64, 96, 3), np.uint8), np.zeros((64, 90, 3), np.uint8)], "frame 1 is"),
        ([np.zeros((64, 96, 3), np.float32)], "frame 0 is float32"),
        ([np.zeros((64, 96), np.uint8)], "frame 0 is uint8"),
    ],
)
def test_images_that_cannot_be_encoded(images: list[Any], words: str) -> None:
    with pytest.raises(DataError, match=words):
        encode(iter(images), io.BytesIO(), H264().encoder(), 30.0)


def test_an_encoder_that_is_not_there() -> None:
    settings = type(H264().encoder())("libunheard", 12)
    with pytest.raises(UsageError, match="lacks the encoder libunheard"):
        encode(itertools.repeat(np.zeros((64, 96, 3), np.uint8), 2), io.BytesIO(), settings, 30.0)


def test_a_cache_that_cannot_be_written(pan: Pan, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match="cannot write the bitstream cache"),
        bitstream(pan(64, 96, 2), H264().encoder(), tmp_path / "file"),
    ):
        pass
