"""One flat dictionary a run: what tables, plots and the HTML report read. Accuracies are fractions,
times milliseconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError, UsageError
from vssbench.metrics.scores import scores
from vssbench.run.store import CONFUSION, REMEDY, ConfusionRecord, LatencyRecord, Measurement, Run

Row = dict[str, Any]

#: fields that a row takes from its measurement as they are
_COPIED = (
    "run_id", "method", "display", "dataset", "dataset_title", "data", "codec", "codec_title",
    "codec_name", "codec_rate",
    "protocol", "protocol_details", "aggregate", "remarks", "gop", "frames", "seconds", "width",
    "height", "params",
    "gmacs_key", "gmacs_nonkey", "gmacs_gop", "bitrate_kbps", "ssim", "precision", "device", "seed",
    "created", "version",
)  # fmt: skip


def rows(runs: Sequence[Run]) -> list[Row]:
    """One dictionary a run, in the order given; None where a number was not measured.

    ``miou`` is the unweighted mean of ``miou_by_distance`` (index = frames since the keyframe, None
    where none was scored), or pooled where the protocol pools; ``miou_last`` is at the greatest
    distance scored; ``per_class`` maps a class to its IoU, averaged over distances as ``miou`` is.
    Latencies are medians over frames, ``*_p90_ms`` 90th percentiles, of the network alone;
    ``decode_ms`` is the median over all frames, ``motion_ms`` over non-keyframes, the only ones
    that need motion. ``bitrate_kbps`` is measured, ``codec_rate`` what was asked for; ``psnr_db``
    is infinite where nothing was lost. A run whose arrays do not read has the status ``damaged``
    and says why. Where a dataset as typed stands for several data (two folders, or one that was
    changed), their digests tell them apart in ``dataset_title``.
    """
    found = [_row(run) for run in runs]
    known: dict[tuple[Any, ...], set[str]] = {}
    for row in found:
        known.setdefault(_typed(row), set()).update({row["data"]} - {""})
    for row in found:
        data = known[_typed(row)]
        if len(data) == 1:
            row["data"] = next(iter(data))  # of a run, too, that was stored before data were
        elif data:
            row["dataset_title"] = (
                f"{row['dataset_title'] or row['dataset']} (data {row['data'][:6] or 'unknown'})"
            )
    return found


def _typed(row: Row) -> tuple[Any, ...]:
    return row["dataset"], row["height"], row["width"]


def require(rows: Sequence[Row]) -> None:
    """Check that there are rows to show.

    Raises UsageError, saying how to make some, where there are none.
    """
    if not rows:
        raise UsageError(
            "no results to show: measure some first (see `run --help`), or name the folder that "
            "has them (--runs)"
        )


def _row(run: Run) -> Row:
    item = run.measurement
    row: Row = {name: getattr(item, name) for name in _COPIED}
    row |= {
        "machine": machine_text(item),
        "weights": str(item.weights.get("file", "")),
        "psnr_db": _psnr(item),
    }
    row |= {"status": item.status, "reason": item.reason}
    try:
        confusion, latency = run.confusion, run.latency
        if item.status == "done" and confusion is None:
            raise DataError(f"{run.path / CONFUSION} is missing; {REMEDY}")
        accuracy = _accuracy(confusion, item.classes, item.aggregate)
    except DataError as error:
        confusion = latency = None
        accuracy = _accuracy(None, item.classes, item.aggregate)
        row |= {"status": "damaged", "reason": str(error)}
    return row | accuracy | _latency(latency)


def _psnr(item: Measurement) -> float | None:
    """Return the PSNR of a run, None where it is infinite.

    A record has no infinite numbers: frames equal to their sources have an SSIM of 1 and no PSNR.
    """
    return math.inf if item.psnr_db is None and item.ssim == 1.0 else item.psnr_db


def machine_text(item: Measurement) -> str:
    """Name the network's processor in short: the GPU if it ran on one, else the CPU and threads."""
    machine = item.machine
    if item.device.startswith("cuda") and machine.get("gpu"):
        return str(machine["gpu"])
    threads = machine.get("threads")
    plural = "thread" if threads == 1 else "threads"
    return ", ".join(
        filter(None, [str(machine.get("cpu") or ""), f"{threads} {plural}" if threads else ""])
    )


def _accuracy(record: ConfusionRecord | None, classes: Sequence[str], aggregate: str) -> Row:
    if record is None:
        return {
            "miou": None,
            "miou_by_distance": [],
            "miou_0": None,
            "miou_last": None,
            "per_class": {},
        }
    if record.matrices.shape[1:] != (len(classes), len(classes)):
        raise DataError(
            f"confusion matrices of shape {record.matrices.shape} for {len(classes)} classes"
        )
    found = scores(record, aggregate)
    curve = list(found.miou_by_distance)
    return {
        "miou": found.miou,
        "miou_by_distance": curve,
        "miou_0": curve[0] if curve else None,
        "miou_last": curve[-1] if curve else None,
        "per_class": dict(zip(classes, found.class_iou, strict=True)),
    }


def _latency(record: LatencyRecord | None) -> Row:
    if record is None:
        key = nonkey = decode = motion = np.empty(0)
    else:
        key, nonkey = record.model_ms[record.key], record.model_ms[~record.key]
        decode, motion = record.decode_ms, record.motion_ms[~record.key]
    return {
        "latency_key_ms": _percentile(key, 50),
        "latency_key_p90_ms": _percentile(key, 90),
        "latency_nonkey_ms": _percentile(nonkey, 50),
        "latency_nonkey_p90_ms": _percentile(nonkey, 90),
        "decode_ms": _percentile(decode, 50),
        "motion_ms": _percentile(motion, 50),
    }


def _percentile(values: npt.NDArray[np.float64], percent: float) -> float | None:
    return _number(np.percentile(values, percent)) if values.size else None


def _number(value: float | np.floating[Any]) -> float | None:
    return None if math.isnan(value) else float(value)
