"""Motion vectors, block grid and intra blocks drawn onto a frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw

from vssbench.core.motion import NONE, Grid, MotionField, PictureVectors, grid_shape
from vssbench.core.video import Frame

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)
INTRA: Colour = (230, 159, 0)
#: where a block is predicted from -> colour and words
REFERENCES: dict[str, tuple[Colour, str]] = {
    "previous": ((0, 90, 200), "previous frame"),
    "back": ((205, 50, 120), "further back"),
    "future": ((0, 135, 95), "later frame"),
    "keyframe": ((0, 90, 200), "keyframe"),
}
FIELDS = ("own", "keyframe")

#: share of white that takes the frame back behind its vectors, and weight of intra tint and grid
#: lines
TONE, TINT, LINE = 0.26, 0.45, 0.34
#: opacity of the white rim around arrows, of 255
RIM = 190
#: arrows are drawn so many times as large and brought down, which smooths their edges
_SMOOTH = 2
#: displayed pixels on a picture 960 wide: an arrow's thickness
THICKNESS = 1.6
#: displayed pixels: least spacing of blocks' arrows, and of those of a field that has a vector
#: everywhere; length that the 95th percentile of the vectors should not pass
SPACING, FIELD_SPACING, LONGEST = 15.0, 24.0, 30.0
#: how much longer than the motion arrows may be drawn
EXAGGERATIONS = (0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)
#: side of the largest blocks in pixels: HEVC's tree blocks, VP9's and AV1's superblocks
LARGEST = 64


@dataclass(frozen=True)
class Blocks:
    """A picture's blocks as rectangles of cells: ``ids`` (gh, gw) names each cell's block,
    ``boxes`` (N, 4) are top, left, bottom and right in cells, and ``ids`` counts along them."""

    ids: npt.NDArray[np.intp]
    boxes: npt.NDArray[np.intp]


def merge(blocks: PictureVectors, cell: int, side: int = LARGEST) -> Blocks:
    """Return cells joined to the blocks that a codec's quadtree could have coded: squares, and
    halves of squares, of equal vectors and references, as large as possible up to ``side`` pixels,
    a power of two; 0 joins nothing."""
    rows, columns = blocks.references.shape[1:]
    largest = max(1, side // cell)
    padding = ((0, 0), (0, -rows % largest), (0, -columns % largest))
    references = np.pad(blocks.references, padding, mode="edge")
    vectors = np.pad(blocks.vectors, (*padding, (0, 0)), mode="edge")
    height, width = references.shape[1:]
    ids = np.arange(height * width).reshape(height, width)
    uniform = np.ones((height, width), np.bool_)
    part = 1
    while part < largest:
        same = _Quads(vectors, references, uniform)
        across, down = same.pair(0, 1) & same.pair(2, 3), same.pair(0, 2) & same.pair(1, 3)
        whole = across & same.pair(0, 2)
        tiles = ids.reshape(
            height // (2 * part), 2 * part, width // (2 * part), 2 * part
        ).transpose(0, 2, 1, 3)
        for chosen, top, left in ((across, 1, 2), (down & ~across, 2, 1), (whole, 2, 2)):
            _join(tiles, chosen, part * top, part * left)
        vectors, references, uniform, part = (
            vectors[:, ::2, ::2],
            references[:, ::2, ::2],
            whole,
            2 * part,
        )
    return _boxes(ids[:rows, :columns])


@dataclass(frozen=True)
class _Quads:
    """Four neighbours: 0 1 above 2 3."""

    vectors: Grid
    references: npt.NDArray[np.int32]
    uniform: npt.NDArray[np.bool_]

    def pair(self, one: int, other: int) -> npt.NDArray[np.bool_]:
        """Return whether two of a block's four quarters are uniform and equal."""
        (a, b), (c, d) = ((slice(n // 2, None, 2), slice(n % 2, None, 2)) for n in (one, other))
        equal = (self.references[:, a, b] == self.references[:, c, d]).all(0)
        equal &= (self.vectors[:, a, b] == self.vectors[:, c, d]).all((0, -1))
        return np.asarray(equal & self.uniform[a, b] & self.uniform[c, d])


def _join(
    tiles: npt.NDArray[np.intp], chosen: npt.NDArray[np.bool_], height: int, width: int
) -> None:
    """Join every part of that height and width of the chosen tiles into one block."""
    parts = tiles[chosen]
    for top in range(0, parts.shape[1], height):
        for left in range(0, parts.shape[2], width):
            parts[:, top : top + height, left : left + width] = parts[
                :, top : top + 1, left : left + 1
            ]
    tiles[chosen] = parts


def _boxes(ids: npt.NDArray[np.intp]) -> Blocks:
    _, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    last = np.zeros_like(first)
    last[inverse.ravel()] = np.arange(ids.size)  # of equal places the last value stays
    columns = ids.shape[1]
    boxes = np.stack(
        [first // columns, first % columns, last // columns + 1, last % columns + 1], -1
    )
    return Blocks(inverse.reshape(ids.shape), boxes)


@dataclass(frozen=True)
class Overlay:
    """Draws frames at ``scale`` displayed pixels a pixel, arrows ``exaggeration`` times as long as
    the motion.

    ``field`` is ``own``, the vectors as the stream has them, or ``keyframe``, the field accumulated
    to the keyframe.
    """

    scale: float
    exaggeration: float = 1.0
    field: str = "own"
    #: side in pixels of the codec's largest blocks, 0 where there are none (the motion was
    #: estimated)
    largest: int = LARGEST

    @property
    def has_blocks(self) -> bool:
        """Whether arrows are those of a codec's blocks; else of a field that has a vector
        everywhere."""
        return self.field == "own" and self.largest > 0

    def size(self, height: int, width: int) -> tuple[int, int]:
        """Return the displayed (width, height)."""
        return round(width * self.scale), round(height * self.scale)

    def draw(self, frame: Frame) -> Pillow.Image:
        """Return the frame with its motion; as it is where it has none, a keyframe among them."""
        height, width = frame.image.shape[:2]
        picture = Pillow.fromarray(frame.image)
        if self.scale != 1:
            picture = picture.resize(self.size(height, width), Pillow.Resampling.BICUBIC)
        motion = frame.motion
        if motion is None or motion.blocks is None:
            return picture
        picture = Pillow.blend(picture, Pillow.new("RGB", picture.size, WHITE), TONE)
        merged = merge(motion.blocks, motion.cell, self.largest)
        rows, columns = (
            self._places(size, motion.cell) for size in (picture.height, picture.width)
        )
        intra = (motion.blocks.references == NONE).all(0)
        if intra.any():
            picture.paste(INTRA, mask=_mask(intra[rows][:, columns], TINT))
        if self.has_blocks:
            self._grid(picture, merged, rows, columns)
        for kind, tails, vectors in self.arrows(frame.index, motion, merged):
            self._arrows(picture, tails, vectors, REFERENCES[kind][0])
        return picture

    def arrows(
        self, index: int, motion: MotionField, merged: Blocks
    ) -> Iterator[tuple[str, npt.NDArray[np.float32], npt.NDArray[np.float32]]]:
        """Yield tails (N, 2) and vectors (N, 2), (x, y) in pixels, for every kind of REFERENCES
        that occurs."""
        assert motion.blocks is not None
        if self.field == "keyframe":
            rows, columns = np.indices(
                grid_shape(motion.height, motion.width, motion.cell)
            ).reshape(2, -1)
            boxes = np.stack([rows, columns, rows + 1, columns + 1], -1)
            chosen = self._spread(boxes, motion.cell)
            yield (
                "keyframe",
                _centres(boxes[chosen], motion),
                motion.grid[rows[chosen], columns[chosen]],
            )
            return
        top, left = merged.boxes[:, 0], merged.boxes[:, 1]
        for vectors, references in zip(
            motion.blocks.vectors, motion.blocks.references, strict=True
        ):
            for kind, there in kinds(index, references[top, left]).items():
                chosen = np.flatnonzero(there)
                if len(chosen):
                    chosen = chosen[self._spread(merged.boxes[chosen], motion.cell)]
                    yield (
                        kind,
                        _centres(merged.boxes[chosen], motion),
                        vectors[top[chosen], left[chosen]],
                    )

    def _spread(self, boxes: npt.NDArray[np.intp], cell: int) -> npt.NDArray[np.intp]:
        """Choose the blocks that get an arrow.

        Where blocks are smaller than the spacing of arrows, it is one for each tile of that size.
        """
        spacing = SPACING if self.has_blocks else FIELD_SPACING
        tile = max(1, round(spacing / (cell * self.scale)))
        names = (boxes[:, 0] // tile) << 32 | boxes[:, 1] // tile
        return np.unique(names, return_index=True)[1]

    def _places(self, size: int, cell: int) -> npt.NDArray[np.intp]:
        """Return the cell of each displayed row or column."""
        return (np.arange(size) / (self.scale * cell)).astype(np.intp)

    def _grid(
        self,
        picture: Pillow.Image,
        merged: Blocks,
        rows: npt.NDArray[np.intp],
        columns: npt.NDArray[np.intp],
    ) -> None:
        """Draw thin lines between blocks."""
        lines = np.zeros((len(rows), len(columns)), np.bool_)
        across = merged.ids[:, 1:] != merged.ids[:, :-1]
        down = merged.ids[1:] != merged.ids[:-1]
        at_column, at_row = np.flatnonzero(np.diff(columns)), np.flatnonzero(np.diff(rows))
        lines[:, at_column + 1] = across[:, columns[at_column]][rows]
        lines[at_row + 1] |= down[rows[at_row]][:, columns]
        picture.paste(WHITE, mask=_mask(lines, LINE))

    def _arrows(self, picture: Pillow.Image, tails: Any, vectors: Any, colour: Colour) -> None:
        """Draw arrows with a white rim, so that they stand out from any ground."""
        unit = max(1.0, picture.width / 960) * _SMOOTH
        place = np.asarray(tails, np.float64) * self.scale * _SMOOTH
        moved = np.asarray(vectors, np.float64) * self.scale * self.exaggeration * _SMOOTH
        for fill, rim in ((WHITE, 0.9 * unit), (colour, 0.0)):
            mask = Pillow.new("L", (picture.width * _SMOOTH, picture.height * _SMOOTH), 0)
            draw = ImageDraw.Draw(mask)
            for shape in (
                outlines(place, moved, THICKNESS * unit, rim).reshape(len(place), -1).tolist()
            ):
                draw.polygon(shape, fill=255 if rim == 0 else RIM)
            picture.paste(fill, mask=mask.reduce(_SMOOTH))


def outlines(
    tails: npt.NDArray[Any], vectors: npt.NDArray[Any], thickness: float, rim: float = 0.0
) -> npt.NDArray[np.float64]:
    """Return arrows as polygons (N, 8, 2) that end at ``tails + vectors``, grown by ``rim``; one
    shorter than it is thick is a dot."""
    length = np.hypot(vectors[:, 0], vectors[:, 1])
    along = np.divide(
        vectors,
        length[:, None],
        out=np.tile([1.0, 0.0], (len(vectors), 1)),
        where=length[:, None] > 0,
    )
    beside = along[:, ::-1] * [-1, 1]
    head = np.minimum(3.8 * thickness, 0.6 * length)
    neck, half, wide = (
        length - head - rim,
        thickness / 2 + rim,
        np.minimum(1.6 * thickness, 0.6 * head) + 1.6 * rim,
    )
    zero = np.zeros_like(length)
    forward = np.stack(
        [zero - rim, neck, neck, length + 1.6 * rim, length + 1.6 * rim, neck, neck, zero - rim], 1
    )
    aside = np.stack(
        [zero + half, zero + half, wide, zero, zero, -wide, zero - half, zero - half], 1
    )
    shapes = (
        tails[:, None] + forward[..., None] * along[:, None] + aside[..., None] * beside[:, None]
    )
    angles = np.arange(8) * np.pi / 4
    dots = tails[:, None] + (0.75 * thickness + rim) * np.stack(
        [np.cos(angles), np.sin(angles)], -1
    )
    return np.where((length < 2 * thickness)[:, None, None], dots, shapes)


def kinds(index: int, references: npt.NDArray[np.int32]) -> dict[str, npt.NDArray[np.bool_]]:
    """Return, for each kind of REFERENCES, which references of frame ``index`` are of it."""
    return {
        "previous": references == index - 1,
        "back": (references != NONE) & (references < index - 1),
        "future": references > index,
    }


def exaggeration(p95_length: float, scale: float) -> float:
    """Return the factor by which to lengthen arrows, so that nearly all stay readable.

    ``p95_length`` in pixels.
    """
    longest = LONGEST * max(1.0, scale)
    fitting = [value for value in EXAGGERATIONS if value * p95_length * scale <= longest]
    return fitting[-1] if fitting else EXAGGERATIONS[0]


def p95_length(motion: MotionField, field: str) -> float:
    """Return the 95th percentile of the lengths in pixels of the vectors that would be drawn; 0
    where there are none."""
    if motion.blocks is None:
        return 0.0
    vectors = (
        motion.grid
        if field == "keyframe"
        else motion.blocks.vectors[motion.blocks.references != NONE]
    )
    lengths = np.hypot(vectors[..., 0], vectors[..., 1])
    return float(np.percentile(lengths, 95)) if lengths.size else 0.0


def _centres(boxes: npt.NDArray[np.intp], motion: MotionField) -> npt.NDArray[np.float32]:
    """Return the middle of each box within the image, (x, y) in pixels."""
    bottom, right = (
        np.minimum(boxes[:, 2 + axis] * motion.cell, size)
        for axis, size in ((0, motion.height), (1, motion.width))
    )
    twice = np.stack([boxes[:, 1] * motion.cell + right, boxes[:, 0] * motion.cell + bottom], -1)
    return np.asarray(twice / 2, np.float32)


def _mask(chosen: npt.NDArray[np.bool_], weight: float) -> Pillow.Image:
    return Pillow.fromarray(np.where(chosen, np.uint8(round(255 * weight)), np.uint8(0)))
