"""HEVC slice headers: picture order, reference picture sets and reference lists, on written headers
and on x265's streams."""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import av
import pytest

from tests.codec.vectors.hevc_syntax import Writer, write_pps, write_set, write_sps
from vssbench.codec.encode import encode
from vssbench.codec.formats.hevc import Hevc
from vssbench.codec.vectors.hevc_headers import configuration, split
from vssbench.codec.vectors.hevc_pictures import Picture, Pictures
from vssbench.core.errors import DataError
from vssbench.core.video import Clip

Pan = Callable[..., Clip]
IDR, CRA, TRAIL = 19, 21, 1


class Coder:
    """Writes slice headers of one stream by table 7.3.6.1, and works the expected lists out by the
    plain definitions."""

    def __init__(self, seed: int, **given: Any) -> None:
        self.rng = rng = random.Random(seed)
        sets: list[dict[str, Any]] = [{"before": [(-1, True)], "after": []}] * rng.randrange(3)
        self.sets = sets
        sps, self.sps = write_sps(rng, sets, id=3, width=256, height=192, **given)
        pps, self.pps = write_pps(rng, 3, id=7, tiles=0)
        self.head = [sps, pps]

    def begin(self, kind: int, first: bool, address: int = 0) -> Writer:
        w = Writer()
        w.u(1, first)
        if 16 <= kind <= 23:
            w.u(1, 0)
        w.ue(7)
        if not first:
            side = 8 << self.sps["difference"]
            blocks = -(-256 // side) * -(-192 // side)
            if self.pps["dependent"]:
                w.u(1, 0)
            w.u((blocks - 1).bit_length(), address)
        w.u(self.pps["extra"], 0)
        return w

    def middle(self, w: Writer, letter: str) -> None:
        w.ue("BPI".index(letter))
        if self.pps["output"]:
            w.u(1, 1)
        if self.sps["separate"]:
            w.u(2, 1)

    def filters(self, w: Writer) -> None:
        if self.sps["sao"]:
            w.u(1 if self.sps["separate"] else 2, 0)

    def keyframe(self) -> bytes:
        w = self.begin(IDR, True)
        self.middle(w, "I")
        self.filters(w)
        w.u(20, 0xABCDE)
        return w.nal(IDR)

    def inter(
        self, poc: int, kept: dict[int, str], letter: str, address: int = 0
    ) -> tuple[bytes, tuple[list[int], list[int]]]:
        """A slice of picture ``poc`` and its two lists. ``kept``: POC to ``short``, ``long`` or the
        same ``unused``."""
        rng, w, bits = self.rng, self.begin(TRAIL, address == 0, address), self.sps["log2_lsb"]
        self.middle(w, letter)
        w.u(bits, poc % (1 << bits))
        short = {other: use for other, use in kept.items() if "long" not in use}
        before = sorted((other for other in short if other < poc), reverse=True)
        after = sorted(other for other in short if other > poc)
        w.u(1, 0)
        halves = [
            [(other - poc, "unused" not in kept[other]) for other in half]
            for half in (before, after)
        ]
        write_set(w, {"before": halves[0], "after": halves[1]}, len(self.sets), len(self.sets))
        far = sorted((other for other in kept if other not in short), reverse=True)
        if self.sps["long"]:
            self.long_term(w, poc, far, kept)
        if self.sps["temporal"]:
            w.u(1, 1)
        self.filters(w)
        used = [
            [other for other in half if "unused" not in kept[other]]
            for half in (before, after, far)
        ]
        lists: tuple[list[int], list[int]] = ([], [])
        total, count = sum(map(len, used)), 2 if letter == "B" else 1
        lengths = list(self.pps["active"])
        override = rng.randrange(2)
        w.u(1, override)
        if override:
            lengths = [rng.randint(1, 5) for _ in range(2)]
            w.ue(*[length - 1 for length in lengths[:count]])
        for index in range(count):
            initial = [*used[index], *used[1 - index], *used[2]]
            entries = [place % total for place in range(lengths[index])]
            if self.pps["modification"] and total > 1:
                modified = rng.randrange(2)
                w.u(1, modified)
                if modified:
                    entries = [rng.randrange(total) for _ in range(lengths[index])]
                    for entry in entries:
                        w.u((total - 1).bit_length(), entry)
            lists[index].extend(initial[entry] for entry in entries)
        w.u(20, 0x12345)
        return w.nal(TRAIL), lists

    def long_term(self, w: Writer, poc: int, far: list[int], kept: dict[int, str]) -> None:
        span = 1 << self.sps["log2_lsb"]
        if self.sps["candidates"]:
            w.ue(0)
        w.ue(len(far))
        last = 0
        for other in far:
            w.u(self.sps["log2_lsb"], other % span), w.u(1, "unused" not in kept[other]), w.u(1, 1)
            cycles = poc // span - other // span
            w.ue(cycles - last)
            last = cycles


@pytest.mark.parametrize("seed", range(60))
def test_order_and_lists_are_those_that_were_written(seed: int) -> None:
    """Random coding order with small POC fields that wrap, unused and long-term references,
    modified lists, two slices."""
    coder = Coder(seed, log2_lsb=4)
    rng, pictures = coder.rng, Pictures()
    found = pictures.access_unit([*coder.head, coder.keyframe()])
    assert (found.sequence, found.poc, found.type, found.random_access, found.references) == (
        0,
        0,
        "I",
        True,
        (),
    )
    kept, base = {0: "short"}, 0
    for _ in range(12):
        order = [base + 4, base + 2, base + 1, base + 3]
        for poc in order:
            for other in kept:
                if (
                    coder.sps["long"]
                    and rng.random() < 0.1
                    and other < poc
                    and "long" not in kept[other]
                ):
                    kept[other] = "long"
            if len(kept) > 5:
                del kept[rng.choice(sorted(kept))]
            for other in kept:
                kept[other] = kept[other].removesuffix(" unused") + (
                    " unused" if rng.random() < 0.2 else ""
                )
            if all("unused" in use for use in kept.values()):
                kept[max(kept)] = kept[max(kept)].removesuffix(" unused")
            parts = [
                coder.inter(poc, kept, rng.choice("PB"), address)
                for address in (0, 5)[: rng.randint(1, 2)]
            ]
            found = pictures.access_unit([nal for nal, _ in parts])
            assert (found.sequence, found.poc, found.random_access, found.decodable) == (
                0,
                poc,
                False,
                True,
            )
            assert [item.lists for item in found.slices] == [
                tuple(map(tuple, lists)) for _, lists in parts
            ]
            assert [item.address for item in found.slices] == [0, 5][: len(parts)]
            assert found.type == ("B" if any(lists[1] for _, lists in parts) else "P")
            assert found.references == tuple(
                sorted(other for other, use in kept.items() if "unused" not in use)
            )
            kept[poc] = "short"
        base += 4


def packets(data: bytes) -> tuple[list[av.Packet], list[bytes], int | None]:
    """A stream's packets with its configuration's NAL units and their length size."""
    with av.open(io.BytesIO(data)) as container:
        units, size = configuration(container.streams.video[0].codec_context.extradata)
        return [packet for packet in container.demux(video=0) if packet.size], units, size


def pictures_of(data: bytes) -> Iterator[tuple[av.Packet, Picture]]:
    coded, units, size = packets(data)
    pictures = Pictures()
    pictures.parameter_sets(units)
    for packet in coded:
        yield packet, pictures.access_unit(split(bytes(packet), size))


def stream(clip: Clip, codec: Hevc, **parameters: object) -> bytes:
    settings = codec.encoder()
    extra = "".join(f":{key}={value}" for key, value in parameters.items())
    options = {**settings.options, "x265-params": settings.options["x265-params"] + extra}
    file = io.BytesIO()
    encode(clip.images(), file, replace(settings, options=options), 30.0)
    return file.getvalue()


@pytest.mark.parametrize(
    ("codec", "parameters"),
    [
        (Hevc(gop=7, preset="ultrafast"), {}),
        (Hevc(gop=7, preset="ultrafast", refs=3), {"slices": 2}),
        (Hevc(gop=7, preset="ultrafast", bframes=2), {"b-pyramid": 0}),
        (Hevc(gop=9, preset="ultrafast", bframes=4, refs=4), {}),
    ],
)
def test_headers_agree_with_ffmpeg(pan: Pan, codec: Hevc, parameters: dict[str, object]) -> None:
    """Types, display order and what may be referred to, on x265's streams."""
    data = stream(pan(160, 192, 20, (2, 1)), codec, **parameters)
    read = list(pictures_of(data))
    with av.open(io.BytesIO(data)) as container:
        shown = [
            (frame.pts, "?IPB"[int(frame.pict_type)], frame.key_frame)
            for frame in container.decode(video=0)
        ]
    ordered = sorted(read, key=lambda pair: (pair[1].sequence, pair[1].poc))
    assert [(packet.pts, its.type, its.random_access) for packet, its in ordered] == shown
    assert {len(its.slices) for _, its in read} == {2 if "slices" in parameters else 1}
    decoded: list[tuple[int, int]] = []
    for _, its in read:
        assert (its.sequence, its.poc) == divmod(
            ordered.index(next(pair for pair in ordered if pair[1] is its)), codec.gop
        )
        for number, poc in (
            (its.sequence, poc) for item in its.slices for entries in item.lists for poc in entries
        ):
            assert (number, poc) in decoded
            assert poc in its.references
        assert [bool(item.lists[0]) for item in its.slices] == [its.type != "I"] * len(its.slices)
        assert [bool(item.lists[1]) for item in its.slices] == [its.type == "B"] * len(its.slices)
        if its.type == "P" and not codec.bframes:
            expected = tuple(its.poc - back for back in range(1, codec.refs + 1) if its.poc >= back)
            assert its.slices[0].lists[0] == expected
        decoded.append((its.sequence, its.poc))


def test_leading_pictures_of_a_cut_open_gop_are_not_decodable(pan: Pan) -> None:
    settings = Hevc(gop=30, preset="ultrafast", bframes=3).encoder()
    file = io.BytesIO()
    changed = settings.options["x265-params"].replace("open-gop=0", "open-gop=1")
    for old in ("keyint=30", "min-keyint=30"):
        changed = changed.replace(old, old.replace("30", "8"))
    with av.open(file, "w", format="matroska") as container:  # encode() would refuse the open GOP
        output = container.add_stream(
            "libx265", rate=30, options={**settings.options, "x265-params": changed}
        )
        assert isinstance(output, av.VideoStream)
        output.width, output.height, output.pix_fmt = 128, 96, "yuv420p"
        for image in pan(96, 128, 25, (2, 1)).images():
            container.mux(
                output.encode(av.VideoFrame.from_ndarray(image, "rgb24").reformat(format="yuv420p"))
            )
        container.mux(output.encode())
    whole = list(pictures_of(file.getvalue()))
    assert all(its.decodable for _, its in whole)
    assert {its.sequence for _, its in whole} == {0}
    assert [its.poc for _, its in whole if its.random_access] == [0, 8, 16, 24]
    coded, units, size = packets(file.getvalue())
    first = next(place for place, (_, its) in enumerate(whole) if its.nal_type == CRA)
    pictures = Pictures()
    pictures.parameter_sets(units)
    cut = [pictures.access_unit(split(bytes(packet), size)) for packet in coded[first:]]
    lost = [its for its in cut if not its.decodable]
    assert lost
    assert all(its.nal_type in (8, 9) for its in lost)
    leading = [its for its in cut[1:] if its.poc < cut[0].poc]
    assert lost == leading
    assert [its.slices for its in cut if its.decodable][1:] == [
        its.slices for _, its in whole[first + 1 :] if its.poc > whole[first][1].poc
    ]
    # in the middle of a stream a missing packet is noticed
    pictures = Pictures()
    pictures.parameter_sets(units)
    pictures.access_unit(split(bytes(coded[0]), size))
    with pytest.raises(DataError, match="which the stream does not hold"):
        _ = [pictures.access_unit(split(bytes(packet), size)) for packet in coded[2:]]


@pytest.fixture(scope="module")
def coded() -> list[bytes]:
    coder = Coder(11, long=1, log2_lsb=4, colours=1)
    nals = [*coder.head, coder.keyframe()]
    kept: dict[int, str] = {0: "short"}
    for poc in range(1, 6):
        nals.append(coder.inter(poc, kept, "PB"[poc % 2])[0])
        kept[poc] = "short"
    return nals


def test_broken_slices_are_refused_in_words(coded: list[bytes]) -> None:
    head, keyframe, others = coded[:2], coded[2], coded[3:]
    rng, refused = random.Random(5), 0
    for _ in range(400):
        pictures, place = Pictures(), rng.randrange(len(others))
        data = bytearray(others[place])
        for _ in range(rng.choice((1, 2, 8))):
            data[rng.randrange(2, len(data))] ^= 1 << rng.randrange(8)
        if rng.randrange(2):
            del data[rng.randrange(2, len(data)) :]
        pictures.access_unit([*head, keyframe])
        try:
            for nal in (*others[:place], bytes(data), *others[place + 1 :]):
                pictures.access_unit([nal])
        except DataError:
            refused += 1
    assert refused > 100
    for length in range(2, 7):
        pictures = Pictures()
        pictures.access_unit([*head, keyframe])
        with pytest.raises(DataError, match="a slice header of the HEVC stream is broken"):
            pictures.access_unit([others[2][:length]])


def test_access_units_that_do_not_fit_are_refused_in_words(coded: list[bytes]) -> None:
    head, keyframe, first = coded[:2], coded[2], coded[3]
    for nals, words in (
        ([keyframe], "parameter sets that the stream does not hold"),
        (head, "begins 0 pictures, expected one"),
        ([*head, keyframe, keyframe], "begins 2 pictures, expected one"),
        ([*head, first], "begins with a picture of NAL type 1, expected a keyframe"),
    ):
        with pytest.raises(DataError, match=words):
            Pictures().access_unit(nals)
    pictures = Pictures()
    pictures.access_unit([*head, keyframe])
    pictures.access_unit([first])
    with pytest.raises(DataError, match="two pictures of order 1"):
        pictures.access_unit([first])


def test_other_layers_are_passed_over(coded: list[bytes]) -> None:
    other = bytes([coded[3][0], coded[3][1] | 8]) + coded[3][2:]
    assert Pictures().access_unit([*coded[:3], other]).poc == 0
