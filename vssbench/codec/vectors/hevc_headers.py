"""Headers of an HEVC stream (ITU-T H.265): NAL units, parameter sets and slice segment headers, as
far as references go."""

from __future__ import annotations

import re
from dataclasses import dataclass

from vssbench.core.errors import DataError

VPS, SPS, PPS, END_OF_SEQUENCE, END_OF_BITSTREAM = 32, 33, 34, 36, 37
RADL, RASL, BLA, IDR, CRA = (6, 7), (8, 9), (16, 17, 18), (19, 20), 21
#: intra random access points, the reserved types among them
IRAP = range(16, 24)
#: NAL unit types that hold a slice segment, reserved types left out
SLICES = (*range(0, 10), *range(16, 22))

_HEADER = 2
MOST_REFERENCES = 16
#: limits of the standard: parameter sets, short-term sets in an SPS, long-term pictures in an SPS,
#: active references
_MOST_SPS, MOST_PPS, _MOST_SETS, _MOST_LONG_TERM, MOST_ACTIVE = 16, 64, 64, 32, 15
_LARGEST_SIDE = 16384
#: zeros before an Exp-Golomb number (9.2)
_LONGEST_PREFIX = 32
#: version 1 and range extensions: what follows in a slice header of other profiles is not known
#: here
_PROFILES = (1, 2, 3, 4)
_START_CODE = re.compile(b"\0\0\1")


@dataclass(frozen=True)
class ShortTermSet:
    """A short-term reference picture set (7.4.8): pairs (POC delta, used by the current picture),
    nearest first."""

    before: tuple[tuple[int, bool], ...] = ()
    after: tuple[tuple[int, bool], ...] = ()


@dataclass(frozen=True)
class SequenceParameters:
    """The needed part of an SPS (7.3.2.2).

    ``width`` and ``height`` are coded luma samples; ``crop`` (left, right, top, bottom) of these
    are not shown.
    """

    width: int
    height: int
    crop: tuple[int, int, int, int]
    log2_min_block: int
    log2_ctb: int
    log2_lsb: int
    colours: int
    separate_planes: bool
    offset_filter: bool
    sets: tuple[ShortTermSet, ...]
    long_term: bool
    long_term_candidates: tuple[tuple[int, bool], ...]
    temporal_vectors: bool

    @property
    def ctbs(self) -> tuple[int, int]:
        """Rows and columns of coding tree blocks."""
        side = 1 << self.log2_ctb
        return -(-self.height // side), -(-self.width // side)


@dataclass(frozen=True)
class PictureParameters:
    """The needed part of a PPS (7.3.2.3).

    ``active`` are the default numbers of references in list 0 and 1.
    """

    sequence: int
    dependent_slices: bool
    output_flag: bool
    extra_bits: int
    active: tuple[int, int]
    tiles: bool
    modification: bool


class Bits:
    """Reads a NAL unit's payload bit by bit (9.1, 9.2), emulation prevention taken out. Raises
    DataError at its end."""

    def __init__(self, nal: bytes, what: str, limit: int | None = None) -> None:
        payload = nal[_HEADER : None if limit is None else _HEADER + limit].replace(
            b"\0\0\3", b"\0\0"
        )
        self.what, self._place = what, 0
        self._bits = format(int.from_bytes(b"\1" + payload, "big"), "b")[1:]

    def read(self, count: int) -> int:
        """Read an unsigned number of ``count`` bits."""
        start, self._place = self._place, self._place + count
        if self._place > len(self._bits):
            raise self.broken("it ends too early")
        return int(self._bits[start : self._place], 2) if count else 0

    def flag(self) -> bool:
        """Read one bit."""
        return self.read(1) == 1

    def number(self, name: str, most: int = (1 << 32) - 2) -> int:
        """Read an unsigned Exp-Golomb number, no greater than ``most``."""
        one = self._bits.find("1", self._place)
        if one < 0:
            raise self.broken("it ends too early")
        zeros, self._place = one - self._place, one
        if zeros > _LONGEST_PREFIX:
            raise self.broken(f"its {name} does not read")
        value = self.read(zeros + 1) - 1
        if value > most:
            raise self.broken(f"its {name} is {value}, expected {most} at most")
        return value

    def signed(self, name: str) -> int:
        """Read a signed Exp-Golomb number."""
        code = self.number(name)
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def broken(self, why: str) -> DataError:
        """Return the error to raise for a header that does not read."""
        return DataError(f"{self.what} of the HEVC stream is broken: {why}; encode it again")


def split(data: bytes, length_size: int | None) -> list[bytes]:
    """Return the NAL units of a packet, start codes or length fields taken off, emulation
    prevention left in.

    ``length_size`` is the number of bytes of each length field, None for Annex B (B.1). Raises
    DataError.
    """
    if length_size is None:
        starts = [match.end() for match in _START_CODE.finditer(data)]
        ends = [*(start - 3 for start in starts[1:]), len(data)][: len(starts)]
        # a NAL unit never ends in a zero byte: these belong to the start code that follows
        units = [data[start:end].rstrip(b"\0") for start, end in zip(starts, ends, strict=True)]
    else:
        units, place = [], 0
        while place < len(data):
            start = place + length_size
            place = start + int.from_bytes(data[place:start], "big")
            if start > len(data) or place > len(data):
                raise DataError(
                    f"a packet of the HEVC stream is cut short: {len(data)} bytes, expected "
                    f"{place}; encode it again"
                )
            units.append(data[start:place])
    if any(len(unit) < _HEADER or unit[0] & 0x80 for unit in units):
        raise DataError("a NAL unit of the HEVC stream has no valid header; encode it again")
    return units


def configuration(extradata: bytes | None) -> tuple[list[bytes], int | None]:
    """Return the NAL units in a container's decoder configuration (ISO/IEC 14496-15, 8.3.3.1) and
    the size of packets' length fields; parameter sets in Annex B, or none at all, mean packets in
    Annex B. Raises DataError."""
    data = extradata or b""
    if data[:3] in (b"", b"\0\0\0", b"\0\0\1"):
        return split(data, None), None
    units: list[bytes] = []
    length_size, arrays, place = (data[21:22] or b"\3")[0] % 4 + 1, data[22:23], 23
    for _ in range(arrays[0] if arrays else 0):
        place += 3
        for _ in range(int.from_bytes(data[place - 2 : place], "big")):
            start = place + 2
            place = start + int.from_bytes(data[place:start], "big")
            units.append(data[start:place])
            if place > len(data):
                break
    if not arrays or place > len(data):
        raise DataError(
            "the decoder configuration of the HEVC stream is cut short; encode it again"
        )
    if any(len(unit) < _HEADER for unit in units):
        raise DataError(
            "the decoder configuration of the HEVC stream holds an empty NAL unit; encode it again"
        )
    return units, length_size


def nal_header(nal: bytes) -> tuple[int, int, int]:
    """Read type, layer and temporal id of a NAL unit (7.3.1.2)."""
    return nal[0] >> 1 & 63, (nal[0] & 1) << 5 | nal[1] >> 3, (nal[1] & 7) - 1


def short_term_set(
    bits: Bits, index: int, count: int, sets: tuple[ShortTermSet, ...]
) -> ShortTermSet:
    """Return a short-term reference picture set (7.3.7), the ``index``-th of ``count`` in an SPS,
    or at ``count`` a slice's own."""
    if index and bits.flag():
        return _predicted_set(bits, index, count, sets)
    counts = [bits.number("number of reference pictures", MOST_REFERENCES) for _ in range(2)]
    if sum(counts) > MOST_REFERENCES:
        raise bits.broken(
            f"it names {sum(counts)} reference pictures, expected {MOST_REFERENCES} at most"
        )
    halves = []
    for number, sign in zip(counts, (-1, 1), strict=True):
        delta, half = 0, []
        for _ in range(number):
            delta += sign * (bits.number("distance of a reference picture", 1 << 15) + 1)
            half.append((delta, bits.flag()))
        halves.append(tuple(half))
    return ShortTermSet(*halves)


def _predicted_set(
    bits: Bits, index: int, count: int, sets: tuple[ShortTermSet, ...]
) -> ShortTermSet:
    """Read a reference picture set predicted from another (Inter RPS, 7.4.8).

    The other set is moved by a POC delta, some of its pictures left out.
    """
    back = bits.number("reference picture set", index - 1) + 1 if index == count else 1
    source = sets[index - back]
    sign = -1 if bits.flag() else 1
    move = sign * (bits.number("distance of a reference picture set", 1 << 15) + 1)
    kept: list[tuple[int, bool]] = []
    # the source's pictures, then the one that the source belonged to itself
    for delta in (*(delta for delta, _ in (*source.before, *source.after)), 0):
        used = bits.flag()
        if (used or bits.flag()) and delta + move != 0:
            kept.append((delta + move, used))
    if len(kept) > MOST_REFERENCES:
        raise bits.broken(
            f"it names {len(kept)} reference pictures, expected {MOST_REFERENCES} at most"
        )
    # the standard's loops (7-61, 7-62) visit the deltas in order of distance
    before = sorted((pair for pair in kept if pair[0] < 0), key=lambda pair: -pair[0])
    after = sorted((pair for pair in kept if pair[0] > 0), key=lambda pair: pair[0])
    return ShortTermSet(tuple(before), tuple(after))


def _profile(bits: Bits, layers: int) -> None:
    """Skip profile_tier_level (7.3.3), but check the profile.

    ``layers`` counts temporal sub-layers below the highest.
    """
    bits.read(3)
    profile = bits.read(5)
    if profile not in _PROFILES:
        raise DataError(
            f"the HEVC stream is of profile {profile}, expected {_PROFILES[0]} to {_PROFILES[-1]} "
            "(Main to range extensions): encode it with x265's defaults"
        )
    bits.read(32 + 48 + 8)
    present = [(bits.flag(), bits.flag()) for _ in range(layers)]
    if layers:
        bits.read(2 * (8 - layers))
    for profile_there, level_there in present:
        bits.read(88 * profile_there + 8 * level_there)


def _scaling_lists(bits: Bits) -> None:
    """Skip scaling_list_data (7.3.4)."""
    for size in range(4):
        for _ in range(0, 6, 3 if size == 3 else 1):
            if not bits.flag():
                bits.number("scaling list")
                continue
            if size > 1:
                bits.signed("scaling list")
            for _ in range(min(64, 1 << (4 + 2 * size))):
                bits.signed("scaling list")


def sequence_parameters(bits: Bits) -> tuple[int, SequenceParameters]:
    bits.read(4)
    layers = bits.read(3)
    bits.flag()
    _profile(bits, layers)
    identity = bits.number("number", _MOST_SPS - 1)
    colours = bits.number("chroma format", 3)
    separate = bits.flag() if colours == 3 else False
    width, height = (bits.number(side, _LARGEST_SIDE) for side in ("width", "height"))
    units = (1 if colours in (0, 3) else 2, 2 if colours == 1 else 1)
    crop = (
        [bits.number("crop", _LARGEST_SIDE) * units[side // 2] for side in range(4)]
        if bits.flag()
        else [0] * 4
    )
    if width <= crop[0] + crop[1] or height <= crop[2] + crop[3]:
        raise bits.broken(
            f"its pictures are {width}x{height}, of which the crop {crop} leaves nothing"
        )
    for _ in range(2):
        bits.number("bit depth", 8)
    log2_lsb = bits.number("length of POCs", 12) + 4
    for _ in range(0 if bits.flag() else layers, layers + 1):
        for _ in range(3):
            bits.number("picture buffer")
    log2_min_block = bits.number("smallest block", 3) + 3
    log2_ctb = log2_min_block + bits.number("largest block", 3)
    for _ in range(4):
        bits.number("transform size", 6)
    if bits.flag() and bits.flag():
        _scaling_lists(bits)
    bits.flag()
    offset_filter = bits.flag()
    if bits.flag():
        bits.read(8)
        bits.number("PCM size", 5)
        bits.number("PCM size", 5)
        bits.flag()
    count = bits.number("number of reference picture sets", _MOST_SETS)
    sets: tuple[ShortTermSet, ...] = ()
    for index in range(count):
        sets = (*sets, short_term_set(bits, index, count, sets))
    long_term, candidates = bits.flag(), []
    if long_term:
        number = bits.number("number of long-term pictures", _MOST_LONG_TERM)
        candidates = [(bits.read(log2_lsb), bits.flag()) for _ in range(number)]
    return identity, SequenceParameters(
        width, height, (crop[0], crop[1], crop[2], crop[3]), log2_min_block, log2_ctb, log2_lsb,
        colours, separate,
        offset_filter, sets, long_term, tuple(candidates), bits.flag(),
    )  # fmt: skip


def picture_parameters(bits: Bits) -> tuple[int, PictureParameters]:
    identity, sequence = bits.number("number", MOST_PPS - 1), bits.number("sequence", _MOST_SPS - 1)
    dependent, output, extra = bits.flag(), bits.flag(), bits.read(3)
    bits.read(2)
    active = [bits.number("number of references", MOST_ACTIVE - 1) + 1 for _ in range(2)]
    bits.signed("quantiser")
    bits.read(2)
    if bits.flag():
        bits.number("quantiser depth")
    for _ in range(2):
        bits.signed("chroma quantiser")
    bits.read(4)
    tiles = bits.flag()
    bits.flag()
    if tiles:
        counts = [bits.number("number of tiles", _LARGEST_SIDE // 16) for _ in range(2)]
        if not bits.flag():
            for _ in range(sum(counts)):
                bits.number("tile size")
        bits.flag()
    bits.flag()
    if bits.flag():
        bits.flag()
        if not bits.flag():
            for _ in range(2):
                bits.signed("deblocking")
    if bits.flag():
        _scaling_lists(bits)
    return identity, PictureParameters(
        sequence, dependent, output, extra, (active[0], active[1]), tiles, bits.flag()
    )
