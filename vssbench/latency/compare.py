"""Measurements side by side, where they may be: those of different machines or settings are not
ranked together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.program import program
from vssbench.latency.result import LatencyResult, StoredLatency
from vssbench.latency.statistics import Ratio

#: settings without which times answer different questions
_QUESTION = ("size", "classes", "device", "precision", "gop", "codec", "clip")


@dataclass(frozen=True)
class RatioAgain:
    """A ratio of two methods as several measurements found it, each with its id; whether all
    intervals have a point in common (None where one of them has no interval)."""

    first: str
    second: str
    kind: str
    found: tuple[tuple[str, Ratio], ...]

    @property
    def overlap(self) -> bool | None:
        lows = [ratio.low for _, ratio in self.found]
        highs = [ratio.high for _, ratio in self.found]
        if None in lows or None in highs:
            return None
        return max(low for low in lows if low is not None) <= min(
            high for high in highs if high is not None
        )


def machine_of(result: LatencyResult) -> dict[str, Any]:
    """Return the facts that must agree for two times to be ranked together."""
    environment = result.environment
    on_gpu = str(result.settings["device"]).startswith("cuda")
    machine = {"processor": environment["cpu"], "cores": environment["usable_cores"]}
    machine["threads"] = sorted({method.threads for method in result.methods if method.threads})
    return {**machine, "GPU": environment["gpu"]} if on_gpu else machine


def check_comparable(stored: Sequence[StoredLatency]) -> None:
    """Check that measurements may be ranked together.

    Raises UsageError, in words, where they must not.
    """
    if not stored:
        raise UsageError(f"nothing to compare: give folders that `{program()} latency` wrote")
    first = stored[0]
    for other in stored[1:]:
        one, two = machine_of(first.result), machine_of(other.result)
        apart = [
            f"{key}: {one.get(key)} and {two.get(key)}"
            for key in {**one, **two}
            if one.get(key) != two.get(key)
        ]
        if apart:
            raise UsageError(
                f"{first.path.name} and {other.path.name} come from different machines "
                f"({'; '.join(apart)}): their times are not ranked together. Measure all methods "
                "in one go on one machine, or look at the ratios of each alone"
            )
        settings = first.result.settings, other.result.settings
        apart = [
            f"{key}: {settings[0][key]} and {settings[1][key]}"
            for key in _QUESTION
            if settings[0][key] != settings[1][key]
        ]
        if apart:
            raise UsageError(
                f"{first.path.name} and {other.path.name} were measured differently "
                f"({'; '.join(apart)}): their times answer different questions and are not ranked "
                "together"
            )


def ratios_again(stored: Sequence[StoredLatency], kind: str = "gop") -> list[RatioAgain]:
    """Return the ratios of a kind that more than one measurement has, whichever of the two methods
    it names first, and however they were typed."""
    by_pair: dict[tuple[str, ...], list[tuple[int, str, Ratio]]] = {}
    for number, item in enumerate(stored):
        for ratio in item.result.ratios:
            if ratio.kind == kind:
                # by its text too: a measurement may have one method twice, typed in two ways
                first, second = (
                    (registry.settled("methods", name), name)
                    for name in (ratio.first, ratio.second)
                )
                turned = ratio if first < second else _turned(ratio)
                pair = tuple(sorted((first[0], second[0])))
                by_pair.setdefault(pair, []).append((number, item.result.id, turned))
    return [
        RatioAgain(
            each[0][2].first, each[0][2].second, kind, tuple((name, its) for _, name, its in each)
        )
        for each in by_pair.values()
        if each[0][0] < each[-1][0]
    ]


def _turned(ratio: Ratio) -> Ratio:
    """Return the ratio with the two methods exchanged."""
    low, high = (None if end is None else 1 / end for end in (ratio.high, ratio.low))
    changed = {
        "first": ratio.second,
        "second": ratio.first,
        "ratio": 1 / ratio.ratio,
        "low": low,
        "high": high,
    }
    return ratio.model_copy(update=changed)
