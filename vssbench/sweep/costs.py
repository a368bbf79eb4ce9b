"""The cost of a sweep before it is spent: hours and disk, by what past runs took on a machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from statistics import median

from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import Variant
from vssbench.cost.gmacs import count
from vssbench.run.experiment import Experiment
from vssbench.run.measurement import Measurement
from vssbench.run.sizes import Sizes
from vssbench.run.stored import Run

#: runs that are read for one rate, the newest
_MOST_RUNS = 5


@dataclass
class Estimate:
    """The cost of some experiments.

    ``seconds`` are those of each by itself, in order. ``scaled`` counts the experiments whose
    method was never measured on the machine, and whose time is that of other methods by their
    GMACs. ``results`` and ``streams`` are bytes; ``unknown_streams`` counts streams of codecs of
    which no run tells.
    """

    experiments: int = 0
    seconds: list[float] = field(default_factory=list)
    scaled: int = 0
    results: float = 0.0
    streams: float = 0.0
    unknown_streams: int = 0
    methods: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def hours(self) -> float:
        """The hours of one worker."""
        return sum(self.seconds) / 3600


@dataclass(frozen=True)
class _Rate:
    """A run's seconds before its first frame, its seconds a pixel of a frame and a GMAC of it
    after that, and its bytes a frame."""

    setup: float
    a_pixel: float
    a_gmac: float
    bytes_a_frame: float


class Costs:
    """The rates of a machine, named by a part of its processor's or GPU's name.

    Raises UsageError where the store has no run of such a machine.
    """

    def __init__(self, runs: Iterable[Run], machine: str) -> None:
        every = [run for run in runs if run.measurement.status == "done"]
        self.runs = [run for run in every if machine.lower() in _machine(run.measurement).lower()]
        if not every:
            raise UsageError(
                "the store holds no run that was measured, by which a plan goes: measure a few "
                "experiments first, or name the store that has some (--runs)"
            )
        if not self.runs:
            there = "; ".join(sorted({_machine(run.measurement) for run in every}))
            raise UsageError(
                f"no run was measured on a machine named {machine!r}: there are {there}; measure a "
                "few experiments there first"
            )
        self._every = every
        self._rates = lru_cache(None)(self._rates_of)

    def estimate(self, experiments: Sequence[Experiment]) -> Estimate:
        """Return what experiments take; streams that several of them read count once."""
        total = Estimate(len(experiments))
        streams: dict[tuple[str, ...], Experiment] = {}
        for experiment in experiments:
            seconds, size, scaled = self._one(experiment)
            total.seconds.append(seconds)
            total.results += size
            total.scaled += scaled
            method = str(experiment.method)
            number, hours = total.methods.get(method, (0, 0.0))
            total.methods[method] = number + 1, hours + seconds / 3600
            streams.setdefault(_stream(experiment), experiment)
        for experiment in streams.values():
            bits = self._bits_a_pixel(str(experiment.codec_variant))
            if bits is None:
                total.unknown_streams += 1
            else:
                total.streams += bits * _pixels(experiment) * experiment.frames() / 8
        return total

    def _one(self, experiment: Experiment) -> tuple[float, float, bool]:
        """Return the seconds and bytes of an experiment, and whether it was scaled by GMACs."""
        sizes = Sizes.of(experiment.dataset.scored_clips)
        where = experiment.device.split(":")[0], experiment.precision
        frames = experiment.frames()
        own = (registry.settled("methods", str(experiment.method)), *where)
        for rates in (self._rates(*own, sizes.common), self._rates(*own, None)):
            if rates:
                setup, pixel = _middle(rates, "setup"), _middle(rates, "a_pixel")
                seconds = setup + pixel * _pixels(experiment) * frames
                return seconds, _middle(rates, "bytes_a_frame") * frames, False
        rates = self._rates("", *where, None) or self._rates("", "", "", None)
        gmacs = _gmacs(experiment.method, len(experiment.dataset.classes), sizes.distinct[-1])
        share = gmacs[0] / experiment.codec.gop + gmacs[1] * (1 - 1 / experiment.codec.gop)
        seconds = _middle(rates, "setup") + _middle(rates, "a_gmac") * share * frames
        return seconds, _middle(rates, "bytes_a_frame") * frames, True

    def _rates_of(
        self, method: str, device: str, precision: str, size: tuple[int, int] | None
    ) -> list[_Rate]:
        """Return the rates of the newest runs of a method, settled, a device, a precision and a
        size; what is empty or None may be any."""
        alike = [
            run
            for run in self.runs
            if (item := run.measurement).gmacs_gop
            and (not method or registry.settled("methods", item.method) == method)
            and (not device or item.device.split(":")[0] == device)
            and (not precision or item.precision == precision)
            and (size is None or (item.height, item.width) == size)
        ]
        alike.sort(key=lambda run: run.measurement.created)
        return [rate for run in alike[-_MOST_RUNS:] if (rate := _rate(run)) is not None]

    def _bits_a_pixel(self, codec: str) -> float | None:
        """Return the bits a pixel of a codec's streams, of any machine; None where none was
        measured."""
        shares, own = [], registry.settled("codecs", codec)
        alike = [
            run for run in self._every if registry.settled("codecs", run.measurement.codec) == own
        ]
        for run in alike[-_MOST_RUNS:]:
            item, stream = run.measurement, run.stream
            if stream is not None and item.width:
                shares.append(float(stream.bits.mean()) / (item.width * item.height))
        return median(shares) if shares else None


def _machine(item: Measurement) -> str:
    return " / ".join(filter(None, [str(item.machine.get(key) or "") for key in ("gpu", "cpu")]))


def _rate(run: Run) -> _Rate | None:
    """Return the rates of a run; None where its frames do not read."""
    item = run.measurement
    try:
        frames = 0 if run.stream is None else len(run.stream.frames)
    except DataError:
        return None
    if not frames or not item.width or not item.gmacs_gop:
        return None
    setup = item.spent.get("setup", 0.0)
    working = (item.seconds - setup) / frames
    size = sum(path.stat().st_size for path in run.path.iterdir())
    return _Rate(
        setup, working / (item.width * item.height), working / item.gmacs_gop, size / frames
    )


def _middle(rates: Sequence[_Rate], name: str) -> float:
    return median(getattr(rate, name) for rate in rates)


def _pixels(experiment: Experiment) -> float:
    """Return the mean number of pixels of a frame."""
    sizes = Sizes.of(experiment.dataset.scored_clips).of_clips
    return sum(height * width for height, width in sizes) / len(sizes)


def _stream(experiment: Experiment) -> tuple[str, ...]:
    return (
        str(experiment.dataset_variant), str(experiment.codec_variant),
        str(experiment.identity["protocol"]),
    )  # fmt: skip


@lru_cache
def _gmacs(method: Variant, classes: int, size: tuple[int, int]) -> tuple[float, float]:
    cost = count(method, classes, *size)
    return cost.gmacs_key, cost.gmacs_nonkey
