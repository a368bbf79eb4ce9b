"""GOPs of a stream that is taken as it comes, and the vectors that stay inside them."""

from __future__ import annotations

import io
from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest

from vssbench.codec.boundaries import KEPT, Boundaries
from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.vectors.mpeg import Mpeg2Vectors
from vssbench.codec.vectors.reader import BlockVectors
from vssbench.core.errors import MotionUnavailable, UsageError
from vssbench.core.motion import NONE
from vssbench.core.video import Clip

Pan = Callable[..., Clip]


def blocks(*references: int, past: int) -> BlockVectors:
    names = np.array([[references]], np.int32)
    return BlockVectors(np.ones((*names.shape, 2), np.float32), names, past)


def test_intra_pictures_are_keyframes() -> None:
    found = Boundaries()
    kinds = "IPPIPBI"
    assert [found.key(index, kind, kind == "I", True) for index, kind in enumerate(kinds)] == [
        kind == "I" for kind in kinds
    ]


def test_a_longest_gop() -> None:
    """A B-frame of a stream that reorders is passed over, since pictures behind it cannot refer to
    it."""
    found = Boundaries(4)
    keys = [
        found.key(index, kind, index == 0, True) for index, kind in enumerate("IPBPBPBP" + "B" * 9)
    ]
    assert np.flatnonzero(keys).tolist() == [0, 5, 13]
    plain = Boundaries(4)
    assert np.flatnonzero(
        [plain.key(index, "B", index == 0, False) for index in range(10)]
    ).tolist() == [0, 4, 8]
    with pytest.raises(UsageError, match="expected 1 or more"):
        Boundaries(0)


def test_vectors_that_leave_the_gop_are_left_out() -> None:
    found = Boundaries()
    found.key(0, "I", True, True)
    ((first, _),) = found.inside(0, blocks(NONE, past=NONE))
    assert first == 0
    found.key(1, "B", False, True)
    assert list(found.inside(1, blocks(0, 2, past=0))) == []  # frame 2 may yet be a keyframe
    found.key(2, "I", True, True)
    (index, judged), _ = found.inside(2, blocks(NONE, past=NONE))
    assert index == 1
    assert judged.references.ravel().tolist() == [0, NONE]
    assert judged.vectors[0, 0, :, 0].tolist() == [1, 0]
    found.key(3, "P", False, True)
    ((_, behind),) = found.inside(3, blocks(1, 2, past=1))
    assert behind.references.ravel().tolist() == [NONE, 2]
    assert behind.past == 2


def test_fields_that_are_kept_are_few() -> None:
    found, kept, most = Boundaries(), set(), 0
    for index in range(1000):
        found.key(index, "P", index == 0, False)
        long_term = 0 if index < 500 else 3  # one picture is referred to for long, another no more
        for number, _ in found.inside(index, blocks(index - 1, long_term, past=index - 1)):
            kept.add(number)
        kept -= set(found.forgotten())
        most = max(most, len(kept))
    assert most <= KEPT + 4
    assert 0 in kept
    ((_, judged),) = list(found.inside(1000, blocks(999, 500, past=999)))
    assert judged.references.ravel().tolist() == [999, NONE]


def mpeg2(clip: Clip, flags: str) -> io.BytesIO:
    file = io.BytesIO()
    with av.open(file, "w", format="mpegts") as container:
        options = {"sc_threshold": "1000000000", **({"flags": flags} if flags else {})}
        stream = container.add_stream("mpeg2video", rate=25, options=options)
        stream.height, stream.width, stream.pix_fmt = clip.height, clip.width, "yuv420p"
        stream.codec_context.gop_size, stream.codec_context.max_b_frames = 6, 2
        for index in range(clip.length):
            frame = av.VideoFrame.from_ndarray(clip.image(index), "rgb24")
            frame.pts, frame.time_base = index, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    file.seek(0)
    return file


def test_open_gops_of_mpeg2(pan: Pan) -> None:
    """B-frames before a keyframe in display order keep their vectors to the past, and motion stays
    that of the pan."""
    frames = list(decode(mpeg2(pan(96, 128, 20, (2, 1)), ""), None, MotionSource(Mpeg2Vectors)))
    keys = [frame.index for frame in frames if frame.distance == 0]
    assert len(frames) == 20
    assert len(keys) > 2
    before = [frame for frame in frames if frame.index + 1 in keys and frame.picture_type == "B"]
    assert before
    for frame in frames:
        assert frame.motion is not None
        named = [] if frame.motion.blocks is None else frame.motion.blocks.named
        key = frame.index - frame.distance
        assert all(
            key <= name and not any(frame.index < each <= name for each in keys) for name in named
        )
        inner = frame.motion.dense()[32:64, 32:96] / max(frame.distance, 1)
        expected = (2, 1) if frame.distance else (0, 0)
        assert np.median(inner, axis=(0, 1)) == pytest.approx(expected, abs=0.35)


def test_vectors_of_interlaced_pictures_are_refused(pan: Pan) -> None:
    with pytest.raises(MotionUnavailable, match="interlaced"):
        list(
            decode(mpeg2(pan(96, 128, 8, (2, 1)), "+ildct+ilme"), None, MotionSource(Mpeg2Vectors))
        )
