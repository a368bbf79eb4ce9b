"""Stored runs as pandas frames: a row a run, and long forms by distance, class and frame.

Every table and every figure is made of these frames. Their columns are declared here, with dtype
and unit; ``docs/results.md`` shows them.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import pandas as pd

from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import parse_variant
from vssbench.metrics.iou import iou, mean_present
from vssbench.metrics.scores import Scores, scores
from vssbench.metrics.scores import without as scored_matrices
from vssbench.report.counted import check_values, left_out, names_left_out
from vssbench.report.footnotes import what_was_seen
from vssbench.run.store import (
    CONFUSION,
    REMEDY,
    ConfusionRecord,
    LatencyRecord,
    Measurement,
    Run,
    RunStore,
    StreamRecord,
)

By = Literal["run", "distance", "class", "frame"]


@dataclass(frozen=True)
class Field:
    """One column of a frame: its pandas dtype, its unit (empty for texts and counts), its
    meaning."""

    name: str
    dtype: str
    unit: str
    meaning: str


_TEXT, _COUNT, _SOME, _REAL = "string", "int64", "Int64", "float64"
_TIME = "datetime64[ns, UTC]"

#: the columns of the frame with a row a run, in order
RUN_FIELDS = (
    Field("run_id", _TEXT, "", "identity of the run: a hash of all that changes its numbers"),
    Field("method", _TEXT, "", "method as typed, with its parameters"),
    Field("display", _TEXT, "", "the method's name in tables"),
    Field("dataset", _TEXT, "", "dataset as typed"),
    Field("dataset_title", _TEXT, "", "the dataset's name in tables"),
    Field("split", _TEXT, "", "part of the dataset that was scored, where it has several"),
    Field("classes", _COUNT, "", "number of classes that are scored, 0 where it is not known"),
    Field("without", _TEXT, "", "names of classes that are not scored, a comma between them"),
    Field("void", _TEXT, "",
    "an output of no scored class: `error` or `masked`; empty where there is none"),
    Field("seen", _TEXT, "",
    "what the weights have seen of the scored frames: `training`, `selection`, `none`, `unknown`"),
    Field("data", _TEXT, "", "digest of the clips and classes that were scored"),
    Field("codec", _TEXT, "", "codec as typed"),
    Field("codec_title", _TEXT, "", "codec and rate in words"),
    Field("codec_name", _TEXT, "", "the codec's name in tables"),
    Field("codec_rate", _TEXT, "", "rate that the encoder was asked for"),
    Field("protocol", _TEXT, "", "protocol as typed"),
    Field("protocol_details", _TEXT, "", "the protocol's settings as JSON"),
    Field("aggregate", _TEXT, "", "how mIoU is aggregated: `mean of mIoU_d` or `pooled`"),
    Field("remarks", _TEXT, "", "what the protocol says of these clips, a line each"),
    Field("gop", _COUNT, "frames", "length of a GOP"),
    Field("frames", _COUNT, "frames", "how many were scored"),
    Field("seconds", _REAL, "s", "wall time of the run"),
    Field("width", _COUNT, "pixels", "width of a frame; 0 where clips differ"),
    Field("height", _COUNT, "pixels", "height of a frame; 0 where clips differ"),
    Field("params", _SOME, "", "number of parameters that inference uses"),
    Field("gmacs_key", _REAL, "1e9 multiply-accumulates", "work of a keyframe"),
    Field("gmacs_nonkey", _REAL, "1e9 multiply-accumulates", "work of another frame"),
    Field("gmacs_gop", _REAL, "1e9 multiply-accumulates",
    "mean work of a frame over a GOP, as far as GOPs were seen"),
    Field("bitrate_kbps", _REAL, "kbit/s", "measured rate of what is video"),
    Field("ssim", _REAL, "", "mean SSIM of luma over all frames"),
    Field("precision", _TEXT, "", "arithmetic of the network"),
    Field("device", _TEXT, "", "device of the network"),
    Field("seed", _COUNT, "", "seed of the random numbers"),
    Field("created", _TIME, "", "when the run began"),
    Field("version", _TEXT, "", "version of vssbench and digest of the code that measured"),
    Field("sources", _TEXT, "", "digests of that code as JSON: what is common, and each plug-in"),
    Field("machine", _TEXT, "", "processor of the network, with its number of threads"),
    Field("weights", _TEXT, "", "name of the weight file"),
    Field("predictions", _TEXT, "",
    "digest of another program's predictions, where these were scored"),
    Field("typed", _TEXT, "", "columns whose numbers were typed in, not measured, comma between"),
    Field("psnr_db", _REAL, "dB", "PSNR of luma over all frames; infinite without loss"),
    Field("status", _TEXT, "", "`done`, `failed`, `refused`, or `damaged` where files do not read"),
    Field("reason", _TEXT, "", "why it is not `done`"),
    Field("miou", _REAL, "fraction", "mean IoU, by the run's `aggregate`"),
    Field("miou_0", _REAL, "fraction", "mean IoU at keyframes"),
    Field("miou_last", _REAL, "fraction", "mean IoU at the greatest distance scored"),
    Field("latency_key_ms", _REAL, "ms", "network on a keyframe, median"),
    Field("latency_key_p90_ms", _REAL, "ms", "network on a keyframe, 90th percentile"),
    Field("latency_nonkey_ms", _REAL, "ms", "network on another frame, median"),
    Field("latency_nonkey_p90_ms", _REAL, "ms", "network on another frame, 90th percentile"),
    Field("decode_ms", _REAL, "ms", "decoding of a frame, median"),
    Field("motion_ms", _REAL, "ms", "motion of a frame that is no keyframe, median"),
    Field("joules_key", _REAL, "J", "energy of the network on a keyframe, mean"),
    Field("joules_nonkey", _REAL, "J", "energy of the network on another frame, mean"),
    Field("joules_gop", _REAL, "J", "energy of the network on a frame, mean over a GOP"),
    Field("energy", _TEXT, "", "the counter of the energy, or why it was not measured"),
)  # fmt: skip

#: what tells in every row of a long form which run it is of
_RUN = tuple(
    field
    for field in RUN_FIELDS
    if field.name in ("run_id", "method", "display", "dataset", "codec", "protocol")
)

_DISTANCE = Field("distance", _COUNT, "frames", "frames since the keyframe")

#: the columns of the frame of each form
FIELDS: dict[str, tuple[Field, ...]] = {
    "run": RUN_FIELDS,
    "distance": (
        *_RUN,
        _DISTANCE,
        Field("frames", _COUNT, "frames", "how many were scored at this distance"),
        Field("miou", _REAL, "fraction", "mean IoU at this distance"),
        Field("latency_ms", _REAL, "ms", "network at this distance, median"),
    ),
    "class": (
        *_RUN,
        Field("class", _TEXT, "", "name of the class"),
        Field("iou", _REAL, "fraction", "IoU of the class, by the run's `aggregate`"),
    ),
    "frame": (
        *_RUN,
        Field("clip", _COUNT, "", "number of the clip"),
        Field("frame", _COUNT, "", "number of the frame in its clip"),
        _DISTANCE,
        Field("scored", "bool", "", "whether the frame carries labels and was scored"),
        Field("miou", _REAL, "fraction", "mean IoU of this frame alone"),
        Field("pixel_accuracy", _REAL, "fraction", "labelled pixels that are right"),
        Field("picture_type", _TEXT, "", "I, P or B"),
        Field("bits", _SOME, "bits", "size of the picture in the stream, where it is known"),
        Field("psnr_db", _REAL, "dB", "PSNR of luma; infinite without loss"),
        Field("ssim", _REAL, "", "SSIM of luma"),
        Field("intra_share", _REAL, "fraction", "cells that have no vector"),
        Field("mean_vector", _REAL, "pixels", "mean length of the vectors to the keyframe"),
        Field("p95_vector", _REAL, "pixels", "95th percentile of their lengths"),
        Field("warp_error", _REAL, "grey levels", "mean absolute error of the warped keyframe"),
        Field("decode_ms", _REAL, "ms", "decoding"),
        Field("motion_ms", _REAL, "ms", "motion"),
        Field("model_ms", _REAL, "ms", "network"),
    ),
}  # fmt: skip

#: columns that hold structure as text
_JSON, _LINES = ("protocol_details", "sources"), ("remarks",)


def results(
    path: str | Path = "results/runs", by: By = "run", without: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the runs stored under a folder as one frame.

    ``by`` is ``run`` for a row a run, or one of the long forms: ``distance`` (frames since the
    keyframe), ``class``, ``frame``. ``without`` names classes that are not scored, beside those
    that a run left out. Fractions, milliseconds; NaN where nothing was measured. A run
    whose arrays do not read has the status ``damaged`` and no row in the long forms. Raises
    UsageError for an unknown form, DataError where there is no such folder.
    """
    if by not in get_args(By):
        raise UsageError(f"by={by!r} is unknown: expected {', '.join(get_args(By))}")
    root = Path(path)
    if not root.is_dir():
        raise DataError(
            f"no folder {root}: expected a results store, as `bench.py run` writes into "
            "results/runs"
        )
    return frame(RunStore(root).runs(), by, without)


def frame(runs: Sequence[Run], by: By = "run", without: Sequence[str] = ()) -> pd.DataFrame:
    """Return these runs as one frame, in the order given; see :func:`results`."""
    if by == "frame":
        lines = (line for run in runs for line in _by_frame(run, without))
        return typed(lines, FIELDS["frame"])
    its = tables(runs, without)
    if by == "run":
        return its.runs
    return (its.distances if by == "distance" else its.classes).reset_index(drop=True)


@dataclass(frozen=True)
class Tables:
    """The frames of some runs that tables and figures are made of.

    The index of ``distances`` and ``classes`` is the place of their run in ``runs``.
    """

    runs: pd.DataFrame
    distances: pd.DataFrame
    classes: pd.DataFrame


def tables(runs: Sequence[Run], without: Sequence[str] = ()) -> Tables:
    """Return the frames by run, distance and class of these runs, each read once; classes named by
    ``without`` are not scored.

    Where a dataset as typed stands for several data (two folders, or one that was changed), their
    digests tell them apart in ``dataset_title``.
    """
    return tables_of([facts_of(run, without) for run in runs])


def tables_of(facts: Sequence[Facts]) -> Tables:
    """Return the frames of some runs' facts; see :func:`tables`."""
    _tell_data_apart([each.row for each in facts])
    longs = []
    for name in ("distances", "classes"):
        parts: list[list[dict[str, Any]]] = [getattr(each, name) for each in facts]
        made = typed((line for part in parts for line in part), FIELDS[_FORM[name]])
        places = [place for place, part in enumerate(parts) for _ in part]
        longs.append(made.set_index(pd.Index(places, dtype="int64", name="run")))
    return Tables(typed((each.row for each in facts), RUN_FIELDS), *longs)


_FORM = {"distances": "distance", "classes": "class"}


def typed(lines: Iterable[Mapping[str, Any]], fields: Sequence[Field]) -> pd.DataFrame:
    """Return lines as a frame with these columns and their dtypes; what a line lacks is missing."""
    given = list(lines)
    columns = {field.name: _column(field, given) for field in fields}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(given)))


def _column(field: Field, lines: Sequence[Mapping[str, Any]]) -> pd.Series:
    values: list[Any] = [line.get(field.name) for line in lines]
    if field.name in _JSON:
        values = [json.dumps(value, sort_keys=True) for value in values]
    elif field.name in _LINES:
        values = [value if value is None else "\n".join(value) for value in values]
    column = pd.Series(values, dtype=object)
    if field.dtype == _TIME:
        column = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    return column.astype(pd.api.types.pandas_dtype(field.dtype))


def records(its: Tables) -> list[dict[str, Any]]:
    """Return a dictionary a run of plain Python values, None where nothing was measured.

    ``miou_by_distance`` (a list, its index the distance) and ``per_class`` (by the class's name)
    come from the long forms.
    """
    curves: dict[int, list[float | None]] = {}
    for place, miou in zip(its.distances.index, its.distances["miou"].tolist(), strict=True):
        curves.setdefault(place, []).append(_number(miou))
    by_class: dict[int, dict[str, float | None]] = {}
    ious = zip(its.classes.index, its.classes["class"], its.classes["iou"].tolist(), strict=True)
    for place, name, iou_of_class in ious:
        by_class.setdefault(place, {})[name] = _number(iou_of_class)
    columns = {str(name): _plain(str(name), column) for name, column in its.runs.items()}
    return [
        dict(zip(columns, values, strict=True))
        | {"miou_by_distance": curves.get(place, []), "per_class": by_class.get(place, {})}
        for place, values in enumerate(zip(*columns.values(), strict=True))
    ]


def _plain(name: str, column: pd.Series) -> list[Any]:
    """Return a column's values as plain Python ones, None for missing ones."""
    values = column.astype(object).where(column.notna(), None).tolist()
    if name in _JSON:
        return [None if value is None else json.loads(value) for value in values]
    if name in _LINES:
        return [value.split("\n") if value else [] for value in values]
    return [value.isoformat() if isinstance(value, pd.Timestamp) else value for value in values]


def parquet(table: pd.DataFrame) -> bytes:
    """Return a frame as a Parquet file. Raises UsageError where pyarrow is not installed."""
    file = io.BytesIO()
    try:
        table.to_parquet(file, index=False, engine="pyarrow")
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed: pip install 'vssbench[parquet]', or "
            "take --format csv"
        ) from error
    return file.getvalue()


@dataclass(frozen=True)
class Facts:
    """One run in tables: its row, and its lines of the long forms; plain values, as of JSON."""

    row: dict[str, Any]
    distances: list[dict[str, Any]]
    classes: list[dict[str, Any]]


#: columns that are taken from a run's measurement as they are
_COPIED = tuple(
    field.name for field in RUN_FIELDS
    if field.name in Measurement.model_fields
    and field.name not in ("weights", "machine", "classes", "without", "seen", "typed")
)  # fmt: skip

_NAMES = tuple(field.name for field in RUN_FIELDS)


def facts_of(run: Run, without: Sequence[str] = ()) -> Facts:
    """Return what tables and figures are made of, out of a run's arrays."""
    item = run.measurement
    unscored = names_left_out(item, without)
    row = {name: getattr(item, name) for name in _COPIED}
    row |= {
        "split": item.split or _typed_split(item.dataset),
        "classes": len(item.classes) - len(unscored),
        "without": ", ".join(unscored),
        "seen": what_was_seen(item),
        "bitrate_kbps": item.bitrate_kbps or None,  # old runs have 0 where it was not known
        "machine": machine_text(item),
        "weights": str(item.weights.get("file", "")),
        "typed": ", ".join(name for name in _NAMES if name in item.typed),
        "psnr_db": _psnr(item),
    }
    row |= {name: value for name, value in item.typed.items() if name in _NAMES}
    try:
        # of the streams, too: who reads them later has no place to say that they do not read
        confusion, latency, _ = run.confusion, run.latency, run.stream
        if item.status == "done" and confusion is None:
            raise DataError(f"{run.path / CONFUSION} is missing; {REMEDY}")
        its = None if confusion is None else _scores(confusion, item, without)
    except DataError as error:
        return Facts(row | {"status": "damaged", "reason": str(error)}, [], [])
    if latency is not None:
        row |= _latency(latency)
    if its is None or confusion is None:
        return Facts(row, [], [])
    curve = its.miou_by_distance
    row |= {"miou": its.miou} | (
        {"miou_0": curve[0], "miou_last": curve[-1]} if curve else {}
    )  # fmt: skip
    name = {field.name: getattr(item, field.name) for field in _RUN}
    classes = [
        name | {"class": label, "iou": value}
        for label, value in zip(item.classes, its.class_iou, strict=False)
    ]
    return Facts(row, _by_distance(name, curve, confusion, latency), classes)


def _typed_split(dataset: str) -> str:
    """Return the split that a run names which was stored before splits were."""
    try:
        return str(parse_variant(dataset).params.get("split", ""))
    except UsageError:
        return ""


def _scores(record: ConfusionRecord, item: Measurement, without: Sequence[str]) -> Scores:
    check_values(record, item)
    unscored = left_out(item, record.matrices.shape[1], without)
    return scores(record, item.aggregate, left_out=unscored)


def _by_distance(
    name: dict[str, Any],
    curve: Sequence[float | None],
    confusion: ConfusionRecord,
    latency: LatencyRecord | None,
) -> list[dict[str, Any]]:
    lines = []
    for distance, miou in enumerate(curve):
        times = np.empty(0) if latency is None else latency.model_ms[latency.distances == distance]
        lines.append(
            name
            | {
                "distance": distance,
                "frames": int((confusion.distances == distance).sum()),
                "miou": miou,
                "latency_ms": _percentile(times, 50),
            }
        )
    return lines


def _tell_data_apart(rows: Sequence[dict[str, Any]]) -> None:
    """Fill in the digest of data for old runs, or name it where there are several."""
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


def _psnr(item: Measurement) -> float | None:
    """Return the PSNR of a run, infinite without loss, None where it is not known.

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
    return _number(np.percentile(values, percent)) if values.size else None


def _number(value: float | np.floating[Any]) -> float | None:
    return None if math.isnan(value) else float(value)


_Key = tuple[int, int, int]


def _by_frame(run: Run, without: Sequence[str]) -> list[dict[str, Any]]:
    """Return the lines of a run's frames: all that went through the network where the run tells
    which they were, else those that were scored."""
    item = run.measurement
    try:
        confusion, latency, stream = run.confusion, run.latency, run.stream
        if confusion is None:
            return []
        check_values(confusion, item)
    except DataError:
        return []
    scored = _scored(confusion, left_out(item, confusion.matrices.shape[1], without))
    passed = _passed(latency, stream)
    known = passed if set(scored) <= set(passed) else {}
    if not known and stream is not None:
        known = _coded_alone(scored, stream)
    run_of = {field.name: getattr(item, field.name) for field in _RUN}
    blank: dict[str, Any] = {"scored": False}
    return [
        run_of
        | dict(zip(("clip", "frame", "distance"), key, strict=True))
        | blank
        | known.get(key, {})
        | scored.get(key, {})
        for key in dict.fromkeys([*known, *scored])
    ]


def _scored(record: ConfusionRecord, unscored: Sequence[int]) -> dict[_Key, dict[str, Any]]:
    """Return the accuracy of each scored frame by clip, frame and distance."""
    matrices = scored_matrices(record.matrices, unscored)
    per_class = iou(matrices, "skip")
    per_class[:, list(unscored)] = np.nan
    mious = mean_present(per_class)
    right = np.trace(matrices, axis1=1, axis2=2)
    counted = matrices.sum(axis=(1, 2))
    return {
        (int(clip), int(frame), int(distance)): {
            "scored": True,
            "miou": float(miou),
            "pixel_accuracy": hits / total if total else None,
        }
        for clip, frame, distance, miou, hits, total in zip(
            record.clips, record.frames, record.distances, mious, right, counted, strict=True
        )
    }


def _passed(
    latency: LatencyRecord | None, stream: StreamRecord | None
) -> dict[_Key, dict[str, Any]]:
    """Return the codec's numbers and the times of every frame, by clip, frame and distance.

    Times carry no frame's number: they are told apart only where every decoded frame was timed, and
    none twice at one distance. Empty where that is not so.
    """
    if latency is None or stream is None or len(latency.distances) != len(stream.frames):
        return {}
    keys = [
        (int(clip), int(frame), int(distance))
        for clip, frame, distance in zip(
            stream.clips, stream.frames, latency.distances, strict=True
        )
    ]
    if len(set(keys)) < len(keys):
        return {}
    times = zip(latency.decode_ms, latency.motion_ms, latency.model_ms, strict=True)
    return {
        key: _coded(stream, place)
        | dict(zip(("decode_ms", "motion_ms", "model_ms"), each, strict=True))
        for place, (key, each) in enumerate(zip(keys, times, strict=True))
    }


def _coded_alone(scored: Iterable[_Key], stream: StreamRecord) -> dict[_Key, dict[str, Any]]:
    """Return the codec's numbers of scored frames that were decoded once and scored once."""
    decoded: dict[tuple[int, int], list[int]] = {}
    for place, name in enumerate(zip(stream.clips, stream.frames, strict=True)):
        decoded.setdefault((int(name[0]), int(name[1])), []).append(place)
    return {
        key: _coded(stream, decoded[key[:2]][0])
        for key in scored
        if len(decoded.get(key[:2], ())) == 1
    }


def _coded(stream: StreamRecord, place: int) -> dict[str, Any]:
    names = ("psnr_db", "ssim", "intra_share", "mean_vector", "p95_vector", "warp_error")
    return {
        "picture_type": chr(stream.types[place]),
        "bits": int(stream.bits[place]) or None,
        **{name: getattr(stream, name)[place] for name in names},
    }
