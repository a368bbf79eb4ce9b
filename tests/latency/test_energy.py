"""Energy of timed frames, by counters that are made up: what is kept of each, what is said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.powercap import make, show
from vssbench.core import energy
from vssbench.latency import result as store
from vssbench.latency import rounds, worker
from vssbench.latency.measure import _times
from vssbench.latency.result import LatencyResult, MethodTimes
from vssbench.latency.samples import Samples
from vssbench.latency.settings import Settings, Subject
from vssbench.latency.statistics import summarise
from vssbench.latency.tables import comparison, report

SUBJECT = Subject("bisenet[width=0.125]", "BiSeNet18")


class Here:
    """A worker in this process, whose network takes 5 J a keyframe and 2 J another frame."""

    def __init__(self, bench: worker.Bench, powercap: Path | None) -> None:
        self.bench, self.powercap, self.used = bench, powercap, 0
        bench.segment = self.segment  # type: ignore[method-assign]

    def segment(self, frame):
        self.used += 2_000_000 if frame.distance else 5_000_000
        if self.powercap is not None:
            show(self.powercap, self.used, 0)
        return 1.0, 4.0, 1.0

    def ask(self, what: str) -> worker.Round:
        assert what == "round"
        return self.bench.round(0)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings((64, 96), 3, "cpu", "fp32", "h264[gop=3]", 3, 1, 1, 0.1, tmp_path / "cache")


def measured(settings: Settings, powercap: Path | None) -> tuple[Samples, MethodTimes]:
    """Return the samples of two rounds, and what is said of them."""
    bench = worker.Bench(settings, SUBJECT)
    campaign = rounds.Campaign([rounds.Outcome(threads=1, energy=energy.in_words(bench.counter))])
    for number in range(2):
        rounds._one_round(Here(bench, powercap), campaign, 0, 0, number)  # type: ignore[arg-type]
    samples = campaign.samples()
    machine = {"load_average": None, "cores": 2}
    return samples, _times(SUBJECT, campaign.outcomes[0], samples, settings, machine, False)


def result(method: MethodTimes) -> LatencyResult:
    return LatencyResult(
        id="id", created="now", status="done", seconds=1.0, settings={}, stream="a street",
        methods=[method], ratios=[], environment={},
    )  # fmt: skip


def test_each_frame_has_its_joules_and_each_kind_its_mean(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    powercap = tmp_path / "powercap"
    powercap.mkdir()
    make(powercap)
    monkeypatch.setattr(energy, "POWERCAP", powercap)
    samples, method = measured(settings, powercap)
    assert samples.joules.tolist() == [5.0, 2.0, 2.0] * 2
    means = {kind: its.joules for kind, its in method.times.items()}
    assert means == {"key": 5.0, "nonkey": 2.0, "gop": 3.0}
    assert method.energy == "processor packages (RAPL)"
    said = report(result(method))
    assert [line.split()[-1] for line in said.splitlines()[:5]] == ["J", "--------", "5", "2", "3"]
    assert said.endswith("energy: processor packages (RAPL)")
    # as it is stored
    place = store.write(tmp_path / "stored", result(method), samples)
    (found,) = store.find(place)
    assert np.array_equal(found.samples.joules, samples.joules)
    assert found.result.methods[0].times["key"].joules == 5.0
    assert "mean J" in comparison([found], [])


def test_without_a_counter_the_reason_stands_in_the_place(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(energy, "POWERCAP", tmp_path / "absent")
    samples, method = measured(settings, None)
    assert np.isnan(samples.joules).all()
    assert {its.joules for its in method.times.values()} == {None}
    assert method.energy.startswith("not measured: no counter of a processor in ")
    said = report(result(method))
    assert "mean J" not in said
    assert said.endswith(f"energy: {method.energy}")


def test_measurements_of_earlier_versions_read(tmp_path: Path) -> None:
    """Those without the column of joules."""
    whole, times = np.zeros(3, np.int64), np.ones(3)
    samples = Samples(*[whole] * 5, np.arange(3), *[times] * 5)
    method = MethodTimes(method="m", display="M", weights="random", status="done")
    place = store.write(tmp_path, result(method), samples)
    with np.load(place / store.LATENCY) as arrays:
        kept = {name: arrays[name] for name in arrays.files if name != "joules"}
    np.savez_compressed(place / store.LATENCY, **kept)
    (found,) = store.find(place)
    assert np.isnan(found.samples.joules).all()
    summary = summarise(found.samples, "gop")
    assert summary is not None
    assert summary.joules is None
