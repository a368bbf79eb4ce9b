"""Slice segment headers of an HEVC stream (ITU-T H.265, 7.3.6), read by its parameter sets."""

from __future__ import annotations

from dataclasses import dataclass, field

from vssbench.codec.vectors.hevc_headers import (
    IDR,
    IRAP,
    MOST_ACTIVE,
    MOST_PPS,
    MOST_REFERENCES,
    SPS,
    Bits,
    PictureParameters,
    SequenceParameters,
    ShortTermSet,
    nal_header,
    picture_parameters,
    sequence_parameters,
    short_term_set,
)

#: bytes of a slice segment that are looked at: all that precedes its entry points is far shorter
_SLICE_BYTES = 1024
SLICE_TYPES = "BPI"


@dataclass(frozen=True)
class LongTerm:
    """A long-term reference in a slice header: its POC's least significant bits, the distance in
    cycles of the more significant ones (None: left out) and whether the current picture uses it."""

    lsb: int
    cycles: int | None
    used: bool


@dataclass(frozen=True)
class SliceSegment:
    """A slice segment header (7.3.6.1) up to its reference lists; of a dependent segment only its
    place is known.

    ``address`` is its first coding tree block in raster order; ``active`` the number of references
    in list 0 and 1; ``entries`` the modified order of each list, None where it is the initial one.
    """

    nal_type: int
    first: bool
    dependent: bool
    address: int
    sequence: SequenceParameters
    picture: PictureParameters
    type: str = "I"
    shown: bool = True
    lsb: int = 0
    short_term: ShortTermSet = field(default_factory=ShortTermSet)
    long_term: tuple[LongTerm, ...] = ()
    active: tuple[int, int] = (0, 0)
    entries: tuple[tuple[int, ...] | None, tuple[int, ...] | None] = (None, None)


class ParameterSets:
    """The parameter sets that are in force, and the slice segment headers that rest on them."""

    def __init__(self) -> None:
        self._sequences: dict[int, SequenceParameters] = {}
        self._pictures: dict[int, PictureParameters] = {}

    def take(self, nal: bytes) -> None:
        """Take a NAL unit that is an SPS or a PPS. Raises DataError."""
        if nal[0] >> 1 & 63 == SPS:
            number, sequence = sequence_parameters(Bits(nal, "a sequence parameter set"))
            self._sequences[number] = sequence
        else:
            number, picture = picture_parameters(Bits(nal, "a picture parameter set"))
            self._pictures[number] = picture

    def slice_segment(self, nal: bytes) -> SliceSegment:
        """Read a slice segment header. Raises DataError."""
        bits = Bits(nal, "a slice header", _SLICE_BYTES)
        nal_type = nal_header(nal)[0]
        first = bits.flag()
        if nal_type in IRAP:
            bits.flag()
        number = bits.number("picture parameter set", MOST_PPS - 1)
        picture = self._pictures.get(number)
        sequence = None if picture is None else self._sequences.get(picture.sequence)
        if picture is None or sequence is None:
            raise bits.broken("it names parameter sets that the stream does not hold")
        dependent, address = False, 0
        if not first:
            dependent = picture.dependent_slices and bits.flag()
            rows, columns = sequence.ctbs
            address = bits.read((rows * columns - 1).bit_length())
            if not 0 < address < rows * columns:
                raise bits.broken(f"it begins at block {address} of {rows * columns}")
        if dependent:
            return SliceSegment(nal_type, first, dependent, address, sequence, picture)
        return _independent(
            bits, SliceSegment(nal_type, first, dependent, address, sequence, picture)
        )


def _independent(bits: Bits, segment: SliceSegment) -> SliceSegment:
    sequence, picture, nal_type = segment.sequence, segment.picture, segment.nal_type
    bits.read(picture.extra_bits)
    kind = SLICE_TYPES[bits.number("slice type", len(SLICE_TYPES) - 1)]
    shown = bits.flag() if picture.output_flag else True
    if sequence.separate_planes:
        bits.read(2)
    lsb, short_term = 0, ShortTermSet()
    long_term: tuple[LongTerm, ...] = ()
    if nal_type not in IDR:
        lsb = bits.read(sequence.log2_lsb)
        short_term = _slice_short_term(bits, sequence)
        if sequence.long_term:
            long_term = _slice_long_term(bits, sequence)
        if sequence.temporal_vectors:
            bits.flag()
    if sequence.offset_filter:
        bits.read(1 if sequence.colours == 0 or sequence.separate_planes else 2)
    active, entries = _lists(bits, kind, picture, short_term, long_term)
    return SliceSegment(
        nal_type, segment.first, False, segment.address, sequence, picture, kind, shown, lsb,
        short_term, long_term, active,
        entries,
    )  # fmt: skip


def _lists(
    bits: Bits,
    kind: str,
    picture: PictureParameters,
    short_term: ShortTermSet,
    long_term: tuple[LongTerm, ...],
) -> tuple[tuple[int, int], tuple[tuple[int, ...] | None, tuple[int, ...] | None]]:
    """Read the lengths of the lists and their modification (7.3.6.2)."""
    lists = "IPB".index(kind)
    if lists == 0:
        return (0, 0), (None, None)
    lengths = list(picture.active)
    if bits.flag():
        for index in range(lists):
            lengths[index] = bits.number("number of references", MOST_ACTIVE - 1) + 1
    used = [flag for _, flag in (*short_term.before, *short_term.after)] + [
        entry.used for entry in long_term
    ]
    total = sum(used)
    if total == 0:
        raise bits.broken(f"it is of type {kind} but names no picture to refer to")
    entries: list[tuple[int, ...] | None] = [None, None]
    if picture.modification and total > 1:
        for index in range(lists):
            if bits.flag():
                entries[index] = tuple(
                    bits.read((total - 1).bit_length()) for _ in range(lengths[index])
                )
                if max(entries[index] or ()) >= total:
                    raise bits.broken(
                        f"its list {index} names entry {max(entries[index] or ())} of {total}"
                    )
    return (lengths[0], lengths[1] if lists == 2 else 0), (entries[0], entries[1])


def _slice_short_term(bits: Bits, sequence: SequenceParameters) -> ShortTermSet:
    sets = sequence.sets
    if not bits.flag():
        return short_term_set(bits, len(sets), len(sets), sets)
    number = bits.read((len(sets) - 1).bit_length()) if sets else 0
    if number >= len(sets):
        raise bits.broken(f"it names short-term reference picture set {number} of {len(sets)}")
    return sets[number]


def _slice_long_term(bits: Bits, sequence: SequenceParameters) -> tuple[LongTerm, ...]:
    candidates = sequence.long_term_candidates
    known = bits.number("number of long-term pictures", MOST_REFERENCES) if candidates else 0
    total = known + bits.number("number of long-term pictures", MOST_REFERENCES)
    result: list[LongTerm] = []
    cycles = 0
    for index in range(total):
        if index < known:
            number = bits.read((len(candidates) - 1).bit_length())
            if number >= len(candidates):
                raise bits.broken(f"it names long-term picture {number} of {len(candidates)}")
            lsb, used = candidates[number]
        else:
            lsb, used = bits.read(sequence.log2_lsb), bits.flag()
        present = bits.flag()
        # (7-52): the distances add up within either part, an absent one counts as 0
        cycles = (0 if index in (0, known) else cycles) + (
            bits.number("distance of a long-term picture") if present else 0
        )
        result.append(LongTerm(lsb, cycles if present else None, used))
    return tuple(result)
