"""H.264 headers (ITU-T H.264, 7.3): as much of parameter sets and slice headers as tells which
picture a vector points to."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vssbench.core.errors import DataError

P, B, I = 0, 1, 2  # noqa: E741 - the standard's names of slice types
_SLICE, _IDR_SLICE, _SPS, _PPS = 1, 5, 7, 8
#: profiles whose sequence parameter sets tell the chroma format (7.3.2.1.1)
_CHROMA_PROFILES = frozenset({100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135})
_YUV444 = 3
#: a slice header is much shorter; the rest of a slice is not looked at
_HEADER_BYTES = 256
_START_CODE = b"\x00\x00\x01"


class Bits:
    """Reads a raw byte sequence payload bit by bit. Raises DataError beyond its end."""

    def __init__(self, payload: bytes) -> None:
        self._value, self._left = int.from_bytes(payload, "big"), 8 * len(payload)

    def u(self, count: int) -> int:
        """Read an unsigned number of so many bits."""
        self._left -= count
        if self._left < 0:
            raise DataError("an H.264 header ends too early: the stream is broken; encode it again")
        return (self._value >> self._left) & ((1 << count) - 1)

    def ue(self) -> int:
        """Read an unsigned Exp-Golomb code (9.1)."""
        zeros = self._left - (self._value & ((1 << self._left) - 1)).bit_length()
        self.u(zeros)
        return self.u(zeros + 1) - 1

    def se(self) -> int:
        """Read a signed Exp-Golomb code (9.1.1)."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)


@dataclass(frozen=True)
class Sps:
    """A sequence parameter set (7.3.2.1.1)."""

    number: int
    frame_num_bits: int
    poc_type: int
    poc_lsb_bits: int
    delta_always_zero: bool
    max_num_ref_frames: int
    frames_only: bool
    separate_planes: bool
    monochrome: bool


@dataclass(frozen=True)
class Pps:
    """A picture parameter set (7.3.2.2)."""

    number: int
    sps: int
    field_poc_present: bool
    active: tuple[int, int]
    weighted: bool
    bipred_weights: int
    redundant_present: bool


@dataclass(frozen=True)
class Slice:
    """A slice header (7.3.3). ``active`` counts the pictures of either reference list that the
    slice may use; ``reordered`` tells of a list that is not in its initial order, ``adaptive`` of
    references that are unmarked or kept by command."""

    sps: Sps
    kind: int
    idr: bool
    reference: bool
    first: bool
    poc_lsb: int
    active: tuple[int, int]
    reordered: bool
    adaptive: bool


class Headers:
    """The parameter sets that are in force, fed by a stream's bytes in order."""

    def __init__(self, extradata: bytes | None) -> None:
        """``extradata`` is an AVCDecoderConfigurationRecord (ISO/IEC 14496-15), or parameter sets
        behind start codes."""
        self._sps: dict[int, Sps] = {}
        self._pps: dict[int, Pps] = {}
        #: bytes of the length before each unit, 0 where start codes part them
        self._length_bytes = 0
        extradata = bytes(extradata or b"")
        if extradata[:1] == b"\x01" and len(extradata) > 6:
            self._length_bytes = (extradata[4] & 3) + 1
            units = _record_units(extradata)
        else:
            units = _parted(extradata)
        for unit in units:
            self._take(unit)

    def slices(self, packet: bytes) -> Iterator[Slice]:
        """Yield the slice headers of a packet; parameter sets in it come into force. Raises
        DataError where they do not read."""
        units = _measured(packet, self._length_bytes) if self._length_bytes else _parted(packet)
        for unit in units:
            coded = self._take(unit)
            if coded is not None:
                yield coded

    def _take(self, unit: bytes) -> Slice | None:
        kind = unit[0] & 31 if unit else 0
        if kind == _SPS:
            sps = _read_sps(Bits(_payload(unit)))
            self._sps[sps.number] = sps
        elif kind == _PPS:
            pps = _read_pps(Bits(_payload(unit)))
            self._pps[pps.number] = pps
        elif kind in (_SLICE, _IDR_SLICE):
            return self._read_slice(
                Bits(_payload(unit[:_HEADER_BYTES])), kind == _IDR_SLICE, bool(unit[0] >> 5 & 3)
            )
        return None

    def _read_slice(self, bits: Bits, idr: bool, reference: bool) -> Slice:
        first, kind, number = bits.ue() == 0, bits.ue() % 5, bits.ue()
        pps = self._pps.get(number)
        sps = self._sps.get(pps.sps) if pps is not None else None
        if pps is None or sps is None:
            raise DataError(
                f"an H.264 slice names the parameter set {number}, which never came: the stream is "
                "broken; encode it again"
            )
        if sps.separate_planes:
            bits.u(2)
        bits.u(sps.frame_num_bits)
        if not sps.frames_only and bits.u(1):
            bits.u(1)
        if idr:
            bits.ue()
        poc_lsb = _read_poc(bits, sps, pps)
        if pps.redundant_present:
            bits.ue()
        if kind == B:
            bits.u(1)
        active = pps.active
        if kind in (P, B) and bits.u(1):
            active = (bits.ue() + 1, bits.ue() + 1 if kind == B else pps.active[1])
        lists = {P: 1, B: 2}.get(kind, 0)
        # both lists are read, whatever the first tells
        reordered = sum(_read_modification(bits) for _ in range(lists)) > 0
        if (kind == P and pps.weighted) or (kind == B and pps.bipred_weights == 1):
            _skip_weights(bits, sps, active[:lists])
        adaptive = False
        if reference and idr:
            adaptive = bits.u(2) & 1 == 1
        elif reference:
            adaptive = bits.u(1) == 1
        return Slice(sps, kind, idr, reference, first, poc_lsb, active, reordered, adaptive)


def _payload(unit: bytes) -> bytes:
    """Return a unit without its header and without emulation prevention (7.4.1)."""
    return unit[1:].replace(b"\x00\x00\x03", b"\x00\x00")


def _parted(stream: bytes) -> Iterator[bytes]:
    """Split a byte stream (Annex B) into its units."""
    return iter(stream.split(_START_CODE)[1:])


def _measured(stream: bytes, length_bytes: int) -> Iterator[bytes]:
    """Split a stream with a length before each unit into its units."""
    place = 0
    while place + length_bytes <= len(stream):
        length = int.from_bytes(stream[place : place + length_bytes], "big")
        place += length_bytes
        yield stream[place : place + min(length, _HEADER_BYTES)]
        place += length


def _record_units(record: bytes) -> Iterator[bytes]:
    """Yield the parameter sets of a configuration record: sequence, then picture."""
    place = 5
    for mask in (31, 255):
        count = int.from_bytes(record[place : place + 1], "big") & mask
        place += 1
        for _ in range(count):
            length = int.from_bytes(record[place : place + 2], "big")
            yield record[place + 2 : place + 2 + length]
            place += 2 + length


def _read_sps(bits: Bits) -> Sps:
    profile = bits.u(8)
    bits.u(16)
    number = bits.ue()
    chroma, separate = 1, False
    if profile in _CHROMA_PROFILES:
        chroma = bits.ue()
        separate = chroma == _YUV444 and bits.u(1) == 1
        bits.ue()
        bits.ue()
        bits.u(1)
        if bits.u(1):
            for index in range(12 if chroma == _YUV444 else 8):
                if bits.u(1):
                    _skip_scaling_list(bits, 16 if index < 6 else 64)
    frame_num_bits, poc_type = bits.ue() + 4, bits.ue()
    poc_lsb_bits, delta_always_zero = 0, False
    if poc_type == 0:
        poc_lsb_bits = bits.ue() + 4
    elif poc_type == 1:
        delta_always_zero = bits.u(1) == 1
        bits.se()
        bits.se()
        for _ in range(bits.ue()):
            bits.se()
    max_num_ref_frames = bits.ue()
    bits.u(1)
    bits.ue()
    bits.ue()
    frames_only = bits.u(1) == 1
    return Sps(
        number, frame_num_bits, poc_type, poc_lsb_bits, delta_always_zero, max_num_ref_frames,
        frames_only, separate,
        chroma == 0 or separate,
    )  # fmt: skip


def _skip_scaling_list(bits: Bits, size: int) -> None:
    """Skip a scaling list (7.3.2.1.1.1), which ends early where its next scale is 0."""
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


def _read_pps(bits: Bits) -> Pps:
    number, sps = bits.ue(), bits.ue()
    bits.u(1)
    field_poc_present = bits.u(1) == 1
    if bits.ue():
        raise DataError(
            "the H.264 stream has slice groups (flexible macroblock order), which no encoder here "
            "makes; encode it again"
        )
    active = (bits.ue() + 1, bits.ue() + 1)
    weighted, bipred_weights = bits.u(1) == 1, bits.u(2)
    bits.se()
    bits.se()
    bits.se()
    bits.u(2)
    return Pps(number, sps, field_poc_present, active, weighted, bipred_weights, bits.u(1) == 1)


def _read_poc(bits: Bits, sps: Sps, pps: Pps) -> int:
    lsb = 0
    if sps.poc_type == 0:
        lsb = bits.u(sps.poc_lsb_bits)
        if pps.field_poc_present and sps.frames_only:
            bits.se()
    elif sps.poc_type == 1 and not sps.delta_always_zero:
        bits.se()
        if pps.field_poc_present and sps.frames_only:
            bits.se()
    return lsb


def _read_modification(bits: Bits) -> bool:
    """Read one list's modifications (7.3.3.1) and return whether there is any."""
    if not bits.u(1):
        return False
    while bits.ue() != 3:
        bits.ue()
    return True


def _skip_weights(bits: Bits, sps: Sps, active: tuple[int, ...]) -> None:
    """Skip the table of explicit weights (7.3.3.2)."""
    bits.ue()
    if not sps.monochrome:
        bits.ue()
    for count in active:
        for _ in range(count):
            if bits.u(1):
                bits.se()
                bits.se()
            if not sps.monochrome and bits.u(1):
                for _ in range(4):
                    bits.se()
