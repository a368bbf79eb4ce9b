"""Motion vectors of AV1, out of the memory of dav1d.

For the prediction of vectors in later pictures (AV1 specification 7.9, 7.19) a decoder keeps one
vector and the name of its reference for each 8x8 pixels of a picture, beside the picture in its
reference slot. dav1d keeps them in this form, and they are read from there: eighths of a pixel; of
a compound block the second vector, of smaller blocks the one at the bottom right; only vectors into
earlier pictures, and only those below 512 pixels in both directions. Other cells count as intra.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import av
import numpy as np
import numpy.typing as npt

from vssbench.codec.vectors import memory
from vssbench.codec.vectors.av1_headers import SLOTS, Follower, Picture
from vssbench.codec.vectors.reader import BlockVectors, VectorReader, no_vectors
from vssbench.core.errors import MotionUnavailable
from vssbench.core.motion import NONE, References, grid_shape

#: side of the cells that a decoder keeps, and of the largest superblock, to which it rounds up
_CELL, _SUPERBLOCK = 8, 128
#: a cell: the vector in eighths of a pixel and its reference, 0 for none, 1 to 7 for LAST to ALTREF
_BLOCK = np.dtype([("y", "<i2"), ("x", "<i2"), ("reference", "u1")])
_UNITS_PER_PIXEL = 8
#: a decoder keeps only vectors below this, in eighths of a pixel (7.19)
_LIMIT = 1 << 12
#: after a picture's size: 4:2:0, 8 bits
_FORMAT = np.uint64(8 << 32 | 1)
_PIXEL_FORMAT = "yuv420p"
#: words of the wrapper's state in which dav1d's own is looked for, and words of that in which the
#: slots are
_WRAPPER_WORDS, _STATE_WORDS = 8, 1 << 15
#: a slot holds a picture, two counted references and seven order hints: far fewer words than this
_LARGEST_SLOT = 512
#: words before a picture's size in which the address of its luma stands
_PICTURE_HEAD = 16
#: words before a buffer in which its size may stand
_BUFFER_HEAD = 8
_Words = npt.NDArray[np.uint64]
_Number = TypeVar("_Number", np.float32, np.int32)


class _Mismatch(Exception):
    """Memory that does not hold what it would if it were what it is taken for."""


@dataclass(frozen=True)
class _Slots:
    """Where the reference slots lie: the address of what stands before the first picture's size,
    words from one slot to the next, and words from a picture's size to the reference to its
    vectors."""

    address: int
    stride: int
    vectors: int

    @property
    def count(self) -> int:
        """Number of words from the slots' beginning to the last slot's vectors."""
        return _PICTURE_HEAD + (SLOTS - 1) * self.stride + self.vectors + 1

    def position(self, slot: int) -> int:
        """Return the position of a picture's size among these words."""
        return _PICTURE_HEAD + slot * self.stride


class Dav1dVectors(VectorReader):
    """One vector a cell, each into the picture that its reference is; one thread, so that a picture
    is complete when it comes.

    Nothing is known of where dav1d keeps what: the eight slots are found by the pictures' size in
    them, the vectors by the size of their buffer, and each time it is checked that the slots hold
    the pictures that the headers put there.
    """

    decoder = "libdav1d"
    private = True

    def __init__(self, height: int, width: int, cell: int) -> None:
        super().__init__(height, width, cell)
        self._headers = Follower()
        self._shown: deque[Picture] = deque()
        self._slots: _Slots | None = None
        self._planes: dict[Picture, int] = {}

    @classmethod
    def check(cls) -> str:
        """See VectorReader."""
        try:
            av.codec.Codec(cls.decoder, "r")
        except av.codec.codec.UnknownCodecError as error:
            raise MotionUnavailable(
                "AV1's vectors are read from the decoder dav1d, which this build of PyAV "
                f"({av.__version__}) lacks: install the wheel, pip install av, or use "
                "motion=estimated"
            ) from error
        return f"dav1d's memory in PyAV {av.__version__}"

    def prepare(self, context: av.VideoCodecContext) -> None:
        """See VectorReader."""
        context.thread_count = 1
        context.options = {**context.options, "max_frame_delay": "1"}
        self._headers = Follower(context.extradata)

    def packet(self, packet: av.Packet) -> None:
        """See VectorReader."""
        self._shown.extend(self._headers.packet(bytes(packet)))

    def picture(
        self, index: int, picture: av.VideoFrame, context: av.VideoCodecContext
    ) -> Iterator[tuple[int, BlockVectors]]:
        """See VectorReader."""
        if len(self._shown) != 1 or self._shown[0].display != index:
            raise MotionUnavailable(
                f"the decoder gave frame {index} when {len(self._shown)} frames were due: its "
                "memory does not hold that frame's vectors; use motion=estimated"
            )
        coded = self._shown.popleft()
        self._check(index, coded, picture)
        held = set(self._headers.slots)
        self._planes = {known: address for known, address in self._planes.items() if known in held}
        self._planes[coded] = picture.planes[0].buffer_ptr
        if coded.intra:
            past = NONE if picture.key_frame else index - 1
            yield index, no_vectors(self.height, self.width, self.cell, past)
            return
        try:
            yield index, self._read(index, coded, memory.private_data(context))
        except (_Mismatch, memory.Unreadable) as error:
            raise MotionUnavailable(
                f"the vectors of frame {index} were not found in the memory of dav1d in PyAV "
                f"{av.__version__}: {error}; use motion=estimated, or the version of PyAV in "
                "constraints.txt"
            ) from error

    def close(self) -> None:
        """See VectorReader."""
        self._shown.clear()
        self._planes.clear()
        self._slots = None

    def _check(self, index: int, coded: Picture, picture: av.VideoFrame) -> None:
        """Refuse a picture whose vectors dav1d keeps otherwise than it is read here."""
        sequence = self._headers.sequence
        reason = ""
        if (coded.width, coded.height) != (picture.width, picture.height):
            reason = (
                f"is {picture.width}x{picture.height}, its header says {coded.width}x{coded.height}"
            )
        elif picture.format.name != _PIXEL_FORMAT:
            reason = f"is {picture.format.name}, expected {_PIXEL_FORMAT}"
        elif coded.superres:
            reason = "is coded at a lower width than it is shown at"
        elif sequence is None or not sequence.order_hint_bits:
            reason = "has no order hints, without which the decoder keeps no vectors"
        elif any(
            other is not None and (other.width, other.height) != (coded.width, coded.height)
            for other in coded.references
        ):
            reason = "refers to pictures of another size"
        if reason:
            raise MotionUnavailable(
                f"the vectors of AV1 frame {index} cannot be read, since it {reason}; use "
                "motion=estimated"
            )

    def _read(self, index: int, coded: Picture, wrapper: int) -> BlockVectors:
        kept = [slot for slot, held in enumerate(self._headers.slots) if held is coded]
        if not kept:
            raise _Mismatch("no later picture refers to it, and the decoder lets them go")
        if self._slots is None:
            self._slots = _find(wrapper, self._headers.slots, self._planes)
        slots = self._slots
        words = memory.words(slots.address, slots.count)
        _verify(words, slots, self._headers.slots, self._planes)
        rows, columns = _stored_shape(coded)
        address = memory.pointer(int(words[slots.position(kept[0]) + slots.vectors]))
        return self._blocks(index, coded, memory.array(address, (rows, columns), _BLOCK))

    def _blocks(self, index: int, coded: Picture, stored: npt.NDArray[np.void]) -> BlockVectors:
        rows, columns = grid_shape(self.height, self.width, _CELL)
        stored = stored[:rows, :columns]
        names = stored["reference"]
        vectors = np.stack([stored["x"], stored["y"]], -1).astype(np.float32)
        if np.abs(vectors).max() >= _LIMIT:
            raise _Mismatch("what was found holds vectors beyond those that AV1 keeps")
        displayed = [
            NONE,
            *(NONE if picture is None else picture.display for picture in coded.references),
        ]
        used = np.unique(names)
        for name in used[used != 0]:
            if name >= len(displayed):
                raise _Mismatch(
                    f"what was found names a reference {name}, expected 1 to {len(displayed) - 1}"
                )
            if not NONE < displayed[name] < index:
                raise _Mismatch(f"its reference {name} is not an earlier picture that was shown")
        references: References = np.array(displayed, np.int32)[names]
        past = max((display for display in displayed if display < index), default=NONE)
        if past == NONE:
            raise _Mismatch("it refers to no earlier picture that was shown")
        vectors *= (references != NONE)[..., None] / np.float32(_UNITS_PER_PIXEL)
        return BlockVectors(self._refined(vectors)[None], self._refined(references)[None], past)

    def _refined(self, grid: npt.NDArray[_Number]) -> npt.NDArray[_Number]:
        """Spread the grid of 8x8 pixels over the cells that were asked for."""
        parts = _CELL // self.cell
        if parts == 1:
            return grid
        rows, columns = grid_shape(self.height, self.width, self.cell)
        return np.repeat(np.repeat(grid, parts, 0), parts, 1)[:rows, :columns]


def _stored_shape(picture: Picture) -> tuple[int, int]:
    """Return rows and columns of the buffer of a picture's vectors.

    It holds whole superblocks of the largest kind.
    """
    per_superblock = _SUPERBLOCK // _CELL
    rows, columns = grid_shape(picture.height, picture.width, _SUPERBLOCK)
    return rows * per_superblock, columns * per_superblock


def _find(wrapper: int, held: list[Picture | None], planes: dict[Picture, int]) -> _Slots:
    """Find the slots in dav1d's state, which one of the wrapper's first words points to.

    Raises _Mismatch.

    The nearest that fit are taken: behind the state, memory may still hold a state that was let go.
    """
    first = held[0]
    if first is None or any(picture is None for picture in held):
        raise _Mismatch("a reference slot is empty, so that the slots cannot be told apart")
    for state in map(int, memory.words(wrapper, _WRAPPER_WORDS)):
        if not state or state % memory.WORD:
            continue
        words = memory.words(state, _STATE_WORDS)
        for start, stride in _rows_of_pictures(words, first):
            fits = []
            for offset in range(1, stride):
                slots = _Slots(state + start * memory.WORD, stride, offset)
                try:
                    _verify(words[start : start + slots.count], slots, held, planes)
                except (_Mismatch, memory.Unreadable):
                    continue
                fits.append(slots)
            if len(fits) > 1:
                raise _Mismatch(f"{len(fits)} places fit, expected one")
            if fits:
                return fits[0]
    raise _Mismatch("nothing there is laid out as expected")


def _rows_of_pictures(words: _Words, picture: Picture) -> Iterator[tuple[int, int]]:
    """Yield where eight pictures of that size stand at equal distances: where the first begins and
    the distance, in words."""
    sizes = words == np.uint64(picture.height << 32 | picture.width)
    hits = [
        int(hit)
        for hit in np.flatnonzero(sizes[:-1] & (words[1:] == _FORMAT))
        if hit >= _PICTURE_HEAD
    ]
    there = set(hits)
    for start in hits:
        for stride in (other - start for other in hits if 0 < other - start <= _LARGEST_SLOT):
            if all(start + slot * stride in there for slot in range(SLOTS)):
                yield start - _PICTURE_HEAD, stride


def _verify(
    words: _Words, slots: _Slots, held: list[Picture | None], planes: dict[Picture, int]
) -> None:
    """Check that the slots hold what the headers put there: the pictures, by the addresses
    ``planes`` of the luma that came out and by their sizes; no vectors for an intra picture; for
    another those of the right size, the same for one picture, different for two. Raises _Mismatch
    or Unreadable."""
    if len(words) < slots.count:
        raise _Mismatch("the memory ends within the slots")
    vectors: dict[Picture, int] = {}
    for slot, picture in enumerate(held):
        if picture is None:
            continue
        position = slots.position(slot)
        if int(words[position]) != picture.height << 32 | picture.width:
            raise _Mismatch(f"slot {slot} does not hold a picture of the size that it should")
        if picture in planes and planes[picture] not in words[position - _PICTURE_HEAD : position]:
            raise _Mismatch(f"slot {slot} does not hold the picture that it should")
        value = int(words[position + slots.vectors])
        if picture.intra:
            if value:
                raise _Mismatch(f"slot {slot} holds vectors of an intra picture")
        elif vectors.setdefault(picture, value) != value:
            raise _Mismatch(f"slot {slot} holds the vectors of another picture")
    if len(set(vectors.values())) != len(vectors):
        raise _Mismatch("two pictures have the same vectors")
    for picture, reference in vectors.items():
        _verify_buffer(reference, picture)


def _verify_buffer(reference: int, picture: Picture) -> None:
    """Check that a counted reference is to a buffer of the size of the picture's vectors. Raises
    _Mismatch or Unreadable."""
    rows, columns = _stored_shape(picture)
    size = rows * columns * _BLOCK.itemsize
    if reference % memory.WORD or not reference:
        raise _Mismatch("a slot holds no address of vectors")
    buffer = memory.pointer(reference)
    # dav1d writes the count of references behind the buffer, or before it, together with the
    # buffer's size
    if reference - buffer != size and size not in memory.words(
        buffer - _BUFFER_HEAD * memory.WORD, _BUFFER_HEAD
    ):
        raise _Mismatch("a slot's vectors are not of the size that they should be")
