"""HEVC end to end: exact GOPs, the same bits everywhere, accumulated vectors, colours, papers'
encodings, refusals."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import av
import numpy as np
import pytest

from vssbench.codec.encode import EncoderSettings, encode
from vssbench.codec.formats import hevc
from vssbench.codec.formats.hevc import PAPERS, Hevc
from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import parse_variant
from vssbench.core.video import Clip, Image

Pan = Callable[..., Clip]


def stream(codec: Hevc, clip: Clip) -> bytes:
    file = io.BytesIO()
    encode(clip.images(), file, codec.encoder(), codec.fps or clip.fps)
    return file.getvalue()


@pytest.mark.parametrize(
    "options",
    [{}, {"bframes": 2}, {"bframes": 3, "refs": 3}, {"preset": "fast", "rect": False}, {"qp": 30}],
)
@pytest.mark.parametrize("gop", [1, 2, 5, 12, 30])
def test_the_gop_is_exact_across_a_scene_cut(pan: Pan, gop: int, options: dict[str, Any]) -> None:
    clip = pan(64, 96, 31, (1, 0), cut=16)
    frames = list(Hevc(gop=gop, **options).frames(clip, motion=False))
    assert [frame.index for frame in frames] == list(range(31))
    assert [frame.distance for frame in frames] == [index % gop for index in range(31)]
    assert [frame.picture_type == "I" for frame in frames] == [
        index % gop == 0 for index in range(31)
    ]
    assert any(frame.picture_type == "B" for frame in frames) == ("bframes" in options and gop > 2)
    assert all(frame.bits > 0 and frame.decode_seconds > 0 for frame in frames)


def test_groups_are_closed_and_the_pattern_of_b_frames_is_fixed(pan: Pan) -> None:
    data = stream(Hevc(gop=8, bframes=3), pan(64, 96, 24, (1, 0), cut=11))
    with av.open(io.BytesIO(data)) as container:
        packets = [bytes(packet) for packet in container.demux(video=0) if packet.size]
    # the first NAL unit that is a slice: 19 or 20 are IDR pictures, 21 would be an open GOP's
    first = [next(kind for kind in kinds(packet) if kind < 32) for packet in packets]
    assert [kind in (19, 20) for kind in first] == [index % 8 == 0 for index in range(24)]
    with av.open(io.BytesIO(data)) as container:
        assert (
            "".join("?IPB"[int(frame.pict_type)] for frame in container.decode(video=0))
            == "IBBBPBBP" * 3
        )


def kinds(packet: bytes) -> list[int]:
    """NAL unit types of a packet with length fields of 4 bytes."""
    found, place = [], 0
    while place < len(packet):
        found.append(packet[place + 4] >> 1 & 63)
        place += 4 + int.from_bytes(packet[place : place + 4], "big")
    return found


@pytest.mark.parametrize("options", [{}, {"bframes": 3, "refs": 2}, {"crf": 20, "preset": "fast"}])
def test_the_same_clip_gives_the_same_bits_on_any_number_of_threads(
    pan: Pan, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = pan(190, 256, 14, (1.5, 1))
    found = set()
    for threads in (1, 2, hevc.THREADS, hevc.THREADS, 8):
        monkeypatch.setattr(hevc, "THREADS", threads)
        found.add(stream(Hevc(**options), clip))
    assert len(found) == 1


@pytest.mark.parametrize(
    "settings", [{}, {"bframes": 2}, {"cell": 8, "refs": 3}, {"crf": 20, "preset": "fast"}]
)
@pytest.mark.parametrize("motion", [(-3, -2), (2.25, -1.5)])
def test_accumulated_vectors_follow_a_pan(
    pan: Pan, motion: tuple[float, float], settings: dict[str, Any], provable: Callable[[str], None]
) -> None:
    provable("hevc")
    clip = pan(160, 208, 12, motion)
    last = list(Hevc(**settings).frames(clip))[-1]
    assert last.motion is not None
    truth = np.array(motion) * 11
    y, x = np.mgrid[: clip.height, : clip.width]
    seen = (
        (x + truth[0] >= 0)
        & (x + truth[0] < clip.width)
        & (y + truth[1] >= 0)
        & (y + truth[1] < clip.height)
    )
    error = np.linalg.norm(last.motion.dense() - truth, axis=-1)[seen]
    assert np.median(error) < 0.5
    assert np.mean(error < 1) >= 0.95


def test_ar_segs_accumulation_rounds_every_hop(pan: Pan, provable: Callable[[str], None]) -> None:
    provable("hevc")
    clip, motion = pan(160, 208, 12, (2.25, -1.5)), (2.25, -1.5)
    options = "paper=arseg-camvid,fill=zero,whole_pixels=true,cell=4"
    codec = registry.create("codecs", parse_variant(f"hevc[{options}]"))
    exact = registry.create("codecs", parse_variant("hevc[paper=arseg-camvid]"))
    last, other = list(codec.frames(clip))[-1], list(exact.frames(clip))[-1]
    assert not np.mod(last.motion.grid, 1).any()
    assert np.median(np.linalg.norm(other.motion.dense() - np.array(motion) * 11, axis=-1)) < 0.5
    np.testing.assert_array_equal(last.image, other.image)


def gradient(height: int, width: int) -> Image:
    """Colours that change slowly: chroma is halved in size, so what a round trip loses is rounding
    and the codec's loss."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, 255 - x, y + 40], -1).astype(np.uint8)


@pytest.mark.parametrize(("height", "width"), [(128, 192), (97, 131), (96, 131), (97, 128)])
def test_colours_and_odd_sizes_come_back(pan: Pan, height: int, width: int) -> None:
    image = gradient(height, width)
    for frame in Hevc(qp=4).frames(
        replace(pan(height, width, 3), image=lambda index: image), motion=False
    ):
        assert frame.image.shape == (height, width, 3)
        difference = frame.image.astype(int) - image
        assert np.abs(difference).mean() < 0.6
        # a shift of chroma by half a pixel would show as 0.6
        assert np.abs(difference.mean((0, 1))).max() < 0.2
        for part in (difference[0], difference[-1], difference[:, 0], difference[:, -1]):
            assert np.abs(part).mean() < 1.5


def test_a_lower_rate_gives_fewer_bits(pan: Pan) -> None:
    clip = pan(128, 192, 24, (1, 1))
    for settings in (
        [{"bitrate": rate} for rate in ("100k", "400k", "2M")],
        [{"crf": crf} for crf in (40, 30, 15)],
        [{"qp": qp} for qp in (45, 30, 15)],
    ):
        sizes = [
            sum(frame.bits for frame in Hevc(preset="fast", **its).frames(clip, motion=False))
            for its in settings
        ]
        assert sizes == sorted(set(sizes))


@pytest.mark.parametrize("paper", PAPERS)
def test_a_papers_encoding_is_x265s_default_but_for_what_it_says(pan: Pan, paper: str) -> None:
    """The bits equal those of x265 told no more than the paper's command, exact GOPs and
    reproducible bits."""
    clip = pan(128, 192, 12, (2, 1))
    codec = registry.create("codecs", parse_variant(f"hevc[paper={paper}]"))
    rate, fps = {"arseg-camvid": (3_000_000, 30), "arseg-cityscapes": (5_000_000, 17)}[paper]
    assert (codec.rate.bit_rate, codec.fps, codec.gop, codec.bframes, codec.motion.cell) == (
        rate,
        fps,
        12,
        0,
        4,
    )
    command = "rect=1:amp=1:keyint=12:bframes=0"
    exact = "min-keyint=12:scenecut=0:open-gop=0:frame-threads=1:wpp=1:pools=4:"
    exact += "info=0:chromaloc=1:log-level=error"
    plain = EncoderSettings("libx265", 12, 0, rate, {"x265-params": f"{command}:{exact}"})
    file = io.BytesIO()
    encode(clip.images(), file, plain, fps)
    assert stream(codec, clip) == file.getvalue()


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("paper=arseg-camvid,refs=1", "refs=1 contradicts paper=arseg-camvid, which has refs=3"),
        ("paper=arseg-camvid,bitrate=1M,crf=20", "crf=20.0 contradicts"),
        ("paper=arseg-cityscapes,bitrate=fast", "cannot read the bit rate 'fast'"),
        ("paper=arseg-camvid,gop=30", "gop=30 contradicts"),
        ("paper=arseg-camvid,crf=20", "crf=20.0 contradicts"),
        ("paper=arseg-camvid,fps=17", "fps=17.0 contradicts"),
        ("paper=arseg-camvid,rect=off", "rect=False contradicts"),
        (
            "paper=arseg",
            "unknown paper 'arseg' of hevc: expected arseg-camvid, arseg-cityscapes or none",
        ),
        ("preset=quick", "unknown preset 'quick' of x265"),
        ("refs=9", "refs=9 cannot be used"),
        ("bframes=17", "bframes=17 cannot be used: expected a whole number from 0 to 16"),
        (
            "bframes=5,preset=ultrafast",
            "bframes=5 cannot be used: expected a whole number from 0 to 4",
        ),
        ("crf=52", "crf=52.0 cannot be used"),
        ("qp=20,crf=20", "exclude each other"),
    ],
)
def test_what_cannot_be_is_refused_in_words(typed: str, words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("[", r"\[")):
        registry.create("codecs", parse_variant(f"hevc[{typed}]"))


def test_what_a_paper_says_too_may_be_typed() -> None:
    same = "gop=12,bitrate=3000k,preset=medium,bframes=0,refs=3,fps=30,rect=on"
    typed = registry.create("codecs", parse_variant(f"hevc[paper=arseg-camvid,{same}]"))
    assert typed.settings() == Hevc(paper="arseg-camvid").settings()


@pytest.mark.parametrize("paper", PAPERS)
def test_a_paper_at_another_bit_rate_is_the_papers_encoding_at_that_rate(paper: str) -> None:
    """AR-Seg's Table 4 has its encoding at 1 Mb/s too."""
    plain = Hevc(paper=paper).settings()
    typed = registry.create("codecs", parse_variant(f"hevc[paper={paper},bitrate=1M]"))
    assert typed.rate.bit_rate == 1_000_000
    assert typed.settings() == {**plain, "bit_rate": 1_000_000}


@pytest.mark.parametrize("typed", ["", ",bitrate=1M", ",fill=zero,whole_pixels=true"])
def test_spelled_out_a_papers_encoding_is_the_same(typed: str) -> None:
    variant = parse_variant(f"hevc[paper=arseg-camvid{typed}]")
    spelled = Hevc.spelled_out(variant.params)
    assert "paper" not in spelled
    assert Hevc(**spelled).settings() == registry.create("codecs", variant).settings()


@pytest.mark.parametrize(
    ("preset", "bframes"), [("ultrafast", 4), ("superfast", 9), ("fast", 14), ("medium", 16)]
)
def test_as_many_b_frames_and_references_as_are_offered_can_be_encoded(
    pan: Pan, preset: str, bframes: int
) -> None:
    clip = pan(64, 96, 20, (1, 0))
    frames = list(Hevc(gop=20, preset=preset, bframes=bframes, refs=8).frames(clip, motion=False))
    assert "".join(frame.picture_type for frame in frames).startswith("I" + "B" * bframes + "P")


def test_narrow_frames_are_refused_in_words(pan: Pan) -> None:
    with pytest.raises(DataError, match="48 pixels wide, x265 needs 64"):
        Hevc().frames(pan(64, 48, 3))
    assert len(list(Hevc(preset="fast").frames(pan(32, 64, 3), motion=False))) == 3
