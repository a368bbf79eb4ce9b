"""Pictures moved by motion, against a loop over pixels; residuals and statistics."""

from __future__ import annotations

import numpy as np
import pytest

from vssbench import native
from vssbench.codec.prediction import moved, plain_predict, predict, residual, statistics
from vssbench.core.motion import MotionField, Step, grid_shape
from vssbench.core.video import Image


def images(height: int, width: int, *names: int) -> dict[int, Image]:
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 256, (height, width, 3), np.uint8) for name in names}


def random_step(height: int, width: int, cell: int, *names: int, spread: float = 9) -> Step:
    rng, shape = np.random.default_rng(1), grid_shape(height, width, cell)
    vectors = (np.rint(rng.normal(0, spread, (*shape, 2)) * 4) / 4).astype(np.float32)
    return Step(vectors, rng.choice(names, shape).astype(np.int32))


def predict_slowly(step: Step, pictures: dict[int, Image], cell: int) -> np.ndarray:
    height, width = next(iter(pictures.values())).shape[:2]
    result = np.zeros((height, width, 3))
    for y, x in np.ndindex(height, width):
        dx, dy = step.vectors[y // cell, x // cell]
        picture = pictures[int(step.references[y // cell, x // cell])]
        at_x, at_y = min(max(x + dx, 0), width - 1), min(max(y + dy, 0), height - 1)
        left, top = int(at_x), int(at_y)
        right, below = min(left + 1, width - 1), min(top + 1, height - 1)
        across, down = at_x - left, at_y - top
        upper = (1 - across) * picture[top, left] + across * picture[top, right]
        lower = (1 - across) * picture[below, left] + across * picture[below, right]
        result[y, x] = (1 - down) * upper + down * lower
    return result


@pytest.mark.parametrize("cell", [4, 8])
@pytest.mark.parametrize(("height", "width"), [(24, 40), (21, 35), (8, 8)])
def test_each_cell_comes_from_its_own_picture(
    form: str, height: int, width: int, cell: int
) -> None:
    pictures = images(height, width, 3, 6)
    step = random_step(height, width, cell, 3, 6)
    np.testing.assert_allclose(
        predict(step, pictures, cell), predict_slowly(step, pictures, cell), atol=1e-3
    )


def test_far_vectors_read_the_border(form: str) -> None:
    image = images(16, 24, 0)[0]
    grid = np.full((2, 3, 2), 3e8, np.float32)
    np.testing.assert_array_equal(
        moved(image, grid, 8), np.broadcast_to(image[-1, -1], image.shape)
    )
    np.testing.assert_array_equal(moved(image, -grid, 8), np.broadcast_to(image[0, 0], image.shape))


@pytest.mark.skipif(
    native.video_kernels() is None, reason="the compiled kernels cannot be used here"
)
def test_kernels_give_the_same_bits_as_numpy() -> None:
    pictures, step = images(95, 133, 3, 6, 7), random_step(95, 133, 8, 3, 6, 7, spread=30)
    step.vectors[:] += np.float32(1 / 3)
    plain = plain_predict(step, list(pictures), list(pictures.values()), 8)
    np.testing.assert_array_equal(predict(step, pictures, 8), plain)


def test_a_whole_move_copies_pixels(form: str) -> None:
    image = images(32, 48, 0)[0]
    grid = np.broadcast_to(np.array([3, 2], np.float32), (4, 6, 2))
    found = moved(image, grid, 8)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:30, :45], image[2:, 3:])


def test_a_residual_undoes_its_prediction() -> None:
    image, other = images(24, 40, 0, 1).values()
    prediction = other.astype(np.float32) + np.float32(0.4)
    found = residual(image, prediction)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found + np.rint(prediction), image)


def test_statistics_of_a_known_field(form: str) -> None:
    keyframe = images(32, 48, 0)[0]
    grid = np.zeros((4, 6, 2), np.float32)
    grid[0] = (3, 4)
    field = MotionField(grid, 8, 32, 48, 0.25)
    found = statistics(field, np.rint(moved(keyframe, grid, 8)).astype(np.uint8), keyframe)
    assert (found.intra_share, found.mean_vector, found.p95_vector, found.warp_error) == (
        0.25,
        1.25,
        5.0,
        0.0,
    )
    assert statistics(field, keyframe, keyframe).warp_error > 5
