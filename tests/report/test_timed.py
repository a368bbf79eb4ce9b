"""Times of `bench.py latency` in the place of those of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from vssbench.cli import bench
from vssbench.core.errors import DataError, UsageError
from vssbench.latency.result import LatencyResult, MethodTimes, write
from vssbench.latency.samples import Samples
from vssbench.latency.statistics import Summary
from vssbench.report.costs import COSTS
from vssbench.report.timed import with_times

SETTINGS = {"size": [720, 960], "classes": 2, "device": "cpu", "precision": "fp32"}


def summary(kind: str, median: float, joules: float | None = None) -> Summary:
    return Summary(
        kind=kind, samples=9, median_ms=median, p90_ms=median + 1, p99_ms=median + 2,
        worst_ms=median + 3, mad_ms=0.5, low_ms=None, high_ms=None, spread=0.1,
        processes_ms=[median], missed={}, parts_ms={}, joules=joules,
    )  # fmt: skip


def measured(key: float, name: str = "pspnet", **settings: Any) -> LatencyResult:
    times = {"key": summary("key", key, 4.0), "nonkey": summary("nonkey", key / 2)}
    return LatencyResult(
        id=f"id-{key:g}", created="now", status="done", seconds=1.0,
        settings=SETTINGS | settings, stream="a street", ratios=[],
        methods=[
            MethodTimes(
                method=name, display="PSPNet18", weights="", status="done", threads=2, times=times,
                energy="counted",
            ),
            MethodTimes(method="icnet", display="ICNet", weights="", status="failed"),
        ],
        environment={"cpu": "EPYC", "threads": 64},
    )  # fmt: skip


def store(folder: Path, *results: LatencyResult) -> Path:
    integers, floats = np.zeros(1, np.int64), np.zeros(1)
    samples = Samples(*[integers] * 6, *[floats] * 5)
    for result in results:
        write(folder, result, samples)
    return folder


def test_rows_have_the_measured_times_and_their_machine(make_row: Any, tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_text(measured(100.0).model_dump_json(), encoding="utf-8")
    first, other = with_times([make_row(), make_row("ICNet", method="icnet")], path)
    assert (first["latency_key_ms"], first["latency_key_p90_ms"]) == (100.0, 101.0)
    assert (first["latency_nonkey_ms"], first["latency_nonkey_p90_ms"]) == (50.0, 51.0)
    assert (first["joules_key"], first["joules_nonkey"], first["joules_gop"]) == (4.0, None, None)
    assert (first["machine"], first["energy"]) == ("EPYC, 2 threads", "counted")
    # the run's times of decoding are of its own machine
    assert (first["decode_ms"], first["motion_ms"]) == (None, None)
    assert first["miou"] == make_row()["miou"]
    assert COSTS["latency"].of(first) == pytest.approx((100 + 11 * 50) / 12)
    # what was not measured there has no time at all, not that of the run
    assert other["latency_key_ms"] is None
    assert COSTS["latency"].of(other) is None


@pytest.mark.parametrize(
    "typed",
    [
        "dff[backbone=psp18,style=upsample,width=0.25]",
        "dff[width=0.25,backbone=psp18,style=upsample]",
        "dff[width=0.25,motion=flow,style=upsample,backbone=psp18]",  # one as it is by default
    ],
)
def test_a_method_has_its_times_however_it_was_typed(
    make_row: Any, tmp_path: Path, typed: str
) -> None:
    folder = store(tmp_path, measured(100.0, typed), measured(7.0, "dff[width=0.25]"))
    own = make_row(method="dff[backbone=psp18,style=upsample,width=0.25]")
    other = make_row(method="dff[backbone=psp18,style=semseg,width=0.25]")
    times = [row["latency_key_ms"] for row in with_times([own, other], folder)]
    assert times == [100.0, None]


@pytest.mark.parametrize(
    "differing",
    [{"size": [360, 480]}, {"classes": 11}, {"device": "cuda"}, {"precision": "bf16"}],
)
def test_times_of_other_conditions_are_not_taken(
    make_row: Any, tmp_path: Path, differing: dict[str, Any]
) -> None:
    folder = store(tmp_path, measured(100.0, **differing))
    with pytest.raises(UsageError, match=r"no time of the methods .* it has those of pspnet at"):
        with_times([make_row()], folder)


def test_of_several_measurements_the_newest_counts(make_row: Any, tmp_path: Path) -> None:
    folder = store(tmp_path, measured(100.0), measured(300.0), measured(7.0, "icnet"))
    (row,) = with_times([make_row()], folder)
    assert row["latency_key_ms"] == 300.0


def test_what_does_not_read_is_said(make_row: Any, tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_text("{}", encoding="utf-8")
    with pytest.raises(DataError, match=r"times\.json does not read as a measurement of"):
        with_times([make_row()], path)
    with pytest.raises(DataError, match=r"no measurement in .*nowhere"):
        with_times([make_row()], tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["table", "--by", "codec"], "--by codec shows no latencies"),
        (["plot", "pareto", "-o", "a.png"], "add --x latency"),
        (["plot", "distance", "-o", "a.png"], "add --x latency"),
    ],
)
def test_it_is_refused_where_no_latency_is_shown(arguments: list[str], words: str) -> None:
    done = CliRunner().invoke(bench, [*arguments, "--times", "x"])
    assert isinstance(done.exception, UsageError)
    assert words in str(done.exception)
