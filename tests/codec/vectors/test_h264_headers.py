"""H.264's headers: bits by the standard's own tables, and real streams of x264 with what x264 was
told."""

from __future__ import annotations

import io
from collections.abc import Callable

import av
import numpy as np
import pytest

from vssbench.codec.vectors.h264_headers import B, Bits, Headers, I, P, Slice
from vssbench.core.errors import DataError
from vssbench.core.video import Clip

Pan = Callable[..., Clip]
BASE = (
    "keyint=6:min-keyint=6:scenecut=0:threads=1:b-adapt=0:weightp=0:ref=1:bframes=0:b-pyramid=none"
)


def test_numbers_are_read_by_the_standards_tables() -> None:
    """Tables 9-2 and 9-3."""
    codes = ["1", "010", "011", "00100", "00101", "00110", "00111", "0001000"]
    text = "".join(codes)
    payload = int(text.ljust(-(-len(text) // 8) * 8, "0"), 2).to_bytes(-(-len(text) // 8), "big")
    bits = Bits(payload)
    assert [bits.ue() for _ in codes] == [0, 1, 2, 3, 4, 5, 6, 7]
    bits = Bits(payload)
    assert [bits.se() for _ in codes] == [0, 1, -1, 2, -2, 3, -3, 4]
    bits = Bits(b"\xa5\x0f")
    assert (bits.u(1), bits.u(3), bits.u(8), bits.u(4)) == (1, 2, 0x50, 15)


@pytest.mark.parametrize("payload", [b"", b"\x00", b"\x00\x00\x00", b"\x01"])
def test_a_code_that_ends_too_early(payload: bytes) -> None:
    with pytest.raises(DataError, match="ends too early"):
        Bits(payload).ue()


def stream(clip: Clip, parameters: str, form: str = "matroska") -> bytes:
    file = io.BytesIO()
    with av.open(file, "w", format=form) as container:
        video = container.add_stream(
            "libx264", rate=30, options={"x264-params": f"{BASE}:{parameters}"}
        )
        assert isinstance(video, av.VideoStream)
        video.height, video.width, video.pix_fmt = clip.height, clip.width, "yuv420p"
        for image in clip.images():
            container.mux(
                video.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(image), "rgb24"))
            )
        container.mux(video.encode())
    return file.getvalue()


def slices(data: bytes, form: str | None = None) -> list[list[Slice]]:
    """The slices of each packet."""
    with av.open(io.BytesIO(data), format=form) as container:
        headers = Headers(container.streams.video[0].codec_context.extradata)
        return [
            list(headers.slices(bytes(packet)))
            for packet in container.demux(video=0)
            if packet.size
        ]


@pytest.mark.parametrize("form", ["matroska", "h264"])
def test_units_are_parted_by_lengths_or_start_codes(pan: Pan, form: str) -> None:
    found = slices(
        stream(pan(96, 128, 13, (2, 1)), "slices=2", form), form if form == "h264" else None
    )
    assert [[part.kind for part in parts] for parts in found] == [
        [P if index % 6 else I] * 2 for index in range(13)
    ]
    assert [[part.first for part in parts] for parts in found] == [[True, False]] * 13
    assert [parts[0].idr for parts in found] == [index % 6 == 0 for index in range(13)]


@pytest.mark.parametrize(
    "parameters",
    [
        "ref=1",
        "ref=3",
        "bframes=2",
        "bframes=3:b-pyramid=strict",
        "weightp=2:ref=3",
        "bframes=2:weightb=1",
        "interlaced=1",
        "cqm=jvt",
        "8x8dct=1:cqm8=2",
        "bframes=2:slices=3:ref=4",
        "qp=0",
    ],
)
def test_all_of_a_header_is_read(pan: Pan, parameters: str) -> None:
    """A header's end reads right only if all before it was read.

    x264 marks references by command (the last flag) in a B-pyramid and for pairs of fields alone.
    """
    found = [
        part for parts in slices(stream(pan(96, 128, 13, (2, 1)), parameters)) for part in parts
    ]
    told = {"ref": "1", "bframes": "0", **dict(pair.split("=") for pair in parameters.split(":"))}
    assert {part.kind for part in found} == ({I, P, B} if told["bframes"] != "0" else {I, P})
    assert all(part.sps.frames_only == ("interlaced" not in told) for part in found)
    assert all(part.sps.max_num_ref_frames >= int(told["ref"]) for part in found)
    most = max(max(part.active[: 2 if part.kind == B else 1]) for part in found if part.kind != I)
    assert (most > 1) == (told["ref"] != "1")
    pyramid = any(part.kind == B and part.reference for part in found)
    assert pyramid == ("strict" in parameters)
    if "interlaced" not in told:
        assert any(part.adaptive for part in found) == pyramid


def test_picture_order_counts_are_those_of_the_frames(pan: Pan) -> None:
    """Two a frame, from 0 at each IDR picture."""
    data = stream(pan(96, 128, 6, (2, 1)), "bframes=2")
    assert [parts[0].poc_lsb for parts in slices(data)] == [0, 6, 2, 4, 10, 8]


def test_a_slice_without_its_parameter_sets(pan: Pan) -> None:
    with av.open(io.BytesIO(stream(pan(64, 96, 3), ""))) as container:
        record = bytes(container.streams.video[0].codec_context.extradata or b"")
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    # a record whose parameter sets are counted as none
    with pytest.raises(DataError, match="which never came"):
        list(Headers(record[:5] + b"\xe0\x00").slices(packets[0]))


def test_headers_of_noise_end_in_words() -> None:
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        unit = (
            bytes([rng.choice([0x67, 0x68, 0x65, 0x41])])
            + rng.integers(0, 256, 40).astype(np.uint8).tobytes()
        )
        try:
            list(Headers(None).slices(b"\x00\x00\x01" + unit))
        except DataError as error:
            refused += "encode it again" in str(error)
    assert refused > 100
