"""Colour: what goes through a codec comes back as it was, and the stream says in what colours it
is."""

from __future__ import annotations

import io
import os
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as Pillow

from vssbench.codec.decode import decode
from vssbench.codec.encode import encode
from vssbench.codec.encoded import EncodedCodec
from vssbench.codec.formats.h264 import H264
from vssbench.core import registry
from vssbench.core.variant import Variant
from vssbench.core.video import Image

#: near lossless, for each codec in its own scale
BEST = {"h264": {"qp": 1}, "mpeg2": {"qp": 1}, "mpeg4": {"qp": 1}}
ALL = sorted(set(registry.plugins("codecs")) - {"raw"})
#: code points of BT.601 in 625 and 525 lines: one matrix
BT601 = (5, 6)
LIMITED_RANGE = 1


def natural(height: int = 144, width: int = 192) -> Image:
    """Like a photograph: light has detail at all scales, colour changes slowly."""
    rng = np.random.default_rng(7)
    light = np.zeros((height, width), np.float32)
    for side, weight in ((2, 0.1), (8, 0.3), (32, 0.6)):
        coarse = Pillow.fromarray(
            rng.integers(0, 256, (height // side + 2, width // side + 2)).astype(np.uint8)
        )
        light += weight * np.asarray(
            coarse.resize((width, height), Pillow.Resampling.BICUBIC), np.float32
        )
    tint = Pillow.fromarray(rng.integers(0, 90, (4, 5, 3)).astype(np.uint8)).resize(
        (width, height), Pillow.Resampling.BICUBIC
    )
    return np.clip(40 + 0.6 * light[..., None] + np.asarray(tint, np.float32) - 45, 0, 255).astype(
        np.uint8
    )


def through(codec: EncodedCodec, image: Image, length: int = 3) -> list[Image]:
    file = io.BytesIO()
    encode(iter([image] * length), file, codec.encoder(), 30.0)
    file.seek(0)
    return [frame.image for frame in decode(file, codec.gop, None, length, image.shape[:2])]


def difference(images: list[Image], source: Image) -> np.ndarray:
    return np.stack(images).astype(int) - source


def test_lossless_h264_gives_the_image_back() -> None:
    error = difference(through(H264(qp=0), natural()), natural())
    assert np.abs(error).mean() < 0.5
    assert np.abs(error.mean((0, 1, 2))).max() < 0.15


def test_lossless_h264_gives_a_photograph_back() -> None:
    """Fine colours too, which 4:2:0 would lose: 8 bits of limited range are all that stands
    between."""
    root = os.environ.get("VSSBENCH_TEST_DATA")
    if not root:
        pytest.skip("VSSBENCH_TEST_DATA is not set")
    path = min((Path(root) / "camvid360" / "val").glob("*.png"))
    image = np.asarray(Pillow.open(path).convert("RGB"))
    error = difference(through(H264(qp=0), image, 1), image)
    assert np.abs(error).mean() < 0.5
    assert np.abs(error.mean((0, 1, 2))).max() < 0.15


@pytest.mark.parametrize("grey", [0, 1, 16, 90, 128, 235, 254, 255])
def test_greys_stay_grey(grey: int) -> None:
    image = np.full((32, 48, 3), grey, np.uint8)
    assert np.abs(difference(through(H264(qp=0), image, 1), image)).max() <= 1


@pytest.mark.parametrize(
    "colour", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (200, 40, 90), (12, 180, 220)]
)
def test_pure_colours_stay(colour: tuple[int, int, int]) -> None:
    """A wrong matrix (BT.709) would move these by up to 40 levels; 8 bits of limited range cost up
    to 2."""
    image = np.broadcast_to(np.array(colour, np.uint8), (32, 48, 3)).copy()
    assert np.abs(difference(through(H264(qp=0), image, 1), image)).max() <= 2


@pytest.mark.parametrize("name", ALL)
def test_no_codec_shifts_the_colours(name: str) -> None:
    codec = registry.create("codecs", Variant(name, BEST.get(name, {"bitrate": "20M"})))
    assert isinstance(codec, EncodedCodec)
    error = difference(through(codec, natural()), natural())
    assert np.abs(error).mean() < 1.5
    assert np.abs(error.mean((0, 1, 2))).max() < 0.3


@pytest.mark.parametrize("name", ALL)
def test_streams_say_what_their_colours_are(name: str) -> None:
    codec = registry.create("codecs", Variant(name, {}))
    assert isinstance(codec, EncodedCodec)
    file = io.BytesIO()
    encode(iter([natural()] * 2), file, codec.encoder(), 30.0)
    file.seek(0)
    with av.open(file) as container:
        context = container.streams.video[0].codec_context
        assert int(context.colorspace) in BT601
        assert int(context.color_range) == LIMITED_RANGE
