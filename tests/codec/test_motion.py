"""Rasterising, filling and composing, each against a slow reference that is obviously right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from vssbench.codec.motion import Accumulator, MotionField, MotionSettings, compose, fill_nearest, grid_shape, rasterise
from vssbench.errors import UsageError

#: as PyAV lays out AVMotionVector
DTYPE = np.dtype(
    [
        ("source", "int32"), ("w", "uint8"), ("h", "uint8"), ("src_x", "int16"), ("src_y", "int16"), ("dst_x", "int16"),
        ("dst_y", "int16"), ("flags", "uint64"), ("motion_x", "int32"), ("motion_y", "int32"), ("motion_scale", "uint16"),
    ],
    align=True,
)  # fmt: skip
SPLITS = {(16, 16): [(0, 0)], (16, 8): [(0, 0), (0, 8)], (8, 16): [(0, 0), (8, 0)],
          (8, 8): [(0, 0), (8, 0), (0, 8), (8, 8)]}  # fmt: skip


def random_blocks(height: int, width: int, seed: int) -> np.ndarray:
    """Macroblocks split at random, some intra (absent), some with a vector in both directions."""
    rng = np.random.default_rng(seed)
    rows = []
    for top in range(0, height, 16):
        for left in range(0, width, 16):
            shape = list(SPLITS)[rng.integers(len(SPLITS))]
            for x, y in SPLITS[shape]:
                for source in (-1, 1):
                    if rng.random() < 0.6:
                        motion = rng.integers(-90, 90, 2)
                        centre = (left + x + shape[0] // 2, top + y + shape[1] // 2)
                        rows.append((source, *shape, 0, 0, *centre, 0, *motion, 4))
    return np.array(rows, DTYPE)


def rasterise_slowly(vectors: np.ndarray, height: int, width: int, sign: int) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel of every block, one by one."""
    field, valid = np.zeros((height, width, 2), np.float32), np.zeros((height, width), bool)
    for v in vectors:
        if v["source"] != sign:
            continue
        left, top = int(v["dst_x"]) - int(v["w"]) // 2, int(v["dst_y"]) - int(v["h"]) // 2
        for y in range(top, min(top + int(v["h"]), height)):
            for x in range(left, min(left + int(v["w"]), width)):
                field[y, x] = v["motion_x"] / v["motion_scale"], v["motion_y"] / v["motion_scale"]
                valid[y, x] = True
    return field, valid


@pytest.mark.parametrize("cell", [4, 8])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (45, 51)])
def test_rasterise_equals_a_loop_over_blocks(cell: int, height: int, width: int) -> None:
    vectors = random_blocks(height, width, seed=cell)
    got = rasterise(vectors, height, width, cell)
    for grid, mask, sign in ((got.past, got.has_past, -1), (got.future, got.has_future, 1)):
        field, valid = rasterise_slowly(vectors, height, width, sign)
        np.testing.assert_array_equal(MotionField(grid, cell, height, width, 0.0).dense(), field)
        np.testing.assert_array_equal(mask, valid[::cell, ::cell])
    assert got.intra_share == pytest.approx(1 - np.mean(got.has_past | got.has_future))


def test_a_frame_without_vectors_is_all_intra() -> None:
    got = rasterise(None, 30, 40, 8)
    assert got.past.shape == (4, 5, 2)
    assert not got.has_past.any()
    assert got.intra_share == 1.0


def test_an_unused_direction_is_told_from_a_zero_vector() -> None:
    """Parts of one macroblock that each use one direction are listed in both, the unused one as zero."""
    left, right = (-1, 8, 16, 0, 0, 4, 8, 0), (-1, 8, 16, 0, 0, 12, 8, 0)
    other = [(1, *half[1:]) for half in (left, right)]
    rows = [(*left, 12, 8, 4), (*right, 0, 0, 4), (*other[0], 0, 0, 4), (*other[1], -4, 4, 4)]
    got = rasterise(np.array(rows, DTYPE), 16, 16, 8)
    assert got.has_past[0].tolist() == [True, False]
    assert got.has_future[0].tolist() == [False, True]
    assert got.intra_share == 0
    still = rasterise(np.array([(*left, 0, 0, 4), (*other[0], 0, 0, 4)], DTYPE), 16, 16, 8)
    assert still.has_past[0, 0]
    assert still.has_future[0, 0]


@pytest.mark.parametrize("share", [0.02, 0.5, 0.97])
def test_holes_get_a_nearest_vector(share: float) -> None:
    rng = np.random.default_rng(1)
    grid = rng.normal(size=(13, 17, 2)).astype(np.float32)
    valid = rng.random((13, 17)) > share
    filled = fill_nearest(np.where(valid[..., None], grid, 0), valid)
    sources = np.argwhere(valid)
    for y, x in np.ndindex(13, 17):
        squares = ((sources - (y, x)) ** 2).sum(1)
        nearest = grid[tuple(sources[squares == squares.min()].T)]
        assert (filled[y, x] == nearest).all(1).any()


def test_nothing_to_fill_from_gives_zero() -> None:
    grid = np.ones((3, 4, 2), np.float32)
    assert not fill_nearest(grid, np.zeros((3, 4), bool)).any()
    assert fill_nearest(grid, np.ones((3, 4), bool)).all()


def bilinear(reference: np.ndarray, x: float, y: float) -> np.ndarray:
    """The value between the four neighbours, the border repeated."""
    rows, columns, _ = reference.shape
    x, y = min(max(x, 0), columns - 1), min(max(y, 0), rows - 1)
    left, top = int(np.floor(x)), int(np.floor(y))
    total = np.zeros(2)
    for row, weight_y in ((top, 1 - (y - top)), (top + 1, y - top)):
        for column, weight_x in ((left, 1 - (x - left)), (left + 1, x - left)):
            total += weight_x * weight_y * reference[min(row, rows - 1), min(column, columns - 1)]
    return total


@pytest.mark.parametrize("shape", [(9, 11), (1, 6), (5, 1)])
@pytest.mark.parametrize("cell", [4, 8])
def test_compose_equals_a_loop_over_cells(shape: tuple[int, int], cell: int) -> None:
    rng = np.random.default_rng(2)
    step = rng.normal(0, 12, (*shape, 2)).astype(np.float32)
    reference = rng.normal(0, 5, (*shape, 2)).astype(np.float32)
    expected = np.zeros_like(step)
    for y, x in np.ndindex(shape):
        dx, dy = step[y, x]
        expected[y, x] = step[y, x] + bilinear(reference, x + dx / cell, y + dy / cell)
    np.testing.assert_allclose(compose(step, reference, cell), expected, atol=1e-4)


def test_whole_pixels_equal_a_loop_over_cells() -> None:
    rng = np.random.default_rng(3)
    cell, rows, columns = 8, 7, 9
    step = rng.normal(0, 12, (rows, columns, 2)).astype(np.float32)
    reference = rng.normal(0, 5, (rows, columns, 2)).astype(np.float32)
    got = compose(step, reference, cell, whole_pixels=True)
    for y, x in np.ndindex(rows, columns):
        dx, dy = np.rint(step[y, x])
        column = int(np.clip((x * cell + cell // 2 + dx) // cell, 0, columns - 1))
        row = int(np.clip((y * cell + cell // 2 + dy) // cell, 0, rows - 1))
        np.testing.assert_allclose(got[y, x], [dx, dy] + reference[row, column], rtol=1e-6)


def test_zero_steps_change_nothing() -> None:
    reference = np.random.default_rng(4).normal(size=(6, 7, 2)).astype(np.float32)
    np.testing.assert_array_equal(compose(np.zeros_like(reference), reference, 8), reference)


def full(vector: tuple[float, float], shape: tuple[int, int] = (4, 6)) -> np.ndarray:
    return np.broadcast_to(np.array(vector, np.float32), (*shape, 2)).copy()


def test_b_frames_prefer_the_past_and_fall_back_on_the_future() -> None:
    accumulator = Accumulator(32, 48, MotionSettings())
    before = MotionField(full((3, 0)), 8, 32, 48, 0.0)
    after = MotionField(full((9, 0)), 8, 32, 48, 0.0)
    vectors = rasterise(None, 32, 48, 8)
    vectors.past, vectors.future = full((1, 0)), full((-2, 0))
    vectors.has_past[:, :3] = True
    vectors.has_future[:, 1:5] = True
    field = accumulator.between(vectors, before, after)
    assert field.grid[0, :, 0].tolist() == [4, 4, 4, 7, 7, 4]  # the last cell is a hole: the nearest past vector
    assert field.intra_share == pytest.approx(1 / 6)


def test_a_b_frame_with_future_vectors_alone() -> None:
    accumulator = Accumulator(32, 48, MotionSettings())
    vectors = rasterise(None, 32, 48, 8)
    vectors.future = full((-2, 1))
    vectors.has_future[:2] = True
    vectors.future[~vectors.has_future] = 0
    field = accumulator.between(vectors, MotionField(full((3, 3)), 8, 32, 48, 0.0), MotionField(full((9, 0)), 8, 32, 48, 0.0))
    np.testing.assert_array_equal(field.grid, full((7, 1)))


@pytest.mark.parametrize(("fill", "hole"), [("nearest", (2.5, 0.0)), ("zero", (0.0, 0.0))])
def test_intra_blocks_get_what_fill_says(fill: str, hole: tuple[float, float]) -> None:
    accumulator = Accumulator(32, 48, MotionSettings(fill=fill))
    accumulator.keyframe()
    vectors = rasterise(None, 32, 48, 8)
    vectors.past[:, :5], vectors.has_past[:, :5] = (2.5, 0.0), True
    assert accumulator.anchor(vectors).grid[0, 5].tolist() == list(hole)


def test_a_keyframe_begins_anew() -> None:
    accumulator = Accumulator(32, 48, MotionSettings())
    vectors = rasterise(None, 32, 48, 8)
    vectors.past, vectors.has_past = full((2, 1)), np.ones((4, 6), bool)
    assert accumulator.anchor(vectors).grid[0, 0].tolist() == [2, 1]
    assert accumulator.anchor(vectors).grid[0, 0].tolist() == [4, 2]
    assert not accumulator.keyframe().dense().any()
    assert accumulator.anchor(vectors).grid[0, 0].tolist() == [2, 1]


@pytest.mark.parametrize(("height", "width"), [(32, 48), (33, 41), (7, 5)])
def test_dense_repeats_each_cell(height: int, width: int) -> None:
    grid = np.random.default_rng(5).normal(size=(*grid_shape(height, width, 8), 2)).astype(np.float32)
    dense = MotionField(grid, 8, height, width, 0.0).dense()
    assert dense.shape == (height, width, 2)
    assert dense.dtype == np.float32
    for y, x in np.ndindex(height, width):
        assert (dense[y, x] == grid[y // 8, x // 8]).all()


@pytest.mark.parametrize("wrong", [{"cell": 16}, {"fill": "mean"}, {"whole_pixels": 2}])
def test_wrong_settings_are_refused_by_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong))):
        MotionSettings(**wrong)
