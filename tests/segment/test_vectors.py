"""Which motion is taken, and what is said where a stream's own cannot be."""

from __future__ import annotations

import pytest

from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.codec.vectors.h264 import H264Vectors
from vssbench.errors import DataError, MotionUnavailable
from vssbench.segment.source import open_source
from vssbench.segment.vectors import choose, instead

MOTION = frozenset({"motion"})


def test_the_streams_own(make) -> None:
    source = open_source(make("a.mp4"))
    assert (source.codec, source.size, source.frames, source.rotation) == ("h264", (64, 96), 8, 0)
    for wanted in ("auto", "codec"):
        choice = choose(source, MOTION, wanted)
        assert choice.name == "codec"
        assert choice.source is not None
        assert choice.source.reader is H264Vectors
    estimated = choose(source, MOTION | {"residual"}, "estimated")
    assert estimated.source is not None
    assert estimated.source.reader is EstimatedVectors
    assert estimated.source.residual
    assert choose(source, frozenset(), "auto").source is None


def test_x264s_defaults_are_refused_or_estimated(make) -> None:
    """Several references, B-pyramid and weighted prediction: nobody can say which picture a vector points to."""
    source = open_source(make("a.mp4", options={}, length=12))
    with pytest.raises(MotionUnavailable, match=r"H\.264 stream.*--motion estimated.*--reencode 'h264"):
        choose(source, MOTION, "codec")
    choice = choose(source, MOTION, "auto")
    assert choice.name == "estimated"
    assert "since the stream's own vectors cannot be used: the H.264 stream" in choice.words


def test_a_codec_without_a_reader(make) -> None:
    source = open_source(make("a.avi", "mjpeg", pixel_format="yuvj420p", options={}))
    assert "no reader here knows the motion vectors of mjpeg" in choose(source, MOTION, "auto").words


def test_without_opencv(make, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> str:
        raise MotionUnavailable("motion=estimated needs OpenCV")

    monkeypatch.setattr(EstimatedVectors, "check", absent)
    source = open_source(make("a.avi", "mjpeg", pixel_format="yuvj420p", options={}))
    with pytest.raises(MotionUnavailable, match=r"no reader here.*needs OpenCV"):
        instead(source, MOTION, "auto", MotionUnavailable("no reader here"))


def test_files_that_are_no_videos(tmp_path) -> None:
    text = tmp_path / "a.mp4"
    text.write_text("no video at all " * 100)
    with pytest.raises(DataError, match="cannot be read as a video"):
        open_source(text)
    with pytest.raises(DataError, match="no file"):
        open_source(tmp_path / "absent.mp4")
    with pytest.raises(DataError, match="is a folder"):
        open_source(tmp_path)
