"""AV1's frame headers (AV1 specification 5.9): which earlier picture each reference is.

Only what that takes is read: up to the reference lists and the frame's size. The eight reference
slots are kept as the decoder keeps them (7.20, 7.21).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from vssbench.codec.vectors.av1_sequence import (
    BY_FRAME,
    Bits,
    SequenceHeader,
    sequence_header,
    units,
)
from vssbench.core.errors import DataError
from vssbench.core.motion import NONE

#: reference slots, and the references that a picture names: LAST, LAST2, LAST3, GOLDEN, BWDREF,
#: ALTREF2, ALTREF
SLOTS, REFERENCES = 8, 7
_LAST, _LAST2, _LAST3, _GOLDEN, _BWDREF, _ALTREF2, _ALTREF = range(REFERENCES)
_ALL_SLOTS = (1 << SLOTS) - 1
#: types of OBUs (6.2.2)
_SEQUENCE_HEADER, _FRAME_HEADER, _FRAME = 1, 3, 6
#: more than any frame header holds before the fields that are read here
_LONGEST_HEADER = 512
#: of the configuration record that containers keep: its first byte, and where its OBUs begin
_RECORD_MARK, _RECORD_HEAD = 0x81, 4


class FrameType(IntEnum):
    """The type of a frame (6.8.2)."""

    KEY = 0
    INTER = 1
    INTRA_ONLY = 2
    SWITCH = 3


@dataclass(eq=False)
class Picture:
    """A coded picture; two are the same only if they are one object.

    ``references`` are the pictures that LAST to ALTREF name (None: nothing was in that slot), empty
    in an intra picture. ``refreshed`` holds a bit for each slot that keeps it. ``width`` and
    ``height`` are in pixels after super-resolution. ``display`` is its index in display order, NONE
    while it is hidden.
    """

    kind: FrameType
    order_hint: int
    refreshed: int
    width: int
    height: int
    superres: bool = False
    references: tuple[Picture | None, ...] = ()
    showable: bool = False
    display: int = NONE

    @property
    def intra(self) -> bool:
        """Whether it refers to no other picture."""
        return self.kind in (FrameType.KEY, FrameType.INTRA_ONLY)


def relative_distance(first: int, second: int, order_hint_bits: int) -> int:
    """Return by how many frames ``first`` is displayed after ``second`` (5.9.3), given order hints
    of so many bits."""
    if not order_hint_bits:
        return 0
    half = 1 << (order_hint_bits - 1)
    difference = first - second
    return (difference & (half - 1)) - (difference & half)


def short_references(
    last: int, golden: int, hints: Sequence[int], order_hint: int, order_hint_bits: int
) -> list[int]:
    """Return the slots of all seven references where only LAST's and GOLDEN's are sent (7.8).

    ``hints`` are the order hints of the eight slots.
    """
    distance = [relative_distance(hint, order_hint, order_hint_bits) for hint in hints]
    slots = {_LAST: last, _GOLDEN: golden}
    # in display order; of equals the last slot counts as the latest, the first as the earliest
    ordered = sorted(range(SLOTS), key=distance.__getitem__)
    later, earlier = (
        [slot for slot in ordered if slot not in (last, golden) and (distance[slot] >= 0) == after]
        for after in (True, False)
    )
    for name, which in ((_ALTREF, -1), (_BWDREF, 0), (_ALTREF2, 0)):
        if later:
            slots[name] = later.pop(which)
    for name in (_LAST2, _LAST3, _BWDREF, _ALTREF2, _ALTREF):
        if name not in slots and earlier:
            slots[name] = earlier.pop()
    return [slots.get(name, ordered[0]) for name in range(REFERENCES)]


class Follower:
    """Follows a stream packet by packet: what each shows, and what lies in the reference slots."""

    def __init__(self, configuration: bytes | None = None) -> None:
        """``configuration`` is the container's record for the decoder, which may hold the sequence
        header. Raises DataError."""
        self.slots: list[Picture | None] = [None] * SLOTS
        self.shown = 0
        self.sequence: SequenceHeader | None = None
        if configuration and configuration[0] == _RECORD_MARK:
            self.packet(configuration[_RECORD_HEAD:])

    def packet(self, data: bytes) -> list[Picture]:
        """Take a packet; returns the pictures that it shows, which have their display index now.
        Raises DataError."""
        shown: list[Picture] = []
        for kind, temporal, spatial, content in units(data):
            if kind == _SEQUENCE_HEADER:
                self.sequence = sequence_header(content)
            elif kind in (_FRAME_HEADER, _FRAME):
                if spatial:
                    raise DataError(
                        "the AV1 stream has spatial layers: expected one picture size; encode it "
                        "without layers"
                    )
                picture = self._frame(Bits(content[:_LONGEST_HEADER]), temporal)
                if picture is not None:
                    shown.append(picture)
        return shown

    def _frame(self, bits: Bits, temporal: int) -> Picture | None:
        """Read a frame header (5.9.2); return the picture, if it is shown."""
        sequence = self.sequence
        if sequence is None:
            raise DataError(
                "the AV1 stream begins without a sequence header: it is cut or broken; encode it "
                "again"
            )
        if not sequence.reduced and bits.flag():
            return self._existing(bits, sequence)
        shown = resilient = True
        kind, showable = FrameType.KEY, False
        if not sequence.reduced:
            kind, shown = FrameType(bits.number(2)), bits.flag()
            if shown:
                _presentation_time(bits, sequence)
                showable = kind != FrameType.KEY
            else:
                showable = bits.flag()
            resilient = kind == FrameType.SWITCH or (kind == FrameType.KEY and shown) or bits.flag()
        if kind == FrameType.KEY and shown:
            self.slots = [None] * SLOTS
        picture = self._coded(bits, sequence, kind, shown, resilient, temporal)
        picture.showable = showable
        self.slots = [
            picture if picture.refreshed >> slot & 1 else held
            for slot, held in enumerate(self.slots)
        ]
        return self._show(picture) if shown else None

    def _existing(self, bits: Bits, sequence: SequenceHeader) -> Picture:
        """Show a picture that was coded before; a keyframe then fills all slots (7.21)."""
        slot = bits.number(3)
        picture = self.slots[slot]
        if picture is None or not picture.showable:
            raise DataError(
                f"the AV1 stream shows slot {slot}, which holds no hidden picture: the stream is "
                "broken; encode it again"
            )
        _presentation_time(bits, sequence)
        if picture.kind == FrameType.KEY:
            picture.refreshed, picture.showable = _ALL_SLOTS, False
            self.slots = [picture] * SLOTS
        return self._show(picture)

    def _show(self, picture: Picture) -> Picture:
        if picture.display != NONE:
            raise DataError(
                f"the AV1 stream shows its frame {picture.display} again: expected every picture "
                "once"
            )
        picture.display = self.shown
        self.shown += 1
        return picture

    def _coded(
        self,
        bits: Bits,
        sequence: SequenceHeader,
        kind: FrameType,
        shown: bool,
        resilient: bool,
        temporal: int,
    ) -> Picture:
        """Read the rest of a frame header, from ``disable_cdf_update`` to the frame's size."""
        intra = kind in (FrameType.KEY, FrameType.INTRA_ONLY)
        bits.flag()
        screen_content = (
            bits.number(1) if sequence.screen_content == BY_FRAME else sequence.screen_content
        )
        if screen_content and sequence.integer_vectors == BY_FRAME:
            bits.flag()
        bits.number(sequence.frame_id_bits)
        own_size = kind == FrameType.SWITCH or (not sequence.reduced and bits.flag())
        order_hint = bits.number(sequence.order_hint_bits)
        if not (intra or resilient):
            bits.number(3)  # the picture whose probabilities are taken over
        if sequence.decoder_model and bits.flag():
            _removal_times(bits, sequence, temporal)
        everywhere = kind == FrameType.SWITCH or (kind == FrameType.KEY and shown)
        refreshed = _ALL_SLOTS if everywhere else bits.number(SLOTS)
        if (not intra or refreshed != _ALL_SLOTS) and resilient and sequence.order_hint_bits:
            self._check_slots(bits, sequence)
        if intra:
            return Picture(kind, order_hint, refreshed, *_size(bits, sequence, own_size))
        references = self._references(bits, sequence, order_hint)
        size = (
            _size_of_reference(bits, sequence, references) if own_size and not resilient else None
        )
        width, height, superres = size or _size(bits, sequence, own_size)
        return Picture(kind, order_hint, refreshed, width, height, superres, references)

    def _check_slots(self, bits: Bits, sequence: SequenceHeader) -> None:
        """Check the slots against the encoder's own account of them.

        A slot that holds another picture here is lost.
        """
        for slot, held in enumerate(self.slots):
            if bits.number(sequence.order_hint_bits) != (held.order_hint if held else None):
                self.slots[slot] = None

    def _references(
        self, bits: Bits, sequence: SequenceHeader, order_hint: int
    ) -> tuple[Picture | None, ...]:
        """Return the pictures that LAST to ALTREF name."""
        short = sequence.order_hint_bits > 0 and bits.flag()
        chosen: list[int] = []
        if short:
            last, golden = bits.number(3), bits.number(3)
            hints = [held.order_hint for held in self.slots if held is not None]
            if len(hints) < SLOTS:
                raise DataError(
                    "an AV1 picture rests on reference slots that are empty: the stream is cut or "
                    "broken; encode it again"
                )
            chosen = short_references(last, golden, hints, order_hint, sequence.order_hint_bits)
        for _ in range(REFERENCES):
            if not short:
                chosen.append(bits.number(3))
            bits.number(sequence.delta_frame_id_bits)
        return tuple(self.slots[slot] for slot in chosen)


def _presentation_time(bits: Bits, sequence: SequenceHeader) -> None:
    if sequence.decoder_model and not sequence.equal_interval:
        bits.number(sequence.presentation_time_bits)


def _removal_times(bits: Bits, sequence: SequenceHeader, temporal: int) -> None:
    for point in sequence.points:
        # bits 0 to 7 are the temporal layers, 8 to 11 the spatial ones, of which only the first is
        # let in
        if point.timed and (
            not point.layers or (point.layers >> temporal & 1 and point.layers >> 8 & 1)
        ):
            bits.number(sequence.removal_time_bits)


def _size(bits: Bits, sequence: SequenceHeader, own_size: bool) -> tuple[int, int, bool]:
    """Read width, height and super-resolution of a frame (5.9.5, 5.9.8)."""
    width, height = sequence.width, sequence.height
    if own_size:
        width, height = bits.number(sequence.width_bits) + 1, bits.number(sequence.height_bits) + 1
    return width, height, sequence.superres and bits.flag()


def _size_of_reference(
    bits: Bits, sequence: SequenceHeader, references: Sequence[Picture | None]
) -> tuple[int, int, bool] | None:
    """Read a frame's size where it is that of a reference (5.9.7); None where it is of none."""
    for picture in references:
        if bits.flag():
            if picture is None:
                raise DataError(
                    "an AV1 picture takes its size from an empty slot: the stream is cut or "
                    "broken; encode it again"
                )
            return picture.width, picture.height, sequence.superres and bits.flag()
    return None
