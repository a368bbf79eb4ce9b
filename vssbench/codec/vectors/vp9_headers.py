"""Headers of VP9: which earlier picture each of a picture's references is (VP9 bitstream
specification, version 0.6).

Only what stands in clear at the head of a frame is read: superframes (annex B) and the uncompressed
header (6.2) up to the references.
"""

from __future__ import annotations

from dataclasses import dataclass

from vssbench.core.errors import DataError

#: display index of a picture that has not been shown
HIDDEN = -1
#: reference frames that a decoder keeps, and how many of them a picture may use: LAST, GOLDEN and
#: ALTREF
SLOTS, NAMED = 8, 3

_MARKER = 0b10
_SYNC_CODE = 0x498342
_RGB = 7
_ALL_SLOTS = (1 << SLOTS) - 1


@dataclass(frozen=True)
class Header:
    """An uncompressed header. ``repeats`` is the slot of the picture that is shown again, None
    where a picture is coded; ``refreshed`` is a mask of the slots that it replaces, ``slots`` those
    of LAST, GOLDEN and ALTREF, none in an intra one."""

    profile: int
    repeats: int | None = None
    key: bool = False
    shown: bool = True
    refreshed: int = 0
    slots: tuple[int, ...] = ()


@dataclass(eq=False)
class Picture:
    """A coded picture: ``index`` in display order or HIDDEN; ``references``: LAST, GOLDEN and
    ALTREF, none in an intra one."""

    key: bool
    references: tuple[Picture, ...]
    index: int = HIDDEN


@dataclass(frozen=True)
class Showing:
    """A picture comes out of the decoder. ``again``: it had come out before. ``latest``: it is the
    last one that its packet codes, so that the decoder's state is still its own."""

    index: int
    picture: Picture
    again: bool
    latest: bool


class Stream:
    """Follows the frames of a stream in coded order, and keeps the decoder's slots as a decoder
    does."""

    def __init__(self) -> None:
        self._slots: list[Picture | None] = [None] * SLOTS
        self._shown = 0

    def packet(self, data: bytes) -> list[Showing]:
        """Return the pictures that come out after this packet, in display order. Raises DataError
        where its headers are broken."""
        showings = []
        latest: Picture | None = None
        for frame in split(data):
            header = parse(frame)
            if header.repeats is not None:
                picture = self._slot(header.repeats)
            else:
                picture = latest = self._code(header)
            if header.shown:
                showings.append((self._shown, picture, picture.index != HIDDEN))
                if picture.index == HIDDEN:
                    picture.index = self._shown
                self._shown += 1
        return [
            Showing(index, picture, again, picture is latest) for index, picture, again in showings
        ]

    def _code(self, header: Header) -> Picture:
        picture = Picture(header.key, tuple(self._slot(slot) for slot in header.slots))
        for slot in range(SLOTS):
            if header.refreshed >> slot & 1:
                self._slots[slot] = picture
        return picture

    def _slot(self, slot: int) -> Picture:
        picture = self._slots[slot]
        if picture is None:
            raise DataError(
                f"the VP9 frame after picture {self._shown - 1} uses slot {slot}, into which "
                "nothing was decoded: the stream does not begin with a keyframe, or is broken; "
                "encode it again"
            )
        return picture


def split(packet: bytes) -> list[bytes]:
    """Return the frames of a packet: several in a superframe (annex B), otherwise one. Raises
    DataError."""
    marker = packet[-1] if packet else 0
    if marker >> 5 != 0b110:
        return [packet]
    count, width = (marker & 7) + 1, (marker >> 3 & 3) + 1
    index = len(packet) - 2 - count * width
    if index < 0 or packet[index] != marker:
        return [packet]
    frames, start = [], 0
    for number in range(count):
        place = index + 1 + number * width
        size = int.from_bytes(packet[place : place + width], "little")
        if start + size > index:
            raise DataError(
                f"a VP9 superframe of {index} bytes lists a frame of {size} bytes at byte "
                f"{start}: it is broken; encode it again"
            )
        if size:
            frames.append(packet[start : start + size])
        start += size
    return frames


def parse(frame: bytes) -> Header:
    """Return the uncompressed header of one frame (6.2). Raises DataError where it cannot be
    one."""
    bits = _Bits(frame)
    if bits.take(2) != _MARKER:
        raise _broken("it does not begin with the frame marker")
    profile = bits.take(1) | bits.take(1) << 1
    if profile == 3 and bits.take(1):
        raise _broken("it is of a profile above 3, which the specification reserves")
    if bits.take(1):
        return Header(profile, repeats=bits.take(3))
    key, shown, resilient = not bits.take(1), bool(bits.take(1)), bits.take(1)
    if key:
        _sync_code(bits)
        return Header(profile, key=True, shown=shown, refreshed=_ALL_SLOTS)
    intra = not shown and bits.take(1)
    if not resilient:
        bits.take(2)  # reset_frame_context
    if intra:
        _sync_code(bits)
        if profile:  # profile 0 has one form alone and does not tell it
            _colours(bits, profile)
        return Header(profile, shown=shown, refreshed=bits.take(SLOTS))
    refreshed = bits.take(SLOTS)
    # each is followed by its sign bias, which matters to compound prediction alone
    slots = tuple(bits.take(4) >> 1 for _ in range(NAMED))
    return Header(profile, shown=shown, refreshed=refreshed, slots=slots)


def _sync_code(bits: _Bits) -> None:
    found = bits.take(24)
    if found != _SYNC_CODE:
        raise _broken(f"its sync code is {found:#08x}, expected {_SYNC_CODE:#08x}")


def _colours(bits: _Bits, profile: int) -> None:
    """Read color_config (6.2.2): bit depth, colour space, range and subsampling."""
    if profile >= 2:
        bits.take(1)  # 10 or 12 bits
    space = bits.take(3)
    if space != _RGB:
        bits.take(1)  # range
    elif profile == 2:
        raise _broken("it is RGB, which profile 2 does not allow")
    if profile & 1:
        if space != _RGB:
            bits.take(2)  # subsampling
        if bits.take(1):
            raise _broken("its colours are of a form that the specification reserves")


class _Bits:
    """Bits of a frame, the highest of each byte first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def take(self, count: int) -> int:
        end = self._place + count
        if end > 8 * len(self._data):
            raise _broken(f"it ends after {len(self._data)} bytes")
        first, last = self._place // 8, -(-end // 8)
        self._place = end
        return int.from_bytes(self._data[first:last], "big") >> (8 * last - end) & (
            (1 << count) - 1
        )


def _broken(reason: str) -> DataError:
    return DataError(
        f"the uncompressed header of a VP9 frame is broken: {reason}. The stream is damaged; "
        "encode it again"
    )
