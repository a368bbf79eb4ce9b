"""H.264 end to end: exact GOPs, vectors of known pans, colour, odd sizes, cache and streaming."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vssbench.codec import decode as decode_module
from vssbench.codec import x264
from vssbench.codec.encode import IMAGES_AHEAD
from vssbench.codec.formats.h264 import H264
from vssbench.core import registry
from vssbench.core.errors import DataError, MotionUnavailable, UsageError
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip, Image

Pan = Callable[..., Clip]


@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("gop", [1, 2, 5, 12, 30])
def test_the_gop_is_exact_across_a_scene_cut(pan: Pan, gop: int, bframes: int) -> None:
    clip = pan(64, 96, 31, (1, 0), cut=16)
    frames = list(H264(gop=gop, bframes=bframes).frames(clip))
    assert [frame.index for frame in frames] == list(range(31))
    assert [frame.distance for frame in frames] == [index % gop for index in range(31)]
    assert [frame.picture_type == "I" for frame in frames] == [
        index % gop == 0 for index in range(31)
    ]
    assert any(frame.picture_type == "B" for frame in frames) == (bframes > 0 and gop > 2)
    assert all(frame.bits > 0 and frame.decode_seconds > 0 for frame in frames)


def errors(clip: Clip, motion: tuple[float, float], codec: H264, distance: int) -> np.ndarray:
    """Distance in pixels between the field and the truth, wherever the keyframe shows the point."""
    (frame,) = [frame for frame in codec.frames(clip) if frame.index == distance]
    assert frame.motion is not None
    truth = np.array(motion) * distance
    y, x = np.mgrid[: clip.height, : clip.width]
    seen = (
        (x + truth[0] >= 0)
        & (x + truth[0] < clip.width)
        & (y + truth[1] >= 0)
        & (y + truth[1] < clip.height)
    )
    return np.linalg.norm(frame.motion.dense() - truth, axis=-1)[seen]


@pytest.mark.parametrize("settings", [{}, {"bframes": 2}, {"cell": 4}, {"crf": 20}])
@pytest.mark.parametrize("motion", [(-3, -2), (2.25, -1.5)])
@pytest.mark.parametrize("distance", [10, 11])
def test_accumulated_vectors_follow_a_pan(
    pan: Pan, motion: tuple[float, float], settings: dict[str, Any], distance: int
) -> None:
    error = errors(pan(192, 256, 12, motion), motion, H264(**settings), distance)
    assert np.median(error) < 0.5
    assert np.mean(error < 1) >= 0.95


def test_whole_pixels_lose_what_rounding_loses(pan: Pan) -> None:
    motion = (2.25, -1.5)
    clip = pan(192, 256, 12, motion)
    exact, rounded = (errors(clip, motion, H264(whole_pixels=flag), 11) for flag in (False, True))
    assert np.median(exact) < 0.5 < 2 < np.median(rounded)


@pytest.mark.parametrize("bframes", [0, 2])
def test_no_motion_gives_a_zero_field(pan: Pan, bframes: int) -> None:
    for frame in H264(bframes=bframes).frames(pan(96, 128, 13)):
        assert frame.motion is not None
        assert not frame.motion.dense().any()
        assert frame.motion.dense().shape == (96, 128, 2)
        assert frame.motion_seconds > 0


def gradient(height: int, width: int) -> Image:
    """Colours that change slowly: chroma is halved in size, so what a round trip loses is rounding
    and the codec's loss."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, 255 - x, y + 40], -1).astype(np.uint8)


def test_colours_come_back(pan: Pan) -> None:
    image = gradient(128, 192)
    for frame in H264(bitrate="20M").frames(replace(pan(128, 192, 3), image=lambda index: image)):
        difference = frame.image.astype(int) - image
        assert np.abs(difference).mean() < 0.5
        # a shift of chroma by half a pixel would show as 0.6
        assert np.abs(difference.mean((0, 1))).max() < 0.2


@pytest.mark.parametrize(("height", "width"), [(97, 131), (96, 131), (97, 128)])
def test_odd_sizes_come_back_as_they_were(pan: Pan, height: int, width: int) -> None:
    image = gradient(height, width)
    for frame in H264(bitrate="20M").frames(
        replace(pan(height, width, 3), image=lambda index: image)
    ):
        assert frame.image.shape == (height, width, 3)
        assert frame.motion is not None
        assert frame.motion.dense().shape == (height, width, 2)
        difference = np.abs(frame.image.astype(int) - image)
        for part in (
            difference,
            difference[0],
            difference[-1],
            difference[:, 0],
            difference[:, -1],
        ):
            assert part.mean() < 1.5


def test_a_lower_rate_gives_fewer_bits(pan: Pan) -> None:
    clip = pan(128, 192, 24, (1, 1))
    rates = [
        sum(frame.bits for frame in H264(bitrate=rate).frames(clip))
        for rate in ("100k", "400k", "2M")
    ]
    assert rates[0] < rates[1] < rates[2]
    fine, coarse = (sum(frame.bits for frame in H264(crf=crf).frames(clip)) for crf in (15, 40))
    assert coarse < fine


@pytest.mark.parametrize("bframes", [0, 2])
def test_the_same_clip_gives_the_same_frames(pan: Pan, tmp_path: Path, bframes: int) -> None:
    clip = pan(95, 128, 25, (1.5, 1))
    for folder in ("a", "b"):
        list(H264(bframes=bframes).frames(clip, tmp_path / folder))
    (first,), (second,) = (list((tmp_path / folder).glob("*.mkv")) for folder in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    assert first.name == second.name


@pytest.mark.parametrize("bframes", [0, 2])
def test_many_decodes_are_equal(pan: Pan, tmp_path: Path, bframes: int) -> None:
    """Frame threads, which FFmpeg takes by default, lose vectors of B-frames, others in each
    run."""
    clip = pan(96, 128, 25, (3, 2))
    first, *others = (
        [
            frame.motion.grid
            for frame in H264(bframes=bframes).frames(clip, tmp_path)
            if frame.motion is not None
        ]
        for _ in range(10)
    )
    assert len(first) == 25
    for other in others:
        np.testing.assert_array_equal(first, other)


@pytest.mark.parametrize(
    ("features", "added"),
    [({"AVX512F": True}, ":asm=avx2"), ({"AVX512F": False}, ""), ({}, ""), (None, ":mbtree=0")],
)
def test_avx_512_is_left_out(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool] | None, added: str
) -> None:
    monkeypatch.setattr(x264, "processor", lambda: features)
    options = H264().encoder().options
    assert x264.reproducible(options) == {**options, "x264-params": options["x264-params"] + added}


def test_the_processor_is_known_here() -> None:
    assert x264.processor() is not None


def test_a_cached_bitstream_is_not_encoded_again(pan: Pan, tmp_path: Path) -> None:
    clip = pan(64, 96, 5, (1, 0))
    first = [frame.image for frame in H264().frames(clip, tmp_path)]

    def unreadable(index: int) -> np.ndarray:
        raise AssertionError("the clip was read again")

    again = [
        frame.image for frame in H264(fill="zero").frames(replace(clip, image=unreadable), tmp_path)
    ]
    np.testing.assert_array_equal(first, again)
    with pytest.raises(AssertionError, match="read again"):
        list(H264(bitrate="1M").frames(replace(clip, image=unreadable), tmp_path))
    assert len(list(tmp_path.glob("*.mkv"))) == 1


def test_nothing_is_left_of_a_temporary_file(
    pan: Pan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    frames = H264().frames(pan(64, 96, 5))
    next(frames)
    assert list(tmp_path.iterdir())
    del frames
    gc.collect()
    assert not list(tmp_path.iterdir())


class Alive:
    """Counts arrays that are still referred to."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def watch(self, array: np.ndarray) -> np.ndarray:
        self.now += 1
        self.most = max(self.most, self.now)
        weakref.finalize(array, self._gone)
        return array

    def _gone(self) -> None:
        self.now -= 1


@pytest.mark.parametrize("bframes", [0, 2])
def test_a_long_clip_streams(pan: Pan, bframes: int) -> None:
    """Going in, no more is held than what is made ahead; coming out, no more than the frames
    between two anchors, and the fields of one GOP."""
    source = pan(64, 96, 60, (1, 0))
    read, images, fields = Alive(), Alive(), Alive()
    clip = replace(source, image=lambda index: read.watch(source.image(index).copy()))
    for frame in H264(bframes=bframes).frames(clip):
        assert frame.motion is not None
        images.watch(frame.image)
        fields.watch(frame.motion.grid)
    assert frame.index == 59
    assert 0 < read.most <= IMAGES_AHEAD + 3
    assert 0 < images.most <= 3
    assert 0 < fields.most <= 12 + 2


def test_b_frames_wait_only_for_the_next_anchor(pan: Pan, monkeypatch: pytest.MonkeyPatch) -> None:
    """When a frame comes out, no more than the B-frames before the next anchor, and that anchor,
    have been decoded."""
    decoded = 0
    convert = decode_module._Reader._image

    def counted(*arguments: Any) -> Image:
        nonlocal decoded
        decoded += 1
        return convert(*arguments)

    monkeypatch.setattr(decode_module._Reader, "_image", counted)
    ahead = [decoded - frame.index for frame in H264(bframes=2).frames(pan(64, 96, 25, (1, 0)))]
    assert max(ahead) == 3


def test_without_motion_nothing_is_accumulated(pan: Pan) -> None:
    frames = list(H264(refs=3).frames(pan(64, 96, 5), motion=False))
    assert len(frames) == 5
    assert all(frame.motion is None for frame in frames)


def test_several_references_give_no_motion(pan: Pan) -> None:
    with pytest.raises(MotionUnavailable, match="do not say which reference"):
        H264(refs=2).frames(pan(64, 96, 5))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"gop": 0}, "gop=0"),
        ({"bitrate": "quick"}, "quick"),
        ({"crf": 60}, "from 0 to 51"),
        ({"crf": 20, "bitrate": "1M"}, "exclude each other"),
        ({"preset": "speedy"}, "available: ultrafast"),
        ({"bframes": 1.5}, "whole number from 0 to 16"),
        ({"refs": 0}, "from 1 to 16"),
        ({"cell": 3}, "4 or 8"),
    ],
)
def test_wrong_parameters_are_refused_in_words(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        H264(**wrong)


def test_frames_that_do_not_fit_the_clip_are_refused(pan: Pan, tmp_path: Path) -> None:
    clip = pan(64, 96, 5)
    with pytest.raises(DataError, match="one size"):
        list(H264().frames(replace(clip, height=60), tmp_path))
    with pytest.raises(DataError, match="no frame"):
        list(H264().frames(replace(clip, length=0), tmp_path))
    assert {path.name for path in tmp_path.iterdir()} <= {"locks"}  # no stream, nothing begun


def test_the_command_lines_grammar_reaches_it() -> None:
    codec = registry.create("codecs", parse_variant("h264[gop=6,bitrate=300k]"))
    assert codec.describe() == "H.264 300 kb/s"
    assert codec.gop == 6
    assert registry.create("codecs", parse_variant("h264[crf=23]")).describe() == "H.264 CRF 23"


def test_settings_tell_all_variants_apart() -> None:
    variants: list[dict[str, Any]] = [
        {},
        {"gop": 6},
        {"bitrate": "1M"},
        {"crf": 30},
        {"preset": "fast"},
        {"bframes": 1},
        {"refs": 2},
        {"cell": 4},
        {"fill": "zero"},
        {"whole_pixels": True},
    ]
    assert len({str(H264(**variant).settings()) for variant in variants}) == len(variants)
