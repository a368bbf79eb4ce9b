"""MPEG-2 and MPEG-4 part 2 alike: exact GOPs, pans, rates, odd sizes, the same bits twice; MPEG-2's
B-frames."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vssbench.codec.formats.mpeg2 import Mpeg2
from vssbench.codec.formats.mpeg4 import Mpeg4
from vssbench.codec.mpeg import MpegCodec
from vssbench.core.errors import UsageError
from vssbench.core.motion import NONE
from vssbench.core.video import Clip, Frame

Pan = Callable[..., Clip]
BOTH = pytest.mark.parametrize("codec", [Mpeg2, Mpeg4])


def visible(clip: Clip, motion: tuple[float, float]) -> np.ndarray:
    """Cells (8 pixels) of macroblocks that the other picture shows whole, ``motion`` pixels
    away."""
    top, left = (np.arange(-(-side // 8)) // 2 * 16 for side in (clip.height, clip.width))
    rows = (top + motion[1] >= 0) & (top + 16 + motion[1] <= clip.height)
    columns = (left + motion[0] >= 0) & (left + 16 + motion[0] <= clip.width)
    return rows[:, None] & columns


def near(clip: Clip, frames: list[Frame], motion: tuple[float, float]) -> float:
    """Share of the vectors that are within half a pixel of a pan, where the other picture shows the
    block."""
    errors = []
    for frame in frames:
        if frame.distance == 0:
            continue
        assert frame.motion is not None
        assert frame.motion.blocks is not None
        blocks = frame.motion.blocks
        for vectors, references in zip(blocks.vectors, blocks.references, strict=True):
            for reference in set(references.flat) - {NONE}:
                truth = (
                    motion[0] * (frame.index - reference),
                    motion[1] * (frame.index - reference),
                )
                chosen = (references == reference) & visible(clip, truth)
                errors.extend(np.abs(vectors[chosen] - truth).max(-1))
    return float(np.mean(np.array(errors) <= 0.5))


@BOTH
@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize("gop", [1, 2, 5, 12])
def test_the_gop_is_exact_across_a_scene_cut(
    pan: Pan, codec: type[MpegCodec], gop: int, bframes: int
) -> None:
    frames = list(
        codec(gop=gop, bframes=bframes).frames(pan(64, 96, 31, (1, 0), cut=16), motion=False)
    )
    assert [frame.picture_type == "I" for frame in frames] == [
        index % gop == 0 for index in range(31)
    ]
    assert any(frame.picture_type == "B" for frame in frames) == (bframes > 0 and gop > 2)
    assert all(frame.bits > 0 for frame in frames)


@BOTH
@pytest.mark.parametrize("preset", ["fast", "medium", "slow"])
@pytest.mark.parametrize("motion", [(3, 2), (2.25, -1.5), (13, -9)])
def test_vectors_are_those_of_a_pan(
    pan: Pan, codec: type[MpegCodec], motion: tuple[float, float], preset: str
) -> None:
    clip = pan(240, 320, 5, motion)
    frames = list(codec(preset=preset, bitrate="2M").frames(clip))
    assert near(clip, frames, motion) >= 0.98
    # the last frame too, which FFmpeg's MPEG-2 decoder gives without vectors
    assert all(frame.motion is not None and frame.motion.intra_share < 0.35 for frame in frames[1:])


@pytest.mark.parametrize("motion", [(3, 2), (2.25, -1.5)])
def test_b_frames_point_both_ways(pan: Pan, motion: tuple[float, float]) -> None:
    clip = pan(160, 240, 13, motion)
    frames = list(Mpeg2(bframes=2, bitrate="2M").frames(clip))
    assert near(clip, frames, motion) >= 0.95
    references = [
        set(frame.motion.blocks.named)
        for frame in frames
        if frame.motion is not None and frame.motion.blocks
    ]
    assert references[0] == {0, 3}
    # before the next keyframe the run of B-frames is cut short
    assert references[-2:] == [{9, 11}, {9}]


def test_many_decodes_with_b_frames_are_equal(pan: Pan, tmp_path: Path) -> None:
    clip = pan(96, 128, 13, (3, 2))
    first, *others = (
        [
            frame.motion.grid
            for frame in Mpeg2(bframes=2).frames(clip, tmp_path)
            if frame.motion is not None
        ]
        for _ in range(10)
    )
    assert len(first) == 13
    for other in others:
        np.testing.assert_array_equal(first, other)


@BOTH
@pytest.mark.parametrize(("height", "width"), [(97, 131), (96, 131), (97, 128)])
def test_odd_sizes_come_back_as_they_were(
    pan: Pan, codec: type[MpegCodec], height: int, width: int
) -> None:
    y, x = np.mgrid[:height, :width]
    image = np.stack([x, 255 - x, y + 40], -1).astype(np.uint8)
    for frame in codec(qp=1).frames(replace(pan(height, width, 3), image=lambda index: image)):
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


@BOTH
def test_the_same_clip_gives_the_same_bits(
    pan: Pan, tmp_path: Path, codec: type[MpegCodec]
) -> None:
    clip = pan(95, 128, 25, (1.5, 1))
    for folder in ("a", "b"):
        list(codec().frames(clip, tmp_path / folder))
    (first,), (second,) = (list((tmp_path / folder).glob("*.mkv")) for folder in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()


def noise(pan: Pan, fps: float) -> Clip:
    """A clip of which every frame costs many bits."""
    images = np.random.default_rng(0).integers(0, 256, (40, 96, 128, 3)).astype(np.uint8)
    return replace(
        pan(96, 128, 40, fps=fps), image=lambda index: images[index], name=f"noise at {fps}"
    )


@BOTH
@pytest.mark.parametrize("fps", [7.3, 12.5, 15.0, 24.0, 29.97, 30000 / 1001])
def test_the_rate_holds_at_any_number_of_frames_a_second(
    pan: Pan, codec: type[MpegCodec], fps: float
) -> None:
    frames = list(codec(bitrate=f"{round(60 * fps)}k").frames(noise(pan, fps), motion=False))
    assert sum(frame.bits for frame in frames) / len(frames) == pytest.approx(60_000, rel=0.1)


@BOTH
def test_a_coarser_quantiser_gives_fewer_bits(pan: Pan, codec: type[MpegCodec]) -> None:
    bits = [
        sum(frame.bits for frame in codec(qp=qp).frames(pan(96, 128, 12, (1, 1))))
        for qp in (1, 2, 8, 31)
    ]
    assert bits == sorted(bits, reverse=True)
    assert bits[-1] < bits[0] / 4


def test_the_quantiser_is_the_one_asked_for(pan: Pan, tmp_path: Path) -> None:
    """FFmpeg tells the quantiser of every macroblock of MPEG-2 (libavutil/video_enc_params.h),
    doubled."""
    list(Mpeg2(qp=7, bframes=1).frames(pan(96, 128, 7, (3, 2)), tmp_path))
    (path,) = tmp_path.glob("*.mkv")
    found = []
    with av.open(str(path)) as container:
        container.streams.video[0].codec_context.options = {"export_side_data": "+venc_params"}
        for frame in container.decode(video=0):
            # FFmpeg hands each kind out once; PyAV's own names of it have changed
            side: Any = frame.side_data
            for data in map(bytes, filter(None, [side.get("VIDEO_ENC_PARAMS")])):
                blocks, start, size = struct.unpack_from("<I4xQQ", data)
                base = struct.unpack_from("<i", data, 28)[0]
                found.append(
                    {
                        base + struct.unpack_from("<i", data, start + block * size + 16)[0]
                        for block in range(blocks)
                    }
                )
    # as with its vectors, the decoder keeps the last frame's back
    assert found == [{2 * 7}] * 6


@BOTH
def test_intra_blocks_take_the_nearest_vector_or_none(pan: Pan, codec: type[MpegCodec]) -> None:
    """At a scene cut most blocks are intra."""
    clip = pan(96, 128, 6, (3, 2), cut=3)
    fields: dict[str, Any] = {
        fill: list(codec(fill=fill).frames(clip))[3].motion for fill in ("nearest", "zero")
    }
    holes = (fields["zero"].blocks.references == NONE).all(0)
    assert holes.any()
    assert not fields["zero"].step.vectors[holes].any()
    assert (fields["zero"].step.references[holes] == 2).all()
    np.testing.assert_array_equal(
        fields["nearest"].step.vectors[~holes], fields["zero"].step.vectors[~holes]
    )
    if not holes.all():
        assert {tuple(vector) for vector in fields["nearest"].step.vectors[holes]} <= {
            tuple(vector) for vector in fields["zero"].step.vectors[~holes]
        }


@BOTH
@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"crf": 20}, "no crf: use bitrate or qp"),
        ({"qp": 0}, "from 1 to 31"),
        ({"qp": 32}, "from 1 to 31"),
        ({"qp": 4, "bitrate": "1M"}, "exclude each other"),
        ({"refs": 2}, "refs=1"),
        ({"preset": "veryslow"}, "available: fast, medium, slow"),
        ({"bframes": 17}, "from 0 to 16"),
        ({"gop": 0}, "gop=0"),
    ],
)
def test_wrong_parameters_are_refused_in_words(
    codec: type[MpegCodec], wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        codec(**wrong)


@BOTH
def test_settings_tell_all_variants_apart(codec: type[MpegCodec]) -> None:
    variants: list[dict[str, Any]] = [
        {}, {"gop": 6}, {"bitrate": "1M"}, {"qp": 5}, {"preset": "fast"}, {"preset": "slow"},
        {"bframes": 1}, {"fps": 15},
        {"cell": 4}, {"fill": "zero"}, {"whole_pixels": True}, {"motion": "none"},
    ]  # fmt: skip
    assert len({str(codec(**variant).settings()) for variant in variants}) == len(variants)
