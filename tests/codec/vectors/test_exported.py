"""Block vectors of FFmpeg's decoders on the grid, against a loop over pixels; and whole streams,
with and without kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vssbench import native
from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import encode
from vssbench.codec.formats.h264 import H264
from vssbench.codec.motion import MotionSettings
from vssbench.codec.vectors.exported import RECORD, ExportedVectors, rasterise
from vssbench.core.errors import DataError
from vssbench.core.motion import NONE
from vssbench.core.video import Frame, Image

PAST, FUTURE = 3, 7
SPLITS = {(16, 16): [(0, 0)], (16, 8): [(0, 0), (0, 8)], (8, 16): [(0, 0), (8, 0)],
          (8, 8): [(0, 0), (8, 0), (0, 8), (8, 8)]}  # fmt: skip


def record(
    source: int,
    shape: tuple[int, int],
    corner: tuple[int, int],
    motion: tuple[int, int],
    scale: int = 4,
) -> tuple:
    centre = (corner[0] + shape[0] // 2, corner[1] + shape[1] // 2)
    return (source, *shape, 0, 0, *centre, 0, *motion, scale)


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
                        rows.append(
                            record(
                                source, shape, (left + x, top + y), tuple(rng.integers(1, 90, 2))
                            )
                        )
    return np.array(rows, RECORD)


def rasterise_slowly(
    blocks: np.ndarray, height: int, width: int, sign: int
) -> tuple[np.ndarray, np.ndarray]:
    """Every pixel of every block, one by one."""
    field, valid = np.zeros((height, width, 2), np.float32), np.zeros((height, width), bool)
    for block in blocks[blocks["source"] == sign]:
        left, top = (
            int(block["dst_x"]) - int(block["w"]) // 2,
            int(block["dst_y"]) - int(block["h"]) // 2,
        )
        for y in range(top, min(top + int(block["h"]), height)):
            for x in range(left, min(left + int(block["w"]), width)):
                field[y, x] = (
                    block["motion_x"] / block["motion_scale"],
                    block["motion_y"] / block["motion_scale"],
                )
                valid[y, x] = True
    return field, valid


@pytest.mark.parametrize("cell", [4, 8])
@pytest.mark.parametrize(("height", "width"), [(64, 96), (45, 51)])
def test_rasterise_equals_a_loop_over_blocks(form: str, cell: int, height: int, width: int) -> None:
    blocks = random_blocks(height, width, seed=cell)
    vectors, references = rasterise(blocks, height, width, cell, [PAST, FUTURE])
    for layer, (name, sign) in enumerate(((PAST, -1), (FUTURE, 1))):
        field, valid = rasterise_slowly(blocks, height, width, sign)
        np.testing.assert_array_equal(vectors[layer], field[::cell, ::cell])
        np.testing.assert_array_equal(
            references[layer], np.where(valid[::cell, ::cell], name, NONE)
        )


def test_a_picture_of_the_past_alone_has_one_layer(form: str) -> None:
    blocks = random_blocks(48, 64, seed=1)
    vectors, references = rasterise(blocks, 48, 64, 8, [PAST])
    field, valid = rasterise_slowly(blocks, 48, 64, -1)
    assert vectors.shape == (1, 6, 8, 2)
    np.testing.assert_array_equal(vectors[0], field[::8, ::8])
    np.testing.assert_array_equal(references[0] == PAST, valid[::8, ::8])


def test_a_picture_without_vectors_is_all_holes(form: str) -> None:
    vectors, references = rasterise(np.zeros(0, RECORD), 30, 40, 8, [PAST, FUTURE])
    assert vectors.shape == (2, 4, 5, 2)
    assert not vectors.any()
    assert (references == NONE).all()


def test_blocks_beyond_the_picture_are_cut(form: str) -> None:
    """Blocks reach beyond the picture where its size is no multiple of 16; they are cut."""
    blocks = np.array([record(-1, (16, 16), (32, 16), (4, 8))], RECORD)
    vectors, references = rasterise(blocks, 24, 40, 8, [PAST])
    expected = np.full((3, 5), NONE)
    expected[2, 4] = PAST
    np.testing.assert_array_equal(references[0], expected)
    assert vectors[0, 2, 4].tolist() == [1, 2]


def test_an_unused_direction_is_told_from_a_zero_vector(form: str) -> None:
    """Parts of one macroblock that each use one direction are listed in both, the unused one as
    zero."""
    part, left, right = (8, 16), (0, 0), (8, 0)
    rows = [
        record(-1, part, left, (12, 8)), record(-1, part, right, (0, 0)),
        record(1, part, left, (0, 0)), record(1, part, right, (-4, 4)),
    ]  # fmt: skip
    _, references = rasterise(np.array(rows, RECORD), 16, 16, 8, [PAST, FUTURE])
    assert references[:, 0].tolist() == [[PAST, NONE], [NONE, FUTURE]]
    still = [record(-1, part, left, (0, 0)), record(1, part, left, (0, 0))]
    _, references = rasterise(np.array(still, RECORD), 16, 16, 8, [PAST, FUTURE])
    assert references[:, 0, 0].tolist() == [PAST, FUTURE]


def holed(height: int, width: int, length: int) -> list[Image]:
    """A pan with a patch of new noise in every frame, which no vector can predict."""
    rng = np.random.default_rng(0)
    canvas = np.kron(
        rng.integers(0, 256, (height // 4 + 20, width // 4 + 20, 3)), np.ones((4, 4, 1))
    ).astype(np.uint8)
    images = [canvas[i : i + height, 2 * i : 2 * i + width].copy() for i in range(length)]
    for image in images:
        image[16:48, 32:64] = rng.integers(0, 256, (32, 32, 3))
    return images


def stream(folder: Path, height: int, width: int, bframes: int, length: int = 10) -> Path:
    path = folder / "stream.mkv"
    encode(
        iter(holed(height, width, length)), path, H264(gop=5, qp=24, bframes=bframes).encoder(), 25
    )
    return path


def frames(path: Path, settings: MotionSettings, frame_threads: bool = False) -> list[Frame]:
    return list(
        decode(
            path,
            5,
            MotionSource(ExportedVectors, settings, residual=True),
            frame_threads=frame_threads,
        )
    )


def assert_equal(first: list[Frame], second: list[Frame]) -> None:
    assert [frame.index for frame in first] == [frame.index for frame in second]
    for one, other in zip(first, second, strict=True):
        assert one.motion is not None
        assert other.motion is not None
        np.testing.assert_array_equal(one.image, other.image)
        np.testing.assert_array_equal(one.motion.grid, other.motion.grid)
        assert (one.residual is None) == (other.residual is None)
        if one.motion.step is not None and other.motion.step is not None:
            np.testing.assert_array_equal(one.motion.step.vectors, other.motion.step.vectors)
            np.testing.assert_array_equal(one.motion.step.references, other.motion.step.references)
        if one.residual is not None and other.residual is not None:
            np.testing.assert_array_equal(one.residual, other.residual)


@pytest.mark.skipif(
    native.video_kernels() is None, reason="the compiled kernels cannot be used here"
)
@pytest.mark.parametrize("bframes", [0, 2])
@pytest.mark.parametrize(
    "settings", [MotionSettings(4), MotionSettings(8), MotionSettings(8, "zero", True)]
)
def test_streams_are_the_same_with_and_without_kernels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bframes: int, settings: MotionSettings
) -> None:
    path = stream(tmp_path, 94, 138, bframes)
    compiled = frames(path, settings)
    monkeypatch.setattr(native, "video_kernels", lambda: None)
    plain = frames(path, settings)
    assert_equal(compiled, plain)
    shares = [
        frame.motion.intra_share
        for frame in compiled
        if frame.motion is not None and frame.distance
    ]
    assert max(shares) > 0.02, "the patch of noise is meant to be intra"
    assert min(shares) < 0.5


def test_streams_with_b_frames_are_the_same_ten_times(tmp_path: Path) -> None:
    path = stream(tmp_path, 96, 128, bframes=2)
    first = frames(path, MotionSettings())
    for _ in range(9):
        assert_equal(first, frames(path, MotionSettings()))


def test_threads_over_frames_lose_nothing_of_p_frames(tmp_path: Path) -> None:
    path = stream(tmp_path, 96, 128, bframes=0)
    first = frames(path, MotionSettings())
    for _ in range(5):
        assert_equal(first, frames(path, MotionSettings(), frame_threads=True))


def test_threads_over_frames_are_refused_where_pictures_are_reordered(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="without frame_threads"):
        frames(stream(tmp_path, 96, 128, bframes=2), MotionSettings(), frame_threads=True)
