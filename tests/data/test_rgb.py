"""Decoded pictures to RGB: the compiled kernel, its form in numpy and libswscale give the same
bits."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter

from vssbench import native
from vssbench.codec.encode import encode
from vssbench.codec.formats.h264 import H264
from vssbench.core.video import Image
from vssbench.data.colour import BT601, CENTRE, LEFT, TO_RGB, Tags, ToRgb, plain_rgb

needs_kernels = pytest.mark.skipif(
    native.video_kernels() is None, reason="the compiled kernels cannot be used here"
)


def planes(height: int, width: int, seed: int = 0) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [
        rng.integers(0, 256, size, np.uint8)
        for size in ((height, width), *[(height // 2, width // 2)] * 2)
    ]


def picture(y: np.ndarray, u: np.ndarray, v: np.ndarray) -> av.VideoFrame:
    packed = np.concatenate([plane.ravel() for plane in (y, u, v)]).reshape(-1, y.shape[1])
    return av.VideoFrame.from_ndarray(packed, "yuv420p")


def by_libswscale(frame: av.VideoFrame) -> Image:
    rgb = VideoReformatter().reformat(
        frame,
        format="rgb24",
        src_colorspace=BT601.matrix,
        src_color_range=BT601.range,
        interpolation=TO_RGB,
    )
    return rgb.to_ndarray()


@pytest.mark.parametrize(("height", "width"), [(64, 96), (66, 100), (8, 1032), (16, 16)])
def test_numpys_form_is_libswscales(height: int, width: int) -> None:
    """On noise, impossible colours included, which overflow 32 bits in both."""
    source = planes(height, width)
    np.testing.assert_array_equal(plain_rgb(source, CENTRE), by_libswscale(picture(*source)))


@needs_kernels
@pytest.mark.parametrize("weights", [CENTRE, LEFT])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (66, 98), (6, 1030), (2, 2)])
def test_the_kernel_gives_the_same_bits(height: int, width: int, weights: np.ndarray) -> None:
    kernels = native.video_kernels()
    assert kernels is not None
    source = planes(height, width, seed=height)
    source[0][0], source[1][0], source[2][0] = 255, 255, 0
    expected = plain_rgb(source, weights)
    np.testing.assert_array_equal(kernels.rgb(source, weights, height, width), expected)
    np.testing.assert_array_equal(
        kernels.rgb(source, weights, height - 1, width - 1), expected[:-1, :-1]
    )
    padded = [np.pad(plane, ((0, 0), (0, 32))) for plane in source]
    cut = [plane[:, :-32] for plane in padded]
    np.testing.assert_array_equal(kernels.rgb(cut, weights, height, width), expected)


def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one whenever libswscale is asked."""
    calls: list[int] = []
    slow = ToRgb._slow

    def call(self: ToRgb, *arguments: int | Tags) -> Image:
        calls.append(1)
        return slow(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ToRgb, "_slow", call)
    return calls


@needs_kernels
def test_libswscale_is_asked_until_a_picture_tells_the_siting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A picture of one colour tells nothing."""
    calls, to_rgb = counted(monkeypatch), ToRgb()
    flat = [
        np.full(plane.shape, level, np.uint8)
        for plane, level in zip(planes(32, 48), (90, 100, 150), strict=True)
    ]
    for source, asked in (
        (flat, 1),
        (flat, 2),
        (planes(32, 48), 3),
        (planes(32, 48, 1), 3),
        (flat, 3),
    ):
        frame = picture(*source)
        np.testing.assert_array_equal(to_rgb(frame, 32, 48), by_libswscale(frame))
        assert len(calls) == asked


@needs_kernels
def test_other_formats_stay_with_libswscale(monkeypatch: pytest.MonkeyPatch) -> None:
    calls, to_rgb = counted(monkeypatch), ToRgb()
    rng = np.random.default_rng(0)
    frame = av.VideoFrame.from_ndarray(rng.integers(0, 256, (3, 32, 48), np.uint8), "yuv444p")
    for _ in range(3):
        np.testing.assert_array_equal(to_rgb(frame, 32, 48), by_libswscale(frame))
    assert len(calls) == 3


@needs_kernels
def test_a_stream_is_converted_as_by_libswscale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    images = [
        np.kron(rng.integers(0, 256, (12, 16, 3)), np.ones((8, 8, 1))).astype(np.uint8)
        for _ in range(4)
    ]
    path = tmp_path / "stream.mkv"
    encode(iter(images), path, H264(gop=4, qp=10).encoder(), 25)
    calls, to_rgb = counted(monkeypatch), ToRgb()
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            np.testing.assert_array_equal(to_rgb(frame, 95, 127), by_libswscale(frame)[:95, :127])
    assert len(calls) == 1
