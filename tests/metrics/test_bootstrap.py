"""Bootstrap intervals: what is drawn, what they are made of, and how often they hold the truth in a
simulation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from tests.metrics.records import By, grouped, record_of, series
from vssbench.core.errors import DataError, UsageError
from vssbench.metrics.bootstrap import class_differences, difference, intervals
from vssbench.metrics.resampling import (
    Resampling,
    block_length,
    described,
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


def test_resamplings_that_differ_in_their_blocks_are_described_together() -> None:
    made = [
        Resampling("blocks", 1, frames, block, 0.1 * block, 1.0 + block, 2000, 0, 1)
        for frames, block in ((101, 9), (101, 4), (90, 9), (101, 33))
    ]
    assert described([*made, Resampling("clips", 12, 24, 0, None, 1.0, 2000, 0, 12)]) == [
        "95 % bootstrap interval: blocks of 4 to 33 consecutive labelled frames, of 101 in 1 clip, "
        "2000 replicates, seed 0.",
        "95 % bootstrap interval: blocks of 9 consecutive labelled frames, of 90 in 1 clip, 2000 "
        "replicates, seed 0.",
        "95 % bootstrap interval: 12 clips drawn whole, 2000 replicates, seed 0.",
    ]


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
