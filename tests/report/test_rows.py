"""Rows from stored runs: every number derived again by hand."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from vssbench.core.errors import UsageError
from vssbench.report.choose import newest
from vssbench.report.columns import groups
from vssbench.report.rows import require, rows
from vssbench.run.measurement import Measurement
from vssbench.run.records import REMEDY, ConfusionRecord, LatencyRecord
from vssbench.run.store import RunStore
from vssbench.run.stored import Run

GPU_MACHINE = {"cpu": "Xeon", "threads": 1, "gpu": "H200"}
#: two frames at distance 0, one at distance 2; class c never occurs
MATRICES = np.array(
    [
        [[3, 1, 0], [0, 4, 0], [0, 0, 0]],
        [[2, 0, 0], [1, 5, 0], [0, 0, 0]],
        [[4, 4, 0], [0, 8, 0], [0, 0, 0]],
    ]
)
LATENCIES = LatencyRecord(
    distances=np.array([0, 1, 2, 0, 1]),
    key=np.array([True, False, False, True, False]),
    decode_ms=np.array([9.0, 1.0, 2.0, 8.0, 3.0]),
    motion_ms=np.array([0.0, 4.0, 6.0, 0.0, 5.0]),
    model_ms=np.array([100.0, 10.0, 20.0, 200.0, 60.0]),
)


def stored(folder: Path, confusion: bool = True, latency: bool = True, **given: Any) -> Run:
    fields: dict[str, Any] = {
        "run_id": "a1", "created": "2026-01-01", "status": "done", "method": "m", "display": "M",
        "dataset": "d",
        "codec": "c", "protocol": "p", "classes": ["a", "b", "c"], "machine": {"cpu": "Xeon",
        "threads": 2},
        "weights": {"file": "w.safetensors"}, "gmacs_gop": 1.5,
    }  # fmt: skip
    record = ConfusionRecord(
        MATRICES, np.array([0, 0, 2]), np.zeros(3, np.int64), np.array([0, 1, 2])
    )
    store = RunStore(folder)
    store.write(
        Measurement(**(fields | given)),
        record if confusion else None,
        LATENCIES if latency else None,
        {},
        "",
    )
    return store.get("a1")


def test_accuracies_are_fractions_by_distance_and_class(tmp_path: Path) -> None:
    (row,) = rows([stored(tmp_path)])
    first = [5 / 7, 9 / 11]  # the two frames summed: [[5, 1], [1, 9]]
    second = [4 / 8, 8 / 12]
    assert row["miou_by_distance"] == pytest.approx([sum(first) / 2, None, sum(second) / 2])
    assert row["miou"] == pytest.approx((sum(first) + sum(second)) / 4)
    assert row["miou_0"] == pytest.approx(sum(first) / 2)
    assert row["miou_last"] == pytest.approx(sum(second) / 2)
    expected = {"a": (first[0] + second[0]) / 2, "b": (first[1] + second[1]) / 2, "c": None}
    assert row["per_class"] == pytest.approx(expected)


def test_a_protocol_that_pools_has_one_matrix(tmp_path: Path) -> None:
    (row,) = rows(
        [stored(tmp_path, aggregate="pooled", remarks=["2 of 5 labelled frames are left out"])]
    )
    pooled = [9 / 15, 17 / 23]  # the three frames summed: [[9, 5], [1, 17]]
    assert row["miou"] == pytest.approx(sum(pooled) / 2)
    assert row["per_class"] == pytest.approx({"a": pooled[0], "b": pooled[1], "c": None})
    assert row["remarks"] == ["2 of 5 labelled frames are left out"]


def test_latencies_are_medians_of_either_kind_of_frame(tmp_path: Path) -> None:
    (row,) = rows([stored(tmp_path)])
    assert row["latency_key_ms"] == 150.0
    assert row["latency_key_p90_ms"] == pytest.approx(190.0)
    assert row["latency_nonkey_ms"] == 20.0
    assert row["latency_nonkey_p90_ms"] == pytest.approx(52.0)
    assert row["decode_ms"] == 3.0
    assert row["motion_ms"] == 5.0


def test_a_run_that_lost_its_matrices_says_so(tmp_path: Path) -> None:
    (row,) = rows([stored(tmp_path, confusion=False)])
    assert (row["status"], row["miou"]) == ("damaged", None)
    assert row["reason"] == f"{tmp_path / 'a1' / 'confusion.npz'} is missing; {REMEDY}"


def test_what_was_not_measured_is_none(tmp_path: Path) -> None:
    (row,) = rows(
        [stored(tmp_path, confusion=False, latency=False, status="refused", reason="no motion")]
    )
    assert [row[name] for name in ("miou", "miou_0", "latency_key_ms", "motion_ms", "params")] == [
        None
    ] * 5
    assert (row["miou_by_distance"], row["per_class"]) == ([], {})
    assert (row["status"], row["reason"], row["gmacs_gop"], row["weights"]) == (
        "refused",
        "no motion",
        1.5,
        "w.safetensors",
    )


@pytest.mark.parametrize(
    ("psnr", "ssim", "shown"),
    [(38.5, 0.96, 38.5), (None, 1.0, math.inf), (None, None, None), (None, 0.99, None)],
)
def test_frames_without_loss_have_an_infinite_psnr(
    tmp_path: Path, psnr: float | None, ssim: float | None, shown: float | None
) -> None:
    (row,) = rows(
        [stored(tmp_path, psnr_db=psnr, ssim=ssim, codec_name="H.264", codec_rate="CRF 23")]
    )
    assert (row["psnr_db"], row["ssim"]) == (shown, ssim)
    assert (row["codec_name"], row["codec_rate"]) == ("H.264", "CRF 23")


def test_the_rows_of_these_tests_are_rows(tmp_path: Path, make_row: Callable[[], dict]) -> None:
    assert make_row().keys() == rows([stored(tmp_path)])[0].keys()


def test_a_time_before_all_years_is_none(tmp_path: Path) -> None:
    assert rows([stored(tmp_path, created="0001-01-01T00:00:00+05:00")])[0]["created"] is None


@pytest.mark.parametrize(
    ("device", "machine", "text"),
    [
        ("cpu", GPU_MACHINE, "Xeon, 1 thread"),
        ("cuda:0", GPU_MACHINE, "H200"),
        ("cpu", {"cpu": "EPYC", "threads": 8}, "EPYC, 8 threads"),
        ("cpu", {}, ""),
    ],
)
def test_the_machine_is_what_the_network_ran_on(
    tmp_path: Path, device: str, machine: dict, text: str
) -> None:
    assert rows([stored(tmp_path, device=device, machine=machine)])[0]["machine"] == text


def test_arrays_that_do_not_read_make_a_damaged_row(tmp_path: Path) -> None:
    run = stored(tmp_path)
    content = bytearray((run.path / "confusion.npz").read_bytes())
    content[45:70] = bytes(25)
    (run.path / "confusion.npz").write_bytes(content)
    (row,) = rows([run])
    assert row["status"] == "damaged"
    assert "confusion.npz does not read" in row["reason"]
    assert row["miou"] is None


def test_matrices_of_other_classes_make_a_damaged_row(tmp_path: Path) -> None:
    (row,) = rows([stored(tmp_path, classes=["a", "b"])])
    assert (row["status"], row["per_class"]) == ("damaged", {})
    assert "for 2 classes" in row["reason"]


@pytest.mark.parametrize(
    ("given", "split"),
    [({"split": "test"}, "test"), ({"dataset": "d[split=val]"}, "val"), ({"dataset": "a b"}, "")],
)
def test_a_row_tells_its_split_and_how_many_classes(
    tmp_path: Path, given: dict[str, str], split: str
) -> None:
    """Runs that were stored before splits were have it in the dataset as typed."""
    (row,) = rows([stored(tmp_path, **given)])
    assert (row["split"], row["classes"]) == (split, 3)


def test_a_rate_of_nothing_is_not_known(tmp_path: Path) -> None:
    """Runs were stored with 0 kbit/s where frames came without their size."""
    assert rows([stored(tmp_path, bitrate_kbps=0.0)])[0]["bitrate_kbps"] is None
    assert rows([stored(tmp_path, bitrate_kbps=7.5)])[0]["bitrate_kbps"] == 7.5


def test_no_rows_say_how_to_make_some() -> None:
    with pytest.raises(UsageError, match="run --help"):
        require([])


def test_other_data_of_the_same_name_are_told_apart_and_never_ranked_together(
    tmp_path: Path,
) -> None:
    runs = [
        stored(
            tmp_path / name,
            dataset="folder",
            dataset_title="own clips",
            data=data,
            height=96,
            width=128,
            method=name,
            display=name,
        )
        for name, data in (
            ("one", "aa" * 8),
            ("two", "aa" * 8),
            ("three", "bb" * 8),
            ("before", ""),
        )
    ]
    found = rows(runs)
    assert [row["dataset_title"] for row in found] == [
        f"own clips (data {mark})" for mark in ("aaaaaa", "aaaaaa", "bbbbbb", "unknown")
    ]
    assert [{row["display"] for row in part.rows} for part in groups(found)] == [
        {"before"},
        {"one", "two"},
        {"three"},
    ]
    same = [run for run in runs if run.measurement.method != "three"]
    assert {row["data"] for row in rows(same)} == {"aa" * 8}
    (alone,) = groups(rows(same))
    assert alone.title == "own clips 96x128 / c / p"
    renamed = [dict(row, method="m", created=str(place)) for place, row in enumerate(found)]
    # the older of two runs on the same data is left out, no other
    assert len(newest(renamed)[0]) == 3
