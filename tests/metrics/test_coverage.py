"""Intervals of correlated frames, clips and groups hold the truth as often as they say."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.metrics.records import CLASSES, SHARES, By, grouped, record_of, series
from vssbench.metrics.bootstrap import class_differences, difference, intervals
from vssbench.metrics.resampling import (
    captured,
)
from vssbench.metrics.scores import scores
from vssbench.run.records import ConfusionRecord


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
