"""A coded clip in pieces: each GOP by itself shows what the whole stream shows."""

import numpy as np
import pytest

from vssbench.codec.formats.raw import Raw
from vssbench.codec.spec import Codec
from vssbench.core import registry
from vssbench.core.errors import ExperimentRefused
from vssbench.core.variant import parse_variant
from vssbench.core.video import Given

#: x264 at this preset has no macroblock tree, with which it rarely gives other bits for the same
#: tiny frames
CODECS = (
    "h264[bitrate=200k,gop=4,preset=superfast]", "h264[crf=30,gop=4,bframes=2,preset=superfast]",
    "hevc[crf=30,gop=4]", "hevc[crf=30,gop=4,motion=estimated]",
    "mpeg4[qp=8,gop=4]", "mpeg4[qp=8,gop=4,bframes=1,motion=estimated]", "mpeg2[qp=8,gop=4]",
    "mpeg2[qp=8,gop=4,bframes=2]",
    "vp9[crf=40,gop=4]", "av1[crf=40,gop=4]", "raw[gop=4]", "raw[gop=4,motion=estimated]",
)  # fmt: skip


@pytest.mark.parametrize("text", CODECS)
def test_each_gop_by_itself_shows_what_the_whole_shows(text, patterns, tmp_path):
    patterns.frames = 10  # GOPs of 4, 4 and 2 frames
    clip = patterns.training_clips()[0]
    codec = registry.create("codecs", parse_variant(text))
    whole = list(codec.frames(clip, motion=codec.has_motion))
    gops = codec.gops(clip, tmp_path / "gops", codec.has_motion)
    assert [gop.first for gop in gops] == [0, 4, 8]
    for _ in range(2):  # as often as they are asked for
        found = [frame for gop in reversed(gops) for frame in gop.frames()]
        found.sort(key=lambda frame: frame.index)
        assert [(frame.index, frame.distance) for frame in found] == [
            (frame.index, frame.distance) for frame in whole
        ]
        for one, other in zip(found, whole, strict=True):
            assert np.array_equal(one.image, other.image)
            assert (one.motion is None) == (other.motion is None)
            if one.motion is not None:
                assert np.array_equal(one.motion.grid, other.motion.grid)


def test_the_pieces_are_the_only_files_and_need_no_clip_any_more(patterns, tmp_path):
    read = []
    clip = patterns.training_clips()[0]
    watched = clip.part(0, clip.length)
    image = watched.image
    object.__setattr__(watched, "image", lambda index: read.append(index) or image(index))
    gops = registry.create("codecs", parse_variant("h264[gop=3]")).gops(
        watched, tmp_path / "gops", True
    )
    assert read == list(range(6))
    assert sorted(path.name for path in (tmp_path / "gops").iterdir()) == [
        "000000.mkv",
        "000001.mkv",
    ]
    assert [frame.index for gop in gops for frame in gop.frames()] == list(range(6))
    assert len(read) == 6


def test_frames_that_come_coded_are_one_piece(patterns, tmp_path):
    clip = patterns.training_clips()[0].part(0, 2)
    given = Given((0, 1), lambda index: np.full((64, 96, 2), index, np.float32), "elsewhere")
    object.__setattr__(clip, "given", given)
    (gop,) = registry.create("codecs", parse_variant("raw[motion=given]")).gops(
        clip, tmp_path, True
    )
    assert [float(frame.motion.grid.max()) for frame in gop.frames()] == [0, 1]
    with pytest.raises(ExperimentRefused, match="would code them twice"):
        registry.create("codecs", parse_variant("h264")).gops(clip, tmp_path, True)


def test_a_codec_that_knows_no_pieces_gives_the_whole_clip_as_one(patterns, tmp_path):
    class Other(Raw):
        gops = Codec.gops

    (gop,) = Other(gop=4).gops(patterns.training_clips()[0], tmp_path)
    assert [frame.distance for frame in gop.frames()] == [0, 1, 2, 3, 0, 1]
