"""Motion drawn onto a frame: blocks, arrows, tint."""

import numpy as np
import pytest

from vssbench.codec.vectors.reader import BlockVectors
from vssbench.core.motion import NONE, MotionField
from vssbench.core.video import Frame
from vssbench.view.overlay import (
    INTRA,
    REFERENCES,
    Overlay,
    exaggeration,
    kinds,
    merge,
    outlines,
    p95_length,
)

CELL = 8


def blocks(references, vectors=None):
    references = np.asarray(references, np.int32)
    vectors = (
        np.zeros((*references.shape, 2), np.float32)
        if vectors is None
        else np.asarray(vectors, np.float32)
    )
    return BlockVectors(vectors, references, 0)


def slow_boxes(ids):
    found = {}
    for row, column in np.ndindex(*ids.shape):
        top, left, bottom, right = found.get(ids[row, column], (row, column, row + 1, column + 1))
        found[ids[row, column]] = (
            min(top, row),
            min(left, column),
            max(bottom, row + 1),
            max(right, column + 1),
        )
    return [found[number] for number in range(len(found))]


def test_merge_makes_rectangles_of_equal_cells():
    rng = np.random.default_rng(0)
    # few different vectors, in patches: blocks of all sizes come about
    coarse = rng.integers(0, 2, (5, 7))
    vectors = np.repeat(np.repeat(coarse, 4, 0), 4, 1)[:17, :26]
    vectors[3:7, 5:15] = rng.integers(0, 3, (4, 10))
    own = blocks(np.zeros((1, 17, 26)), np.stack([vectors, -vectors], -1)[None])
    merged = merge(own, CELL)
    assert merged.boxes.tolist() == [list(box) for box in slow_boxes(merged.ids)]
    for number, (top, left, bottom, right) in enumerate(merged.boxes):
        assert (merged.ids[top:bottom, left:right] == number).all()
        assert len(np.unique(vectors[top:bottom, left:right])) == 1
        assert bottom - top <= 8
        assert right - left <= 8
    assert len(merged.boxes) < 17 * 26 / 2


def test_merge_stops_at_the_codecs_largest_blocks_and_at_other_references():
    still = blocks(np.zeros((1, 8, 8)))
    assert merge(still, CELL).boxes.tolist() == [[0, 0, 8, 8]]
    assert len(merge(still, CELL, 16).boxes) == 16
    assert len(merge(still, CELL, 0).boxes) == 64
    references = np.zeros((1, 8, 8))
    references[0, 4:, :] = NONE
    assert merge(blocks(references), CELL).boxes.tolist() == [[0, 0, 4, 8], [4, 0, 8, 8]]
    # two lists: equal in one is not enough
    both = np.stack([references[0] * 0, references[0]])
    assert len(merge(blocks(both), CELL).boxes) == 2


def test_kinds_of_references():
    found = kinds(5, np.array([NONE, 0, 4, 6, 5 - 2], np.int32))
    assert {name: mask.tolist() for name, mask in found.items()} == {
        "previous": [False, False, True, False, False],
        "back": [False, True, False, False, True],
        "future": [False, False, False, True, False],
    }


def frame(references, vectors, grey=128):
    own = blocks(references, vectors)
    height, width = own.references.shape[1] * CELL, own.references.shape[2] * CELL
    field = MotionField(own.vectors[0], CELL, height, width, own.intra_share, own)
    return Frame(3, np.full((height, width, 3), grey, np.uint8), "P", 3, motion=field)


@pytest.mark.parametrize(("reference", "kind"), [(2, "previous"), (1, "back"), (4, "future")])
def test_an_arrow_lies_along_its_vector_in_the_colour_of_its_reference(reference, kind):
    references = np.full((1, 8, 8), reference)
    vectors = np.zeros((1, 8, 8, 2))
    vectors[...] = (20, 0)
    drawn = np.asarray(Overlay(2.0, 1.0).draw(frame(references, vectors)), int)
    near = np.abs(drawn - REFERENCES[kind][0]).max(-1) < 12
    y, x = np.nonzero(near)
    # one block of 64 pixels, centre (32, 32): the arrow runs from (64, 64) to (104, 64) on the
    # sheet
    assert near.any()
    assert x.min() >= 62
    assert 95 <= x.max() <= 106
    assert abs(y.mean() - 64) < 1


def test_intra_is_tinted_and_a_frame_without_motion_is_left_alone():
    references = np.full((1, 8, 8), 2)
    references[0, :, 4:] = NONE
    drawn = np.asarray(Overlay(1.0).draw(frame(references, np.zeros((1, 8, 8, 2)))), int)
    grey, tinted = drawn[4, 10], drawn[4, 50]
    assert len(set(grey)) == 1
    expected = grey + (np.array(INTRA) - grey) * 0.45
    assert np.abs(tinted - expected).max() <= 2
    alone = Frame(0, np.arange(64 * 64 * 3, dtype=np.uint8).reshape(64, 64, 3), "I", 0)
    assert (np.asarray(Overlay(1.0).draw(alone)) == alone.image).all()


def test_the_keyframe_field_is_drawn_on_a_lattice():
    shown = frame(np.full((1, 16, 16), 2), np.full((1, 16, 16, 2), 5.0))
    overlay = Overlay(1.0, 1.0, "keyframe")
    ((kind, tails, vectors),) = overlay.arrows(3, shown.motion, merge(shown.motion.blocks, CELL))
    assert kind == "keyframe"
    assert len(np.unique(np.diff(np.unique(tails[:, 0])))) == 1
    assert np.diff(np.unique(tails[:, 0])).min() >= 20
    assert (vectors == 5).all()


def test_arrows_end_where_the_vector_does_and_short_ones_are_dots():
    shapes = outlines(
        np.array([[10.0, 20.0], [5.0, 5.0]]), np.array([[30.0, -40.0], [0.0, 0.0]]), 2.0
    )
    tip = shapes[0][np.argmax(np.hypot(*(shapes[0] - [10, 20]).T))]
    assert tip == pytest.approx([40, -20])
    assert np.hypot(*(shapes[1] - 5).T) == pytest.approx(np.full(8, 1.5))


def test_exaggeration_and_lengths():
    assert exaggeration(0.0, 1.0) == 8
    assert exaggeration(3.0, 1.0) == 8
    assert exaggeration(9.0, 1.0) == 3
    assert exaggeration(500.0, 1.0) == 0.25
    references = np.full((1, 2, 2), 2)
    references[0, 0, 0] = NONE
    shown = frame(references, np.full((1, 2, 2, 2), (3.0, 4.0)))
    assert p95_length(shown.motion, "own") == pytest.approx(5)
    assert p95_length(MotionField(np.zeros((2, 2, 2), np.float32), CELL, 16, 16, 1.0), "own") == 0
