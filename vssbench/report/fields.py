"""The declared columns of the frames of runs, with dtype and unit, and how lines become a frame."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd


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
RUN_KEYS = tuple(
    field
    for field in RUN_FIELDS
    if field.name in ("run_id", "method", "display", "dataset", "codec", "protocol")
)

_DISTANCE = Field("distance", _COUNT, "frames", "frames since the keyframe")

#: the columns of the frame of each form
FIELDS: dict[str, tuple[Field, ...]] = {
    "run": RUN_FIELDS,
    "distance": (
        *RUN_KEYS,
        _DISTANCE,
        Field("frames", _COUNT, "frames", "how many were scored at this distance"),
        Field("miou", _REAL, "fraction", "mean IoU at this distance"),
        Field("latency_ms", _REAL, "ms", "network at this distance, median"),
    ),
    "class": (
        *RUN_KEYS,
        Field("class", _TEXT, "", "name of the class"),
        Field("iou", _REAL, "fraction", "IoU of the class, by the run's `aggregate`"),
    ),
    "frame": (
        *RUN_KEYS,
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
JSON_COLUMNS, LINE_COLUMNS = ("protocol_details", "sources"), ("remarks",)


def typed(lines: Iterable[Mapping[str, Any]], fields: Sequence[Field]) -> pd.DataFrame:
    """Return lines as a frame with these columns and their dtypes; what a line lacks is missing."""
    given = list(lines)
    columns = {field.name: _column(field, given) for field in fields}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(given)))


def _column(field: Field, lines: Sequence[Mapping[str, Any]]) -> pd.Series:
    values: list[Any] = [line.get(field.name) for line in lines]
    if field.name in JSON_COLUMNS:
        values = [json.dumps(value, sort_keys=True) for value in values]
    elif field.name in LINE_COLUMNS:
        values = [value if value is None else "\n".join(value) for value in values]
    column = pd.Series(values, dtype=object)
    if field.dtype == _TIME:
        column = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
    return column.astype(pd.api.types.pandas_dtype(field.dtype))
