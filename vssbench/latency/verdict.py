"""Verdict on a method's times: ``stable``, or ``unstable`` and why.

The limits on spread and processes are those of pyperf's checks in spirit: what exceeds them is
measured again on a quieter machine, not averaged away. Spread is (p90 - p10) / median, which a few
outliers do not move, and which is 10 % for a normal distribution of standard deviation 3.9 %.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from vssbench.latency.load import Load
from vssbench.latency.statistics import KIND_WORDS, Summary
from vssbench.latency.warmup import WarmUp

MOST_SPREAD, MOST_APART = 0.10, 0.05
#: share of all cores' time that other processes may use, and that a hypervisor may take
MOST_OTHERS, MOST_STOLEN = 0.05, 0.02
#: fewer samples of a kind say nothing of their spread
LEAST_SAMPLES = 10
#: frames that are shown twice may take this share of their time when they were fresh
LEAST_AGAIN = 0.8


def judge(
    summaries: Sequence[Summary],
    loads: Sequence[Load],
    warmups: Sequence[WarmUp],
    load_average: float | None,
    cores: int,
    throttled: bool = False,
    again: Sequence[float] = (),
) -> list[str]:
    """Tell why one method's times are not stable, in words; empty where they are.

    ``load_average`` is that of the minute before the start: it counts only where the system does
    not tell what other processes do, since it takes a minute to forget them. ``throttled``: the
    processor lowered its clock for heat meanwhile. ``again`` holds for each round the time of
    frames that are shown once more, as a share of what they took when fresh.
    """
    reasons = [reason for summary in summaries for reason in _of_times(summary)]
    reasons += _of_load(loads, load_average, cores)
    if throttled:
        reasons.append("the processor lowered its clock for heat")
    if again and median(again) < LEAST_AGAIN:
        reasons.append(
            f"frames shown twice take {median(again):.0%} of their time when fresh (under "
            f"{LEAST_AGAIN:.0%}): the method keeps results from frame to frame"
        )
    cold = sum(not warm_up.settled for warm_up in warmups)
    if cold:
        reasons.append(f"{cold} of {len(warmups)} warm-ups did not settle")
    return reasons


def in_words(reasons: Sequence[str]) -> str:
    """Write the verdict in words."""
    return f"unstable: {'; '.join(reasons)}" if reasons else "stable"


def _of_times(summary: Summary) -> list[str]:
    words = KIND_WORDS[summary.kind]
    reasons = []
    if summary.kind != "gop" and summary.samples < LEAST_SAMPLES:
        reasons.append(f"only {summary.samples} {words}, expected {LEAST_SAMPLES} or more")
    if summary.kind != "gop" and summary.spread > MOST_SPREAD:
        reasons.append(f"{words} spread by {summary.spread:.0%} (over {MOST_SPREAD:.0%})")
    if summary.processes_apart > MOST_APART:
        reasons.append(
            f"processes' {words} differ by {summary.processes_apart:.0%} (over {MOST_APART:.0%})"
        )
    return reasons


def _of_load(loads: Sequence[Load], load_average: float | None, cores: int) -> list[str]:
    others, stolen = mean_load(loads)
    reasons = []
    if others is not None and others > MOST_OTHERS:
        reasons.append(f"other processes used {others:.0%} of the machine (over {MOST_OTHERS:.0%})")
    if stolen is not None and stolen > MOST_STOLEN:
        reasons.append(f"the hypervisor took {stolen:.0%} of the machine (over {MOST_STOLEN:.0%})")
    if others is None and load_average is not None and load_average > cores / 2:
        reasons.append(f"the load average at the start was {load_average:.2f} on {cores} cores")
    return reasons


def mean_load(loads: Sequence[Load]) -> tuple[float | None, float | None]:
    """Return the mean share of other processes and of the hypervisor over rounds, None where a
    round does not know it."""
    others = [load.others for load in loads if load.others is not None]
    stolen = [load.stolen for load in loads if load.stolen is not None]
    known = bool(loads) and len(others) == len(stolen) == len(loads)
    return (sum(others) / len(others), sum(stolen) / len(stolen)) if known else (None, None)
