"""Settling and composing, each against a slow reference that is obviously right; compiled and in
numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vssbench import native
from vssbench.codec.motion import (
    MotionSettings,
    compose,
    nearest_valid,
    plain_compose,
    plain_settle,
    settle,
)  # fmt: skip
from vssbench.codec.vectors.reader import BlockVectors, distinct
from vssbench.core.errors import UsageError
from vssbench.core.motion import NONE, MotionField, Step, grid_shape


def random_blocks(
    shape: tuple[int, int], layers: int, holes: float, seed: int, names: tuple[int, ...] = (2, 5)
) -> BlockVectors:
    rng = np.random.default_rng(seed)
    references = rng.choice(names, (layers, *shape)).astype(np.int32)
    references[rng.random(references.shape) < holes] = NONE
    vectors = rng.normal(0, 12, (layers, *shape, 2)).astype(np.float32)
    return BlockVectors(
        np.where((references != NONE)[..., None], vectors, np.float32(0)), references, names[0]
    )


def settle_slowly(index: int, blocks: BlockVectors, fill: str) -> Step:
    """Cell by cell: the layer nearest in time, the first of equals; holes from the nearest cell,
    the first by row of equals."""
    _, rows, columns = blocks.references.shape
    known: dict[tuple[int, int], tuple[np.ndarray, int]] = {}
    for y, x in np.ndindex(rows, columns):
        its = [
            (abs(int(r) - index), layer)
            for layer, r in enumerate(blocks.references[:, y, x])
            if r != NONE
        ]
        if its:
            layer = min(its)[1]
            known[y, x] = blocks.vectors[layer, y, x], int(blocks.references[layer, y, x])
    step = Step(
        np.zeros((rows, columns, 2), np.float32), np.full((rows, columns), blocks.past, np.int32)
    )
    for y, x in np.ndindex(rows, columns):
        if (y, x) in known or (fill == "nearest" and known):
            source = min(known, key=lambda at: ((at[0] - y) ** 2 + (at[1] - x) ** 2, at))
            step.vectors[y, x], step.references[y, x] = known[source]
    return step


@pytest.mark.parametrize("fill", ["nearest", "zero"])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(
    ("shape", "holes"),
    [((9, 13), 0.0), ((9, 13), 0.3), ((12, 7), 0.97), ((1, 8), 0.5), ((6, 1), 0.5)],
)
def test_settle_equals_a_loop_over_cells(
    form: str, shape: tuple[int, int], holes: float, layers: int, fill: str
) -> None:
    for seed in range(4):
        blocks = random_blocks(shape, layers, holes, seed)
        expected, found = settle_slowly(3, blocks, fill), settle(3, blocks, fill)
        np.testing.assert_array_equal(found.references, expected.references)
        np.testing.assert_array_equal(found.vectors, expected.vectors)


@pytest.mark.parametrize("fill", ["nearest", "zero"])
def test_a_picture_of_intra_blocks_alone_resembles_the_past(form: str, fill: str) -> None:
    step = settle(3, random_blocks((4, 6), 2, 1.0, 0), fill)
    assert not step.vectors.any()
    assert (step.references == 2).all()


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_the_nearest_valid_cell_is_nearest(share: float) -> None:
    valid = np.random.default_rng(1).random((13, 17)) > share
    cells = np.argwhere(valid).tolist()
    found = nearest_valid(valid)
    for y, x in np.ndindex(13, 17):
        best = min(cells, key=lambda at: ((at[0] - y) ** 2 + (at[1] - x) ** 2, at))
        assert divmod(int(found[y, x]), 17) == tuple(best)


def bilinear(field: np.ndarray, x: float, y: float) -> np.ndarray:
    """The value between the four neighbours, the border repeated."""
    rows, columns, _ = field.shape
    x, y = min(max(x, 0), columns - 1), min(max(y, 0), rows - 1)
    left, top = int(np.floor(x)), int(np.floor(y))
    total = np.zeros(2)
    for row, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            total += weight_x * weight_y * field[min(row, rows - 1), min(column, columns - 1)]
    return total


def random_fields(shape: tuple[int, int], names: tuple[int, ...] = (2, 5)) -> dict[int, np.ndarray]:
    rng = np.random.default_rng(9)
    return {name: rng.normal(0, 5, (*shape, 2)).astype(np.float32) for name in names}


@pytest.mark.parametrize("shape", [(9, 11), (1, 6), (5, 1), (2, 2)])
@pytest.mark.parametrize("cell", [4, 8])
def test_compose_equals_a_loop_over_cells(form: str, shape: tuple[int, int], cell: int) -> None:
    step, fields = settle(3, random_blocks(shape, 1, 0.2, 2), "nearest"), random_fields(shape)
    expected = np.zeros_like(step.vectors)
    for y, x in np.ndindex(shape):
        dx, dy = step.vectors[y, x]
        expected[y, x] = step.vectors[y, x] + bilinear(
            fields[step.references[y, x]], x + dx / cell, y + dy / cell
        )
    np.testing.assert_allclose(compose(step, fields, cell), expected, atol=1e-4)


@pytest.mark.parametrize("cell", [4, 8])
def test_whole_pixels_equal_a_loop_over_cells(form: str, cell: int) -> None:
    rows, columns = shape = (7, 9)
    step, fields = settle(3, random_blocks(shape, 1, 0.2, 3), "zero"), random_fields(shape)
    found = compose(step, fields, cell, whole_pixels=True)
    for y, x in np.ndindex(shape):
        dx, dy = np.rint(step.vectors[y, x])
        column = int(np.clip((x * cell + cell // 2 + dx) // cell, 0, columns - 1))
        row = int(np.clip((y * cell + cell // 2 + dy) // cell, 0, rows - 1))
        np.testing.assert_allclose(
            found[y, x], [dx, dy] + fields[step.references[y, x]][row, column], rtol=1e-6
        )


@pytest.mark.skipif(
    native.video_kernels() is None, reason="the compiled kernels cannot be used here"
)
@pytest.mark.parametrize("whole_pixels", [False, True])
@pytest.mark.parametrize("shape", [(45, 60), (23, 31), (1, 1)])
def test_kernels_give_the_same_bits_as_numpy(shape: tuple[int, int], whole_pixels: bool) -> None:
    names = (2, 5, 7, 11)
    blocks, fields = random_blocks(shape, 2, 0.4, 5, names), random_fields(shape, names)
    step, plain = settle(6, blocks, "nearest"), plain_settle(6, blocks, "nearest")
    np.testing.assert_array_equal(step.vectors, plain.vectors)
    np.testing.assert_array_equal(step.references, plain.references)
    found = compose(step, fields, 8, whole_pixels)
    np.testing.assert_array_equal(found, plain_compose(plain, fields, 8, whole_pixels))


def test_zero_steps_change_nothing(form: str) -> None:
    fields = random_fields((6, 7), (0,))
    step = Step(np.zeros((6, 7, 2), np.float32), np.zeros((6, 7), np.int32))
    np.testing.assert_array_equal(compose(step, fields, 8), fields[0])


def test_distinct_numbers(form: str) -> None:
    rng = np.random.default_rng(0)
    few, many = rng.integers(-1, 5, (9, 9)).astype(np.int32), rng.permutation(300).astype(np.int32)
    assert distinct(few) == np.unique(few).tolist()
    assert distinct(many) == list(range(300))
    assert distinct(np.full((3, 3), 4, np.int32)) == [4]
    blocks = random_blocks((8, 8), 2, 0.5, 0)
    assert blocks.named == [2, 5]


@pytest.mark.parametrize(("height", "width"), [(32, 48), (33, 41), (7, 5)])
def test_dense_repeats_each_cell(height: int, width: int) -> None:
    grid = (
        np.random.default_rng(5).normal(size=(*grid_shape(height, width, 8), 2)).astype(np.float32)
    )
    dense = MotionField(grid, 8, height, width, 0.0).dense()
    assert dense.shape == (height, width, 2)
    assert dense.dtype == np.float32
    for y, x in np.ndindex(height, width):
        assert (dense[y, x] == grid[y // 8, x // 8]).all()


@pytest.mark.parametrize("wrong", [{"cell": 16}, {"fill": "mean"}, {"whole_pixels": 2}])
def test_wrong_settings_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        MotionSettings(**wrong)
