"""Inspection: the abilities of this machine's codecs, and the contents of a file."""

import av
import pytest

from vssbench.codec.contents import contents
from vssbench.codec.encode import encode
from vssbench.codec.formats.h264 import H264
from vssbench.codec.vectors.estimated import EstimatedVectors
from vssbench.codec.vectors.exported import ExportedVectors
from vssbench.codec.vectors.proof import Proof
from vssbench.core import registry
from vssbench.core.errors import DataError, MotionUnavailable, UsageError
from vssbench.core.variant import parse_variant
from vssbench.view import inspect


def test_every_codec_is_shown_uncompressed_last():
    names = inspect.ordered(["raw", "mpeg2", "zz", "h264", "av1"])
    assert names == ["h264", "av1", "mpeg2", "zz", "raw"]
    assert set(inspect.ordered(registry.plugins("codecs"))) == set(registry.plugins("codecs"))


def test_abilities():
    found = inspect.ability("h264")
    assert found.title == "H.264"
    assert found.encoder.startswith("libx264")
    assert found.decoder.startswith("h264 (libavcodec ")
    assert "libavcodec" in found.vectors
    assert found.missing == ""
    assert not found.proves
    assert found.options["gop"] == 12
    raw = inspect.ability("raw")
    assert (raw.encoder, raw.decoder, raw.vectors) == ("", "", "")
    with pytest.raises(UsageError, match="unknown codec"):
        inspect.ability("h265")


def test_what_is_missing_is_said(monkeypatch):
    def absent(cls):
        raise MotionUnavailable("the library is not installed: pip install it")

    monkeypatch.setattr(H264.reader, "check", classmethod(absent))
    monkeypatch.setattr(EstimatedVectors, "check", classmethod(absent))
    for found in (inspect.ability("h264"), inspect.estimated()):
        assert found.vectors == ""
        assert "pip install" in found.missing

    def unknown(name, mode):
        raise av.codec.codec.UnknownCodecError(name)

    monkeypatch.setattr(inspect.av.codec, "Codec", unknown)
    found = inspect.ability("h264")
    assert (found.encoder, found.decoder) == ("", "")
    assert "without the encoder libx264" in found.missing


def test_options_that_most_codecs_share():
    def with_options(**options):
        return inspect.Ability("", "", "", "", "", False, options, "")

    found = [
        with_options(a=1, b=1),
        with_options(a=1, b=2, c=1),
        with_options(b=2, a=1),
        with_options(),
    ]
    assert inspect.common_options(found) == {"a": 1, "b": 2}
    assert inspect.common_options(found[:1]) == {}


def test_versions_of_libraries_where_the_system_tells():
    assert inspect.library_version("libnosuchthing", "version()") == ""
    path = inspect._loaded("libavcodec")
    if path is None:
        pytest.skip(
            "this system does not list a process's libraries, or PyAV is linked in one piece"
        )
    assert inspect.library_version("libavcodec", "no_such_symbol()") == ""
    assert inspect.library_version("libavcodec", "no_such_symbol") == ""


def test_a_codec_proves_itself():
    found = inspect.probe(parse_variant("h264"))
    assert found.reason == ""
    assert found.right >= 0.99
    assert found.covered >= 0.9
    assert min(found.encode_ms, found.decode_ms, found.vectors_ms) > 0


def test_estimated_motion_takes_the_same_test():
    pytest.importorskip("cv2")
    for name in ("estimated", "h264[motion=estimated]", "raw[motion=estimated]"):
        found = inspect.probe(parse_variant(name))
        assert (found.codec, found.reason) == (name, "")
        assert "DIS" in found.vectors
        assert found.right >= 0.99


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raw", "no motion vectors of its own"),
        ("h264[refs=3]", "refs=1"),
        ("h264[motion=none]", "motion=none"),
    ],
)
def test_what_cannot_give_vectors(name, words):
    found = inspect.probe(parse_variant(name))
    assert words in found.reason
    assert found.right is None


def test_a_test_that_fails_is_reported_with_its_figures(monkeypatch):
    monkeypatch.setattr(inspect.proof, "prove", lambda codec: Proof(0.4, 0.9, "40% are right"))
    found = inspect.probe(parse_variant("h264"))
    assert (found.right, found.covered, found.reason, found.vectors_ms) == (
        0.4,
        0.9,
        "40% are right",
        None,
    )
    assert found.decode_ms > 0
    with pytest.raises(UsageError, match="takes no parameters"):
        inspect.probe(parse_variant("estimated[cell=4]"))


def test_contents_of_a_stream_of_ours(pan, tmp_path):
    path = tmp_path / "clip.mkv"
    coded = encode(
        pan(96, 128, 10, (2, 1)).images(), path, H264(gop=4, bframes=1, crf=23).encoder(), 30.0
    )
    steps = []
    found = contents(path, lambda: steps.append(1))
    assert len(steps) == 10
    assert (found.codec, found.height, found.width, found.fps, found.frames) == (
        "h264",
        96,
        128,
        30.0,
        10,
    )
    assert found.pattern == "".join(frame.picture_type for frame in coded)
    assert found.gops == [4, 4, 2]
    with av.open(str(path)) as container:
        sizes = {packet.pts: 8 * packet.size for packet in container.demux(video=0) if packet.size}
    bits = [sizes[time] for time in sorted(sizes)]
    assert found.bits == sum(bits)
    assert found.bit_rate == pytest.approx(found.bits * 3)
    assert found.types == {
        letter: found.pattern.count(letter) for letter in sorted(set(found.pattern))
    }
    assert found.mean_bits["I"] == pytest.approx((bits[0] + bits[4] + bits[8]) / 3)
    assert found.reason == ""
    assert found.vectors
    assert 0 <= found.intra_share < 0.5


@pytest.mark.usefixtures("decoded_here")
def test_contents_without_vectors_say_why(pan, tmp_path, monkeypatch):
    path = tmp_path / "clip.mkv"
    encode(pan(96, 128, 6, (2, 1)).images(), path, H264(gop=4, refs=3, crf=23).encoder(), 30.0)

    def refuse(self, *given):
        raise MotionUnavailable("it has several references")

    monkeypatch.setattr(ExportedVectors, "picture", refuse)
    found = contents(path)
    assert "several references" in found.reason
    assert (found.frames, found.pattern, found.vectors, found.intra_share) == (
        6,
        "IPPPIP",
        "",
        None,
    )


def test_contents_of_a_codec_that_is_none_of_ours(pan, tmp_path):
    path = tmp_path / "clip.avi"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mjpeg", rate=25)
        stream.height, stream.width, stream.pix_fmt = 96, 128, "yuvj420p"
        for image in pan(96, 128, 3).images():
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "rgb24")))
        container.mux(stream.encode())
    found = contents(path)
    assert (found.codec, found.frames, found.gops) == ("mjpeg", 3, [1, 1, 1])
    assert "mjpeg" in found.reason


def test_what_is_no_video(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("words")
    with pytest.raises(DataError, match="cannot be read as a video"):
        contents(path)
