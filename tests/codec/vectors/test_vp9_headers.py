"""Headers of VP9, written bit by bit here, and the slots that they name."""

from __future__ import annotations

import pytest

from vssbench.codec.vectors.vp9_headers import HIDDEN, Header, Stream, parse, split
from vssbench.core.errors import DataError

# the low bit first; profile 3 has a reserved bit
MARKER, PROFILES = "10", {0: "00", 1: "10", 2: "01", 3: "110"}
SYNC, SIZE = f"{0x498342:024b}", f"{127:016b}{95:016b}" + "0"


def written(bits: str) -> bytes:
    """Bits as bytes, padded with zeros, and a few bytes of what follows a header."""
    whole = bits + "0" * (-len(bits) % 8)
    return (
        bytes(int(whole[start : start + 8], 2) for start in range(0, len(whole), 8))
        + b"\x00\x01\x02\x03"
    )


def key(profile: int = 0, shown: bool = True) -> bytes:
    depth, colour = "0" * (profile >= 2), "0010" + "110" * (profile & 1)
    return written(
        MARKER + PROFILES[profile] + "0" + "0" + f"{shown:d}" + "0" + SYNC + depth + colour + SIZE
    )


def inter(
    refreshed: int,
    slots: tuple[int, int, int],
    profile: int = 0,
    shown: bool = True,
    resilient: bool = False,
) -> bytes:
    bits = (
        MARKER
        + PROFILES[profile]
        + "0"
        + "1"
        + f"{shown:d}{resilient:d}"
        + "0" * (not shown)
        + "00" * (not resilient)
    )
    return written(
        bits
        + f"{refreshed:08b}"
        + "".join(f"{slot:03b}{number == 2:d}" for number, slot in enumerate(slots))
    )


def intra_only(
    refreshed: int, profile: int = 0, colours: str = "0101" + "110", resilient: bool = False
) -> bytes:
    depth = "1" * (profile >= 2)
    told = (depth + (colours if profile & 1 else colours[:4])) if profile else ""
    bits = (
        MARKER
        + PROFILES[profile]
        + "0"
        + "1"
        + "0"
        + f"{resilient:d}"
        + "1"
        + "01" * (not resilient)
    )
    return written(bits + SYNC + told + f"{refreshed:08b}" + SIZE)


def repeat(slot: int, profile: int = 0) -> bytes:
    return written(MARKER + PROFILES[profile] + "1" + f"{slot:03b}")[:2]


def superframe(*frames: bytes, width: int = 2) -> bytes:
    marker = bytes([0b11000000 | (width - 1) << 3 | (len(frames) - 1)])
    return (
        b"".join(frames)
        + marker
        + b"".join(len(frame).to_bytes(width, "little") for frame in frames)
        + marker
    )


@pytest.mark.parametrize("profile", range(4))
def test_headers_of_all_profiles(profile: int) -> None:
    assert parse(key(profile)) == Header(profile, key=True, refreshed=0xFF)
    assert parse(key(profile, shown=False)) == Header(
        profile, key=True, shown=False, refreshed=0xFF
    )
    for resilient in (False, True):
        expected = Header(profile, refreshed=0b1000_0101, slots=(7, 0, 5))
        assert parse(inter(0b1000_0101, (7, 0, 5), profile, resilient=resilient)) == expected
        hidden = Header(profile, shown=False, refreshed=4, slots=(0, 1, 2))
        assert parse(inter(4, (0, 1, 2), profile, shown=False, resilient=resilient)) == hidden
        intra = Header(profile, shown=False, refreshed=0b0110_0010)
        assert parse(intra_only(0b0110_0010, profile, resilient=resilient)) == intra
    assert parse(repeat(6, profile)) == Header(profile, repeats=6)


def test_an_intra_picture_in_rgb() -> None:
    """Colour space 7 tells neither range nor subsampling: a reserved bit alone follows it."""
    assert parse(intra_only(0b0110_0010, 1, "1110")).refreshed == 0b0110_0010
    assert parse(intra_only(0b0110_0010, 3, "1110")).refreshed == 0b0110_0010
    with pytest.raises(DataError, match="RGB"):
        parse(intra_only(1, 2, "1110"))
    with pytest.raises(DataError, match="reserves"):
        parse(intra_only(1, 1, "1111"))


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (b"", "ends after 0 bytes"),
        (key()[:3], "ends after 3 bytes"),
        (inter(1, (0, 1, 2))[:2], "ends after 2 bytes"),
        (b"\x00" + key()[1:], "frame marker"),
        (written(MARKER + "111" + "0" * 40), "profile above 3"),
        (key()[:1] + b"\x00" + key()[2:], "sync code"),
        (intra_only(1)[:2] + b"\x00\x00" + intra_only(1)[4:], "sync code"),
    ],
)
def test_a_broken_header_is_refused_in_words(frame: bytes, words: str) -> None:
    with pytest.raises(DataError, match=words):
        parse(frame)


@pytest.mark.parametrize("width", [1, 2, 4])
def test_superframes(width: int) -> None:
    frames = [inter(4, (0, 1, 2), shown=False), inter(1, (0, 1, 2)), repeat(2)]
    assert split(superframe(*frames, width=width)) == frames
    assert split(superframe(frames[0], width=width)) == frames[:1]
    assert split(frames[0]) == frames[:1]
    # a last byte that looks like an index without one before it
    assert split(frames[0] + b"\xc1") == [frames[0] + b"\xc1"]
    # an entry of no bytes is no frame
    assert split(superframe(frames[0], b"", frames[1], width=width)) == frames[:2]
    whole = superframe(*frames, width=width)
    with pytest.raises(DataError, match="superframe"):
        split(whole[4:])


def names(stream: Stream, packet: bytes) -> list[tuple[int, list[int], bool, bool]]:
    return [
        (
            showing.index,
            [reference.index for reference in showing.picture.references],
            showing.again,
            showing.latest,
        )
        for showing in stream.packet(packet)
    ]


def test_slots_are_followed() -> None:
    stream = Stream()
    assert names(stream, key()) == [(0, [], False, True)]
    assert names(stream, inter(0b001, (0, 1, 2))) == [(1, [0, 0, 0], False, True)]
    assert names(stream, inter(0b010, (0, 1, 2))) == [(2, [1, 0, 0], False, True)]
    assert names(stream, inter(0b000, (0, 1, 2))) == [(3, [1, 2, 0], False, True)]
    # a hidden picture, coded with the next: it has no index until it is shown
    both = superframe(inter(0b100, (0, 1, 2), shown=False), inter(0b001, (0, 1, 2)))
    assert names(stream, both) == [(4, [1, 2, HIDDEN], False, True)]
    assert names(stream, repeat(2)) == [(5, [1, 2, 0], False, False)]
    assert names(stream, repeat(1)) == [(6, [1, 0, 0], True, False)]
    assert names(stream, inter(0b001, (0, 1, 2))) == [(7, [4, 2, 5], False, True)]
    # a picture that is shown before a hidden one of its own packet is not the last that was coded
    assert names(stream, superframe(inter(1, (0, 0, 0)), inter(4, (0, 0, 0), shown=False))) == [
        (8, [7, 7, 7], False, False)
    ]
    assert names(stream, intra_only(0b11)) == []
    assert names(stream, inter(0, (0, 1, 3))) == [(9, [HIDDEN, HIDDEN, 0], False, True)]
    assert names(stream, key()) == [(10, [], False, True)]
    assert names(stream, inter(0, (5, 6, 7))) == [(11, [10, 10, 10], False, True)]


def test_a_reference_that_was_never_decoded_is_refused() -> None:
    with pytest.raises(DataError, match="slot 3"):
        Stream().packet(inter(1, (3, 0, 0)))
    with pytest.raises(DataError, match="slot 5"):
        Stream().packet(repeat(5))
