"""Streams that are broken, or not as this project makes them: handled or refused in words, whatever
the codec."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import encode
from vssbench.codec.encoded import EncodedCodec
from vssbench.codec.motion import MotionSettings
from vssbench.codec.vectors.proof import prove
from vssbench.core import registry
from vssbench.core.errors import DataError, MotionUnavailable
from vssbench.core.variant import Variant
from vssbench.core.video import Clip, Frame, Image

Pan = Callable[..., Clip]
LENGTH, GOP, HEIGHT, WIDTH = 13, 6, 96, 128
MOTION = (2.0, 1.0)
ALL = sorted(set(registry.plugins("codecs")) - {"raw"})


def made(name: str, **parameters: Any) -> EncodedCodec:
    codec = registry.create("codecs", Variant(name, parameters))
    assert isinstance(codec, EncodedCodec)
    return codec


def reader_of(codec: EncodedCodec) -> MotionSource:
    """Where the codec's own vectors come from; skips the test where this machine has none."""
    if codec.reader.private and (reason := prove(codec).reason):
        pytest.skip(reason)
    return MotionSource(codec.reader, MotionSettings())


@pytest.fixture(scope="module", params=ALL)
def codec(request: pytest.FixtureRequest) -> EncodedCodec:
    return made(request.param, gop=GOP, bitrate="300k")


@pytest.fixture(scope="module")
def stream(codec: EncodedCodec) -> bytes:
    """A good stream of the codec."""
    return encoded(codec, images(HEIGHT, WIDTH))


def encoded(codec: EncodedCodec, pictures: Sequence[Image]) -> bytes:
    file = io.BytesIO()
    encode(iter(pictures), file, codec.encoder(), 30.0)
    return file.getvalue()


def images(height: int, width: int, length: int = LENGTH, cut: int | None = None) -> list[Image]:
    """A pan by MOTION pixels a frame across smooth noise; another scene from frame ``cut`` on."""
    scenes = []
    for seed in (0, 1):
        coarse = np.random.default_rng(seed).integers(0, 256, (40, 48, 3)).astype(np.float32)
        fine = np.kron(coarse, np.ones((6, 6, 1), np.float32))
        scenes.append(
            sum(np.roll(fine, shift, axis) for shift in range(-2, 3) for axis in (0, 1)) / 10
        )
    return [
        scenes[cut is not None and index >= cut][
            index : index + height, 2 * index : 2 * index + width
        ].astype(np.uint8)
        for index in range(length)
    ]


def attempt(
    data: bytes, source: MotionSource | None, gop: int | None = GOP, length: int | None = LENGTH
) -> list[Frame] | str:
    """The frames, or the words of the refusal. Any other error fails the test."""
    try:
        return list(decode(io.BytesIO(data), gop, source, length, (HEIGHT, WIDTH)))
    except (DataError, MotionUnavailable) as error:
        return str(error)


def remuxed(data: bytes, change: Callable[[list[av.Packet]], list[av.Packet]]) -> bytes:
    """The stream with other packets."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(file, "w", format="matroska") as target:
        video = source.streams.video[0]
        copy = target.add_stream_from_template(video, opaque=True)
        for packet in change([packet for packet in source.demux(video) if packet.size]):
            packet.stream = copy
            target.mux(packet)
    return file.getvalue()


def test_the_stream_is_good(codec: EncodedCodec, stream: bytes) -> None:
    frames = attempt(stream, reader_of(codec))
    assert isinstance(frames, list), frames
    assert [frame.index for frame in frames] == list(range(LENGTH))


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.5, 0.9])
def test_a_stream_that_is_cut_short(codec: EncodedCodec, stream: bytes, share: float) -> None:
    assert isinstance(attempt(stream[: int(share * len(stream))], reader_of(codec)), str)


@pytest.mark.parametrize("seed", range(12))
def test_a_flipped_bit(codec: EncodedCodec, stream: bytes, seed: int) -> None:
    """No decoder notices every flipped bit: then all frames come, of the right size, with finite
    motion."""
    rng = np.random.default_rng(seed)
    broken = bytearray(stream)
    broken[int(rng.integers(len(broken) // 4, len(broken)))] ^= 1 << int(rng.integers(8))
    found = attempt(bytes(broken), reader_of(codec))
    if not isinstance(found, str):
        assert [frame.image.shape for frame in found] == [(HEIGHT, WIDTH, 3)] * LENGTH
        assert all(
            frame.motion is not None and np.isfinite(frame.motion.grid).all() for frame in found
        )


@pytest.mark.parametrize("seed", range(4))
def test_bytes_that_are_overwritten(codec: EncodedCodec, stream: bytes, seed: int) -> None:
    rng = np.random.default_rng(seed)
    broken = bytearray(stream)
    place = int(rng.integers(len(broken) // 3, len(broken) - 300))
    broken[place : place + 200] = rng.integers(0, 256, 200).astype(np.uint8).tobytes()
    found = attempt(bytes(broken), reader_of(codec))
    assert isinstance(found, str) or len(found) == LENGTH


@pytest.mark.parametrize("absent", [0, 3, GOP, LENGTH - 1])
def test_a_packet_that_is_dropped(codec: EncodedCodec, stream: bytes, absent: int) -> None:
    short = remuxed(stream, lambda packets: packets[:absent] + packets[absent + 1 :])
    assert isinstance(attempt(short, reader_of(codec)), str)


def test_frames_of_another_size_in_the_same_stream(codec: EncodedCodec, stream: bytes) -> None:
    other = encoded(codec, images(HEIGHT + 32, WIDTH + 16))

    def both(packets: list[av.Packet]) -> list[av.Packet]:
        with av.open(io.BytesIO(other)) as source:
            more = [packet for packet in source.demux(video=0) if packet.size]
        step = (
            packets[1].pts - packets[0].pts
            if packets[0].pts is not None and packets[1].pts is not None
            else 33
        )
        for packet in more:
            packet.pts = (packet.pts or 0) + GOP * step
            packet.dts = packet.pts
        return packets[:GOP] + more[: LENGTH - GOP]

    found = attempt(remuxed(stream, both), reader_of(codec))
    assert isinstance(found, str), "frames of two sizes passed for one stream"


def test_keyframes_elsewhere_than_expected(codec: EncodedCodec, stream: bytes) -> None:
    for gop in (GOP - 1, 2 * GOP):
        words = attempt(stream, reader_of(codec), gop)
        assert isinstance(words, str)
        assert f"keyframes every {gop} frames" in words
    found = attempt(stream, reader_of(codec), None)
    assert not isinstance(found, str)
    assert [frame.distance for frame in found] == [index % GOP for index in range(LENGTH)]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "cannot be decoded"),
        (b"no video at all\n" * 100, "cannot be decoded"),
        (bytes(5000), "cannot be decoded"),
    ],
)
def test_what_is_no_video(content: bytes, words: str) -> None:
    found = attempt(content, None)
    assert isinstance(found, str)
    assert words in found


def test_sound_without_pictures() -> None:
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        sound = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        frame.sample_rate = 8000
        container.mux(sound.encode(frame))
    found = attempt(file.getvalue(), None)
    assert isinstance(found, str)
    assert "no video stream" in found


def foreign(
    encoder: str, options: dict[str, str], pictures: Sequence[Image], gop: int = GOP
) -> bytes:
    """A stream that was made otherwise than this project makes them, its GOP unchecked."""
    file = io.BytesIO()
    with av.open(file, "w", format="matroska") as container:
        video = container.add_stream(encoder, rate=Fraction(30), options=options)
        assert isinstance(video, av.VideoStream)
        video.height, video.width = pictures[0].shape[:2]
        video.pix_fmt, video.bit_rate, video.gop_size = "yuv420p", 300_000, gop
        for picture in pictures:
            container.mux(
                video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24"))
            )
        container.mux(video.encode())
    return file.getvalue()


X264 = "keyint=6:min-keyint=6:scenecut=0:threads=1:weightp=0:ref=1:b-adapt=0"


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        (f"{X264}:bframes=3:b-pyramid=strict", "B-pyramid"),
        (f"{X264}:bframes=3:b-pyramid=normal", "B-pyramid"),
        (f"{X264}:bframes=0:ref=3", "references a list"),
        (f"{X264}:bframes=2:open-gop=1:b-pyramid=none", "by command|closed GOPs|reorders"),
        (f"{X264}:bframes=0:interlaced=1", "interlaced"),
    ],
)
def test_h264_whose_vectors_are_ambiguous(parameters: str, words: str) -> None:
    data = foreign("libx264", {"x264-params": parameters}, images(HEIGHT, WIDTH))
    found = attempt(data, reader_of(made("h264")), None)
    assert isinstance(found, str)
    assert any(word in found for word in words.split("|")), found
    assert isinstance(attempt(data, None, None), list)


def test_damage_in_one_of_several_slices() -> None:
    """FFmpeg's decoder conceals it where slices have threads of their own."""
    data = foreign(
        "libx264", {"x264-params": f"{X264}:slices=4", "qp": "20"}, images(HEIGHT, WIDTH)
    )
    with av.open(io.BytesIO(data)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    place, size = packets[GOP]
    found = 0
    for seed in range(6):
        damaged = bytearray(data)
        noise = np.random.default_rng(seed).integers(1, 255, size // 3, dtype=np.uint8)
        damaged[place + 100 : place + 100 + len(noise)] = noise.tobytes()
        try:
            list(decode(io.BytesIO(bytes(damaged)), GOP))
        except DataError:
            found += 1
    assert found >= 3  # noise may be a valid slice


def test_a_scene_cut_that_the_encoder_marked() -> None:
    """The extra keyframe is refused where the GOP is known, and taken as it comes where it is
    not."""
    options = {
        "x264-params": "keyint=12:min-keyint=1:scenecut=40:bframes=0:ref=1:weightp=0:threads=1"
    }
    data = foreign("libx264", options, images(HEIGHT, WIDTH, cut=5), 12)
    source = reader_of(made("h264"))
    words = attempt(data, source, 12)
    assert isinstance(words, str)
    assert "frame 5 is of type I" in words
    found = attempt(data, source, None)
    assert not isinstance(found, str)
    assert [frame.distance for frame in found] == [*range(5), *range(8)]


X265 = "keyint=6:scenecut=0:b-adapt=0:log-level=error:pools=none:frame-threads=1"
needs_hevc = pytest.mark.skipif("hevc" not in ALL, reason="no codec hevc here")


@needs_hevc
@pytest.mark.parametrize(
    "parameters",
    [
        "bframes=4:b-pyramid=1:no-open-gop=1:min-keyint=6",
        "bframes=0:ref=3:no-open-gop=1:min-keyint=6",
        "bframes=3:open-gop=1",
    ],
)
def test_hevc_names_its_references(parameters: str) -> None:
    """The slice headers tell which picture is which in a B-pyramid, among several references, and
    where B-frames refer to the keyframe behind them (an open GOP, x265's default): all follow the
    pan."""
    data = foreign("libx265", {"x265-params": f"{X265}:{parameters}"}, images(HEIGHT, WIDTH))
    found = attempt(data, reader_of(made("hevc")), None)
    assert not isinstance(found, str), found
    assert [frame.distance for frame in found] == [index % GOP for index in range(LENGTH)]
    for frame in found:
        assert frame.motion is not None
        assert np.median(np.abs(frame.motion.grid - np.multiply(MOTION, frame.distance))) < 0.5
