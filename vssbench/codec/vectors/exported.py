"""Motion vectors that FFmpeg's own decoders export: H.264, MPEG-4 part 2 and MPEG-2."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import av
import numpy as np
import numpy.typing as npt
from av.sidedata.sidedata import SideDataContainer

from vssbench import native
from vssbench.codec.vectors.reader import BlockVectors, VectorReader
from vssbench.core.motion import NONE, References, Vectors, grid_shape
from vssbench.native.video import VideoKernels

#: side of a macroblock in pixels: decoders report blocks up to the last, perhaps partly hidden,
#: macroblock
MACROBLOCK = 16
#: a decoder's vector, AVMotionVector of FFmpeg's libavutil/motion_vector.h
RECORD = np.dtype(
    [
        ("source", np.int32), ("w", np.uint8), ("h", np.uint8), ("src_x", np.int16), ("src_y",
        np.int16), ("dst_x", np.int16),
        ("dst_y", np.int16), ("flags", np.uint64), ("motion_x", np.int32), ("motion_y", np.int32),
        ("motion_scale", np.uint16),
    ],
    align=True,
)  # fmt: skip
_B, _I = 3, 1

Records = npt.NDArray[Any]


class ExportedVectors(VectorReader):
    """The side data of each picture. It says past or future, not which picture: the anchors (I and
    P) on either side.

    So the stream must have one reference a direction and B-frames that nothing refers to.
    """

    frame_threads = True

    def __init__(self, height: int, width: int, cell: int) -> None:
        super().__init__(height, width, cell)
        self._anchor = NONE
        self._between: list[tuple[int, Records]] = []

    def prepare(self, context: av.VideoCodecContext) -> None:
        """See VectorReader."""
        # frame threads lose vectors of reordered pictures
        context.thread_type = "SLICE"
        context.options = {**context.options, "flags2": "+export_mvs"}

    def picture(
        self, index: int, picture: av.VideoFrame, context: av.VideoCodecContext
    ) -> Iterator[tuple[int, BlockVectors]]:
        """See VectorReader."""
        kind, exported = int(picture.pict_type), records(picture)
        if kind == _B:
            # a copy: the side data would keep the picture from being used again
            self._between.append((index, exported.copy()))
            return
        before, self._anchor = self._anchor, index
        waiting, self._between = self._between, []
        for number, its in waiting:
            yield number, self._blocks(its, before, index)
        past = NONE if kind == _I else before
        yield (
            index,
            BlockVectors(*rasterise(exported, self.height, self.width, self.cell, [past]), past),
        )

    def finish(self) -> Iterator[tuple[int, BlockVectors]]:
        """See VectorReader: B-frames at the very end can only refer to the past."""
        for number, its in self._between:
            yield number, self._blocks(its, self._anchor, NONE)

    def _blocks(self, exported: Records, before: int, after: int) -> BlockVectors:
        """Return the block vectors of a B-frame. With ``after`` NONE there is no future picture."""
        vectors, references = rasterise(
            exported, self.height, self.width, self.cell, [before, after]
        )
        layers = 1 if after == NONE else 2
        return BlockVectors(vectors[:layers], references[:layers], before)


def records(picture: av.VideoFrame) -> Records:
    """Return a decoder's vectors of a picture, none where it gives none; they lie in the picture's
    own memory."""
    # not picture.side_data, which the picture keeps: the two would hold each other, and the memory
    # of many pictures with them
    side: Any = SideDataContainer(picture).get("MOTION_VECTORS")  # type: ignore[call-arg]
    return np.zeros(0, RECORD) if side is None else np.frombuffer(side, RECORD)


def rasterise(
    exported: Records, height: int, width: int, cell: int, names: Sequence[int]
) -> tuple[Vectors, References]:
    """Return a decoder's block vectors on the grid: vectors (L, gh, gw, 2) and references (L, gh,
    gw).

    ``names`` are the past picture and, where L is 2, the future one; a reference is one of them
    where a cell has the vector. H.264 blocks are 16x16, 16x8, 8x16 or 8x8 pixels; smaller ones are
    reported as 8x8.
    """
    kernels = native.video_kernels()
    if kernels is None:
        return plain_rasterise(exported, height, width, cell, names)
    return kernels.rasterise(exported, grid_shape(height, width, cell), cell, names)


def plain_rasterise(
    exported: Records, height: int, width: int, cell: int, names: Sequence[int]
) -> tuple[Vectors, References]:
    """Run :func:`rasterise` in numpy."""
    future = exported["source"] >= 0
    layers = [
        _scatter(exported[future == layer], height, width, cell) for layer in range(len(names))
    ]
    vectors, valid = np.stack([its[0] for its in layers]), np.stack([its[1] for its in layers])
    if len(names) == 2:
        # FFmpeg lists both directions for every part of a macroblock whose parts use one each: the
        # one unused is zero
        moves = np.hypot(vectors[..., 0], vectors[..., 1]) > 0
        valid &= ~(valid[::-1] & ~moves & moves[::-1])
    return vectors, np.where(valid, np.array(names, np.int32)[:, None, None], np.int32(NONE))


def _scatter(
    exported: Records, height: int, width: int, cell: int
) -> tuple[Vectors, npt.NDArray[np.bool_]]:
    """Return the vectors of one direction and their cells."""
    rows, columns = grid_shape(height, width, cell)
    # whole macroblocks, so that no block reaches outside and none needs clipping
    padded_rows, padded_columns = (
        -(-side // MACROBLOCK) * (MACROBLOCK // cell) for side in (height, width)
    )
    grid = np.zeros((padded_rows * padded_columns, 2), np.float32)
    valid = np.zeros(padded_rows * padded_columns, np.bool_)
    # src is cut to whole pixels: only motion / scale keeps the fractions
    motion = np.stack([exported["motion_x"], exported["motion_y"]], -1).astype(np.float32)
    motion /= exported["motion_scale"].astype(np.float32)[:, None]
    block_width, block_height = exported["w"].astype(np.int32), exported["h"].astype(np.int32)
    # dst is the block's centre
    left = (exported["dst_x"] - block_width // 2) // cell
    top = (exported["dst_y"] - block_height // 2) // cell
    corner = top * padded_columns + left
    shape = block_height * 256 + block_width
    for code in np.unique(shape):
        same = shape == code
        first, value = corner[same], motion[same]
        for row in range(max(1, int(code) // 256 // cell)):
            for column in range(max(1, int(code) % 256 // cell)):
                target = first + (row * padded_columns + column)
                grid[target] = value
                valid[target] = True
    return (
        grid.reshape(padded_rows, padded_columns, 2)[:rows, :columns],
        valid.reshape(padded_rows, padded_columns)[:rows, :columns],
    )


@native.check_video_with
def _cases(kernels: VideoKernels) -> Iterator[tuple[str, npt.NDArray[Any], npt.NDArray[Any]]]:
    height, width, cell, names = 36, 52, 8, [3, 5]
    rng = np.random.default_rng(0)
    given = np.zeros(20, RECORD)
    given["source"] = rng.choice([-1, 1], 20)
    given["w"], given["h"], given["motion_scale"] = 16, 8, 4
    given["dst_x"] = 8 + 16 * rng.integers(0, 3, 20)
    given["dst_y"] = 4 + 8 * rng.integers(0, 4, 20)
    given["motion_x"], given["motion_y"] = rng.integers(-99, 99, (2, 20))
    vectors, references = kernels.rasterise(given, grid_shape(height, width, cell), cell, names)
    plain_vectors, plain_references = plain_rasterise(given, height, width, cell, names)
    yield "rasterised vectors", vectors, plain_vectors
    yield "rasterised references", references, plain_references
