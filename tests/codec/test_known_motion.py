"""The vectors of every codec against motion that is known exactly; see docs/codecs.md for the
definitions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tools import codec_account as account
from vssbench.codec.formats.raw import Raw
from vssbench.codec.vectors.reader import BlockVectors
from vssbench.core import registry
from vssbench.core.errors import DataError
from vssbench.core.motion import MotionField
from vssbench.core.video import Clip, Frame
from vssbench.view import trials
from vssbench.view.trials import (
    CODECS,
    LEAST_COVERED,
    MOTIONS,
    PRESETS,
    SIZES,
    Known,
    Motion,
    Scene,
    codec_of,
    known,
    moving_clip,
)

PAGE = Path(__file__).parents[2] / "docs" / "codecs.md"
#: frames, one GOP
LENGTH = 4
#: pixels of a frame up to which every motion is tried by every preset; of larger ones all take a
#: minute
SMALL = 360 * 480
#: clips encoded at once
THREADS = 2


@cache
def clip_of(motion: str, height: int, width: int) -> Clip:
    return moving_clip(MOTIONS[motion], height, width, LENGTH)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
@pytest.mark.parametrize("name", CODECS)
def test_vectors_tell_the_true_motion(
    name: str, size: tuple[int, int], provable: Callable[[str], None]
) -> None:
    provable(name)
    cases = list(product(MOTIONS, PRESETS))
    if size[0] * size[1] > SMALL:  # each motion by one of the presets
        cases = [case for number, case in enumerate(cases) if number % 4 in (0, 3)]

    def found(case: tuple[str, str]) -> Known:
        motion, preset = case
        codec = codec_of(name, gop=LENGTH, preset=preset, **trials.QUALITY[name])
        return known(codec, clip_of(motion, *size), MOTIONS[motion], trials.tolerance(name))

    for motion in MOTIONS:
        clip_of(motion, *size)  # once, before threads ask for it
    with ThreadPoolExecutor(THREADS) as pool:
        results = dict(zip(cases, pool.map(found, cases), strict=True))
    bound = trials.bound(name)
    assert not {
        case: result
        for case, result in results.items()
        if result.right < bound or result.covered < LEAST_COVERED
    }


@pytest.mark.parametrize("motion", MOTIONS.values(), ids=MOTIONS)
def test_the_scene_moves_as_it_is_said_to(motion: Motion) -> None:
    """A frame equals the scene read at the true source: pixel by pixel, by the plain sum of
    waves."""
    height, width, scene = 24, 32, Scene()
    clip = moving_clip(motion, height, width, 4)
    for index, reference, x, y in ((3, 2, 5, 7), (3, 0, 20, 11), (1, 0, 31, 23)):
        there = [
            float(motion.source(index, np.array(reference), np.array(float(at)), axis, size))
            for axis, (at, size) in enumerate(((x, width), (y, height)))
        ]
        back = [
            float(motion.scene(reference, np.array(at), axis, size))
            for axis, (at, size) in enumerate(zip(there, (width, height), strict=True))
        ]
        waves = [
            sum(
                np.cos(u * back[0] + v * back[1] + phase)
                for u, v, phase in zip(scene._x, scene._y, phases, strict=True)
            )
            for phases in scene._phase
        ]
        value = 128 + Scene.DEVIATION * np.sqrt(2 / Scene.WAVES) * np.array(waves)
        assert np.abs(clip.image(index)[y, x] - np.clip(value, 0, 255)).max() <= 0.51


def test_a_pan_is_told_by_its_distance_and_a_zoom_from_the_centre() -> None:
    position, back = np.array([0.0, 10.0]), np.array([1, 3])
    assert MOTIONS["pan (13, -9)"].source(4, back, position, 0, 21) == pytest.approx([39.0, 23.0])
    assert Motion(zoom=0.5).source(4, back, position, 0, 21) == pytest.approx([8.75, 10.0])


def test_a_block_that_moves_as_a_whole_is_held_against_the_truth_at_its_middle() -> None:
    """A field that is constant within blocks of 32 pixels, true at their middles, is all right; one
    pixel of zoom off, none."""
    motion, height, width = Motion(zoom=0.9), 96, 128
    middles = [np.arange(size // 8) // 4 * 32 + 15.5 for size in (width, height)]
    x, y = (
        motion.source(1, np.array(0), middle, axis, size) - middle
        for axis, (middle, size) in enumerate(zip(middles, (width, height), strict=True))
    )
    vectors = np.dstack(np.meshgrid(x, y)).astype(np.float32)
    references = np.zeros((height // 8, width // 8), np.int32)
    field = MotionField(
        vectors, 8, height, width, 0.0, BlockVectors(vectors[None], references[None], 0)
    )
    still = MotionField(np.zeros_like(vectors), 8, height, width, 1.0)
    image = np.zeros((height, width, 3), np.uint8)
    clip = moving_clip(motion, height, width, 2)

    class Told(Raw):
        def frames(self, clip: Clip, *_: Any, **__: Any) -> Iterator[Frame]:
            yield Frame(0, image, "I", 0, motion=still)
            yield Frame(1, image, "P", 1, motion=field)

    assert known(Told(), clip, motion, 1e-5) == Known(1.0, 1.0, 0.0)
    vectors[3, 3] += 0.5
    wrong = known(Told(), clip, motion, 1e-5)
    # the block falls apart: fifteen of its cells are now held against other middles, the sixteenth
    # was moved
    assert 0 < wrong.right < 1
    assert wrong.covered == 1


def test_vectors_that_are_wrong_are_found_out() -> None:
    """The measure itself: a pan held against another truth has no vector right, and one a little
    off has all."""
    clip = moving_clip(Motion((3.0, 2.0)), 96, 128, 3)
    codec = codec_of("h264", gop=3, crf=12)
    assert known(codec, clip, Motion((3.0, 2.0)), 0.25).right == 1
    assert known(codec, clip, Motion((3.2, 2.0)), 0.25).right == 1
    assert known(codec, clip, Motion((3.2, 2.0)), 0.1).right == 0
    assert known(codec, clip, Motion((3.5, 2.0)), 0.25).right == 0
    assert known(codec, clip, Motion((-3.0, -2.0)), 0.25).right == 0


def test_the_page_shows_every_codec_at_every_size_within_its_bound() -> None:
    shown = account.between(PAGE.read_text(encoding="utf-8"), account.KNOWN)
    for height, width in SIZES:
        lines = shown.split(f"#### {width}x{height}\n")[1].split("####")[0].splitlines()
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in lines
            if line.startswith("| `")
        ]
        assert [tuple(row[:2]) for row in rows] == [
            (f"`{codec}`", preset) for codec in CODECS for preset in PRESETS
        ]
        for codec, _, within, _, *results in rows:
            name = codec.strip("`")
            assert float(within) == trials.tolerance(name)
            assert len(results) == len(MOTIONS)
            for result in results:
                right, covered = (float(number.strip("()")) / 100 for number in result.split())
                assert right >= trials.bound(name)
                assert covered >= LEAST_COVERED


def test_the_codecs_that_are_tried_are_those_that_there_are() -> None:
    assert set(CODECS) == set(registry.plugins("codecs")) - {"raw"}


def test_a_page_without_the_marks_is_refused_in_words() -> None:
    begin, end = account.marks("x")
    page = account.replace(f"a\n{begin}\nold\n{end}\nb", "x", "new")
    assert page == f"a\n{begin}\n\nnew\n\n{end}\nb"
    assert account.between(page, "x") == "new"
    for text in ("nothing", f"half {begin}"):
        with pytest.raises(DataError, match="lacks the line"):
            account.replace(text, "x", "new")
