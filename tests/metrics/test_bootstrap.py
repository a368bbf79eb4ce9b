"""Bootstrap intervals: what is drawn, what they are made of, and how often they hold the truth in a
simulation."""

from __future__ import annotations

import math
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any, Literal

import numpy as np
import pytest

from vssbench.core.errors import DataError, UsageError
from vssbench.metrics.bootstrap import class_differences, difference, intervals
from vssbench.metrics.resampling import (
    block_length,
    captured,
    equal_clips,
    neighbours_correlation,
    plan,
    student,
    weights,
    widening_of_clips,
)
from vssbench.metrics.scores import scores
from vssbench.protocol import MEAN_OF_DISTANCES, POOLED
from vssbench.run.records import ConfusionRecord

CLASSES = 4
SHARES = np.array([0.5, 0.3, 0.15, 0.05])


def series(
    random: np.random.Generator, frames: int, correlation: float, columns: int
) -> np.ndarray:
    """A stationary AR(1) series of variance 1: float64 (frames, columns)."""
    values = random.standard_normal((frames, columns))
    for frame in range(1, frames):
        values[frame] = (
            correlation * values[frame - 1] + math.sqrt(1 - correlation**2) * values[frame]
        )
    return values


def record_of(
    seed: int,
    frames: int = 60,
    correlation: float = 0.0,
    gop: int = 4,
    clips: int = 1,
    skill: float = 2.0,
    every: bool = False,
) -> ConfusionRecord:
    """Frames whose errors follow an AR(1) series, the same for all skills; farther from the
    keyframe they are more."""
    random = np.random.default_rng(seed)
    rows, places = [], []
    for clip in range(clips):
        hardness = series(random, frames, correlation, CLASSES + 1)
        pixels = np.rint(
            SHARES * np.exp(0.3 * series(random, frames, correlation, CLASSES)) * 10_000
        ).astype(np.int64)
        frame = np.repeat(np.arange(frames), gop if every else 1)
        distance = np.tile(np.arange(gop), frames) if every else frame % gop
        badness = -skill + 0.1 * distance[:, None] + 0.5 * hardness[frame, :1]
        badness = badness + 0.4 * hardness[frame, 1:]
        wrong = np.rint(pixels[frame] / (1 + np.exp(-badness))).astype(np.int64)
        matrices = np.zeros((len(frame), CLASSES, CLASSES), np.int64)
        matrices[:, np.arange(CLASSES), (np.arange(CLASSES) + 1) % CLASSES] = wrong
        matrices[:, np.arange(CLASSES), np.arange(CLASSES)] += pixels[frame] - wrong
        rows.append(matrices)
        places.append(np.stack([distance, np.full_like(frame, clip), frame]))
    return ConfusionRecord(np.concatenate(rows), *np.concatenate(places, axis=1))


@pytest.mark.parametrize("aggregate", [MEAN_OF_DISTANCES, POOLED])
@pytest.mark.parametrize("clips", [1, 12])
def test_the_interval_is_about_the_score_itself(aggregate: str, clips: int) -> None:
    record = record_of(1, 40, 0.6, clips=clips)
    found = intervals(record, aggregate, replicates=300)
    assert found.miou.value == pytest.approx(scores(record, aggregate).miou, abs=1e-12)
    assert found.miou.low < found.miou.value < found.miou.high
    assert [item.value for item in found.by_distance if item] == pytest.approx(
        scores(record).miou_by_distance
    )
    assert found.resampling.units == ("clips" if clips == 12 else "blocks")
    assert found.resampling.frames == 40 * clips


@pytest.mark.parametrize("rules", [{"absent": "zero"}, {"absent": "one"}, {"left_out": [3]}, {}])
@pytest.mark.parametrize("every", [False, True])
def test_every_draw_is_the_score_of_the_frames_that_were_drawn(rules: dict, every: bool) -> None:
    record = record_of(2, 13, 0.3, every=every)
    record.matrices[:, 2], record.matrices[:, :, 2] = 0, 0
    found = intervals(record, **rules, block=3, replicates=100, seed=5)
    lengths, random = np.array([13]), np.random.default_rng(5)
    values = []
    for drawn in weights(found.resampling, lengths, 100, random):
        often = np.repeat(np.arange(len(record.frames)), drawn[record.frames].astype(int))
        again = ConfusionRecord(
            *(
                column[often]
                for column in (record.matrices, record.distances, record.clips, record.frames)
            )
        )
        values.append(scores(again, **rules).miou)
    low, middle, high = np.quantile(np.array(values, float), [0.025, 0.5, 0.975])
    value, widening = found.miou.value, found.resampling.widening
    assert value == pytest.approx(scores(record, **rules).miou)
    assert found.miou.low == pytest.approx(max(value + widening * (low - middle), 0))
    assert found.miou.high == pytest.approx(min(value + widening * (high - middle), 1))


def test_blocks_are_consecutive_frames_of_one_clip() -> None:
    lengths = np.array([7, 3, 10])
    resampling = plan(np.zeros(20), lengths, 5, 100, 0)
    drawn = weights(resampling, lengths, 400, np.random.default_rng(0))
    whole = weights(
        plan(np.zeros(20), np.array([20]), 5, 100, 0), np.array([20]), 400, np.random.default_rng(0)
    )
    assert (whole.sum(axis=1) == 20).all()
    for row in drawn:
        of_clips = np.split(row, np.cumsum(lengths)[:-1])
        assert len(set(of_clips[1])) == 1  # a block in a clip that is shorter is the clip
    # four blocks begin at one of twenty frames; a frame is in those that begin at it and at the
    # four before it, or two before
    assert drawn.mean(axis=0) == pytest.approx(
        [4 * 5 / 20] * 7 + [4 * 3 / 20] * 3 + [4 * 5 / 20] * 10, abs=0.2
    )
    # a frame is drawn with the one after it four times of five, round the clip's end too
    together = [
        np.corrcoef(whole[:, place], whole[:, (place + 1) % 20])[0, 1] for place in range(20)
    ]
    assert np.mean(together) == pytest.approx(0.8, abs=0.1)


def test_blocks_are_drawn_of_one_or_two_clips_and_of_those_of_which_one_is_nearly_all() -> None:
    for lengths, units in (
        ([60], "blocks"),
        ([30, 30], "blocks"),
        ([100, 10, 10], "blocks"),
        ([12, 12, 12], "clips"),
    ):
        assert plan(np.zeros(sum(lengths)), np.array(lengths), None, 100, 0).units == units
    assert equal_clips(np.array([7, 7, 7])) == pytest.approx(3)
    assert equal_clips(np.array([100, 10, 10])) == pytest.approx(1.41, abs=0.01)
    # as of three means that are independent: Student's quantile, and the variance over two in place
    # of three
    assert widening_of_clips(np.array([5, 5, 5])) == pytest.approx(
        4.303 / 1.960 * math.sqrt(3 / 2), abs=1e-3
    )


def test_a_distance_that_too_few_clips_show_has_no_interval() -> None:
    record = record_of(3, 12, 0.5, clips=6)
    record.distances[:] = np.where(record.clips < 2, record.distances, 0)
    found = intervals(record).by_distance
    assert [item is not None for item in found] == [True]
    record.distances[:] = np.where(record.clips < 4, record.frames % 2, 0)
    every, few = intervals(record).by_distance
    assert every is not None
    assert few is not None
    # four clips show the second distance: they are widened as four, not as six
    drawn = record.distances == 1
    alone = ConfusionRecord(
        record.matrices[drawn], record.distances[drawn], record.clips[drawn], record.frames[drawn]
    )
    assert few.high - few.low == pytest.approx(
        intervals(alone).miou.high - intervals(alone).miou.low, rel=0.2
    )


def test_clips_are_drawn_whole() -> None:
    lengths = np.arange(1, 13)
    drawn = weights(
        plan(np.zeros(78), lengths, None, 100, 0), lengths, 50, np.random.default_rng(0)
    )
    for row in drawn:
        heads = [set(part) for part in np.split(row, np.cumsum(lengths)[:-1])]
        assert all(len(head) == 1 for head in heads)
        assert sum(head.pop() for head in heads) == 12


def test_a_seed_gives_the_same_interval_and_the_order_of_rows_does_not_matter() -> None:
    record = record_of(3, 40, 0.5)
    order = np.random.default_rng(0).permutation(40)
    shuffled = ConfusionRecord(
        record.matrices[order], record.distances[order], record.clips[order], record.frames[order]
    )
    assert intervals(record, seed=4).miou == intervals(record, seed=4).miou
    assert intervals(record, seed=4).miou != intervals(record, seed=5).miou
    first, second = intervals(record).miou, intervals(shuffled).miou
    assert (first.low, first.high) == pytest.approx((second.low, second.high))


def test_a_frame_scored_at_every_distance_is_one_frame() -> None:
    record = record_of(4, 40, 0.5, every=True)
    copies = ConfusionRecord(
        np.tile(record.matrices[record.distances == 0], (4, 1, 1)),
        np.repeat(np.arange(4), 40),
        np.zeros(160, np.int64),
        np.tile(np.arange(40), 4),
    )
    alone = ConfusionRecord(
        *(getattr(copies, name)[:40] for name in ("matrices", "distances", "clips", "frames"))
    )
    four, one = intervals(copies), intervals(alone)
    assert (four.miou.low, four.miou.high) == pytest.approx((one.miou.low, one.miou.high))
    assert four.resampling.frames == 40


def test_a_difference_is_that_of_the_same_draws() -> None:
    better, worse = record_of(5, 50, 0.7, skill=2.2), record_of(5, 50, 0.7, skill=2.0)
    found = difference(better, worse)
    own = intervals(better).miou
    assert found.miou.value == pytest.approx(scores(better).miou - scores(worse).miou)
    assert found.miou.excludes_zero
    assert found.miou.low > 0
    assert found.miou.high - found.miou.low < (own.high - own.low) / 3
    assert difference(worse, better).miou.high < 0
    assert [item.value > 0 for item in found.by_distance if item] == [True] * 4
    none = difference(better, better).miou
    assert (none.value, none.low, none.high, none.excludes_zero) == (0, 0, 0, False)


def test_two_methods_at_other_distances_of_the_same_frames_are_compared_where_they_can_be() -> None:
    first, second = record_of(6, 48, 0.5, gop=4), record_of(6, 48, 0.5, gop=6, skill=2.1)
    found = difference(first, second)
    assert found.miou.value == pytest.approx(scores(first).miou - scores(second).miou)
    assert found.by_distance == ()  # no distance has the same frames
    every = difference(
        record_of(6, 30, 0.5, gop=2, every=True), record_of(6, 30, 0.5, gop=3, every=True)
    )
    assert len(every.by_distance) == 2


def test_methods_on_other_frames_or_labels_are_refused_in_words() -> None:
    record = record_of(7, 30)
    with pytest.raises(
        DataError, match=r"different frames \(30 and 29, 29 of them the same; frame 29 of clip 0"
    ):
        difference(record, record_of(7, 29))
    with pytest.raises(DataError, match="different labels"):
        difference(record, record_of(8, 30))
    wide = ConfusionRecord(
        np.pad(record.matrices, ((0, 0), (0, 1), (0, 1))),
        record.distances,
        record.clips,
        record.frames,
    )
    with pytest.raises(DataError, match="4 and 5 classes"):
        difference(record, wide)


def test_too_little_for_an_interval_is_refused_in_words() -> None:
    with pytest.raises(DataError, match="no interval of 9 labelled frames: expected at least 10"):
        intervals(record_of(9, 9))
    with pytest.raises(UsageError, match="expected 1 to 10"):
        intervals(record_of(9, 30), block=11)
    with pytest.raises(UsageError, match="at least 100"):
        intervals(record_of(9, 30), replicates=10)
    record = record_of(9, 30)
    record.matrices[:] = 0
    with pytest.raises(DataError, match="not one pixel"):
        intervals(record)
    few = intervals(record_of(9, 16, gop=4))
    assert few.by_distance == (None,) * 4 or few.by_distance == ()


def test_how_an_interval_was_made_is_said() -> None:
    resampling = intervals(record_of(10, 60, 0.7)).resampling
    assert (
        f"blocks of {resampling.block} consecutive labelled frames, of 60 in 1 clip"
        in resampling.describe()
    )
    assert (
        "12 clips drawn whole, 2000 replicates, seed 0"
        in intervals(record_of(10, 2, clips=12)).resampling.describe()
    )


def test_students_quantiles_are_those_of_the_tables() -> None:
    table = {1: 12.706, 2: 4.303, 4: 2.776, 9: 2.262, 30: 2.042, 120: 1.980}
    assert {degrees: student(degrees) for degrees in table} == pytest.approx(table, abs=6e-4)


def test_the_correlation_of_neighbours_is_found_within_clips_alone() -> None:
    random = np.random.default_rng(0)
    long = series(random, 20_000, 0.8, 1)[:, 0]
    assert neighbours_correlation(long, np.array([20_000])) == pytest.approx(0.8, abs=0.02)
    assert neighbours_correlation(random.standard_normal(5000), np.array([5000])) < 0.05
    short = np.mean(
        [
            neighbours_correlation(series(random, 100, 0.8, 1)[:, 0], np.array([100]))
            for _ in range(300)
        ]
    )
    assert short == pytest.approx(0.8, abs=0.02)
    joined = np.concatenate([series(random, 50, 0.9, 1)[:, 0] for _ in range(200)])
    assert neighbours_correlation(joined, np.full(200, 50)) == pytest.approx(0.9, abs=0.02)
    assert neighbours_correlation(np.zeros(20), np.array([20])) == 0


def test_the_block_grows_with_correlation_and_length() -> None:
    assert block_length(0.0, 100) == 1
    lengths = [block_length(correlation, 100) for correlation in (0.3, 0.5, 0.7, 0.9)]
    assert lengths == sorted(lengths)
    # Andrews (1991) for an AR(1) series of 0.5: a = 4 * 0.25 / 0.75^2
    assert block_length(0.5, 1000) == math.ceil((1.5 * 1.7778 * 1000) ** (1 / 3))


@pytest.mark.parametrize(
    ("correlation", "lengths", "block"), [(0.0, [40], 4), (0.8, [40], 8), (0.6, [20, 12, 30], 10)]
)
def test_the_share_of_the_variance_that_blocks_show_equals_that_of_simulated_series(
    correlation: float, lengths: list[int], block: int
) -> None:
    random = np.random.default_rng(1)
    means, shown = [], []
    for _ in range(4000):
        clips = [series(random, length, correlation, 1)[:, 0] for length in lengths]
        mean = np.concatenate(clips).mean()
        means.append(mean)
        count = sum(lengths)
        # the variance of a mean of blocks that begin anywhere: that of block sums
        sums = [sum(np.roll(clip - mean, -step) for step in range(block)) for clip in clips]
        shown.append((np.concatenate(sums) ** 2).mean() / block / count)
    assert captured(correlation, np.array(lengths), block) == pytest.approx(
        np.mean(shown) / np.var(means), rel=0.07
    )


def held(correlation: float, block: int | None, widened: bool, runs: int) -> float:
    """Return the share of intervals of 101 frames that hold the score of an endless sequence."""
    random = np.random.default_rng(0)
    truth = scores(record_of(0, 40_000, 0.0)).miou
    assert truth is not None
    hits = 0
    for seed in random.integers(0, 2**31, runs):
        found = intervals(
            record_of(int(seed), 101, correlation), block=block, replicates=400, seed=int(seed)
        )
        factor = 1.0 if widened else found.resampling.widening
        low = found.miou.value + (found.miou.low - found.miou.value) / factor
        high = found.miou.value + (found.miou.high - found.miou.value) / factor
        hits += low <= truth <= high
    return hits / runs


def test_an_interval_of_correlated_frames_holds_the_truth_as_often_as_it_says() -> None:
    assert 0.90 <= held(0.7, None, True, 150) <= 0.98


def test_drawing_single_frames_would_promise_too_much() -> None:
    assert held(0.7, 1, False, 150) < 0.75


def two_methods(seed: int, lengths: list[int], between: float) -> list[ConfusionRecord]:
    """Two methods on clips of so many frames, whose errors follow AR(1) series of 0.7. A frame is
    hard for both, and for each in its own way; so is a clip, with a standard deviation of
    ``between`` (of the odds' logarithm)."""
    random = np.random.default_rng(seed)
    clip = np.repeat(np.arange(len(lengths)), lengths)
    frame = np.concatenate([np.arange(length) for length in lengths])

    def varied(within: float, between: float) -> np.ndarray:
        side_by_side = series(random, max(lengths), 0.7, CLASSES * len(lengths)).reshape(
            max(lengths), len(lengths), CLASSES
        )
        drift = side_by_side[frame, clip]
        return within * drift + between * random.standard_normal((len(lengths), CLASSES))[clip]

    pixels = np.rint(SHARES * np.exp(varied(0.3, between)) * 10_000).astype(np.int64)
    hardness = -2 + 0.1 * (frame % 4)[:, None] + varied(0.5, between)
    records = []
    for skill in (0.0, 0.2):
        wrong = np.rint(pixels / (1 + np.exp(skill - hardness - varied(0.4, between / 2)))).astype(
            np.int64
        )
        matrices = np.zeros((len(frame), CLASSES, CLASSES), np.int64)
        matrices[:, np.arange(CLASSES), (np.arange(CLASSES) + 1) % CLASSES] = wrong
        matrices[:, np.arange(CLASSES), np.arange(CLASSES)] = pixels - wrong
        records.append(ConfusionRecord(matrices, frame % 4, clip, frame))
    return records


@pytest.mark.parametrize(
    ("lengths", "between", "units"),
    [
        ([12] * 3, 0.0, "clips"),
        ([12] * 3, 0.3, "clips"),
        ([30, 12, 20, 12], 0.3, "clips"),
        ([12] * 10, 0.3, "clips"),
        ([8] * 30, 0.3, "clips"),
        ([101], 0.0, "blocks"),
        ([40, 61], 0.0, "blocks"),
    ],
)
def test_intervals_of_scores_and_of_differences_hold_the_truth_as_often_as_they_say(
    lengths: list[int], between: float, units: str
) -> None:
    runs = 250
    first, second = (scores(record).miou for record in two_methods(0, [24] * 4000, between))
    assert first is not None
    assert second is not None
    single = paired = 0
    for seed in range(1, runs + 1):
        records = two_methods(seed, lengths, between)
        its = intervals(records[1], replicates=300, seed=seed)
        assert its.resampling.units == units
        single += its.miou.low <= second <= its.miou.high
        gain = difference(records[1], records[0], replicates=300, seed=seed).miou
        paired += gain.low <= second - first <= gain.high
    assert 0.90 <= single / runs <= 0.98
    assert 0.90 <= paired / runs <= 0.98


By = Literal["clip", "frame", "drive"]


def grouped(
    seed: int, lengths: list[int], views: int, correlation: float, by: By
) -> ConfusionRecord:
    """Drives of so many frames, every frame seen at ``views`` distances, each view a clip of its
    own: all frames at one distance, then all at the next, behind their keyframe.

    Groups are none, the source frames, or the drives with the views of each frame.
    """
    drives = [
        record_of(seed + 7919 * place, n, correlation, max(views, 4), every=views > 1)
        for place, n in enumerate(lengths)
    ]
    frames = np.repeat(np.arange(sum(lengths)), views)
    distances = np.tile(np.arange(views), sum(lengths))
    drive = np.repeat(np.arange(len(lengths)), lengths)[frames]
    return ConfusionRecord(
        np.concatenate([record.matrices for record in drives]),
        distances,
        distances * sum(lengths) + frames,
        np.minimum(distances, 1),
        {"clip": None, "frame": frames, "drive": drive}[by],
        frames if by == "drive" and views > 1 else None,
    )


@cache
def truth_of_groups(views: int) -> float:
    """Return the score of an endless drive."""
    truth = scores(grouped(0, [40_000], views, 0.0, "clip")).miou
    assert truth is not None
    return truth


def held_of_groups(lengths: list[int], views: int, correlation: float, by: By) -> float:
    """Return the share of intervals that hold the score of an endless drive."""
    truth, hits, runs = truth_of_groups(views), 0, 150
    for seed in np.random.default_rng(0).integers(0, 2**31, runs).tolist():
        record = grouped(seed, lengths, views, correlation, by)
        found = intervals(record, replicates=300, seed=seed).miou
        hits += found.low <= truth <= found.high
    return hits / runs


@pytest.mark.parametrize(
    ("lengths", "views", "correlation", "right", "wrong"),
    [
        ([62, 110], 1, 0.5, "drive", "clip"),
        ([62, 110], 1, 0.7, "drive", "clip"),
        ([40], 6, 0.0, "frame", "clip"),
        ([62, 110], 6, 0.5, "drive", "frame"),
    ],
)
def test_stills_of_a_drive_and_views_of_a_frame_hold_the_truth_as_often_as_they_say(
    lengths: list[int], views: int, correlation: float, right: By, wrong: By
) -> None:
    assert 0.90 <= held_of_groups(lengths, views, correlation, right) <= 0.98
    # each still or view, or each frame of a drive, drawn by itself promises too much
    assert held_of_groups(lengths, views, correlation, wrong) < 0.86


def of_cities(record: ConfusionRecord, clips: int, known: bool) -> ConfusionRecord:
    """Cut each clip of a record into so many, which are one group where that is ``known``."""
    length = (record.frames.max() + 1) // clips
    cut = record.clips * clips + record.frames // length
    return ConfusionRecord(
        record.matrices, record.distances, cut, record.frames % length,
        record.clips if known else None,
    )  # fmt: skip


def test_three_cities_of_many_short_clips_hold_the_truth_as_often_as_they_say() -> None:
    """A city is hard or easy as a whole, for both methods and for each: scores, differences and
    those of classes, with cities drawn as one; each clip by itself promises too much."""
    runs, between = 120, 0.3
    endless = two_methods(0, [24] * 4000, between)
    truths = [scores(record) for record in endless]
    gain = truths[1].miou - truths[0].miou
    of_class = truths[1].class_iou[0] - truths[0].class_iou[0]
    hits = {(kind, known): 0 for kind in ("score", "gain", "class") for known in (True, False)}
    for seed, known in product(range(1, runs + 1), (True, False)):
        first, second = (of_cities(each, 8, known) for each in two_methods(seed, [24] * 3, between))
        own = intervals(second, replicates=100, seed=seed)
        assert own.resampling.groups == (3 if known else 24)
        found: dict[str, Any] = {
            "score": (own.miou, truths[1].miou),
            "gain": (difference(second, first, replicates=100, seed=seed).miou, gain),
            "class": (
                class_differences(second, first, replicates=100, seed=seed)[0].interval, of_class
            ),
        }  # fmt: skip
        for kind, (interval, truth) in found.items():
            hits[kind, known] += interval.low <= truth <= interval.high
    shares = {key: count / runs for key, count in hits.items()}
    assert all(0.90 <= shares[kind, True] <= 0.99 for kind in found), shares
    assert all(shares[kind, False] < 0.86 for kind in found), shares


def test_groups_are_drawn_as_one_and_named() -> None:
    found = intervals(grouped(1, [20], 6, 0.0, "frame"))
    assert "20 groups of 120 clips drawn whole" in found.resampling.describe()
    every = record_of(1, 20, gop=6, every=True)
    once = intervals(replace(every, clips=every.frames, frames=every.frames * 0))
    assert found.miou.value == pytest.approx(once.miou.value)
    assert (found.miou.low, found.miou.high) == pytest.approx((once.miou.low, once.miou.high))
    drives = intervals(grouped(1, [30, 40], 1, 0.5, "drive")).resampling
    assert (drives.units, drives.clips, drives.groups) == ("blocks", 70, 2)
    assert "labelled frames, of 70 in 2 groups of 70 clips" in drives.describe()


def test_views_of_a_frame_are_one_frame_of_their_drive() -> None:
    """Wherever it stands in their clips: a drive's frames as clips at each distance are drawn as
    the drive that is scored at every distance."""
    found = intervals(grouped(1, [60], 6, 0.5, "drive"))
    once = intervals(record_of(1, 60, 0.5, gop=6, every=True))
    assert (found.miou, found.by_distance) == (once.miou, once.by_distance)
    assert replace(found.resampling, clips=1) == once.resampling
    assert "labelled frames, of 60 in 1 group of 360 clips" in found.resampling.describe()


@pytest.mark.parametrize(("views", "by"), [(1, "clip"), (6, "clip"), (6, "frame")])
def test_a_record_without_groups_is_compared_under_those_of_the_other(views: int, by: By) -> None:
    new = grouped(1, [30, 40], views, 0.5, "drive")
    old = grouped(1, [30, 40], views, 0.5, by)
    for first, second in ((new, old), (old, new)):
        found = difference(first, second)
        assert (found.miou.value, found.resampling.groups) == (0, 2)
        assert found.resampling.frames == 70


@pytest.mark.parametrize("aggregate", [MEAN_OF_DISTANCES, POOLED])
def test_differences_of_classes_are_those_of_the_scores(aggregate: str) -> None:
    first, second = record_of(3, skill=2.5), record_of(3, skill=2.0)
    each = class_differences(first, second, aggregate, replicates=200)
    whole = difference(first, second, aggregate, replicates=200)
    ious = [scores(record, aggregate).class_iou for record in (first, second)]
    assert [item.first for item in each] == pytest.approx(ious[0])
    assert [item.second for item in each] == pytest.approx(ious[1])
    found = [item.interval for item in each]
    assert all(its is not None and its.low < its.value < its.high for its in found)
    mean = np.mean([its.value for its in found if its is not None])
    assert mean == pytest.approx(whole.miou.value)


def test_a_class_that_is_left_out_or_absent_has_no_difference() -> None:
    first, second = record_of(3, skill=2.5), record_of(3, skill=2.0)
    for record in (first, second):  # class 1 is neither true nor predicted any more
        record.matrices[:, 0, 0] += record.matrices[:, 0, 1]
        record.matrices[:, 1, :] = record.matrices[:, :, 1] = 0
    each = class_differences(first, second, left_out=[2], replicates=200)
    assert [item.interval is None for item in each] == [False, True, True, False]
    assert math.isnan(each[1].first)
    assert math.isnan(each[2].first)
