"""Verdicts, warm-up, load and schedule: pure functions on made-up times."""

from collections import Counter, namedtuple

import numpy as np
import pytest

from vssbench.latency import load, warmup
from vssbench.latency.load import Load, Reading
from vssbench.latency.rounds import schedule
from vssbench.latency.statistics import Summary
from vssbench.latency.verdict import in_words, judge
from vssbench.latency.warmup import WarmUp
from vssbench.run.clock import CudaClock, step_clock

WARM = WarmUp(1.0, 12, 3, True, (9.0, 8.0), (8.0, 7.0))
QUIET = Load(0.01, 0.0)


def summary(**changes):
    base = {
        "kind": "key", "samples": 40, "median_ms": 10, "p90_ms": 10.4, "p99_ms": 11, "worst_ms": 12,
        "mad_ms": 0.1,
        "low_ms": 9.9, "high_ms": 10.1, "spread": 0.06, "processes_ms": [10, 10.1, 10.2],
        "missed": {25: 0, 30: 0}, "parts_ms": {},
    }  # fmt: skip
    return Summary(**{**base, **changes})


def judged(of=None, loads=(QUIET,), warmups=(WARM,), average=0.1, throttled=False, again=(1, 0.95)):
    return judge([of or summary()], loads, warmups, average, 2, throttled, again)


def test_quiet_times_are_stable():
    assert in_words(judged()) == "stable"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"of": summary(spread=0.11)}, "keyframes spread by 11%"),
        ({"of": summary(processes_ms=[10.0, 10.6])}, "processes' keyframes differ by 6%"),
        ({"of": summary(samples=4)}, "only 4 keyframes"),
        ({"loads": (QUIET, Load(0.4, 0.0))}, "other processes used 20% of the machine"),
        ({"loads": (Load(0.0, 0.1),)}, "the hypervisor took 10%"),
        (
            {"loads": (Load(None, None),), "average": 1.5},
            "the load average at the start was 1.50 on 2 cores",
        ),
        (
            {"warmups": (WARM, WarmUp(30, 90, 60, False, (9.0, 8.0), (8.0, 7.0)))},
            "1 of 2 warm-ups did not settle",
        ),
        ({"throttled": True}, "lowered its clock"),
        ({"again": (0.1, 0.5, 1.0)}, "frames shown twice take 50% of their time when fresh"),
    ],
)
def test_each_fault_is_named(given, said):
    reasons = judged(**given)
    assert len(reasons) == 1
    assert in_words(reasons).startswith("unstable: ")
    assert said in reasons[0]


def test_load_average_counts_only_where_the_load_itself_is_unknown():
    assert judged(average=5.0) == []


def test_warm_up_settles_when_windows_agree_twice():
    falling = [(40.0, 30.0), (20.0, 15.0), (10.0, 8.0)]
    assert not warmup.settled(falling)
    assert not warmup.settled([*falling, (10.2, 8.1)])
    assert warmup.settled([*falling, (10.2, 8.1), (10.1, 8.0)])
    # the other frames still change
    assert not warmup.settled([(10.0, 8.0), (10.0, 8.0), (10.0, 9.0)])
    assert warmup.settled([(10.0, 0.0)] * 3)  # every frame is a keyframe


def test_warm_up_has_a_cap():
    assert warmup.given_up(warmup.MOST_WINDOWS, 0.1)
    assert warmup.given_up(3, warmup.MOST_SECONDS)
    assert not warmup.given_up(2, 1000.0)


def test_schedule_is_drawn_anew_for_each_round_and_repeats_by_seed():
    orders = schedule(3, 2, 20, 5)
    assert orders == schedule(3, 2, 20, 5)
    assert orders != schedule(3, 2, 20, 6)
    assert all(sorted(order) == [0, 1, 2] for rounds in orders for order in rounds)
    first = Counter(order[0] for rounds in orders for order in rounds)
    assert set(first) == {0, 1, 2}


Times = namedtuple("Times", "user nice system idle iowait irq softirq steal guest")


def test_busy_is_neither_idle_nor_waiting_nor_stolen_nor_counted_twice(monkeypatch):
    times = Times(1.0, 0.2, 0.3, 8.0, 0.5, 0.05, 0.05, 0.1, 0.4)
    monkeypatch.setattr(load.psutil, "cpu_times", lambda: times)
    monkeypatch.setattr(load.psutil, "cpu_count", lambda: 2)
    found = load.read()
    assert found.busy == pytest.approx(1.6)
    assert found.stolen == pytest.approx(0.1)
    assert found.cores == 2


def test_a_system_that_tells_of_no_stolen_time(monkeypatch):
    times = namedtuple("Times", "user nice system idle")(1.0, 0.2, 0.3, 8.0)
    monkeypatch.setattr(load.psutil, "cpu_times", lambda: times)
    found = load.read()
    assert found.busy == pytest.approx(1.5)
    assert found.stolen is None
    later = Reading(found.wall + 10, found.own, found.busy + 2, None, found.cores)
    assert load.between(found, later) == Load(pytest.approx(0.2 / found.cores), None)


def test_this_system_tells():
    before = load.read()
    assert load.read().busy >= before.busy > 0
    assert before.cores >= 1


def test_others_are_the_busy_time_that_is_not_ours():
    before, after = Reading(10.0, 1.0, 100.0, 5.0, 2), Reading(20.0, 9.0, 112.0, 6.0, 2)
    found = load.between(before, after)
    assert found.others == pytest.approx((12 - 8) / 20)
    assert found.stolen == pytest.approx(1 / 20)
    assert load.between(after, after) == Load(None, None)


class FakeCuda:
    """A device with a clock of its own: each event is recorded when the kernels before it have
    ended."""

    def __init__(self):
        self.log, self.now = [], 0.0

    def synchronize(self, device):
        self.log.append(f"synchronise {device}")

    def Event(self, enable_timing):  # noqa: N802
        assert enable_timing
        return FakeEvent(self)


class FakeEvent:
    def __init__(self, cuda):
        self.cuda = cuda

    def record(self):
        self.cuda.log.append("record")
        self.at = self.cuda.now

    def elapsed_time(self, other):
        return other.at - self.at


def test_gpu_is_timed_by_events_between_two_synchronisations():
    cuda = FakeCuda()
    clock = CudaClock("cuda:1", cuda)
    clock.start()
    for milliseconds in (1.0, 20.0, 3.0):
        cuda.now += milliseconds
        clock.mark()
    assert clock.stop() == [1.0, 20.0, 3.0]
    assert cuda.log == ["synchronise cuda:1", *["record"] * 4, "synchronise cuda:1"]


def test_cpu_steps_add_up():
    clock = step_clock("cpu")
    clock.start()
    np.linalg.svd(np.ones((60, 60)))
    clock.mark()
    clock.mark()
    first, second = clock.stop()
    assert first > second >= 0
