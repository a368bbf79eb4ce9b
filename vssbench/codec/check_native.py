"""Holds freshly loaded kernels of motion and colour against numpy on small cases; see ``check``."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from vssbench.native.video import Array, VideoKernels

HEIGHT, WIDTH, CELL = 36, 52, 8


def disagreement(kernels: VideoKernels) -> str:
    """Describe what is wrong with the kernels; empty where nothing is.

    Results must be the same to the last bit.
    """
    rng = np.random.default_rng(0)
    wrong = [
        name
        for name, found, expected in _cases(kernels, rng)
        if not np.array_equal(found, expected)
    ]
    return f"{' and '.join(wrong)} differ from numpy's results" if wrong else ""


def _cases(kernels: VideoKernels, rng: np.random.Generator) -> Iterator[tuple[str, Array, Array]]:
    from vssbench.codec.colour import CENTRE, plain_rgb
    from vssbench.codec.motion import Step, plain_compose, plain_settle
    from vssbench.codec.prediction import plain_predict
    from vssbench.codec.vectors.exported import RECORD, plain_rasterise
    from vssbench.codec.vectors.reader import BlockVectors, grid_shape

    shape = grid_shape(HEIGHT, WIDTH, CELL)
    records = np.zeros(20, RECORD)
    records["source"], records["w"], records["h"], records["motion_scale"] = (
        rng.choice([-1, 1], 20),
        16,
        8,
        4,
    )
    records["dst_x"], records["dst_y"] = (
        8 + 16 * rng.integers(0, 3, 20),
        4 + 8 * rng.integers(0, 4, 20),
    )
    records["motion_x"], records["motion_y"] = rng.integers(-99, 99, (2, 20))
    for name, found, expected in zip(
        ("rasterised vectors", "rasterised references"),
        kernels.rasterise(records, shape, CELL, [3, 5]),
        plain_rasterise(records, HEIGHT, WIDTH, CELL, [3, 5]),
        strict=True,
    ):
        yield name, found, expected
    vectors, references = (
        rng.normal(0, 9, (2, *shape, 2)).astype(np.float32),
        rng.choice([-1, -1, 3, 5], (2, *shape)),
    )
    blocks = BlockVectors(vectors, references.astype(np.int32), 3)
    step = Step(*kernels.settle(vectors, blocks.references, 4, 3, True))
    settled = plain_settle(4, blocks, "nearest")
    yield "settled vectors", step.vectors, settled.vectors
    yield "settled references", step.references, settled.references
    fields = {name: rng.normal(0, 9, (*shape, 2)).astype(np.float32) for name in (3, 5)}
    for whole_pixels in (False, True):
        found = kernels.compose(
            step.vectors, step.references, CELL, whole_pixels, [3, 5], list(fields.values())
        )
        yield "composed vectors", found, plain_compose(settled, fields, CELL, whole_pixels)
    images = [rng.integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8) for _ in fields]
    found = kernels.predict(step.vectors, step.references, CELL, [3, 5], images)
    yield "predicted pictures", found, plain_predict(settled, [3, 5], images, CELL)
    planes = [
        rng.integers(0, 256, size, np.uint8)
        for size in ((HEIGHT, WIDTH), *[(HEIGHT // 2, WIDTH // 2)] * 2)
    ]
    yield (
        "RGB pictures",
        kernels.rgb(planes, CENTRE, HEIGHT - 1, WIDTH),
        plain_rgb(planes, CENTRE)[: HEIGHT - 1],
    )
