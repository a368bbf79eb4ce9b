"""Block vectors in a picture's memory: on images built here by libde265's layout."""

from __future__ import annotations

import ctypes
import struct

import numpy as np
import pytest

from vssbench.codec.vectors.hevc_headers import SequenceParameters
from vssbench.codec.vectors.hevc_pictures import Picture, Slice
from vssbench.codec.vectors.libde265_image import Layout, find, read
from vssbench.core.errors import MotionUnavailable

HEIGHT, WIDTH = 64, 96
INTRA, INTER, SKIP = 0, 1, 2


def parameters(log2_ctb: int = 5) -> SequenceParameters:
    return SequenceParameters(
        WIDTH, HEIGHT, (0, 0, 0, 0), 3, log2_ctb, 8, 1, False, False, (), False, (), False
    )


def picture(
    *lists: tuple[tuple[int, ...], tuple[int, ...]], kind: str = "B", tiles: bool = False
) -> Picture:
    """One slice for each pair of lists, two blocks of 32x32 long, the last to the end."""
    slices = tuple(Slice(2 * number, pair) for number, pair in enumerate(lists))
    return Picture(0, 9, 1, kind, False, True, slices, (0, 4, 8), parameters(), tiles)


class FakeImage:
    """Memory laid out as a de265_image: three arrays behind ``before`` bytes of other things."""

    def __init__(self, before: int = 248) -> None:
        rng = np.random.default_rng(0)
        self.modes = rng.choice([INTRA, INTER, SKIP], (HEIGHT // 8, WIDTH // 8)).astype(np.uint8)
        self.used = rng.choice([1, 2, 3], (HEIGHT // 4, WIDTH // 4))
        self.entries = rng.integers(0, 2, (HEIGHT // 4, WIDTH // 4, 2)).astype(np.uint8)
        self.vectors = rng.integers(-200, 200, (HEIGHT // 4, WIDTH // 4, 2, 2)).astype("<i2")
        self.before = before

    def build(self) -> int:
        """The address of the image."""
        ctb = bytes(6 * 8)
        coding = np.zeros((HEIGHT // 8, WIDTH // 8, 3), np.uint8)
        coding[..., 0], coding[..., 1], coding[..., 2] = 0x53, self.modes | 0xA0, 30
        blocks = np.zeros((HEIGHT // 4, WIDTH // 4, 12), np.uint8)
        blocks[..., 0], blocks[..., 1] = self.used & 1, self.used >> 1
        blocks[..., 2:4] = self.entries
        blocks[..., 4:] = self.vectors.reshape(HEIGHT // 4, WIDTH // 4, 4).view(np.uint8)
        self.parts = [
            ctypes.create_string_buffer(data, len(data))
            for data in (ctb, coding.tobytes(), blocks.tobytes())
        ]
        shapes = ((5, 3, 2), (3, WIDTH // 8, HEIGHT // 8), (2, WIDTH // 4, HEIGHT // 4))
        headers = [
            struct.pack("<QiB3xii", ctypes.addressof(part), columns * rows, log2, columns, rows)
            for part, (log2, columns, rows) in zip(self.parts, shapes, strict=True)
        ]
        # behind them others of the same shape, as the array of transform units
        content = b"\7" * self.before + b"".join(headers) + headers[-1] + bytes(2000)
        self.memory = ctypes.create_string_buffer(content, len(content))
        return ctypes.addressof(self.memory)


@pytest.mark.parametrize("before", [0, 240, 248, 600])
def test_the_arrays_are_found_wherever_they_are(before: int) -> None:
    image = FakeImage(before)
    assert find(image.build(), parameters()) == Layout(before + 24, before + 48)


def test_arrays_of_another_picture_are_not_found() -> None:
    image = FakeImage()
    with pytest.raises(MotionUnavailable, match="not found in libde265's memory"):
        find(image.build(), parameters(log2_ctb=4))


def expected(
    image: FakeImage, its: Picture, cell: int, height: int, width: int, number: int
) -> list[tuple[int, int, object]]:
    """Cell by cell: x and y in pixels, and the POC referred to, of list ``number``."""
    result: list[tuple[int, int, object]] = []
    for y in range(0, height, cell):
        for x in range(0, width, cell):
            place = y // 4, x // 4
            if image.modes[y // 8, x // 8] == INTRA or not image.used[place] >> number & 1:
                result.append((0, 0, None))
                continue
            block = y // 32 * 3 + x // 32
            lists = [item for item in its.slices if item.address <= block][-1].lists
            vector = image.vectors[place][number] / 4
            result.append((vector[0], vector[1], lists[number][image.entries[place][number]]))
    return result


@pytest.mark.parametrize("cell", [4, 8])
@pytest.mark.parametrize("size", [(HEIGHT, WIDTH), (HEIGHT - 7, WIDTH - 5)])
@pytest.mark.parametrize(
    "lists",
    [
        (((8, 4), (16, 12)),),
        (((8, 4), (16, 12)), ((8, 4), (16, 12))),
        (((8, 4), (16, 12)), ((4, 8, 0), (12, 16)), ((0, 0), (8, 16))),
    ],
)
def test_vectors_are_read_block_by_block(
    lists: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...], size: tuple[int, int], cell: int
) -> None:
    """Two lists, intra blocks with stale vectors, slices with lists of their own, sizes that end
    within a cell."""
    image, its = FakeImage(), picture(*lists)
    address = image.build()
    found = read(address, find(address, parameters()), its, *size, cell)
    for number in (0, 1):
        pocs = [found.pocs[number][place] for place in found.places[number].ravel()]
        pairs = found.vectors[number].reshape(-1, 2).tolist()
        assert [(x, y, poc) for (x, y), poc in zip(pairs, pocs, strict=True)] == expected(
            image, its, cell, *size, number
        )


def test_a_p_picture_has_one_list() -> None:
    image, its = FakeImage(), picture(((8, 4), ()), kind="P")
    image.used[:] = 1
    address = image.build()
    found = read(address, find(address, parameters()), its, HEIGHT, WIDTH, 4)
    assert found.vectors.shape == (1, HEIGHT // 4, WIDTH // 4, 2)
    assert {found.pocs[0][place] for place in found.places[0].ravel()} == {None, 8, 4}


def test_what_no_stream_can_hold_is_refused_in_words() -> None:
    def refused(image: FakeImage, its: Picture, words: str) -> None:
        address = image.build()
        layout = find(address, parameters())
        with pytest.raises(MotionUnavailable, match=words):
            read(address, layout, its, HEIGHT, WIDTH, 4)

    usual = picture(((8, 4), (16, 12)))
    image = FakeImage()
    image.modes[3, 4], image.used[6:8, 8:10] = INTER, 0
    refused(image, usual, "neither one vector nor two")
    image = FakeImage()
    image.modes[3, 4], image.used[6, 8], image.entries[6, 8] = SKIP, 3, 2
    refused(image, usual, "beyond the reference lists")
    refused(FakeImage(), picture(((8, 4), ()), kind="P"), "a P picture is predicted from list 1")
    refused(
        FakeImage(),
        picture(((8, 4), (16, 12)), ((4, 8), (12, 16)), tiles=True),
        "in tiles, which is not handled",
    )
    image = FakeImage()
    address = image.build()
    layout = find(address, parameters())
    for offset, value, words in (
        (layout.prediction + 16, 5, r"an array is \(2, 5, 16\), expected \(2, 24, 16\)"),
        (layout.prediction, 8, "cannot be read"),
    ):
        image.build()
        address = ctypes.addressof(image.memory)
        struct.pack_into("<i" if value == 5 else "<Q", image.memory, offset, value)
        with pytest.raises(MotionUnavailable, match=words):
            read(address, layout, usual, HEIGHT, WIDTH, 4)
