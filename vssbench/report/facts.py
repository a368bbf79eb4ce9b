"""A run's facts for tables: its row, and its lines by distance and class, out of its arrays."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import parse_variant
from vssbench.metrics.scores import MeanIous, mean_ious
from vssbench.report.counted import check_values, left_out, names_left_out
from vssbench.report.fields import RUN_FIELDS, RUN_KEYS
from vssbench.report.footnotes import what_was_seen
from vssbench.run.measurement import Measurement
from vssbench.run.records import ConfusionRecord, LatencyRecord, damaged
from vssbench.run.stored import CONFUSION, Run


@dataclass(frozen=True)
class Facts:
    """One run in tables: its row, and its lines of the long forms; plain values, as of JSON."""

    row: dict[str, Any]
    distances: list[dict[str, Any]]
    classes: list[dict[str, Any]]


@dataclass(frozen=True)
class Numbers:
    """The part of a run's facts that comes of its arrays: further columns of its row, and its lines
    of the long forms without what tells them from another run's."""

    row: dict[str, float | None]
    distances: list[dict[str, Any]]
    classes: list[dict[str, Any]]


#: the numbers of a run that was not measured
NOTHING = Numbers({}, [], [])

#: the lines of a run's facts, and the form of the frame that is made of them
LONG_FORMS = {"distances": "distance", "classes": "class"}

#: columns that are taken from a run's measurement as they are
_COPIED = tuple(
    field.name for field in RUN_FIELDS
    if field.name in Measurement.model_fields
    and field.name not in ("weights", "machine", "classes", "without", "seen", "typed")
)  # fmt: skip

_NAMES = tuple(field.name for field in RUN_FIELDS)
#: hexadecimal digits of what a run's numbers depend on
_DIGITS = 32


def facts_of(run: Run, without: Sequence[str] = ()) -> Facts:
    """Return what tables and figures are made of, out of a run's row and its arrays."""
    row = row_of(run.measurement, without)
    try:
        return joined(row, numbers_of(run, without))
    except DataError as error:
        return joined(row | damage(error), NOTHING)


def damage(error: DataError) -> dict[str, Any]:
    """Return what the row of a run says whose arrays do not read."""
    return {"status": "damaged", "reason": str(error)}


def joined(row: dict[str, Any], numbers: Numbers) -> Facts:
    """Return the facts of a run out of its row and its numbers."""
    its = {field.name: row[field.name] for field in RUN_KEYS}
    lines = ([its | line for line in getattr(numbers, name)] for name in LONG_FORMS)
    return Facts(row | numbers.row, *lines)


def row_of(item: Measurement, without: Sequence[str] = ()) -> dict[str, Any]:
    """Return the columns of a run's row that do not come of its arrays."""
    unscored = names_left_out(item, without)
    row = {name: getattr(item, name) for name in _COPIED}
    row |= {
        "split": item.split or _typed_split(item.dataset),
        "classes": len(item.classes) - len(unscored),
        "without": ", ".join(unscored),
        "seen": what_was_seen(item),
        "bitrate_kbps": item.bitrate_kbps or None,  # old runs have 0 where it was not known
        "machine": machine_text(item.machine, item.device),
        "weights": str(item.weights.get("file", "")),
        "typed": ", ".join(name for name in _NAMES if name in item.typed),
        "psnr_db": _psnr(item),
    }
    return row | {name: value for name, value in item.typed.items() if name in _NAMES}


def key_of(run: Run) -> str:
    """Return what a run's numbers depend on, in short: runs that have it in common have the same
    numbers. Raises DataError."""
    item = run.measurement
    counted = (
        item.status, item.frames, item.classes, item.void, item.aggregate, item.without,
    )  # fmt: skip
    digest = hashlib.sha256(json.dumps(counted).encode())
    digest.update(run.digest().encode())
    return digest.hexdigest()[:_DIGITS]


def numbers_of(run: Run, without: Sequence[str] = ()) -> Numbers:
    """Return the numbers of a run's arrays. Raises DataError where they do not read."""
    item = run.measurement
    # of the streams, too: who reads them later has no place to say that they do not read
    confusion, latency, _ = run.confusion, run.latency, run.stream
    if item.status == "done" and confusion is None:
        raise damaged(run.path / CONFUSION, "is missing")
    row = {} if latency is None else _latency(latency)
    if confusion is None:
        return Numbers(row, [], [])
    its = _scores(confusion, item, without)
    curve = its.miou_by_distance
    row |= {"miou": its.miou} | (
        {"miou_0": curve[0], "miou_last": curve[-1]} if curve else {}
    )  # fmt: skip
    classes = [
        {"class": label, "iou": value}
        for label, value in zip(item.classes, its.class_iou, strict=False)
    ]
    return Numbers(row, _by_distance(curve, confusion, latency), classes)


def _typed_split(dataset: str) -> str:
    """Return the split that a run names which was stored before splits were."""
    try:
        return str(parse_variant(dataset).params.get("split", ""))
    except UsageError:
        return ""


def _scores(record: ConfusionRecord, item: Measurement, without: Sequence[str]) -> MeanIous:
    check_values(record, item)
    unscored = left_out(item, record.matrices.shape[1], without)
    return mean_ious(record, item.aggregate, left_out=unscored)


def _by_distance(
    curve: Sequence[float | None], confusion: ConfusionRecord, latency: LatencyRecord | None
) -> list[dict[str, Any]]:
    lines = []
    for distance, miou in enumerate(curve):
        times = np.empty(0) if latency is None else latency.model_ms[latency.distances == distance]
        lines.append(
            {
                "distance": distance,
                "frames": int((confusion.distances == distance).sum()),
                "miou": miou,
                "latency_ms": _percentile(times, 50),
            }
        )
    return lines


def _psnr(item: Measurement) -> float | None:
    """Return the PSNR of a run, infinite without loss, None where it is not known.

    A record has no infinite numbers: frames equal to their sources have an SSIM of 1 and no PSNR.
    """
    return math.inf if item.psnr_db is None and item.ssim == 1.0 else item.psnr_db


def machine_text(machine: Mapping[str, Any], device: str) -> str:
    """Name the network's processor in short: the GPU if it ran on one, else the CPU and threads."""
    if device.startswith("cuda") and machine.get("gpu"):
        return str(machine["gpu"])
    threads = machine.get("threads")
    plural = "thread" if threads == 1 else "threads"
    return ", ".join(
        filter(None, [str(machine.get("cpu") or ""), f"{threads} {plural}" if threads else ""])
    )


def _latency(record: LatencyRecord) -> dict[str, float | None]:
    key, nonkey = record.model_ms[record.key], record.model_ms[~record.key]
    return {
        "latency_key_ms": _percentile(key, 50),
        "latency_key_p90_ms": _percentile(key, 90),
        "latency_nonkey_ms": _percentile(nonkey, 50),
        "latency_nonkey_p90_ms": _percentile(nonkey, 90),
        "decode_ms": _percentile(record.decode_ms, 50),
        "motion_ms": _percentile(record.motion_ms[~record.key], 50),
    }


def _percentile(values: npt.NDArray[np.float64], percent: float) -> float | None:
    """Return what ``np.percentile`` does, in a tenth of its time for the few values that there
    mostly are; None of none."""
    if not values.size:
        return None
    ascending = np.sort(values)
    place = (values.size - 1) * (percent / 100)
    below = int(place)
    share = place - below
    first, last = float(ascending[below]), float(ascending[min(below + 1, values.size - 1)])
    step = last - first
    return first + step * share if share < 0.5 else last - step * (1 - share)


def tell_data_apart(rows: Sequence[dict[str, Any]]) -> None:
    """Fill in the digest of data for old runs, or name it in ``dataset_title`` where a dataset as
    typed stands for several data: two folders, or one that was changed."""
    known: dict[tuple[Any, ...], set[str]] = {}
    for row in rows:
        known.setdefault(_as_typed(row), set()).update({row["data"]} - {""})
    for row in rows:
        data = known[_as_typed(row)]
        if len(data) == 1:
            row["data"] = next(iter(data))  # of a run, too, that was stored before data were
        elif data:
            row["dataset_title"] = (
                f"{row['dataset_title'] or row['dataset']} (data {row['data'][:6] or 'unknown'})"
            )


def _as_typed(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["dataset"], row["height"], row["width"]
