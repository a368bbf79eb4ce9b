"""Fresh content: no frame is shown twice, and a frame's parts move together."""

from dataclasses import replace

import numpy as np
import pytest

from vssbench.core.motion import MotionField
from vssbench.core.video import Frame
from vssbench.latency import worker
from vssbench.latency.fresh import Fresh
from vssbench.latency.settings import Settings, Subject

RNG = np.random.default_rng(0)


def frames(cell=4):
    grid = RNG.normal(size=(32 // cell, 48 // cell, 2)).astype(np.float32)
    motion = MotionField(grid, cell, 32, 48, 0.0)
    image = RNG.integers(0, 256, (32, 48, 3)).astype(np.uint8)
    residual = image.astype(np.int16) - 100
    key = Frame(0, image, "I", 0)
    return [key, replace(key, index=1, distance=1, motion=motion, residual=residual)]


def relit(image, whole):
    """Return whether one image is another whose every level became one level, near it."""
    levels = np.zeros(256, int)
    levels[whole] = image
    return np.array_equal(levels[whole], image) and np.abs(levels[whole] - whole).max() < 30


def test_no_gop_comes_twice_though_all_places_were_used():
    fresh, gop = Fresh(32, 48), frames()
    made = [fresh(gop)[0].image for _ in range(5 * 4 * 6)]
    for known in (np.ndarray.tobytes, np.mean, histogram):
        assert len({known(image) for image in made}) == len(made)


def histogram(image):
    """The numbers of pixels of each level, whatever its place: no shift changes them."""
    return np.bincount(image.ravel(), minlength=256).tobytes()


@pytest.mark.parametrize("cell", [4, 8])
def test_image_motion_and_residual_move_together(cell):
    fresh, gop = Fresh(32, 48, seed=3), frames(cell)
    for _ in range(5):
        key, other = fresh(gop)
        down, right = next(
            (y, x)
            for y in range(0, 32, 8)
            for x in range(0, 48, 8)
            if relit(key.image, np.roll(gop[0].image, (y, x), (0, 1)))
        )
        # a GOP's frames in one light: what is the same in both is the same still
        assert np.array_equal(other.image, key.image)
        assert relit(other.image, np.roll(gop[1].image, (down, right), (0, 1)))
        for moved, whole in (
            (other.residual, gop[1].residual),
            (other.motion.dense(), gop[1].motion.dense()),
        ):
            assert np.array_equal(moved, np.roll(whole, (down, right), (0, 1)))
        assert (key.motion, key.residual, other.index, other.distance) == (None, None, 1, 1)
    assert np.array_equal(gop[0].image, frames_before(gop))


def frames_before(gop):
    """The stream's own frames stay as they are."""
    return gop[1].image


def bench_of(gop, cache):
    codec = f"h264[gop={gop}]"
    settings = Settings((64, 96), 3, "cpu", "fp32", codec, gop, 1, 1, 0.1, cache)
    return worker.Bench(settings, Subject("bisenet[width=0.125]", "BiSeNet18"))


@pytest.mark.parametrize("known_by", [np.ndarray.tobytes, np.mean, histogram])
def test_a_round_times_fresh_frames_and_shows_the_last_gop_again(tmp_path, monkeypatch, known_by):
    """Also to a method that remembers by what no shift changes."""
    bench = bench_of(3, tmp_path)
    shown = []

    def segment(frame):
        known = known_by(frame.image) in shown
        shown.append(known_by(frame.image))
        return 1.0, (1.0 if known else 4.0), 1.0

    monkeypatch.setattr(bench, "segment", segment)
    first, second = bench.round(0), bench.round(0)
    for done in (first, second):
        # a method that remembers is found out, and gains nothing in what is counted
        assert done.again == pytest.approx(2 / 5)
        assert {entry[-2] for entry in done.frames} == {4.0}


def test_a_frame_that_was_held_up_is_no_sign_of_kept_results(tmp_path, monkeypatch):
    bench = bench_of(4, tmp_path)
    shown = []

    def segment(frame):
        shown.append(frame.distance)
        held_up = len(shown) == 4  # after the round's first two frames and the keyframe
        return 1.0, 20.0 if held_up else 4.0 if frame.distance == 0 else 2.0, 1.0

    monkeypatch.setattr(bench, "segment", segment)
    done = bench.round(0)
    assert [entry[-2] for entry in done.frames] == [4.0, 20.0, 2.0, 2.0]
    assert done.again == pytest.approx(1)  # not 14 / 32, by which results would be kept
