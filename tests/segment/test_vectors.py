"""Which motion is taken, and what is said where a stream's own cannot be."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.stream import Disposition

from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.codec.vectors.h264 import H264Vectors
from vssbench.core.errors import DataError, MotionUnavailable
from vssbench.data.videofile import open_videofile
from vssbench.segment.vectors import choose, instead

MOTION = frozenset({"motion"})


def test_the_streams_own(make) -> None:
    source = open_videofile(make("a.mp4"))
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
    """Several references, B-pyramid and weighted prediction: nobody can say which picture a vector
    points to."""
    source = open_videofile(make("a.mp4", options={}, length=12))
    with pytest.raises(
        MotionUnavailable, match=r"H\.264 stream.*--motion estimated.*--reencode 'h264"
    ):
        choose(source, MOTION, "codec")
    choice = choose(source, MOTION, "auto")
    assert choice.name == "estimated"
    assert "since the stream's own vectors cannot be used: the H.264 stream" in choice.words


def test_a_codec_without_a_reader(make) -> None:
    source = open_videofile(make("a.avi", "mjpeg", pixel_format="yuvj420p", options={}))
    assert (
        "no reader here knows the motion vectors of mjpeg" in choose(source, MOTION, "auto").words
    )


def test_without_opencv(make, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> str:
        raise MotionUnavailable("motion=estimated needs OpenCV")

    monkeypatch.setattr(EstimatedVectors, "check", absent)
    source = open_videofile(make("a.avi", "mjpeg", pixel_format="yuvj420p", options={}))
    with pytest.raises(MotionUnavailable, match=r"no reader here.*needs OpenCV"):
        instead(source, MOTION, "auto", MotionUnavailable("no reader here"))


@pytest.mark.parametrize(
    "words",
    [
        "a header ends too early: the stream is broken; encode it again",
        "broken: why; encode it again",
    ],
)
@pytest.mark.usefixtures("decoded_here")
def test_nobody_is_told_to_remove_his_own_video(
    make, monkeypatch: pytest.MonkeyPatch, words: str
) -> None:
    def fails(self, packet) -> None:
        raise DataError(words)

    monkeypatch.setattr(H264Vectors, "packet", fails)
    source = open_videofile(make("a.mp4"))
    choice = choose(source, MOTION, "auto")
    assert choice.name == "estimated"
    assert "broken" in choice.words
    assert "again" not in choice.words
    with pytest.raises(MotionUnavailable, match="broken") as refused:
        choose(source, MOTION, "codec")
    assert "again" not in str(refused.value)


def test_files_that_are_no_videos(tmp_path) -> None:
    text = tmp_path / "a.mp4"
    text.write_text("no video at all " * 100)
    with pytest.raises(DataError, match="cannot be read as a video"):
        open_videofile(text)
    with pytest.raises(DataError, match="no file"):
        open_videofile(tmp_path / "absent.mp4")
    with pytest.raises(DataError, match="is a folder"):
        open_videofile(tmp_path)


def test_sound_with_a_cover_is_no_video(tmp_path) -> None:
    path = tmp_path / "song.mp4"
    with av.open(str(path), "w") as container:
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 96, 64, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        sound = container.add_stream("aac", rate=48000)
        container.mux(cover.encode(av.VideoFrame(96, 64, "yuvj420p")))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), "fltp", "mono")
        silence.rate = 48000
        container.mux(sound.encode(silence))
        container.mux(sound.encode())
    with pytest.raises(DataError, match="begins with a cover picture"):
        open_videofile(path)
