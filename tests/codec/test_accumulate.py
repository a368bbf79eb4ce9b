"""Accumulation over a GOP: order, references, refusals; and AR-Seg's own form, pixel by pixel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vssbench.codec.accumulate import Accumulator
from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import encode
from vssbench.codec.formats.h264 import H264
from vssbench.codec.motion import MotionSettings
from vssbench.codec.vectors.exported import ExportedVectors
from vssbench.codec.vectors.reader import BlockVectors, no_vectors
from vssbench.core.errors import DataError
from vssbench.core.motion import NONE, MotionField
from vssbench.core.video import Image

HEIGHT, WIDTH, CELL = 32, 48, 8
SHAPE = (HEIGHT // CELL, WIDTH // CELL)


def uniform(vector: tuple[float, float], reference: int, past: int) -> BlockVectors:
    vectors = np.broadcast_to(np.array(vector, np.float32), (1, *SHAPE, 2)).copy()
    return BlockVectors(vectors, np.full((1, *SHAPE), reference, np.int32), past)


def fields(
    accumulator: Accumulator, *pictures: tuple[int, BlockVectors, bool]
) -> dict[int, MotionField]:
    return {number: field for picture in pictures for number, field in accumulator.add(*picture)}


def keyframe(index: int) -> tuple[int, BlockVectors, bool]:
    return index, no_vectors(HEIGHT, WIDTH, CELL), True


def test_steps_add_up_and_a_keyframe_begins_anew(form: str) -> None:
    found = fields(
        Accumulator(HEIGHT, WIDTH, MotionSettings()),
        keyframe(0), (1, uniform((2, 1), 0, 0), False), (2, uniform((2, 1), 1, 1), False),
        keyframe(3), (4, uniform((-0.25, 0.5), 3, 3), False),
    )  # fmt: skip
    assert [found[index].grid[1, 2].tolist() for index in range(5)] == [
        [0, 0],
        [2, 1],
        [4, 2],
        [0, 0],
        [-0.25, 0.5],
    ]
    assert found[0].intra_share == 1
    assert found[0].blocks is None
    assert found[4].intra_share == 0


def test_each_cell_goes_through_its_own_reference(form: str) -> None:
    """Frame 3 refers to 2 on the left, to 1 on the right: (1, 0) added to (3, 0) here, to (10, 0)
    there."""
    third = uniform((1, 0), 2, 2)
    third.references[..., 3:] = 1
    found = fields(
        Accumulator(HEIGHT, WIDTH, MotionSettings()),
        keyframe(0), (1, uniform((10, 0), 0, 0), False), (2, uniform((3, 0), 0, 1), False), (3,
        third, False),
    )  # fmt: skip
    assert found[3].grid[0, :, 0].tolist() == [4, 4, 4, 11, 11, 11]


def test_a_b_frame_waits_for_its_anchor_and_prefers_the_nearer(form: str) -> None:
    accumulator = Accumulator(HEIGHT, WIDTH, MotionSettings())
    past, future = uniform((1, 0), 0, 0), uniform((-2, 0), 3, 0)
    future.references[0, :, :2] = NONE
    between = BlockVectors(
        np.concatenate([past.vectors, future.vectors]),
        np.concatenate([past.references, future.references]),
        0,
    )
    assert list(fields(accumulator, keyframe(0))) == [0]
    assert fields(accumulator, (2, between, False)) == {}
    found = fields(accumulator, (3, uniform((9, 0), 0, 0), False))
    assert sorted(found) == [2, 3]
    # frame 3 is nearer to frame 2 than frame 0 is: (-2, 0) + (9, 0)
    assert found[2].grid[0, :, 0].tolist() == [1, 1, 7, 7, 7, 7]


@pytest.mark.parametrize(("fill", "hole"), [("nearest", [2.5, 0]), ("zero", [0, 0])])
def test_intra_blocks_get_what_fill_says(form: str, fill: str, hole: list[float]) -> None:
    blocks = uniform((2.5, 0), 0, 0)
    blocks.references[..., 5], blocks.vectors[..., 5, :] = NONE, 0
    found = fields(
        Accumulator(HEIGHT, WIDTH, MotionSettings(fill=fill)), keyframe(0), (1, blocks, False)
    )
    assert found[1].grid[0, 5].tolist() == hole
    assert found[1].intra_share == pytest.approx(1 / 6)


def test_an_open_gop_is_refused() -> None:
    accumulator = Accumulator(HEIGHT, WIDTH, MotionSettings())
    fields(accumulator, keyframe(0), (1, uniform((1, 0), 0, 0), False), keyframe(2))
    with pytest.raises(
        DataError, match="frame 3 refers to frame 1, which lies before its keyframe 2"
    ):
        fields(accumulator, (3, uniform((1, 0), 1, 2), False))


def test_a_reference_that_never_comes_is_refused() -> None:
    accumulator = Accumulator(HEIGHT, WIDTH, MotionSettings())
    fields(accumulator, keyframe(0), (1, uniform((1, 0), 2, 0), False))
    with pytest.raises(DataError, match="frame 1 refers to frame 2, which is not there at the end"):
        accumulator.finish()
    with pytest.raises(DataError, match="not there before the keyframe 3"):
        fields(accumulator, keyframe(3))


def per_pixel(field: MotionField, fields: dict[int, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """AR-Seg's accumulation (section 3.2): every hop rounded to whole pixels and cut at the border,
    intra pixels at rest.

    ``fields`` are those of earlier frames, (H, W, 2); returns this frame's, and which pixels no
    border cut.
    """
    assert field.blocks is not None
    height, width = field.height, field.width
    result, inside = np.zeros((height, width, 2)), np.ones((height, width), bool)
    for y, x in np.ndindex(height, width):
        cell = (0, y // field.cell, x // field.cell)
        reference = int(field.blocks.references[cell])
        dx, dy = np.rint(field.blocks.vectors[cell]) if reference != NONE else (0, 0)
        to_x, to_y = int(np.clip(x + dx, 0, width - 1)), int(np.clip(y + dy, 0, height - 1))
        inside[y, x] = (to_x, to_y) == (x + dx, y + dy)
        earlier = fields[reference if reference != NONE else field.blocks.past][to_y, to_x]
        result[y, x] = np.add((to_x - x, to_y - y), earlier)
    return result, inside


def moving(length: int) -> list[Image]:
    """Two halves that move differently, and a patch of noise that no vector can predict."""
    rng = np.random.default_rng(0)
    canvas = np.kron(rng.integers(0, 256, (60, 60, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    images = []
    for i in range(length):
        image = np.concatenate(
            [
                canvas[i : i + 48, 3 * i : 3 * i + 128],
                canvas[60 : 60 + 48, 40 - 2 * i : 168 - 2 * i],
            ]
        )
        image[32:64, 48:80] = rng.integers(0, 256, (32, 32, 3))
        images.append(image)
    return images


@pytest.mark.parametrize("cell", [4, 8])
def test_follows_arseg_with_zero_fill_and_whole_pixels(
    form: str, tmp_path: Path, cell: int
) -> None:
    """Equal in the first frame at every pixel, in the second at the middle of every cell: there a
    cell's own vector leads into a field that is constant in each cell. Further on a middle pixel
    may end near the edge of a cell whose pixels have come apart. AR-Seg cuts a hop that leaves the
    picture; here it stays whole, and the nearest cell's field is added."""
    path = tmp_path / "stream.mkv"
    encode(iter(moving(5)), path, H264(gop=5, qp=20).encoder(), 25)
    settings = MotionSettings(cell, "zero", whole_pixels=True)
    expected: dict[int, np.ndarray] = {}
    shares = []
    inside = np.ones((96, 128), bool)
    for frame in decode(path, 5, MotionSource(ExportedVectors, settings)):
        assert frame.motion is not None
        if frame.distance == 0:
            expected[frame.index] = np.zeros((96, 128, 2))
            continue
        expected[frame.index], whole = per_pixel(frame.motion, expected)
        inside &= whole
        same = (frame.motion.dense() == expected[frame.index]).all(-1)
        if frame.distance == 1:
            assert same[inside].all()
            assert inside.mean() > 0.9
        middle = np.s_[cell // 2 :: cell, cell // 2 :: cell]
        if frame.distance == 2:
            hops = (
                np.rint(frame.motion.blocks.vectors[0]) if frame.motion.blocks is not None else None
            )
            assert hops is not None
            assert same[middle][reaches_inside(hops, cell, inside)].all()
        shares.append(same[middle].mean())
    assert min(shares) > 0.8


def reaches_inside(hops: np.ndarray, cell: int, inside: np.ndarray) -> np.ndarray:
    """Cells whose middle pixel, moved by the hop, comes to a pixel that no border cut; and that
    were not cut themselves."""
    rows, columns, _ = hops.shape
    result = np.zeros((rows, columns), bool)
    for y, x in np.ndindex(rows, columns):
        at_x, at_y = (
            int(v)
            for v in (x * cell + cell // 2 + hops[y, x, 0], y * cell + cell // 2 + hops[y, x, 1])
        )
        within = 0 <= at_x < inside.shape[1] and 0 <= at_y < inside.shape[0]
        result[y, x] = within and inside[at_y, at_x]
    return result
