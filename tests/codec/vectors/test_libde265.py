"""HEVC's vectors from libde265: what is in memory, matched pictures, named references; and how it
fails."""

from __future__ import annotations

import ctypes
import io
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import encode
from vssbench.codec.formats.hevc import Hevc
from vssbench.codec.motion import MotionSettings
from vssbench.codec.vectors import libde265
from vssbench.codec.vectors.hevc_headers import configuration, split
from vssbench.codec.vectors.libde265 import Decoder, LibDe265Vectors
from vssbench.codec.vectors.libde265_image import Layout
from vssbench.codec.vectors.reader import BlockVectors
from vssbench.core.errors import DataError, MotionUnavailable
from vssbench.core.motion import NONE
from vssbench.core.video import Clip, Frame

Pan = Callable[..., Clip]
LENGTH, GOP = 10, 8


@pytest.fixture(scope="module")
def need(provable: Callable[[str], None]) -> None:
    provable("hevc")


def stream(clip: Clip, container: str = "matroska", **options: Any) -> bytes:
    file = io.BytesIO()
    encode(clip.images(), file, Hevc(**{"gop": GOP, "preset": "fast", **options}).encoder(), 30.0)
    if container == "matroska":
        return file.getvalue()
    other = io.BytesIO()
    with (
        av.open(io.BytesIO(file.getvalue())) as source,
        av.open(other, "w", format=container) as target,
    ):
        output = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = output
                target.mux(packet)
    return other.getvalue()


def frames(data: bytes, size: tuple[int, int], cell: int = 4, length: int = LENGTH) -> list[Frame]:
    return list(
        decode(
            io.BytesIO(data), GOP, MotionSource(LibDe265Vectors, MotionSettings(cell)), length, size
        )
    )


def blocks_of(data: bytes, size: tuple[int, int], cell: int = 4) -> list[BlockVectors]:
    found = [frame.motion.blocks for frame in frames(data, size, cell) if frame.motion is not None]
    return [blocks for blocks in found if blocks is not None]


@pytest.mark.usefixtures("need")
@pytest.mark.parametrize("size", [(160, 224), (157, 217)])
@pytest.mark.parametrize(
    "options",
    [{}, {"refs": 3}, {"bframes": 2}, {"bframes": 3, "refs": 2}, {"bframes": 3, "cell": 8}],
)
@pytest.mark.parametrize("motion", [(3, 2), (2.25, -1.5), (13, -9)])
def test_every_vector_leads_to_its_own_reference(
    pan: Pan, motion: tuple[float, float], options: dict[str, Any], size: tuple[int, int]
) -> None:
    """Into the picture k frames back the pan is k times as long, forwards it is negative."""
    options = {"cell": 4, **options}
    cell = options.pop("cell")
    data = stream(pan(*size, LENGTH, motion), qp=16, **options)
    errors, told = [], set()
    y, x = (np.arange(-(-side // cell)) * cell for side in size)
    for frame in frames(data, size, cell):
        assert frame.motion is not None
        blocks = frame.motion.blocks
        if blocks is None:
            continue
        assert len(blocks.vectors) == (2 if frame.picture_type == "B" else 1)
        for vectors, references in zip(blocks.vectors, blocks.references, strict=True):
            assert not vectors[references == NONE].any()
            truth = np.multiply.outer(frame.index - references, np.array(motion))
            end_x, end_y = x + truth[..., 0], y[:, None] + truth[..., 1]
            # whole blocks of 32x32 inside this picture and that one
            seen = (
                (references != NONE)
                & (end_x >= 32)
                & (end_x < size[1] - 32)
                & (end_y >= 32)
                & (end_y < size[0] - 32)
            )
            seen &= (
                (x >= 32) & (x < size[1] - 32) & (y >= 32)[:, None] & (y < size[0] - 32)[:, None]
            )
            errors.append(np.abs(vectors - truth)[seen].max(-1, initial=0))
            told |= set((frame.index - references[references != NONE]).tolist())
    error = np.concatenate(errors)
    # the encoder may prefer others, of two above all; what is read wrongly is never right
    assert np.mean(error <= 0.25) >= 0.9
    assert min(told) < 0 if options.get("bframes") else min(told) == 1
    assert max(told) > 1 or options == {}


def slow(
    data: bytes, cell: int, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> list[list[Any]]:
    """Block by block from memory, all reads by hand: per picture in coded order {(row, column):
    {list: (poc, x, y)}}."""
    kept: list[list[Any]] = []
    plain = libde265.read

    def watched(image: int, layout: Layout, picture: Any, *rest: Any) -> Any:
        its = picture.parameters
        coding, prediction = (
            struct.unpack("<Q", ctypes.string_at(image + offset, 8))[0]
            for offset in (layout.coding, layout.prediction)
        )
        step, found = 1 << its.log2_min_block, {}
        for row in range(-(-size[0] // cell)):
            for column in range(-(-size[1] // cell)):
                y, x = row * cell, column * cell
                block = ctypes.string_at(
                    coding + 3 * (y // step * (its.width // step) + x // step), 3
                )
                if block[1] & 3 == 0:
                    continue
                motion = ctypes.string_at(
                    prediction + 12 * (y // 4 * (its.width // 4) + x // 4), 12
                )
                vectors = struct.unpack("<4h", motion[4:])
                found[row, column] = {
                    number: (
                        picture.slices[0].lists[number][motion[2 + number]],
                        vectors[2 * number],
                        vectors[2 * number + 1],
                    )
                    for number in (0, 1)
                    if motion[number]
                }
        kept.append([picture.sequence, picture.poc, found])
        return plain(image, layout, picture, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(libde265, "read", watched)
        frames(data, size, cell)
    return kept


@pytest.mark.usefixtures("need")
@pytest.mark.parametrize("cell", [4, 8])
def test_grids_equal_a_slow_reading(pan: Pan, cell: int, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (101, 135)
    data = stream(pan(*size, LENGTH, (5, -3), cut=5), bframes=3, refs=2, bitrate="400k")
    numbers = [index for index in range(LENGTH) if index % GOP]
    blocks = dict(zip(numbers, blocks_of(data, size, cell), strict=True))
    intra = both = 0
    for sequence, poc, found in slow(data, cell, size, monkeypatch):
        its = blocks.pop(sequence * GOP + poc)
        for row, column in np.ndindex(its.references.shape[1:]):
            cells = found.get((row, column), {})
            intra, both = intra + (not cells), both + (len(cells) == 2)
            for number in range(len(its.vectors)):
                reference, x, y = cells.get(number, (None, 0, 0))
                expected = NONE if reference is None else sequence * GOP + reference
                assert its.references[number, row, column] == expected
                assert its.vectors[number, row, column].tolist() == [x / 4, y / 4]
    assert not blocks
    assert intra
    assert both


@pytest.mark.usefixtures("need")
def test_the_two_decoders_show_the_same_pictures(pan: Pan, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its filters on, libde265's luma equals FFmpeg's bit by bit, so the pictures are matched
    rightly."""
    data = stream(pan(104, 136, LENGTH, (3, -2)), bframes=3, refs=2)
    monkeypatch.setattr(libde265, "_FILTERS", ())
    calls = libde265.library().calls
    calls.de265_get_image_plane.restype = ctypes.c_void_p
    calls.de265_get_image_plane.argtypes = [
        ctypes.c_void_p,
        ctypes.c_int,
        ctypes.POINTER(ctypes.c_int),
    ]
    luma: dict[int, np.ndarray] = {}
    with av.open(io.BytesIO(data)) as container:
        units, size = configuration(container.streams.video[0].codec_context.extradata)
        decoder, stride = Decoder(libde265.library()), ctypes.c_int()
        for number, packet in enumerate(
            packet for packet in container.demux(video=0) if packet.size
        ):
            for image in decoder.decode([*units, *split(bytes(packet), size)], number):
                plane = calls.de265_get_image_plane(image, 0, ctypes.byref(stride))
                pixels = np.frombuffer(
                    ctypes.string_at(plane, stride.value * 104), np.uint8
                ).reshape(104, -1)[:, :136]
                assert packet.pts is not None
                luma[packet.pts] = pixels
        decoder.close()
    with av.open(io.BytesIO(data)) as container:
        shown = {
            picture.pts: np.asarray(picture.to_ndarray()[:104])
            for picture in container.decode(video=0)
        }
    assert luma.keys() == shown.keys()
    for time, pixels in luma.items():
        np.testing.assert_array_equal(pixels, shown[time])


@pytest.mark.usefixtures("need")
def test_ten_runs_are_equal(pan: Pan) -> None:
    data = stream(pan(96, 128, LENGTH, (3, -2)), bframes=3, refs=2)
    first = blocks_of(data, (96, 128))
    for _ in range(9):
        for blocks, again in zip(first, blocks_of(data, (96, 128)), strict=True):
            np.testing.assert_array_equal(blocks.vectors, again.vectors)
            np.testing.assert_array_equal(blocks.references, again.references)
            assert blocks.past == again.past


@pytest.mark.usefixtures("need")
def test_containers_of_either_packet_form_give_the_same(pan: Pan) -> None:
    clip = pan(96, 128, LENGTH, (3, -2))
    boxed, started, third = (
        blocks_of(stream(clip, name, refs=2), (96, 128)) for name in ("matroska", "mpegts", "mp4")
    )
    assert len(boxed) == LENGTH - 2
    for blocks, *others in zip(boxed, started, third, strict=True):
        for other in others:
            np.testing.assert_array_equal(blocks.vectors, other.vectors)
            np.testing.assert_array_equal(blocks.references, other.references)


@pytest.mark.usefixtures("need")
def test_the_past_is_the_nearest_earlier_reference(pan: Pan) -> None:
    past = [
        blocks.past
        for blocks in blocks_of(stream(pan(96, 128, LENGTH, (3, -2)), bframes=3), (96, 128))
    ]
    # I0 B1 B2 B3 P4 B5 B6 P7 | I8 P9: a pyramid, whose middle B-frame is a reference
    assert past[0] == 0
    assert past[2] == 2
    assert past[3] in (0, 2)
    assert past[-1] == 8
    plain = [blocks.past for blocks in blocks_of(stream(pan(96, 128, LENGTH, (3, -2))), (96, 128))]
    assert plain == [0, 1, 2, 3, 4, 5, 6, 8]


@pytest.fixture
def fresh_library() -> Iterator[None]:
    libde265.library.cache_clear()
    yield
    libde265.library.cache_clear()


@pytest.mark.usefixtures("fresh_library")
def test_a_missing_library_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "libde265.so"
    broken.write_text("not a library")
    # the last is a library, but another
    candidates = [
        (str(tmp_path / "absent.so"), "nobody"),
        (str(broken), "nobody"),
        ("libc.so.6", "nobody"),
    ]
    monkeypatch.setattr(libde265, "_candidates", lambda: iter(candidates))
    with pytest.raises(
        MotionUnavailable,
        match=r"need libde265, which was not found: pip install 'vssbench\[hevc\]'",
    ):
        LibDe265Vectors.check()


@pytest.mark.usefixtures("need")
def test_the_library_is_named_with_its_version() -> None:
    name, version, rest = LibDe265Vectors.check().split(" ", 2)
    assert name == "libde265"
    assert len(version.split(".")) == 3
    assert rest.startswith("of ")


@pytest.mark.usefixtures("need")
def test_the_decoder_is_freed_whatever_happens(pan: Pan, monkeypatch: pytest.MonkeyPatch) -> None:
    made, closed = [], []
    plain_init, plain_close = Decoder.__init__, Decoder.close
    monkeypatch.setattr(
        Decoder, "__init__", lambda self, source: (made.append(self), plain_init(self, source))[1]
    )
    monkeypatch.setattr(Decoder, "close", lambda self: (closed.append(self), plain_close(self))[1])
    data = stream(pan(96, 128, LENGTH, (3, -2)))
    frames(data, (96, 128))
    with pytest.raises(DataError):
        frames(data[: len(data) // 2], (96, 128))
    left = decode(io.BytesIO(data), GOP, MotionSource(LibDe265Vectors), LENGTH, (96, 128))
    next(left)
    del left
    assert len(made) == 3
    assert made == closed
    assert all(decoder._address is None for decoder in made)


@pytest.mark.usefixtures("need")
def test_damaged_packets_are_refused_in_words_or_decoded(pan: Pan) -> None:
    """Straight into the reader, past FFmpeg that would refuse most of them."""
    data = stream(pan(96, 128, LENGTH, (3, -2)), bframes=2, refs=2)
    refused = 0
    for seed in range(60):
        rng = random.Random(seed)
        with av.open(io.BytesIO(data)) as container:
            reader = LibDe265Vectors(96, 128, 4)
            reader.prepare(container.streams.video[0].codec_context)
            wrong = rng.randrange(LENGTH)
            try:
                for number, packet in enumerate(
                    packet for packet in container.demux(video=0) if packet.size
                ):
                    content = bytearray(bytes(packet))
                    for _ in range(rng.choice((1, 3, 20)) * (number == wrong)):
                        content[rng.randrange(4, len(content))] ^= 1 << rng.randrange(8)
                    changed = av.Packet(bytes(content))
                    changed.pts = packet.pts
                    reader.packet(changed)
            except (DataError, MotionUnavailable):
                refused += 1
            finally:
                reader.close()
    assert refused > 20


@pytest.mark.usefixtures("need")
def test_what_does_not_fit_is_refused_in_words(pan: Pan) -> None:
    data = stream(pan(96, 128, LENGTH, (3, -2)))
    with av.open(io.BytesIO(data)) as container:
        context = container.streams.video[0].codec_context
        coded = [packet for packet in container.demux(video=0) if packet.size]

        def reader(height: int = 96, width: int = 128) -> LibDe265Vectors:
            made = LibDe265Vectors(height, width, 4)
            made.prepare(context)
            return made

        larger = reader(104)
        with pytest.raises(
            DataError, match=r"shows 128x96 pixels from \(0, 0\) on, expected 128x104"
        ):
            larger.packet(coded[0])
        untimed = av.Packet(bytes(coded[0]))
        nameless = reader()
        with pytest.raises(DataError, match="no time stamps of their own"):
            nameless.packet(untimed)
        sound = reader()
        sound.packet(coded[0])
        strange = av.VideoFrame(128, 96, "yuv420p")
        strange.pts = 77
        with pytest.raises(DataError, match="shows a frame 0 that libde265 did not decode"):
            next(sound.picture(0, strange, context))
        with pytest.raises(DataError, match="1 pictures of the HEVC stream refer to others"):
            next(sound.finish())
        for each in (larger, nameless, sound):
            each.close()
