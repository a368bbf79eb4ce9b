"""Statistics of times, against slow and obvious references, and on made-up times whose answer is
known."""

import math

import numpy as np
import pytest

from vssbench.latency.samples import Samples, columns, gop_means, joined
from vssbench.latency.statistics import compare, median_interval, summarise


def samples(model_ms, process=None, rounds=None, gop=3, decode=0.0):
    """Made-up frames in GOP order; the k-th has the k-th time."""
    model = np.asarray(model_ms, np.float64)
    zero, n = np.zeros(len(model)), np.arange(len(model))
    none = np.zeros(len(model), np.int64)
    process = none if process is None else np.asarray(process)
    rounds = none if rounds is None else np.asarray(rounds)
    return Samples(
        none, process, rounds, n // gop, n % gop, n % gop, zero + decode, zero, zero, model, zero
    )


def made(random, level, processes=3, rounds=5, frames=6, process_noise=0.0, noise=0.01):
    """Frames of one method whose times are ``level`` but for a factor of each process and one of
    each frame."""
    process = np.repeat(np.arange(processes), rounds * frames)
    number = np.tile(np.repeat(np.arange(rounds), frames), processes)
    factor = np.exp(random.normal(0, process_noise, processes))[process] * np.exp(
        random.normal(0, noise, len(process))
    )
    return samples(level * factor, process, number)


def test_summary_of_known_times():
    found = samples([30.0, 10, 12, 34, 14, 16], decode=8.0)
    key, other, gop = (summarise(found, kind) for kind in ("key", "nonkey", "gop"))
    assert (key.median_ms, key.samples, key.worst_ms, key.mad_ms) == (32, 2, 34, 2)
    assert other.median_ms == 13
    assert other.mad_ms == 2  # of 3, 1, 1, 3
    assert gop.median_ms == pytest.approx((52 / 3 + 64 / 3) / 2)
    assert gop.frames_a_second == pytest.approx(1000 / gop.median_ms)
    # 38 and 42 ms with decoding; the deadlines are 40 and 33.3
    assert key.missed == {25: 0.5, 30: 1.0}
    assert other.missed == {25: 0.0, 30: 0.0}
    assert gop.missed[30] == pytest.approx(2 / 6)
    assert key.parts_ms["decode"] == 8
    assert key.parts_ms["total"] == 40
    assert key.low_ms is None  # one round of one process tells nothing of another


def test_no_frames_of_a_kind_is_no_summary():
    assert summarise(samples([5.0, 5], gop=1), "nonkey") is None


def test_gop_means_are_those_of_a_loop():
    random = np.random.default_rng(0)
    found = made(random, 10.0)
    means, process, rounds = gop_means(found, found.network_ms)
    for mean, p, r, k in zip(means, process, rounds, np.unique(found.gop), strict=True):
        chosen = [
            t
            for t, a, b, c in zip(
                found.network_ms, found.process, found.round, found.gop, strict=True
            )
            if (a, b, c) == (p, r, k)
        ]
        assert mean == pytest.approx(sum(chosen) / len(chosen))


def test_interval_is_that_of_an_obvious_bootstrap():
    """Draw processes, then rounds, one by one, take the median of what was drawn: the same but for
    the draws' noise."""
    random = np.random.default_rng(1)
    process, rounds = np.repeat(np.arange(4), 12), np.tile(np.repeat(np.arange(4), 3), 4)
    values = random.normal(0, 1, 4)[process] + random.normal(0, 1, 48)
    medians = []
    for _ in range(1500):
        drawn = []
        for p in random.integers(0, 4, 4):
            for r in random.integers(0, 4, 4):
                drawn += list(values[(process == p) & (rounds == r)])
        medians.append(np.median(drawn))
    middle = np.median(values)
    low, high = (middle - np.quantile(medians, 0.025), np.quantile(medians, 0.975) - middle)
    found = median_interval(values, process, rounds, 1500)
    ratios = (middle - found[0]) / low, (found[1] - middle) / high
    assert ratios[0] == pytest.approx(ratios[1], rel=0.2)  # both ends are widened by one factor
    assert 1 < ratios[0] < 2.2  # for 4 processes: at most t_3 sqrt(4 / 3) / z = 1.87


@pytest.mark.parametrize("process_noise", [0.0, 0.01, 0.05])
def test_interval_covers_the_truth(process_noise):
    random = np.random.default_rng(2)
    hits = 0
    for trial in range(80):
        found = made(random, 10.0, process_noise=process_noise, noise=0.02)
        low, high = median_interval(
            np.log(found.network_ms), found.process, found.round, 200, trial
        )
        hits += low <= math.log(10.0) <= high
    assert hits / 80 >= 0.88  # 95 % but for chance: the standard error is 2.4 %


def test_planted_slowdown_is_found_and_equal_methods_are_not():
    random = np.random.default_rng(3)
    first, second, slow = (made(random, level, process_noise=0.01) for level in (10.0, 10.0, 11.0))
    same = compare(first, second, ("a", "b"), "gop")
    assert same.low < 1 < same.high
    assert same.words == "no difference of a and b is shown"
    found = compare(slow, first, ("slow", "a"), "gop")
    assert found.low < 1.1 < found.high
    assert found.words.startswith("slow is slower than a by ")
    assert compare(first, slow, ("a", "slow"), "gop").words.startswith("slow is slower than a by ")


def test_pairing_by_round_takes_out_what_both_meet():
    """The machine is twice as slow in every other round: no matter to the ratio."""
    random = np.random.default_rng(4)
    process, rounds = np.repeat(np.arange(3), 24), np.tile(np.repeat(np.arange(4), 6), 3)
    weather = np.where(rounds % 2, 2.0, 1.0)
    one, two = (
        samples(level * weather * np.exp(random.normal(0, 0.01, 72)), process, rounds)
        for level in (11.0, 10.0)
    )
    found = compare(one, two, ("one", "two"), "nonkey")
    assert found.ratio == pytest.approx(1.1, rel=0.02)
    assert found.high - found.low < 0.05
    assert summarise(one, "nonkey").spread > 0.5


def test_a_ratio_that_depends_on_the_machines_speed_reaches_to_both_states():
    """One method takes 1.4 times the other's time, 1.3 times where the machine is slow; any mixture
    of these may be met."""
    random = np.random.default_rng(5)
    process, rounds = np.repeat(np.arange(3), 60), np.tile(np.repeat(np.arange(10), 6), 3)
    found = []
    for slow_rounds in (3, 7):
        slow = rounds < slow_rounds
        noise = np.exp(random.normal(0, 0.005, (2, 180)))
        dear, cheap = np.where(slow, 18.2, 14.0) * noise[0], np.where(slow, 14.0, 10.0) * noise[1]
        found.append(
            compare(
                samples(dear, process, rounds),
                samples(cheap, process, rounds),
                ("dear", "cheap"),
                "nonkey",
            )
        )
    for ratio, most in zip(found, (1.4, 1.3), strict=True):
        assert ratio.ratio == pytest.approx(most, rel=0.01)
        assert (ratio.fast, ratio.slow) == (
            pytest.approx(1.4, rel=0.01),
            pytest.approx(1.3, rel=0.01),
        )
        assert ratio.low <= ratio.slow < ratio.fast <= ratio.high
    assert found[0].low <= found[1].high  # the two measurements do not contradict each other


def test_a_steady_machine_has_one_state():
    random = np.random.default_rng(6)
    one, two = (made(random, level, rounds=8) for level in (10.0, 12.0))
    assert (
        compare(one, two, ("a", "b"), "gop").fast,
        compare(one, two, ("a", "b"), "gop").slow,
    ) == (None, None)


def test_ratio_without_a_common_round_is_none():
    early, late = samples([1.0] * 3, rounds=[0] * 3), samples([1.0] * 3, rounds=[1] * 3)
    assert compare(early, late, ("a", "b"), "gop") is None
    assert compare(early, early, ("a", "b"), "gop").words.startswith("no interval")


def test_joined_keeps_every_frame():
    parts = [samples([1.0, 2]), samples([3.0])]
    assert list(joined(parts).model_ms) == [1, 2, 3]
    assert len(joined([])) == 0
    assert set(columns(joined([]))) >= {"method", "distance", "decode_ms"}
