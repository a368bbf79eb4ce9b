"""AV1 headers against headers that are written bit by bit here."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.codec.vectors.av1_bits import (
    DELIMITER,
    FRAME,
    FRAME_HEADER,
    HEIGHT,
    INTER,
    INTRA_ONLY,
    KEY,
    PADDING,
    REDUNDANT,
    SEQUENCE,
    SWITCH,
    WIDTH,
    Stream,
    Writer,
    displays,
    unit,
)
from vssbench.codec.vectors.av1_headers import (
    Follower,
    FrameType,
    relative_distance,
    short_references,
)
from vssbench.codec.vectors.av1_sequence import Bits, sequence_header, units
from vssbench.core.errors import DataError

VARIANTS = [
    Stream(),
    Stream(order_bits=3),
    Stream(superres=True),
    Stream(ids=True),
    Stream(timing=True),
    Stream(screen_content=1),
    Stream(screen_content=2, ids=True, timing=True),
]


@pytest.mark.parametrize("stream", VARIANTS, ids=repr)
def test_references_are_followed_through_the_slots(stream: Stream) -> None:
    follower = Follower()
    (key,) = follower.packet(unit(DELIMITER) + stream.sequence() + stream.frame(KEY, 0))
    assert (key.kind, key.display, key.intra, key.references, key.refreshed) == (
        FrameType.KEY,
        0,
        True,
        (),
        255,
    )
    assert (key.width, key.height) == (WIDTH, HEIGHT)
    (first,) = follower.packet(stream.frame(INTER, 1, 0b10))
    (second,) = follower.packet(stream.frame(INTER, 2, 0b100, (1, 0, 1, 0, 0, 0, 1)))
    (third,) = follower.packet(stream.frame(INTER, 3, 0b1000_0010, (2, 1, 0, 0, 7, 2, 1)))
    (last,) = follower.packet(stream.frame(INTER, 4, 0, (1, 2, 7, 3, 1, 1, 1)))
    assert [picture.display for picture in (first, second, third, last)] == [1, 2, 3, 4]
    assert displays(first) == [0] * 7
    assert displays(second) == [1, 0, 1, 0, 0, 0, 1]
    assert displays(third) == [2, 1, 0, 0, 0, 2, 1]
    assert displays(last) == [3, 2, 3, 0, 3, 3, 3]
    assert [held.display for held in follower.slots if held] == [0, 3, 2, 0, 0, 0, 0, 3]
    assert last.order_hint == 4
    assert not last.superres
    # a keyframe leaves nothing of what was before
    (again,) = follower.packet(stream.frame(KEY, 5))
    assert again.display == 5
    assert set(follower.slots) == {again}


def test_hidden_pictures_are_named_once_they_are_shown() -> None:
    stream, follower = Stream(), Follower()
    follower.packet(stream.sequence() + stream.frame(KEY, 0))
    (shown,) = follower.packet(
        stream.frame(INTER, 4, 0b10, show=False, showable=True)
        + stream.frame(INTER, 1, 0b100, (0, 0, 0, 0, 0, 0, 1))
    )
    assert shown.display == 1
    assert displays(shown) == [0, 0, 0, 0, 0, 0, -1]
    (later,) = follower.packet(stream.existing(1))
    assert later.display == 2
    assert displays(shown)[6] == 2
    with pytest.raises(DataError, match="shows its frame 2 again"):
        follower.packet(stream.existing(1))
    with pytest.raises(DataError, match="slot 0, which holds no hidden picture"):
        follower.packet(stream.existing(0))


def test_a_hidden_keyframe_fills_all_slots_once_it_is_shown() -> None:
    stream, follower = Stream(), Follower()
    follower.packet(stream.sequence() + stream.frame(KEY, 0))
    assert follower.packet(stream.frame(KEY, 3, 0b1000, show=False, showable=True)) == []
    assert len(set(follower.slots)) == 2
    (key,) = follower.packet(stream.existing(3))
    assert key.display == 1
    assert set(follower.slots) == {key}


def test_intra_only_pictures_refer_to_nothing() -> None:
    stream, follower = Stream(), Follower()
    follower.packet(stream.sequence() + stream.frame(KEY, 0))
    (picture,) = follower.packet(stream.frame(INTRA_ONLY, 1, 0b1))
    assert picture.intra
    assert picture.references == ()
    assert follower.slots[0] is picture


def test_error_resilient_pictures_say_what_the_slots_hold() -> None:
    stream, follower = Stream(), Follower()
    follower.packet(stream.sequence() + stream.frame(KEY, 9))
    held = (9,) * 7
    (picture,) = follower.packet(
        stream.frame(INTER, 10, 1, (1, 7, 0, 0, 0, 0, 0), resilient=True, held=(*held, 5))
    )
    assert picture.references[1] is None
    assert follower.slots[7] is None
    assert picture.references[0] is not None
    assert picture.references[0].display == 0
    (switch,) = follower.packet(stream.frame(SWITCH, 11, held=(10, *held), size=(320, 180)))
    assert set(follower.slots) == {switch}
    assert (switch.width, switch.height) == (320, 180)


@pytest.mark.parametrize("superres", [False, True])
def test_sizes_of_frames(superres: bool) -> None:
    stream, follower = Stream(superres=superres), Follower()
    follower.packet(stream.sequence() + stream.frame(KEY, 0))
    (own,) = follower.packet(stream.frame(INTER, 1, 0b10, size=(320, 200)))
    assert (own.width, own.height, own.superres) == (320, 200, superres)
    (copied,) = follower.packet(stream.frame(INTER, 2, 0b100, (0, 0, 1, 0, 0, 0, 0), size_from=2))
    assert (copied.width, copied.height, copied.superres) == (320, 200, False)


def test_redundant_headers_padding_and_the_container_record_are_understood() -> None:
    stream = Stream()
    follower = Follower(b"\x81\x00\x0c\x00" + stream.sequence())
    frame = stream.frame(KEY, 0, as_unit=FRAME_HEADER)
    copy = stream.frame(KEY, 0, as_unit=REDUNDANT)
    assert len(follower.packet(frame + copy + unit(PADDING, b"\x80"))) == 1
    assert Follower(b"").sequence is None
    assert Follower(None).sequence is None


def test_a_reduced_still_picture_header() -> None:
    w = (
        Writer()
        .put(0, 3)
        .put(1)
        .put(1)
        .put(4, 5)
        .put(9, 4)
        .put(8, 4)
        .put(WIDTH - 1, 10)
        .put(HEIGHT - 1, 9)
    )
    sequence = sequence_header(w.put(0, 3).put(0).put(0, 16).bytes())
    assert (sequence.reduced, sequence.width, sequence.height, sequence.order_hint_bits) == (
        True,
        WIDTH,
        HEIGHT,
        0,
    )


def specified_short_references(
    last: int, golden: int, hints: list[int], order: int, bits: int
) -> list[int]:
    """The steps of section 7.8, one after another."""
    chosen = [-1] * 7
    chosen[0], chosen[3] = last, golden
    used = [slot in (last, golden) for slot in range(8)]
    current = 1 << (bits - 1)
    shifted = [current + relative_distance(hint, order, bits) for hint in hints]

    def find(accept: Any, better: Any) -> int:
        best = -1
        for slot in range(8):
            if (
                not used[slot]
                and accept(shifted[slot])
                and (best < 0 or better(shifted[slot], shifted[best]))
            ):
                best = slot
        if best >= 0:
            used[best] = True
        return best

    chosen[6] = find(lambda hint: hint >= current, lambda one, other: one >= other)
    chosen[4] = find(lambda hint: hint >= current, lambda one, other: one < other)
    chosen[5] = find(lambda hint: hint >= current, lambda one, other: one < other)
    for name in (1, 2, 4, 5, 6):
        if chosen[name] < 0:
            chosen[name] = find(lambda hint: hint < current, lambda one, other: one >= other)
    used = [False] * 8
    earliest = find(lambda hint: True, lambda one, other: one < other)
    return [earliest if slot < 0 else slot for slot in chosen]


def test_references_that_are_sent_in_short() -> None:
    rng = random.Random(0)
    for _ in range(2000):
        bits = rng.choice([3, 5, 7])
        order = rng.randrange(1 << bits)
        reach = (1 << (bits - 1)) - 1
        hints = [(order + rng.randint(-reach, reach)) % (1 << bits) for _ in range(8)]
        last, golden = rng.randrange(8), rng.randrange(8)
        expected = specified_short_references(last, golden, hints, order, bits)
        assert short_references(last, golden, hints, order, bits) == expected


def test_short_references_in_a_stream() -> None:
    stream, follower = Stream(), Follower()
    follower.packet(stream.sequence() + stream.frame(KEY, 0))
    for order in range(1, 8):
        follower.packet(stream.frame(INTER, order, 1 << order, (order - 1,) * 7))
    (picture,) = follower.packet(stream.frame(INTER, 8, 0, short=(7, 2)))
    assert displays(picture) == [7, 6, 5, 2, 4, 3, 1]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [(3, 1, 2), (1, 3, -2), (0, 127, 1), (127, 0, -1), (64, 0, -64)],
)
def test_order_hints_wrap_around(first: int, second: int, expected: int) -> None:
    assert relative_distance(first, second, 7) == expected
    assert relative_distance(first, second, 0) == 0


def test_numbers_of_variable_length() -> None:
    bits = Bits(Writer().put(1).put(0b00101, 5).put(0, 32).put(1).bytes())
    assert [bits.uvlc(), bits.uvlc(), bits.uvlc()] == [0, 4, (1 << 32) - 1]


def test_broken_streams_are_refused_in_words() -> None:
    stream = Stream()
    start = stream.sequence() + stream.frame(KEY, 0)
    with pytest.raises(DataError, match="without a sequence header"):
        Follower().packet(stream.frame(KEY, 0))
    with pytest.raises(DataError, match="ends too early"):
        Follower().packet(unit(SEQUENCE, b"\x00\x00"))
    with pytest.raises(DataError, match="is to have"):
        Follower().packet(start[:-3])
    with pytest.raises(DataError, match="begins no OBU"):
        Follower().packet(start + b"\xff")
    with pytest.raises(DataError, match="does not end"):
        Follower().packet(bytes([FRAME << 3 | 2]) + b"\xff" * 9)
    with pytest.raises(DataError, match="spatial layers"):
        Follower().packet(stream.sequence() + unit(FRAME, b"\x00" * 9, layers=0b000_01_000))
    follower = Follower(b"\x81\x00\x0c\x00" + stream.sequence())
    with pytest.raises(DataError, match="slots that are empty"):
        follower.packet(stream.frame(INTER, 1, 0, short=(0, 1)))
    with pytest.raises(DataError, match="size from an empty slot"):
        follower.packet(stream.frame(INTER, 1, 0, size_from=0))


def test_no_damage_does_more_than_a_data_error() -> None:
    stream, rng = Stream(timing=True, ids=True), random.Random(1)
    whole = stream.sequence() + stream.frame(KEY, 0) + stream.frame(INTER, 1, 3)
    refused = 0
    for _ in range(3000):
        damaged = bytearray(whole)
        for _ in range(rng.randint(1, 4)):
            damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
        try:
            Follower().packet(bytes(damaged[: rng.randint(1, len(damaged))]))
        except DataError:
            refused += 1
    assert refused > 300


def test_units_without_a_size_reach_to_the_end() -> None:
    found = list(
        units(unit(PADDING, b"x" * 200) + unit(FRAME, b"abc", sized=False, layers=0b010_00_000))
    )
    assert found == [(PADDING, 0, 0, b"x" * 200), (FRAME, 2, 0, b"abc")]
