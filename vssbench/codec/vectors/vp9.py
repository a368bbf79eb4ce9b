"""Motion vectors of VP9, read from the memory of FFmpeg's decoder, with their references from the
frame headers."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from vssbench.codec.vectors import memory
from vssbench.codec.vectors.reader import BlockVectors, VectorReader, no_vectors
from vssbench.codec.vectors.vp9_headers import HIDDEN, NAMED, Showing, Stream
from vssbench.core.errors import DataError, MotionUnavailable
from vssbench.core.motion import NONE, References, Vectors, grid_shape

#: side in pixels of a superblock, and of the blocks that the decoder keeps one record each for
SUPERBLOCK, BLOCK = 64, 8
PER_SUPERBLOCK = (SUPERBLOCK // BLOCK) ** 2
#: two vectors (x, y) in eighths of a pixel, the reference of each: 0 LAST, 1 GOLDEN, 2 ALTREF, -1
#: none
RECORD = np.dtype(
    {
        "names": ["mv", "ref"],
        "formats": [("<i2", (2, 2)), ("i1", 2)],
        "offsets": [0, 8],
        "itemsize": 12,
    }
)
UNITS = 8
#: vectors are shorter in each direction, in those units (assign_mv in the specification)
BOUND = 1 << 14
#: words of the decoder's state that are searched. It is larger; behind it lie other things, copies
#: of it among them
SEARCHED = 512
_ADVICE = "use motion=estimated, or the version of PyAV in constraints.txt"
_HIDDEN_ADVICE = (
    "encode without hidden pictures (auto-alt-ref=0, lag-in-frames=0), or use motion=estimated"
)


class Vp9Vectors(VectorReader):
    """The decoder's own record of each 8x8 block: what it predicted it from.

    The place of the records is found by their form, at the first keyframe, when the decoder holds
    those of one picture and no others; every picture is checked for it. Of a block that is divided
    further the last part's vector counts. Compound blocks give two vectors. Pictures that are shown
    later than they are decoded have vectors that nobody can see any more: they are refused.
    """

    decoder = "vp9"
    private = True

    def __init__(self, height: int, width: int, cell: int) -> None:
        super().__init__(height, width, cell)
        self._stream = Stream()
        self._showings: deque[Showing] = deque()
        self._place = NONE

    def prepare(self, context: av.VideoCodecContext) -> None:
        """See VectorReader."""
        # with threads the decoder's state is another picture's
        context.thread_type, context.thread_count = "NONE", 1

    def packet(self, packet: av.Packet) -> None:
        """See VectorReader."""
        self._showings.extend(self._stream.packet(bytes(packet)))

    def picture(
        self, index: int, picture: av.VideoFrame, context: av.VideoCodecContext
    ) -> Iterator[tuple[int, BlockVectors]]:
        """See VectorReader."""
        showing = self._showings.popleft() if self._showings else None
        if (
            showing is None
            or showing.index != index
            or showing.picture.key != bool(picture.key_frame)
        ):
            raise DataError(
                f"picture {index} of the VP9 stream is not the one that its headers tell of: it is "
                "broken; encode it again"
            )
        yield index, self._blocks(showing, picture, context)

    def _blocks(
        self, showing: Showing, picture: av.VideoFrame, context: av.VideoCodecContext
    ) -> BlockVectors:
        coded, index = showing.picture, showing.index
        if showing.again:
            return self._still(coded.index)
        if coded.references and not showing.latest:
            raise MotionUnavailable(
                f"picture {index} of the VP9 stream was decoded before it is shown, its vectors "
                f"are gone; {_HIDDEN_ADVICE}"
            )
        # nothing is to be read of an intra picture, but a keyframe is where the place is found
        records = self._records(coded.key, picture, context) if showing.latest else None
        if not coded.references or records is None:
            return no_vectors(self.height, self.width, self.cell, NONE if coded.key else index - 1)
        shown = [reference.index for reference in coded.references]
        rows, columns = grid_shape(self.height, self.width, BLOCK)
        vectors, references = resolve(index, records[:rows, :columns], shown)
        past = shown[0] if shown[0] != HIDDEN else index - 1
        return BlockVectors(self._cells(vectors), self._cells(references), past)

    def _records(
        self, key: bool, picture: av.VideoFrame, context: av.VideoCodecContext
    ) -> npt.NDArray[Any]:
        """Return the checked records of the picture just decoded.

        There is one for each 8x8 block that shows anything of it.
        """
        try:
            down, across = (-(-side // SUPERBLOCK) for side in (picture.height, picture.width))
            state = memory.private_data(context)
            places = find(memory.words(state, SEARCHED), PER_SUPERBLOCK * down * across)
            if self._place == NONE and len(places) == 1:
                (self._place,) = places
            if self._place not in places or (key and len(places) > 1):
                raise MotionUnavailable(
                    f"the motion vectors were found at {len(places)} places in the memory of "
                    f"FFmpeg's VP9 decoder, expected one that stays: PyAV {av.__version__} lays it "
                    f"out in another way; {_ADVICE}"
                )
            address = memory.pointer(state + (self._place + 2) * memory.WORD)
            per_side = SUPERBLOCK // BLOCK
            records = memory.array(address, (down * per_side, across * per_side), RECORD)
        except memory.Unreadable as error:
            raise MotionUnavailable(
                f"the motion vectors of FFmpeg's VP9 decoder cannot be read ({error}); {_ADVICE}"
            ) from error
        records = records[: -(-picture.height // BLOCK), : -(-picture.width // BLOCK)]
        check(records, key)
        return records

    def _cells(self, blocks: Any) -> Any:
        """Spread layers on the 8x8 grid (L, gh, gw, ...) over the grid of cells."""
        if self.cell == BLOCK:
            return blocks
        times = BLOCK // self.cell
        rows, columns = grid_shape(self.height, self.width, self.cell)
        return np.ascontiguousarray(blocks.repeat(times, 1).repeat(times, 2)[:, :rows, :columns])

    def _still(self, before: int) -> BlockVectors:
        """Return the vectors of a picture that is shown again.

        Nothing has moved since it was first.
        """
        shape = (1, *grid_shape(self.height, self.width, self.cell))
        vectors: Vectors = np.zeros((*shape, 2), np.float32)
        references: References = np.full(shape, before, np.int32)
        return BlockVectors(vectors, references, before)


def resolve(
    index: int, records: npt.NDArray[Any], shown: Sequence[int]
) -> tuple[Vectors, References]:
    """Return records (gh, gw) of picture ``index`` as vectors (L, gh, gw, 2) in pixels and
    references (L, gh, gw) by display index.

    ``shown`` are the display indices of LAST, GOLDEN and ALTREF. L is 2 where any block is
    predicted from two pictures. Raises MotionUnavailable where a block is predicted from a hidden
    picture.
    """
    layers = 2 if (records["ref"][..., 1] >= 0).any() else 1
    # the layers in front
    named = np.moveaxis(records["ref"][..., :layers], -1, 0)
    moves = np.moveaxis(records["mv"][..., :layers, :], -2, 0)
    if any(shown[number] == HIDDEN for number in np.unique(named) if number >= 0):
        raise MotionUnavailable(
            f"blocks of picture {index} of the VP9 stream are predicted from a picture that is not "
            f"shown before it; {_HIDDEN_ADVICE}"
        )
    vectors = np.where(named[..., None] >= 0, moves / np.float32(UNITS), np.float32(0))
    # the last entry is that of -1, no reference
    return vectors, np.array([*shown, NONE], np.int32)[named]


def find(words: npt.NDArray[np.uint64], blocks: int) -> list[int]:
    """Return where in the words a picture of that many 8x8 blocks is described: a pointer to its
    data, the same again, since the map of segments, a byte a block, is the first of these, and the
    pointer to the records, which come behind it."""
    here, again, behind = words[:-2], words[1:-1], words[2:]
    return [
        int(place)
        for place in np.nonzero((here != 0) & (here == again) & (behind - again == blocks))[0]
    ]


def check(records: npt.NDArray[Any], key: bool) -> None:
    """Raise MotionUnavailable where memory holds what no VP9 picture does; in a keyframe nothing
    refers to anything."""
    first, second = records["ref"][..., 0], records["ref"][..., 1]
    inter, compound = first >= 0, second >= 0
    impossible = (records["ref"] < NONE).any() or (records["ref"] >= NAMED).any()
    impossible |= (compound & (~inter | (first == second))).any() or (key and inter.any())
    lengths = np.abs(records["mv"].astype(np.int32)).max(-1)
    if impossible or (lengths >= BOUND)[np.stack([inter, compound], -1)].any():
        raise MotionUnavailable(
            f"what was found in the memory of FFmpeg's VP9 decoder (PyAV {av.__version__}) cannot "
            f"be motion vectors; {_ADVICE}"
        )
