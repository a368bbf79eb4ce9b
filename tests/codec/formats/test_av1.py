"""AV1 end to end: exact GOPs, rates, reproducible streams, and what is refused in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from vssbench.codec.encode import encode
from vssbench.codec.formats.av1 import PRESETS, Av1
from vssbench.core import registry
from vssbench.core.errors import DataError, MotionUnavailable, UsageError
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip

Pan = Callable[..., Clip]


@pytest.fixture(autouse=True)
def needed(provable: Callable[[str], None]) -> None:
    """These tests need the encoder and the vectors."""
    provable("av1")


@pytest.mark.parametrize("gop", [1, 2, 5, 12, 30])
def test_the_gop_is_exact_across_a_scene_cut(pan: Pan, gop: int) -> None:
    frames = list(Av1(gop=gop).frames(pan(64, 96, 31, (1, 0), cut=16)))
    assert [frame.index for frame in frames] == list(range(31))
    assert [frame.distance for frame in frames] == [index % gop for index in range(31)]
    assert [frame.picture_type for frame in frames] == [
        "P" if index % gop else "I" for index in range(31)
    ]
    assert all(frame.bits > 0 and frame.decode_seconds > 0 for frame in frames)


@pytest.mark.parametrize("preset", ["medium", "fast"])
def test_a_field_over_a_whole_gop_follows_a_pan(pan: Pan, preset: str) -> None:
    clip, motion = pan(192, 256, 12, (2.25, -1.5)), np.array((2.25, -1.5))
    frames = list(Av1(preset=preset, bitrate="2M").frames(clip))
    y, x = np.mgrid[: clip.height, : clip.width]
    for frame in frames:
        assert frame.motion is not None
        truth = motion * frame.distance
        seen = (x + truth[0] < clip.width) & (y + truth[1] >= 0)
        error = np.linalg.norm(frame.motion.dense() - truth, axis=-1)[seen]
        assert np.mean(error < 1) >= 0.95


@pytest.mark.parametrize("settings", [{}, {"preset": "fast"}, {"crf": 30}, {"qp": 30}])
def test_the_same_images_give_the_same_bits(
    pan: Pan, tmp_path: Path, settings: dict[str, int]
) -> None:
    clip = pan(96, 128, 6, (3, 2))
    streams = set()
    for run in range(10):
        encode(clip.images(), tmp_path / str(run), Av1(gop=5, **settings).encoder(), clip.fps)  # type: ignore[arg-type]
        streams.add((tmp_path / str(run)).read_bytes())
    assert len(streams) == 1


def test_fractions_of_a_quality_and_a_quantiser_count(pan: Pan) -> None:
    clip = pan(96, 128, 4, (3, 2))
    bits = [
        sum(frame.bits for frame in Av1(**setting).frames(clip))
        for setting in ({"crf": 12}, {"crf": 40.25}, {"crf": 40.75})
    ]
    assert bits[0] > bits[1] > bits[2]
    assert [frame.bits for frame in Av1(qp=40).frames(clip)] == [
        frame.bits for frame in Av1(crf=40).frames(clip)
    ]


def test_nothing_is_printed(pan: Pan, capfd: pytest.CaptureFixture[str]) -> None:
    list(Av1().frames(pan(64, 64, 2, (1, 0))))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("height", "width"), [(62, 96), (96, 32), (8705, 64)])
def test_sizes_that_the_encoder_refuses_are_named(height: int, width: int) -> None:
    clip = Clip(
        "small",
        3,
        height,
        width,
        30.0,
        lambda index: np.zeros((height, width, 3), np.uint8),
        lambda index: None,
        "s",
    )
    with pytest.raises(
        DataError, match=f"{width}x{height}: SVT-AV1 encodes from 64x64 to 16384x8704"
    ):
        list(Av1().frames(clip))


def test_odd_sizes_are_cropped(pan: Pan) -> None:
    frames = list(Av1(gop=3).frames(pan(67, 93, 5, (2, 1))))
    assert {frame.image.shape for frame in frames} == {(67, 93, 3)}
    assert {frame.motion.grid.shape for frame in frames if frame.motion} == {(9, 12, 2)}


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ("bframes=2", "bframes=2 cannot be used: AV1"),
        ("refs=1", "refs=1 cannot be used with preset=medium"),
        ("refs=3,preset=fast", "refs=3 cannot be used with preset=fast"),
        ("preset=placebo", "unknown preset 'placebo' of SVT-AV1; available: medium"),
        ("preset=4", "unknown preset 4 of SVT-AV1"),
        ("preset=14", "unknown preset 14 of SVT-AV1"),
        ("bitrate=200M", "goes up to 100M"),
        ("crf=64", "crf=64"),
        ("qp=64", "qp=64"),
        ("crf=30,bitrate=1M", "exclude each other"),
        ("gop=0", "gop=0 cannot be used"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(settings: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        registry.create("codecs", parse_variant(f"av1[{settings}]"))


@pytest.mark.parametrize(
    "settings",
    [
        "refs=3",
        "refs=1,preset=fast",
        "preset=8",
        "preset=13,qp=0",
        *(f"preset={name}" for name in PRESETS),
    ],
)
def test_what_can_be_done_is_accepted(settings: str) -> None:
    assert registry.create("codecs", parse_variant(f"av1[{settings}]")).has_motion


def test_named_presets_are_numbers_of_the_encoder() -> None:
    assert Av1(preset="medium").encoder() == Av1(preset=7).encoder() != Av1(preset="fast").encoder()


def test_no_motion_where_none_is_asked_for(pan: Pan) -> None:
    clip = pan(64, 64, 3, (1, 0))
    assert all(frame.motion is None for frame in Av1(motion="none").frames(clip, motion=False))
    with pytest.raises(MotionUnavailable, match="motion=none"):
        list(Av1(motion="none").frames(clip))


@pytest.mark.parametrize("rate", [1_000_000, 300_000])
def test_bits_keep_to_the_rate_on_a_real_clip(real_clip: Clip, rate: int) -> None:
    frames = list(Av1(bitrate=rate, preset="fast").frames(real_clip, motion=False))
    assert len(frames) == real_clip.length == 101
    assert sum(frame.bits for frame in frames) * real_clip.fps / len(frames) == pytest.approx(
        rate, rel=0.03
    )
