"""MPEG-4 part 2 where it differs from MPEG-2: its B-frames' vectors are refused.

All else is in test_mpeg2.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.formats.mpeg4 import Mpeg4
from vssbench.codec.vectors.mpeg import Mpeg4Vectors
from vssbench.core import registry
from vssbench.core.errors import MotionUnavailable
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip

Pan = Callable[..., Clip]


def test_b_frames_are_refused_before_anything_is_encoded(pan: Pan, tmp_path: Path) -> None:
    with pytest.raises(MotionUnavailable, match="B-frames as zero; use bframes=0"):
        Mpeg4(bframes=2).frames(pan(64, 96, 5), tmp_path)
    assert not list(tmp_path.iterdir())


def test_b_frames_of_any_stream_are_refused(pan: Pan, tmp_path: Path) -> None:
    list(Mpeg4(bframes=1).frames(pan(64, 96, 5, (3, 2)), tmp_path, motion=False))
    (path,) = tmp_path.glob("*.mkv")
    with pytest.raises(MotionUnavailable, match="frame 1 is a B-frame"):
        list(decode(path, 12, MotionSource(Mpeg4Vectors)))


def test_b_frames_with_estimated_motion_are_fine(pan: Pan) -> None:
    pytest.importorskip("cv2")
    frames = list(Mpeg4(bframes=2, motion="estimated").frames(pan(64, 96, 7, (3, 2))))
    assert "B" in {frame.picture_type for frame in frames}
    assert all(frame.motion is not None for frame in frames)


def test_the_command_lines_grammar_reaches_both() -> None:
    for text, title in (
        ("mpeg4[qp=5]", "MPEG-4 part 2 QP 5"),
        ("mpeg2[bitrate=300k,preset=fast]", "MPEG-2 300 kb/s"),
    ):
        assert registry.create("codecs", parse_variant(text)).describe() == title
