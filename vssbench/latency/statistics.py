"""Statistics of many times: quantiles, an interval of the median, the ratio of two methods.

Times are not independent: those of one process share how its memory lies, those of one round what
else the machine did. The bootstrap is therefore hierarchical: processes are drawn with replacement,
then of each its rounds, each with all its frames. Percentiles of few processes lie too close
together; they are widened by t_df sqrt((df + 1) / df) / z (Hesterberg, "What teachers should know
about the bootstrap", 2015), where df is n - 1 for n processes that differ, more for those that do
not, and counts rounds where there is one process alone. Intervals are made of logarithms, as what
slows a process down multiplies.

The ratio of two methods is paired: the medians of the two in the same round of the same set of
processes make one ratio, and the median of these is reported, with the interval of the same
bootstrap of their logarithms.

A machine whose speed changes (other tenants of its cores, heat) need not slow two methods down
alike, so that a ratio depends on how much of each state a measurement met; the next one meets
another mixture. Where rounds differ in speed, the ratio is therefore taken in the fastest and in
the slowest third of them too, and the interval reaches to both.
"""

from __future__ import annotations

import math

import numpy as np
from pydantic import BaseModel, ConfigDict

from vssbench.latency.samples import PARTS, Floats, Ints, Samples, gop_means
from vssbench.metrics.resampling import LEVEL, student

KINDS = ("key", "nonkey", "gop")
KIND_WORDS = {"key": "keyframes", "nonkey": "non-keyframes", "gop": "GOP means"}
#: frames a second of the deadlines
DEADLINES = (25, 30)
REPLICATES = 2000
#: p90 / p10 of the rounds' times, less 1, from which on the machine's speed counts as changing
CHANGING = 0.10
#: rounds of a third under which thirds are not looked at
_THIRD = 5
#: the normal distribution's 97.5 % point
_Z = 1.959964
#: replicates at a time, so that memory stays small
_CHUNK = 100


class Summary(BaseModel):
    """The times of one kind of frame, milliseconds of network, resize and argmax; ``low_ms`` and
    ``high_ms`` bound the median at 95 %, None where there is one process with one round. ``spread``
    is (p90 - p10) / median; ``processes_ms`` the median of each process; ``missed`` the share of
    frames that come after a deadline, of all five parts, by frames a second; ``parts_ms`` the
    median of each part, and of their total; ``joules`` the mean energy of a frame, None where
    nothing counted it. Of GOP means: each is one sample, but for ``missed``, which counts frames.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    samples: int
    median_ms: float
    p90_ms: float
    p99_ms: float
    worst_ms: float
    mad_ms: float
    low_ms: float | None
    high_ms: float | None
    spread: float
    processes_ms: list[float]
    missed: dict[int, float]
    parts_ms: dict[str, float]
    joules: float | None = None

    @property
    def frames_a_second(self) -> float:
        """Frames a second of the network, resize and argmax."""
        return 1000 / self.median_ms

    @property
    def processes_apart(self) -> float:
        """The largest over the smallest median of a process, less 1."""
        return max(self.processes_ms) / min(self.processes_ms) - 1


class Ratio(BaseModel):
    """``first`` over ``second`` of one kind's times, with its interval at 95 % (None where it
    cannot be had). ``fast`` and ``slow`` are the ratios in the fastest and the slowest third of the
    rounds, None where all were about as fast."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    first: str
    second: str
    kind: str
    rounds: int
    ratio: float
    low: float | None
    high: float | None
    fast: float | None = None
    slow: float | None = None

    @property
    def words(self) -> str:
        """The comparison's conclusion in words."""
        if self.low is None or self.high is None:
            return "no interval: more rounds or processes are needed"
        apart = f"{max(self.ratio, 1 / self.ratio) - 1:.1%}"
        if self.low > 1:
            return f"{self.first} is slower than {self.second} by {apart}"
        if self.high < 1:
            return f"{self.second} is slower than {self.first} by {apart}"
        return f"no difference of {self.first} and {self.second} is shown"


def of_kind(samples: Samples, kind: str) -> Samples:
    """Return the frames of a kind, of one method; all of them for GOPs."""
    if kind == "gop":
        return samples
    return samples.where((samples.distance == 0) == (kind == "key"))


def values_of(samples: Samples, kind: str) -> tuple[Floats, Ints, Ints]:
    """Return the times of one method's frames of a kind, or their means over GOPs, with process and
    round of each."""
    chosen = of_kind(samples, kind)
    if kind == "gop":
        return gop_means(chosen, chosen.network_ms)
    return chosen.network_ms, chosen.process, chosen.round


def summarise(samples: Samples, kind: str, seed: int = 0) -> Summary | None:
    """Summarise one method's frames of a kind; None where there is none."""
    values, process, rounds = values_of(samples, kind)
    if not len(values):
        return None
    chosen = of_kind(samples, kind)
    p10, middle, p90, p99 = (float(v) for v in np.quantile(values, [0.1, 0.5, 0.9, 0.99]))
    interval = median_interval(np.log(values), process, rounds, seed=seed)
    parts = {part: _typical(chosen, chosen.part(part), kind) for part in PARTS}
    return Summary(
        kind=kind,
        samples=len(values),
        median_ms=middle,
        p90_ms=p90,
        p99_ms=p99,
        worst_ms=float(values.max()),
        mad_ms=float(np.median(np.abs(values - middle))),
        low_ms=None if interval is None else math.exp(interval[0]),
        high_ms=None if interval is None else math.exp(interval[1]),
        spread=(p90 - p10) / middle,
        processes_ms=[float(np.median(values[process == each])) for each in np.unique(process)],
        missed={fps: float((chosen.total_ms > 1000 / fps).mean()) for fps in DEADLINES},
        parts_ms={**parts, "total": _typical(chosen, chosen.total_ms, kind)},
        joules=_mean_joules(chosen),
    )


def _mean_joules(samples: Samples) -> float | None:
    """Return the mean over the frames whose energy was counted."""
    counted = samples.joules[np.isfinite(samples.joules)]
    return float(counted.mean()) if len(counted) else None


def _typical(samples: Samples, values: Floats, kind: str) -> float:
    return float(np.median(gop_means(samples, values)[0] if kind == "gop" else values))


def median_interval(
    values: Floats, process: Ints, rounds: Ints, replicates: int = REPLICATES, seed: int = 0
) -> tuple[float, float] | None:
    """Return the 95 % interval of the median of ``values`` (n,); None for a single round.

    The values were measured in those processes and rounds.
    """
    units, unit_of = np.unique(np.stack([process, rounds], axis=1), axis=0, return_inverse=True)
    if len(units) < 2:
        return None
    random = np.random.default_rng(seed)
    order = np.argsort(values, kind="stable")
    ascending, unit_of = values[order], unit_of.reshape(-1)[order]
    medians = []
    for first in range(0, replicates, _CHUNK):
        drawn = _draws(units[:, 0], min(_CHUNK, replicates - first), random)
        reached = np.cumsum(drawn[:, unit_of], axis=1)
        medians.append(_weighted_median(ascending, reached))
    low, high = np.quantile(np.concatenate(medians), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    each = np.array([float(np.median(ascending[unit_of == unit])) for unit in range(len(units))])
    middle, factor = float(np.median(values)), _widening(each, units[:, 0])
    return middle + factor * min(float(low) - middle, 0.0), middle + factor * max(
        float(high) - middle, 0.0
    )


def _draws(process_of: Ints, replicates: int, random: np.random.Generator) -> Floats:
    """Draw processes, then their rounds: the number of draws of each round.

    The result is (replicates, rounds of all processes).
    """
    processes = np.unique(process_of)
    drawn = np.zeros((replicates, len(process_of)))
    rows = np.arange(replicates)
    for _ in processes:
        chosen = processes[random.integers(0, len(processes), replicates)]
        for process in processes:
            theirs, own = rows[chosen == process], np.flatnonzero(process_of == process)
            picks = own[random.integers(0, len(own), (len(theirs), len(own)))]
            np.add.at(drawn, (np.repeat(theirs, len(own)), picks.reshape(-1)), 1.0)
    return drawn


def _weighted_median(ascending: Floats, reached: Floats) -> Floats:
    """Return the median of each row, where ``reached`` (R, n) counts how often values up to that
    one were drawn."""
    half = reached[:, -1:] / 2
    lower = ascending[np.argmax(reached >= half, axis=1)]
    upper = ascending[np.argmax(reached > half, axis=1)]
    return (lower + upper) / 2


def _widening(medians: Floats, process: Ints) -> float:
    """Return the factor by which percentiles are widened; see the head of this file.

    It is taken from the rounds' medians and the process of each.
    """
    degrees = _degrees(medians, process)
    return student(degrees) * math.sqrt((degrees + 1) / degrees) / _Z


def _degrees(medians: Floats, process: Ints) -> int:
    """Return degrees of freedom of the mean's variance: n - 1 of n processes where these differ
    from each other far more than their rounds do, those of all rounds where they do not, and
    between them by the share of either (Satterthwaite)."""
    own = [medians[process == each] for each in np.unique(process)]
    within = float(sum(((each - each.mean()) ** 2).sum() for each in own))
    free = len(medians) - len(own)
    if len(own) == 1:
        return free
    if free == 0:
        return len(own) - 1
    rounds = len(medians) / len(own)
    mean_within = within / free
    mean_between = rounds * float(np.var([each.mean() for each in own], ddof=1))
    share = max(0.0, mean_between - mean_within) / max(mean_between, mean_within, 1e-300)
    return int(1 / (share**2 / (len(own) - 1) + (1 - share) ** 2 / free) + 1e-9)


def compare(
    first: Samples, second: Samples, names: tuple[str, str], kind: str, seed: int = 0
) -> Ratio | None:
    """Return the ratio of two methods, paired by round; None where they have no round in common."""
    medians = [_round_medians(samples, kind) for samples in (first, second)]
    shared = sorted(set(medians[0]) & set(medians[1]))
    if not shared:
        return None
    logs = np.array([math.log(medians[0][at] / medians[1][at]) for at in shared])
    process, rounds = (np.array([at[place] for at in shared], np.int64) for place in range(2))
    interval = median_interval(logs, process, rounds, seed=seed)
    ends = None if interval is None else [math.exp(end) for end in interval]
    thirds = _by_speed(
        logs, np.array([math.log(medians[0][at] * medians[1][at]) / 2 for at in shared])
    )
    return Ratio(
        first=names[0],
        second=names[1],
        kind=kind,
        rounds=len(shared),
        ratio=math.exp(float(np.median(logs))),
        low=None if ends is None else min([ends[0], *thirds]),
        high=None if ends is None else max([ends[1], *thirds]),
        **dict(zip(("fast", "slow"), thirds, strict=False)),
    )


def _by_speed(logs: Floats, speeds: Floats) -> tuple[float, ...]:
    """Return the ratio in the fastest and the slowest third of the rounds, of the logarithms of
    each round's ratio and time; empty where their times are about the same, or there are too
    few."""
    third = len(logs) // 3
    low, high = np.quantile(speeds, [0.1, 0.9])
    if third < _THIRD or high - low <= math.log1p(CHANGING):
        return ()
    order = np.argsort(speeds, kind="stable")
    return tuple(math.exp(float(np.median(logs[part]))) for part in (order[:third], order[-third:]))


def _round_medians(samples: Samples, kind: str) -> dict[tuple[int, int], float]:
    values, process, rounds = values_of(samples, kind)
    places = {(int(p), int(r)) for p, r in zip(process, rounds, strict=True)}
    return {(p, r): float(np.median(values[(process == p) & (rounds == r)])) for p, r in places}
