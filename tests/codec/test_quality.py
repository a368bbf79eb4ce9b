"""The record that encode() makes of each frame: PSNR and SSIM against slow references; its GOP."""

from __future__ import annotations

import io
import math

import av
import numpy as np
import pytest

from vssbench.codec.encode import EncoderSettings, encode
from vssbench.codec.formats.h264 import H264
from vssbench.codec.vectors.proof import pan
from vssbench.core.errors import DataError

HEIGHT, WIDTH = 96, 128


def slow_psnr(first: np.ndarray, second: np.ndarray) -> float:
    error = np.mean((first.astype(np.float64) - second) ** 2)
    return 10 * math.log10(255**2 / error)


def slow_ssim(first: np.ndarray, second: np.ndarray) -> float:
    """Mean over windows of 8x8 pixels, four apart, as FFmpeg's filter has it (Wang et al. 2004
    without the Gaussian)."""
    values = []
    for y in range(0, first.shape[0] - 7, 4):
        for x in range(0, first.shape[1] - 7, 4):
            a, b = (plane[y : y + 8, x : x + 8].astype(np.float64) for plane in (first, second))
            mean_a, mean_b = a.mean(), b.mean()
            variances, covariance = (
                a.var(ddof=1) + b.var(ddof=1),
                np.cov(a.ravel(), b.ravel())[0, 1],
            )
            c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
            values.append(
                (2 * mean_a * mean_b + c1)
                * (2 * covariance + c2)
                / ((mean_a**2 + mean_b**2 + c1) * (variances + c2))
            )
    return float(np.mean(values))


def lumas(stream: io.BytesIO) -> list[np.ndarray]:
    stream.seek(0)
    with av.open(stream) as container:
        return [
            frame.to_ndarray(format="yuv420p")[: frame.height]
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize("bframes", [0, 2])
def test_psnr_and_ssim_equal_slow_references(bframes: int) -> None:
    images = list(pan(7, HEIGHT, WIDTH, (2.25, -1.5)))
    lossy, lossless = io.BytesIO(), io.BytesIO()
    frames = encode(iter(images), lossy, H264(gop=5, qp=35, bframes=bframes).encoder(), 30)
    encode(iter(images), lossless, H264(gop=5, qp=0).encoder(), 30)  # the same conversion, no loss
    assert [frame.picture_type for frame in frames] == list("IPPPPIP" if not bframes else "IBBPPIP")
    for frame, decoded, source in zip(frames, lumas(lossy), lumas(lossless), strict=True):
        assert frame.psnr_db == pytest.approx(slow_psnr(decoded, source), abs=1e-4)
        assert frame.ssim == pytest.approx(slow_ssim(decoded, source), abs=2e-4)


def test_a_lossless_stream_is_equal_to_its_source() -> None:
    frames = encode(pan(3, HEIGHT, WIDTH, (1, 0)), io.BytesIO(), H264(gop=3, qp=0).encoder(), 30)
    assert [(frame.psnr_db, frame.ssim) for frame in frames] == [(math.inf, 1.0)] * 3


def test_an_encoder_that_leaves_the_gop_is_refused() -> None:
    settings = EncoderSettings(
        "libx264", 3, options={"x264-params": "keyint=5:min-keyint=5:scenecut=0:threads=1"}
    )
    with pytest.raises(
        DataError, match=r"libx264 made frame 3 of type P, expected keyframes every 3 frames"
    ):
        encode(pan(7, HEIGHT, WIDTH, (2, 1)), io.BytesIO(), settings, 30)
