"""Slice headers of an HEVC stream, and what follows from them: picture order count and reference
picture lists."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

from vssbench.codec.vectors.hevc_headers import (
    BLA,
    CRA,
    END_OF_BITSTREAM,
    END_OF_SEQUENCE,
    IDR,
    IRAP,
    MOST_ACTIVE,
    MOST_PPS,
    MOST_REFERENCES,
    PPS,
    RADL,
    RASL,
    SLICES,
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
from vssbench.core.errors import DataError

#: bytes of a slice segment that are looked at: all that precedes its entry points is far shorter
_SLICE_BYTES = 1024
_SLICE_TYPES = "BPI"


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
    kind = _SLICE_TYPES[bits.number("slice type", len(_SLICE_TYPES) - 1)]
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


@dataclass(frozen=True)
class Slice:
    """An independent slice: its first coding tree block in raster order, and its reference lists 0
    and 1 as POCs."""

    address: int
    lists: tuple[tuple[int, ...], tuple[int, ...]]


@dataclass(frozen=True)
class Picture:
    """A coded picture.

    ``sequence`` counts coded video sequences, within which ``poc`` is its place in display order;
    ``type`` is I, P or B; ``references`` are the POCs that it may refer to. ``random_access`` marks
    IRAP pictures. A picture that is not ``decodable`` (a RASL picture whose references were cut
    off) is not shown by any decoder.
    """

    sequence: int
    poc: int
    nal_type: int
    type: str
    random_access: bool
    decodable: bool
    slices: tuple[Slice, ...]
    references: tuple[int, ...]
    parameters: SequenceParameters
    tiles: bool


def _place(segment: SliceSegment) -> tuple[object, ...]:
    """Return the fields that are the same in all slices of a picture."""
    return segment.lsb, segment.short_term, segment.long_term


class Pictures:
    """Follows a stream's access units in coded order: picture order count, reference picture sets,
    reference lists."""

    def __init__(self) -> None:
        self._sets = ParameterSets()
        self._sequence = -1
        #: the next picture begins a coded video sequence, and a CRA picture may do so
        self._fresh = True
        #: whether the last IRAP picture began a coded video sequence: its RASL pictures cannot be
        #: decoded
        self._cut = False
        self._anchor = 0
        #: POCs of the coded video sequence: those that may still be referred to, and all
        self._kept: set[int] = set()
        self._seen: set[int] = set()

    def parameter_sets(self, nals: list[bytes]) -> None:
        """Take the parameter sets of a decoder configuration. Raises DataError."""
        for nal in nals:
            if nal_header(nal)[:2] in ((SPS, 0), (PPS, 0)):
                self._sets.take(nal)

    def access_unit(self, nals: list[bytes]) -> Picture:
        """The picture that an access unit codes. Raises DataError."""
        segments: list[SliceSegment] = []
        temporal, ended = 0, False
        for nal in nals:
            kind, layer, level = nal_header(nal)
            if layer:
                continue
            if kind in (SPS, PPS):
                self._sets.take(nal)
            elif kind in SLICES:
                segments.append(self._sets.slice_segment(nal))
                temporal = level
            elif kind in (END_OF_SEQUENCE, END_OF_BITSTREAM):
                ended = True
        self._check(segments)
        picture = self._picture(segments, temporal)
        self._fresh = ended
        return picture

    def _check(self, segments: list[SliceSegment]) -> None:
        first = segments[0] if segments else None
        if first is None or [segment.first for segment in segments] != [True] + [False] * (
            len(segments) - 1
        ):
            found = sum(segment.first for segment in segments)
            raise DataError(
                f"a packet of the HEVC stream begins {found} pictures, expected one: it is broken; "
                "encode it again"
            )
        for before, after in pairwise(segments):
            if (
                (after.address <= before.address and not first.picture.tiles)
                or (after.nal_type, after.sequence) != (first.nal_type, first.sequence)
                or (not after.dependent and _place(after) != _place(first))
            ):
                raise DataError(
                    "the slices of a picture of the HEVC stream do not belong together; encode it "
                    "again"
                )
        if first.nal_type in IRAP and any(segment.type != "I" for segment in segments):
            raise DataError(
                "a keyframe of the HEVC stream refers to other pictures: it is broken; encode it "
                "again"
            )
        if first.nal_type not in IRAP and self._sequence < 0:
            raise DataError(
                f"the HEVC stream begins with a picture of NAL type {first.nal_type}, expected a "
                "keyframe; cut it at one"
            )
        if not first.shown:
            raise DataError(
                "the HEVC stream holds pictures that are not shown, which is not handled; encode "
                "it with x265's defaults"
            )

    def _picture(self, segments: list[SliceSegment], temporal: int) -> Picture:
        first = segments[0]
        kind = first.nal_type
        begins = kind in IDR or kind in BLA or (kind == CRA and self._fresh)
        if begins:
            self._sequence += 1
            self._kept, self._seen = set(), set()
        if kind in IRAP:
            self._cut = begins
        poc = self._poc(first, begins)
        # sub-layer non-reference pictures have even types below 16
        if (
            temporal == 0
            and kind not in (*RASL, *RADL)
            and not (kind < IRAP.start and kind % 2 == 0)
        ):
            self._anchor = poc
        decodable = not (kind in RASL and self._cut)
        independent = [segment for segment in segments if not segment.dependent]
        slices, references = [], set()
        if begins:
            slices = [Slice(segment.address, ((), ())) for segment in independent]
        elif decodable:
            before, after, long_term, kept = self._reference_set(first, poc)
            references = {*before, *after, *long_term}
            slices = [
                Slice(segment.address, _reference_lists(segment, before, after, long_term))
                for segment in independent
            ]
            self._kept = kept & self._kept
            self._look_up(poc, slices)
        if decodable:
            if poc in self._seen:
                raise DataError(
                    f"the HEVC stream holds two pictures of order {poc}; encode it again"
                )
            self._kept.add(poc)
            self._seen.add(poc)
        types = {segment.type for segment in independent}
        return Picture(
            self._sequence, poc, kind, next(letter for letter in _SLICE_TYPES if letter in types),
            kind in IRAP, decodable,
            tuple(slices), tuple(sorted(references)), first.sequence, first.picture.tiles,
        )  # fmt: skip

    def _poc(self, segment: SliceSegment, begins: bool) -> int:
        """Return the picture order count (8.3.1)."""
        if begins:
            return segment.lsb
        span = 1 << segment.sequence.log2_lsb
        high, low = self._anchor // span * span, self._anchor % span
        if segment.lsb < low and low - segment.lsb >= span // 2:
            high += span
        elif segment.lsb > low and segment.lsb - low > span // 2:
            high -= span
        return high + segment.lsb

    def _reference_set(
        self, segment: SliceSegment, poc: int
    ) -> tuple[list[int], list[int], list[int], set[int]]:
        """The reference picture set (8.3.2): used before, used after, used long-term, and all that
        are kept."""
        before = [poc + delta for delta, used in segment.short_term.before if used]
        after = [poc + delta for delta, used in segment.short_term.after if used]
        kept = {poc + delta for delta, _ in (*segment.short_term.before, *segment.short_term.after)}
        long_term = []
        span = 1 << segment.sequence.log2_lsb
        for entry in segment.long_term:
            if entry.cycles is None:
                referred = max(
                    (known for known in self._kept if known % span == entry.lsb), default=None
                )
            else:
                referred = poc - poc % span - entry.cycles * span + entry.lsb
            if referred is None and entry.used:
                raise DataError(
                    f"picture {poc} of the HEVC stream refers to a long-term picture that is not "
                    "there; encode it again"
                )
            if referred is not None:
                kept.add(referred)
                if entry.used:
                    long_term.append(referred)
        return before, after, long_term, kept

    def _look_up(self, poc: int, slices: list[Slice]) -> None:
        for item in slices:
            for reference in (*item.lists[0], *item.lists[1]):
                if reference not in self._kept:
                    raise DataError(
                        f"picture {poc} of the HEVC stream refers to picture {reference}, which "
                        "the stream does not hold: it is cut or broken; encode it again"
                    )


def _reference_lists(
    segment: SliceSegment, before: list[int], after: list[int], long_term: list[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The reference lists (8.3.4): near ones first, earlier ones first in list 0, later ones in
    list 1; then as modified."""
    result = []
    orders = ((*before, *after, *long_term), (*after, *before, *long_term))
    for initial, length, entries in zip(orders, segment.active, segment.entries, strict=True):
        chosen = (
            entries
            if entries is not None
            else tuple(index % max(1, len(initial)) for index in range(length))
        )
        result.append(tuple(initial[index] for index in chosen))
    return result[0], result[1]
