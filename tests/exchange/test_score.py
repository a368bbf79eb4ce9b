"""Predictions of our own methods, written as PNGs and arrays, are scored as `run` scores them; rows
stand beside runs; what is typed in is marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.exchange.conftest import predict, save_array
from vssbench.core.errors import ExperimentRefused, UsageError
from vssbench.core.variant import parse_variant
from vssbench.exchange.input import Input
from vssbench.exchange.score import Scoring, Typed, is_stored, method_name, score
from vssbench.report.columns import groups
from vssbench.report.frames import results
from vssbench.report.rows import rows
from vssbench.run.experiment import Experiment
from vssbench.run.measurement import Measurement
from vssbench.run.measuring import measure
from vssbench.run.store import RunStore
from vssbench.run.stored import Run

Make = Callable[..., Experiment]
Street = Callable[..., Input]


def scored(scoring: Scoring, store: RunStore) -> Run:
    digest = scoring.predictions.digest()
    return store.get(score(scoring, store, "test", digest).run_id)


def assert_same(one: Run, other: Run) -> None:
    """The accuracy and the stream of two runs are equal bit for bit."""
    for name in ("matrices", "distances", "clips", "frames", "groups"):
        np.testing.assert_array_equal(
            getattr(one.confusion, name), getattr(other.confusion, name), name
        )
    for name in ("clips", "frames", "types", "bits", "psnr_db", "ssim"):
        np.testing.assert_array_equal(getattr(one.stream, name), getattr(other.stream, name), name)
    mine, its = one.measurement, other.measurement
    for name in (
        "dataset", "dataset_title", "data", "codec", "codec_title", "codec_name", "codec_rate",
        "protocol", "protocol_details", "aggregate", "gop", "classes", "frames", "width", "height",
        "bitrate_kbps", "psnr_db", "ssim", "split",
    ):  # fmt: skip
        assert getattr(mine, name) == getattr(its, name), name


@pytest.mark.parametrize(
    "method",
    [
        "bisenet[width=0.125]",
        "arseg[backbone=bise18,width=0.125]",
        "warp[network=bisenet[width=0.125]]",
    ],
)
def test_predictions_of_ours_are_scored_as_run_scores_them(
    method: str, small_street: Street, experiment_of: Make, tmp_path: Path
) -> None:
    experiment = experiment_of(method, small_street())
    experiment.measures = ("boundary", "consistency")
    store = RunStore(tmp_path / "runs")
    measured = store.get(measure(experiment, store, "test").run_id)
    assert measured.measurement.reason == ""
    assert predict(experiment, tmp_path / "out") == 14
    scoring = Scoring(
        tmp_path / "out", parse_variant("theirs"), small_street(), measures=experiment.measures
    )
    theirs = scored(scoring, store)
    assert_same(theirs, measured)
    assert theirs.latency is None
    for meter in experiment.measures:
        mine, its = measured.meter(meter), theirs.meter(meter)
        assert mine is not None
        assert its is not None
        assert mine.keys() == its.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], its[name], name)
    # one group of the table: the same data, codec and protocol
    (group,) = groups(rows(store.runs()))
    assert {row["method"] for row in group.rows} == {method, "theirs"}


@pytest.mark.parametrize("protocol", ["every-distance", "every-distance[until=label]", "pairs"])
def test_a_frame_is_scored_at_several_distances(
    protocol: str, small_street: Street, experiment_of: Make, tmp_path: Path
) -> None:
    source = small_street(protocol=protocol)
    experiment = experiment_of("warp[network=bisenet[width=0.125]]", source)
    store = RunStore(tmp_path / "runs")
    measured = store.get(measure(experiment, store, "test").run_id)
    assert measured.measurement.reason == ""
    predict(experiment, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["d0", "d1", "d2"]
    theirs = scored(Scoring(tmp_path / "out", parse_variant("theirs"), source), store)
    assert_same(theirs, measured)


def test_arrays_and_pngs_of_the_same_labels_are_one_run(
    small_street: Street, experiment_of: Make, tmp_path: Path
) -> None:
    source = small_street("raw[gop=3]")
    experiment = experiment_of("bisenet[width=0.125]", source)
    predict(experiment, tmp_path / "png")
    predict(experiment, tmp_path / "npy", save_array)
    name = parse_variant("theirs")
    png, npy = (Scoring(tmp_path / kind, name, source) for kind in ("png", "npy"))
    digest = png.predictions.digest()
    assert digest == npy.predictions.digest()
    path = next((tmp_path / "npy").rglob("*.npy"))
    labels = np.load(path)
    labels[5, 7] = (labels[5, 7] + 1) % 11
    np.save(path, labels)
    assert digest != npy.predictions.digest()


def test_what_is_typed_in_is_marked(
    small_street: Street, experiment_of: Make, tmp_path: Path
) -> None:
    source = small_street("raw[gop=3]")
    predict(experiment_of("bisenet[width=0.125]", source), tmp_path / "out")
    given = Typed(4_300_000, 12.0, 3.0, 8.5, 2.5, "RTX 4090, batch 1")
    scoring = Scoring(
        tmp_path / "out", parse_variant("segnext[size=b]"), source, "SegNeXt-B", given
    )
    store = RunStore(tmp_path / "runs")
    (row,) = rows([scored(scoring, store)])
    assert (row["display"], row["method"]) == ("SegNeXt-B", "segnext[size=b]")
    assert (row["params"], row["gmacs_key"], row["gmacs_nonkey"]) == (4_300_000, 12.0, 3.0)
    assert row["gmacs_gop"] == pytest.approx((12 + 3 + 3) / 3)
    assert (row["latency_key_ms"], row["latency_nonkey_ms"]) == (8.5, 2.5)
    assert (row["latency_key_p90_ms"], row["decode_ms"]) == (None, None)
    assert row["machine"] == "RTX 4090, batch 1"
    assert row["typed"] == (
        "params, gmacs_key, gmacs_nonkey, gmacs_gop, latency_key_ms, latency_nonkey_ms"
    )
    frame = results(tmp_path / "runs")
    assert frame.loc[0, "predictions"] == scoring.predictions.digest()
    assert any("predictions of another program, 14 files" in each for each in row["remarks"])


def test_a_row_is_replaced_where_other_numbers_are_typed(
    small_street: Street, experiment_of: Make, tmp_path: Path
) -> None:
    source = small_street("raw[gop=3]")
    predict(experiment_of("bisenet[width=0.125]", source), tmp_path / "out")
    store = RunStore(tmp_path / "runs")
    one = Scoring(tmp_path / "out", parse_variant("theirs"), source, typed=Typed(gmacs_key=2.0))
    digest = one.predictions.digest()
    assert not is_stored(one, store, digest)
    scored(one, store)
    assert is_stored(one, store, digest)
    assert not is_stored(replace(one, measures=("boundary",)), store, digest)
    other = replace(one, typed=Typed(gmacs_key=3.0))
    assert not is_stored(other, store, digest)
    scored(other, store)
    (run,) = store.runs()
    assert run.measurement.gmacs_gop == 3.0


def test_without_numbers_typed_in_there_are_none(
    small_street: Street, experiment_of: Make, tmp_path: Path
) -> None:
    source = small_street("raw[gop=3]")
    predict(experiment_of("bisenet[width=0.125]", source), tmp_path / "out")
    (row,) = rows(
        [scored(Scoring(tmp_path / "out", parse_variant("a"), source), RunStore(tmp_path / "runs"))]
    )
    assert row["typed"] == ""
    for name in ("params", "gmacs_gop", "latency_key_ms", "decode_ms"):
        assert row[name] is None
    assert row["miou"] is not None


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"gmacs_nonkey": 1.0}, "gmacs_nonkey is given without gmacs_key"),
        ({"latency_nonkey_ms": 1.0, "machine": "A100"}, "without latency_key_ms"),
        ({"latency_key_ms": 1.0}, "tells nothing without its machine"),
        ({"params": -1}, "params is -1: expected a number of 0 or more"),
        ({"gmacs_key": float("nan")}, "gmacs_key is nan"),
        ({"gmacs_key": float("inf")}, "gmacs_key is inf"),
    ],
)
def test_numbers_that_tell_nothing_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        Typed(**given)


def test_names(small_street: Street, tmp_path: Path) -> None:
    assert str(method_name(None, tmp_path / "segnext-b")) == "segnext-b"
    assert str(method_name("segnext[size=b]", tmp_path)) == "segnext[size=b]"
    with pytest.raises(UsageError, match=r"'2026 run': expected NAME .*; give --name"):
        method_name(None, tmp_path / "2026 run")
    with pytest.raises(UsageError, match=r"pspnet is a method of this project.*pspnet-elsewhere"):
        Scoring(tmp_path, parse_variant("pspnet"), small_street())


def test_a_measure_over_time_needs_one_stream(small_street: Street, tmp_path: Path) -> None:
    source = small_street(protocol="pairs")
    scoring = Scoring(tmp_path, parse_variant("a"), source, measures=("consistency",))
    with pytest.raises(ExperimentRefused, match="consistency compares neighbouring frames"):
        scoring.check()


def test_old_rows_have_no_predictions() -> None:
    item = Measurement(
        run_id="a", created="", status="done", method="m", display="M", dataset="d", codec="raw",
        protocol="dense",
    )  # fmt: skip
    assert (item.predictions, item.typed) == ("", {})
