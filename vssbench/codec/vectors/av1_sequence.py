"""AV1's units and sequence header (AV1 specification 5.3 to 5.5), and how their bits are read.

Of the sequence header only what frame headers are read by, up to super-resolution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vssbench.core.errors import DataError

#: a tool that every frame switches for itself
BY_FRAME = 2
_LONGEST_LEB128 = 8


@dataclass(frozen=True)
class OperatingPoint:
    """Layers of a scalable stream (0: it has none), and whether frames say when this point's buffer
    is emptied."""

    layers: int
    timed: bool


@dataclass(frozen=True)
class SequenceHeader:
    """The part of a sequence header (5.5.1) by which frame headers are read.

    Lengths are in bits.
    """

    reduced: bool
    equal_interval: bool
    decoder_model: bool
    removal_time_bits: int
    presentation_time_bits: int
    points: tuple[OperatingPoint, ...]
    width_bits: int
    height_bits: int
    width: int
    height: int
    frame_id_bits: int
    delta_frame_id_bits: int
    order_hint_bits: int
    screen_content: int
    integer_vectors: int
    superres: bool


class Bits:
    """Reads bits, the most significant first (4.10). Raises DataError beyond the end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data, "big"), 8 * len(data)

    def number(self, count: int) -> int:
        """Read ``f(count)``: an unsigned number of that many bits."""
        if count > self._left:
            raise DataError(
                "an AV1 header ends too early: the stream is cut short or broken; encode it again"
            )
        self._left -= count
        return self._value >> self._left & ((1 << count) - 1)

    def flag(self) -> bool:
        """Read one bit."""
        return bool(self.number(1))

    def uvlc(self) -> int:
        """Read a number of variable length (4.10.3)."""
        zeros = 0
        while not self.flag():
            zeros += 1
        return self.number(zeros) + (1 << zeros) - 1 if zeros < 32 else (1 << 32) - 1


def units(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield the OBUs of a temporal unit (5.3): type, temporal layer, spatial layer and content.
    Raises DataError."""
    position = 0
    while position < len(data):
        head = data[position]
        kind, extended, sized = head >> 3 & 15, bool(head & 4), bool(head & 2)
        if head & 0x80 or position + 1 + extended > len(data):
            raise DataError(
                f"byte {position} of an AV1 packet begins no OBU: the stream is broken; encode it "
                "again"
            )
        layers = data[position + 1] if extended else 0
        position += 1 + extended
        size = len(data) - position
        if sized:
            size, position = _leb128(data, position)
        if position + size > len(data):
            raise DataError(
                f"an OBU of an AV1 packet is to have {size} bytes and has {len(data) - position}: "
                "the stream is cut short or broken; encode it again"
            )
        yield kind, layers >> 5, layers >> 3 & 3, data[position : position + size]
        position += size


def _leb128(data: bytes, position: int) -> tuple[int, int]:
    """Read a number in groups of seven bits, the least significant first (4.10.5).

    Returns the position after it too.
    """
    value = 0
    for count, byte in enumerate(data[position : position + _LONGEST_LEB128]):
        value |= (byte & 0x7F) << 7 * count
        if not byte & 0x80:
            return value, position + count + 1
    raise DataError(
        "the size of an OBU in an AV1 packet does not end: the stream is broken; encode it again"
    )


def sequence_header(content: bytes) -> SequenceHeader:
    """Read a sequence header (5.5.1). Raises DataError."""
    bits = Bits(content)
    bits.number(3)  # profile
    bits.flag()  # still picture
    reduced = bits.flag()
    equal_interval = decoder_model = False
    delay_bits = removal_bits = presentation_bits = 0
    if reduced:
        bits.number(5)  # level
        points = [OperatingPoint(0, False)]
    else:
        if bits.flag():  # timing information
            bits.number(64)
            equal_interval = bits.flag()
            if equal_interval:
                bits.uvlc()
            decoder_model = bits.flag()
            if decoder_model:
                delay_bits = bits.number(5) + 1
                bits.number(32)
                removal_bits, presentation_bits = bits.number(5) + 1, bits.number(5) + 1
        delays = bits.flag()
        points = [
            _operating_point(bits, decoder_model, delay_bits, delays)
            for _ in range(bits.number(5) + 1)
        ]
    width_bits, height_bits = bits.number(4) + 1, bits.number(4) + 1
    width, height = bits.number(width_bits) + 1, bits.number(height_bits) + 1
    delta_bits = id_bits = 0
    if not reduced and bits.flag():
        delta_bits = bits.number(4) + 2
        id_bits = bits.number(3) + 1 + delta_bits
    bits.number(3)  # superblock size, intra filters
    screen_content = integer_vectors = BY_FRAME
    order_hint_bits = 0
    if not reduced:
        screen_content, integer_vectors, order_hint_bits = _tools(bits)
    return SequenceHeader(
        reduced, equal_interval, decoder_model, removal_bits, presentation_bits, tuple(points),
        width_bits, height_bits, width,
        height, id_bits, delta_bits, order_hint_bits, screen_content, integer_vectors, bits.flag(),
    )  # fmt: skip


def _operating_point(
    bits: Bits, decoder_model: bool, delay_bits: int, delays: bool
) -> OperatingPoint:
    layers = bits.number(12)
    if bits.number(5) > 7:  # the level; from 4.0 on there are tiers
        bits.flag()
    timed = decoder_model and bits.flag()
    if timed:
        bits.number(2 * delay_bits + 1)
    if delays and bits.flag():
        bits.number(4)
    return OperatingPoint(layers, timed)


def _tools(bits: Bits) -> tuple[int, int, int]:
    """Read screen content tools, integer vectors (each 0, 1 or by frame), bits of order hints."""
    bits.number(4)  # compound modes, warped motion, dual filter
    order_hints = bits.flag()
    if order_hints:
        bits.number(2)
    screen_content = BY_FRAME if bits.flag() else bits.number(1)
    integer_vectors = BY_FRAME
    if screen_content and not bits.flag():
        integer_vectors = bits.number(1)
    return screen_content, integer_vectors, bits.number(3) + 1 if order_hints else 0
