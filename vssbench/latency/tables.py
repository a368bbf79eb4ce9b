"""Tables of a latency measurement for the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from vssbench.latency.compare import RatioAgain
from vssbench.latency.result import LatencyResult, MethodTimes, StoredLatency
from vssbench.latency.samples import PARTS
from vssbench.latency.statistics import DEADLINES, Ratio, Summary

_KIND = {"key": "key", "nonkey": "non-key", "gop": "GOP mean"}
_HEAD = (
    "method", "frames", "median ms", "95 %", "p90", "p99", "worst", "MAD", "frames/s",
    *(f"miss {fps} fps" for fps in DEADLINES), "n",
)  # fmt: skip


def times_table(methods: Sequence[MethodTimes], labels: Sequence[str] | None = None) -> str:
    """Return the times of network, resize and argmax, a line a method and kind; misses are of the
    whole frame, and energy has a column where it was measured."""
    measured = any(its.joules is not None for method in methods for its in method.times.values())
    body = []
    for label, method in zip(labels or [method.method for method in methods], methods, strict=True):
        for summary in method.times.values():
            energy = (_joules(summary.joules),) if measured else ()
            body.append((label, *_times(summary), *energy))
    head = (*_HEAD, "mean J") if measured else _HEAD
    return tabulate(
        body,
        head,
        tablefmt="simple",
        disable_numparse=True,
        colalign=("left", "left", *["right"] * (len(head) - 2)),
    )


def energy_lines(methods: Sequence[MethodTimes]) -> str:
    """Say what counted the energy of frames, or why nothing did."""
    said = dict.fromkeys(method.energy for method in methods if method.energy)
    return "\n".join(f"energy: {text}" for text in said)


def _times(summary: Summary) -> tuple[str, ...]:
    interval = (
        ""
        if summary.low_ms is None or summary.high_ms is None
        else f"{_ms(summary.low_ms)} .. {_ms(summary.high_ms)}"
    )
    numbers = (summary.p90_ms, summary.p99_ms, summary.worst_ms, summary.mad_ms)
    missed = (f"{summary.missed[fps]:.1%}" for fps in DEADLINES)
    per_second = f"{summary.frames_a_second:.3g}"
    return (
        _KIND[summary.kind], _ms(summary.median_ms), interval, *map(_ms, numbers), per_second,
        *missed, str(summary.samples),
    )  # fmt: skip


def parts_table(methods: Sequence[MethodTimes]) -> str:
    """Return the median of each part of a frame, and of the whole, a line a method and kind."""
    body = []
    for method in methods:
        for summary in method.times.values():
            parts = (_ms(summary.parts_ms[part]) for part in (*PARTS, "total"))
            body.append((method.method, _KIND[summary.kind], *parts))
    head = ("method", "frames", *(f"{part} ms" for part in PARTS), "whole frame ms")
    return tabulate(
        body,
        head,
        tablefmt="simple",
        disable_numparse=True,
        colalign=("left", "left", *["right"] * 6),
    )


def ratio_line(ratio: Ratio) -> str:
    """Write a ratio, its interval and its conclusion in a line."""
    interval = (
        "" if ratio.low is None or ratio.high is None else f" ({ratio.low:.3f} .. {ratio.high:.3f})"
    )
    return (
        f"{ratio.first} / {ratio.second}, {_KIND[ratio.kind]}: {ratio.ratio:.3f}{interval}: "
        f"{ratio.words}"
    )


def report(result: LatencyResult) -> str:
    """Write the whole of a measurement."""
    timed = [method for method in result.methods if method.times]
    paragraphs = [times_table(timed), parts_table(timed)] if timed else []
    lines = [ratio_line(ratio) for ratio in result.ratios]
    if lines and any(method.verdict != "stable" for method in timed):
        lines.append(
            "(not every method was stable: a ratio is paired by round and suffers less than times, "
            "but it does suffer)"
        )
    paragraphs += ["\n".join(lines)] if lines else []
    paragraphs.append("\n".join(_verdict(method) for method in result.methods))
    return "\n\n".join(filter(None, [*paragraphs, energy_lines(result.methods)]))


def _verdict(method: MethodTimes) -> str:
    failure = f"failed: {method.reason}" if method.status == "failed" else ""
    return f"{method.method}: {'; '.join(filter(None, (failure, method.verdict)))}"


def comparison(stored: Sequence[StoredLatency], again: Sequence[RatioAgain]) -> str:
    """Return comparable measurements in one table, the fastest first, and ratios that were measured
    more than once."""
    rows = [
        (f"{method.method} [{item.result.id}]", method)
        for item in stored
        for method in item.result.methods
        if method.times
    ]
    rows.sort(key=lambda row: row[1].times["gop"].median_ms)
    paragraphs = [times_table([method for _, method in rows], [label for label, _ in rows])]
    for each in again:
        words = {
            True: "the intervals overlap",
            False: "the intervals do not overlap",
            None: "no interval",
        }[each.overlap]
        lines = [f"{ratio_line(ratio)} [{name}]" for name, ratio in each.found]
        paragraphs.append("\n".join([*lines, words]))
    paragraphs.append("\n".join(f"{label}: {method.verdict}" for label, method in rows))
    counted = energy_lines([method for _, method in rows])
    return "\n\n".join(filter(None, [*paragraphs, counted]))


def comparison_json(stored: Sequence[StoredLatency], again: Sequence[RatioAgain]) -> dict[str, Any]:
    """Return the comparison as JSON values."""
    return {
        "measurements": [item.result.model_dump(mode="json") for item in stored],
        "ratios": [
            {
                "overlap": each.overlap,
                "found": [{"id": name, **ratio.model_dump()} for name, ratio in each.found],
            }
            for each in again
        ],
    }


def _joules(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _ms(value: float) -> str:
    return f"{value:.4g}" if value < 1000 else f"{value:.0f}"
