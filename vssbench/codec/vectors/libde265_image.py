"""Memory of a picture that libde265 decoded: where its arrays lie, and its block vectors.

A ``de265_image`` holds, one after the other, arrays for coding tree blocks, coding blocks (3 bytes
each) and prediction blocks (12 bytes for each 4x4 pixels). Each begins with its data's address, its
length, the binary logarithm of its unit's side, and its columns and rows; these are known from the
stream, so that the arrays are found by them in any build.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vssbench.codec.vectors import memory
from vssbench.codec.vectors.hevc_headers import SequenceParameters
from vssbench.codec.vectors.hevc_pictures import Picture
from vssbench.core.errors import MotionUnavailable
from vssbench.core.motion import Vectors, grid_shape

#: binary logarithm of the side of the blocks that vectors are kept for
_LOG2_BLOCK = 2
#: vectors count quarter pixels
_UNIT = np.float32(0.25)
#: words of a de265_image in which the arrays are looked for
_SEARCHED = 160
#: address, length, logarithm, columns, rows
_HEADER = struct.Struct("<QiB3xii")
#: bytes of a coding block, of which the second holds the prediction mode in two bits, 0 for intra
_CODING_BLOCK, _MODE, _MODE_BITS = 3, 1, 3
#: words of a prediction block: use of list 0 and 1 and index in list 0 and 1 a byte each, then x
#: and y for either list
_PREDICTION_WORDS = 3
#: places of one slice in a table of references: none, then the 16 that a list may hold
PLACES = 17

_Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Layout:
    """Offsets of the arrays of coding blocks and prediction blocks in a ``de265_image``."""

    coding: int
    prediction: int


@dataclass(frozen=True, eq=False)
class FoundVectors:
    """A picture's vectors, its references not yet named by display index.

    ``vectors`` float32 (L, gh, gw, 2), pixels, zero where there is none. For each list ``places``
    (gh, gw) point into ``pocs`` (PLACES for each slice), the picture order counts of the
    references, None where there is none.
    """

    vectors: Vectors
    places: list[_Numbers]
    pocs: list[list[int | None]]


def _shapes(parameters: SequenceParameters) -> tuple[tuple[int, int, int], ...]:
    """Return the logarithm of the unit, columns and rows of the three arrays."""
    rows, columns = parameters.ctbs
    log2 = parameters.log2_min_block
    across, down = parameters.width >> log2, parameters.height >> log2
    finer = log2 - _LOG2_BLOCK
    return (
        (parameters.log2_ctb, columns, rows),
        (log2, across, down),
        (_LOG2_BLOCK, across << finer, down << finer),
    )


def find(image: int, parameters: SequenceParameters) -> Layout:
    """Find the arrays in the image at that address.

    Raises MotionUnavailable where they are not found.
    """
    content = memory.words(image, _SEARCHED).tobytes()
    wanted = _shapes(parameters)
    shapes = {}
    for offset in range(0, len(content) - _HEADER.size + 1, memory.WORD):
        address, length, *shape = _HEADER.unpack_from(content, offset)
        if address and length == shape[1] * shape[2]:
            shapes[offset] = tuple(shape)
    size = _HEADER.size
    for offset in shapes:
        if tuple(shapes.get(offset + place * size) for place in range(3)) == wanted:
            # further ones belong to another image behind this one
            return Layout(offset + size, offset + 2 * size)
    raise MotionUnavailable(
        "HEVC's motion vectors were not found in libde265's memory: this build lays it out in "
        "another way; use motion=estimated, or the version of pillow-heif in constraints.txt"
    )


def read(
    image: int, layout: Layout, picture: Picture, height: int, width: int, cell: int
) -> FoundVectors:
    """Return the vectors of the picture that libde265 handed out at that address, on the grid of a
    (height, width) image.

    An 8x8 cell gets those of its upper left 4x4 block: HEVC has no smaller coding unit, and divides
    one, if at all, in halves, so that no vector covers more of the cell. Raises MotionUnavailable
    where memory holds what no stream can.
    """
    rows, columns = grid_shape(height, width, cell)
    inter, blocks = _blocks(image, layout, picture, rows, columns, cell)
    octets = blocks.view(np.uint8)
    # arrays of bytes, as few as can be: fresh memory costs more time than arithmetic here
    if np.count_nonzero(((octets[..., 0] | octets[..., 1]) == 1) & inter) != np.count_nonzero(
        inter
    ):
        raise _unlike("a block has neither one vector nor two")
    lists = 2 if picture.type == "B" else 1
    if lists == 1 and (octets[..., 1] & inter).any():
        raise _unlike("a block of a P picture is predicted from list 1")
    slices, starts = _slices(picture, cell, rows, columns)
    result = FoundVectors(np.empty((lists, rows, columns, 2), np.float32), [], [])
    for number in range(lists):
        known = [its[number] for its in slices]
        used, entries = octets[..., number] & inter, octets[..., 2 + number]
        if (used & (entries >= np.array([len(pocs) for pocs in known])[starts])).any():
            raise _unlike("a block refers beyond the reference lists")
        result.pocs.append(
            [poc for pocs in known for poc in (None, *pocs, *[None] * (PLACES - 1 - len(pocs)))]
        )
        places = (entries + 1) * used
        result.places.append(places if len(known) == 1 else places + starts * PLACES)
        pairs = np.ascontiguousarray(blocks[..., 1 + number])
        pairs *= used
        np.multiply(pairs.view("<i2").reshape(rows, columns, 2), _UNIT, out=result.vectors[number])
    return result


def _blocks(
    image: int, layout: Layout, picture: Picture, rows: int, columns: int, cell: int
) -> tuple[npt.NDArray[np.uint8], _Numbers]:
    """Return the mask of cells with a vector, and the cells' prediction blocks.

    Cells with a vector are 1, else 0; the prediction blocks (gh, gw, 3) are those at the cells'
    upper left corners.
    """
    _, coding, prediction = _shapes(picture.parameters)
    step = cell >> _LOG2_BLOCK
    try:
        modes = memory.array(
            _address(image + layout.coding, coding), (coding[2], coding[1], _CODING_BLOCK), np.uint8
        )
        blocks = memory.array(
            _address(image + layout.prediction, prediction),
            (rows * step, prediction[1], _PREDICTION_WORDS),
            "<u4",
        )
    except memory.Unreadable as error:
        raise _unlike(f"{error} cannot be read") from error
    inter = ((modes[..., _MODE] & _MODE_BITS) != 0).view(np.uint8)
    return _spread(inter, (1 << coding[0]) // cell, rows, columns), blocks[
        ::step, : columns * step : step
    ]


def _slices(
    picture: Picture, cell: int, rows: int, columns: int
) -> tuple[list[tuple[tuple[int, ...], ...]], Any]:
    """Return the different pairs of lists of a picture's slices, and which of them each cell has:
    0, or (gh, gw)."""
    if len({item.lists for item in picture.slices}) == 1:
        return [picture.slices[0].lists], 0
    if picture.tiles:
        raise MotionUnavailable(
            "the slices of a picture have different reference lists, in tiles, which is not handled"
        )
    down, across = picture.parameters.ctbs
    order = np.arange(down * across).reshape(down, across)
    numbers = np.searchsorted([item.address for item in picture.slices], order, side="right") - 1
    side = (1 << picture.parameters.log2_ctb) // cell
    return [item.lists for item in picture.slices], _spread(numbers, side, rows, columns)


def _spread(grid: _Numbers, times: int, rows: int, columns: int) -> _Numbers:
    """Repeat each entry of a coarse grid for ``times`` rows and columns of a finer one.

    Returns (rows, columns) of it.
    """
    if times > 1:
        grid = np.repeat(np.repeat(grid, times, axis=0), times, axis=1)
    return grid[:rows, :columns]


def _address(header: int, shape: tuple[int, int, int]) -> int:
    """Return the address of an array's data. Raises MotionUnavailable where the array is not of
    that shape."""
    address, length, *found = _HEADER.unpack(memory.read(header, _HEADER.size))
    if tuple(found) != shape or length != shape[1] * shape[2]:
        raise _unlike(f"an array is {tuple(found)}, expected {shape}")
    return int(address)


def _unlike(why: str) -> MotionUnavailable:
    return MotionUnavailable(
        f"what libde265's memory holds is not like HEVC's motion vectors: {why}; use "
        "motion=estimated, or the version of pillow-heif in constraints.txt"
    )
