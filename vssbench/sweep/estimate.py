"""Estimates of an experiment's time, out of the runs that a store holds."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from statistics import median
from typing import Any

from vssbench.core import registry
from vssbench.core.errors import DataError
from vssbench.run.experiment import Experiment
from vssbench.run.measurement import Measurement
from vssbench.run.sizes import Sizes
from vssbench.run.stored import Run

#: runs that are read for an estimate, the newest
_MOST_RUNS = 5
_Key = tuple[Any, ...]


@dataclass(frozen=True)
class Rate:
    """A run's seconds before its first frame, and its seconds a frame and pixel after that."""

    setup: float
    a_pixel: float


class Estimator:
    """Tells the seconds that experiments take; None where no past run is like them."""

    def __init__(self, runs: Iterable[Run]) -> None:
        self._runs: dict[_Key, list[Run]] = {}
        self._rates: dict[_Key, Rate | None] = {}
        for run in runs:
            item = run.measurement
            if item.status == "done" and item.width and item.seconds:
                for key in self._keys_of_run(item):
                    self._runs.setdefault(key, []).append(run)

    def seconds(self, experiment: Experiment) -> float | None:
        """Return the seconds of an experiment, by runs of the same method that are most like it:
        same codec, protocol and size, then same size, then any."""
        sizes = Sizes.of(experiment.dataset.scored_clips).of_clips
        pixels = sum(height * width for height, width in sizes) / len(sizes)
        for key in self._keys(experiment):
            rate = self._rate(key)
            if rate is not None:
                return rate.setup + rate.a_pixel * pixels * experiment.frames()
        return None

    def _rate(self, key: _Key) -> Rate | None:
        if key not in self._rates:
            runs = sorted(self._runs.get(key, ()), key=lambda run: run.measurement.created)
            rates = [rate for run in runs[-_MOST_RUNS:] if (rate := _rate_of(run)) is not None]
            self._rates[key] = (
                Rate(median(each.setup for each in rates), median(each.a_pixel for each in rates))
                if rates
                else None
            )
        return self._rates[key]

    def _keys_of_run(self, item: Measurement) -> list[_Key]:
        machine, size = item.machine.get("cpu"), (item.height, item.width)
        return self._ordered(
            item.method, (item.device, item.precision, machine), size, item.codec, item.protocol
        )

    def _keys(self, experiment: Experiment) -> list[_Key]:
        machine = experiment.identity["machine"].get("cpu")
        return self._ordered(
            str(experiment.method), (experiment.device, experiment.precision, machine),
            Sizes.of(experiment.dataset.scored_clips).common,
            str(experiment.codec_variant), experiment.identity["protocol"][0],
        )  # fmt: skip

    def _ordered(
        self, method: str, where: _Key, size: tuple[int, int] | None, codec: str, protocol: str
    ) -> list[_Key]:
        """Return what runs must have in common, the most first; however method and codec were
        typed."""
        own = (registry.settled("methods", method), *where)
        return [(*own, size, registry.settled("codecs", codec), protocol), (*own, size), own]


def _rate_of(run: Run) -> Rate | None:
    """Return the rate of a run; None where its frames do not read."""
    item = run.measurement
    try:
        frames = 0 if run.stream is None else len(run.stream.frames)
    except DataError:
        return None
    if not frames:
        return None
    setup = item.spent.get("setup", 0.0)
    return Rate(setup, (item.seconds - setup) / (frames * item.width * item.height))


def duration(seconds: Iterable[float], at_once: int) -> float:
    """Return the time that tasks take of which so many run at once, each begun when another has
    ended."""
    free = [0.0] * at_once
    for each in seconds:
        heapq.heapreplace(free, free[0] + each)
    return max(free)


def total(
    experiments: Iterable[Experiment], seconds: Callable[[Experiment], float | None]
) -> tuple[list[float], int]:
    """Return the times that are known of some experiments, and of how many nothing is known."""
    known = [seconds(experiment) for experiment in experiments]
    return [value for value in known if value is not None], known.count(None)


def in_words(seconds: float) -> str:
    """Return a time for people: ``45 s``, ``12 min``, ``3.4 h``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
