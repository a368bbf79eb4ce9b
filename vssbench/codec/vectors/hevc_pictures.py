"""The pictures of an HEVC stream: their slices, order and reference lists, by access unit."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from vssbench.codec.vectors.hevc_headers import (
    BLA,
    CRA,
    END_OF_BITSTREAM,
    END_OF_SEQUENCE,
    IDR,
    IRAP,
    PPS,
    RADL,
    RASL,
    SLICES,
    SPS,
    SequenceParameters,
    nal_header,
)
from vssbench.codec.vectors.hevc_slices import SLICE_TYPES, ParameterSets, SliceSegment
from vssbench.core.errors import DataError


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
        """Return the picture that an access unit codes. Raises DataError."""
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
            self._sequence, poc, kind, next(letter for letter in SLICE_TYPES if letter in types),
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
        """Return the reference picture set (8.3.2): used before, used after, used long-term, and
        all that are kept."""
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
    """Return the reference lists (8.3.4): near ones first, earlier ones first in list 0, later ones
    in list 1; then as modified."""
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
