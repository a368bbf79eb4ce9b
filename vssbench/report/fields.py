"""The declared columns of the frames of runs, with dtype and unit."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Field:
    """One column of a frame: its pandas dtype, its unit (empty for texts and counts), its
    meaning."""

    name: str
    dtype: str
    unit: str
    meaning: str


TEXT, COUNT, SOME, REAL = "string", "int64", "Int64", "float64"
TIME = "datetime64[ns, UTC]"
#: the first and the last year that such a time has whole
YEARS = (1678, 2261)

#: the columns of the frame with a row a run, in order
RUN_FIELDS = (
    Field("run_id", TEXT, "", "identity of the run: a hash of all that changes its numbers"),
    Field("method", TEXT, "", "method as typed, with its parameters"),
    Field("display", TEXT, "", "the method's name in tables"),
    Field("dataset", TEXT, "", "dataset as typed"),
    Field("dataset_title", TEXT, "", "the dataset's name in tables"),
    Field("split", TEXT, "", "part of the dataset that was scored, where it has several"),
    Field("classes", COUNT, "", "number of classes that are scored, 0 where it is not known"),
    Field("without", TEXT, "", "names of classes that are not scored, a comma between them"),
    Field("void", TEXT, "",
    "an output of no scored class: `error` or `masked`; empty where there is none"),
    Field("seen", TEXT, "",
    "what the weights have seen of the scored frames: `training`, `selection`, `none`, `unknown`"),
    Field("data", TEXT, "", "digest of the clips and classes that were scored"),
    Field("codec", TEXT, "", "codec as typed"),
    Field("codec_title", TEXT, "", "codec and rate in words"),
    Field("codec_name", TEXT, "", "the codec's name in tables"),
    Field("codec_rate", TEXT, "", "rate that the encoder was asked for"),
    Field("protocol", TEXT, "", "protocol as typed"),
    Field("protocol_details", TEXT, "", "the protocol's settings as JSON"),
    Field("aggregate", TEXT, "", "how mIoU is aggregated: `mean of mIoU_d` or `pooled`"),
    Field("remarks", TEXT, "", "what the protocol says of these clips, a line each"),
    Field("gop", COUNT, "frames", "length of a GOP"),
    Field("frames", COUNT, "frames", "how many were scored"),
    Field("seconds", REAL, "s", "wall time of the run"),
    Field("width", COUNT, "pixels", "width of a frame; 0 where clips differ"),
    Field("height", COUNT, "pixels", "height of a frame; 0 where clips differ"),
    Field("params", SOME, "", "number of parameters that inference uses"),
    Field("gmacs_key", REAL, "1e9 multiply-accumulates", "work of a keyframe"),
    Field("gmacs_nonkey", REAL, "1e9 multiply-accumulates", "work of another frame"),
    Field("gmacs_gop", REAL, "1e9 multiply-accumulates",
    "mean work of a frame over a GOP, as far as GOPs were seen"),
    Field("bitrate_kbps", REAL, "kbit/s", "measured rate of what is video"),
    Field("ssim", REAL, "", "mean SSIM of luma over all frames"),
    Field("precision", TEXT, "", "arithmetic of the network"),
    Field("device", TEXT, "", "device of the network"),
    Field("seed", COUNT, "", "seed of the random numbers"),
    Field("created", TIME, "", "when the run began"),
    Field("version", TEXT, "", "version of vssbench and digest of the code that measured"),
    Field("sources", TEXT, "", "digests of that code as JSON: what is common, and each plug-in"),
    Field("machine", TEXT, "", "processor of the network, with its number of threads"),
    Field("weights", TEXT, "", "name of the weight file"),
    Field("predictions", TEXT, "",
    "digest of another program's predictions, where these were scored"),
    Field("typed", TEXT, "", "columns whose numbers were typed in, not measured, comma between"),
    Field("psnr_db", REAL, "dB", "PSNR of luma over all frames; infinite without loss"),
    Field("status", TEXT, "", "`done`, `failed`, `refused`, or `damaged` where files do not read"),
    Field("reason", TEXT, "", "why it is not `done`"),
    Field("miou", REAL, "fraction", "mean IoU, by the run's `aggregate`"),
    Field("miou_0", REAL, "fraction", "mean IoU at keyframes"),
    Field("miou_last", REAL, "fraction", "mean IoU at the greatest distance scored"),
    Field("latency_key_ms", REAL, "ms", "network on a keyframe, median"),
    Field("latency_key_p90_ms", REAL, "ms", "network on a keyframe, 90th percentile"),
    Field("latency_nonkey_ms", REAL, "ms", "network on another frame, median"),
    Field("latency_nonkey_p90_ms", REAL, "ms", "network on another frame, 90th percentile"),
    Field("decode_ms", REAL, "ms", "decoding of a frame, median"),
    Field("motion_ms", REAL, "ms", "motion of a frame that is no keyframe, median"),
    Field("joules_key", REAL, "J", "energy of the network on a keyframe, mean"),
    Field("joules_nonkey", REAL, "J", "energy of the network on another frame, mean"),
    Field("joules_gop", REAL, "J", "energy of the network on a frame, mean over a GOP"),
    Field("energy", TEXT, "", "the counter of the energy, or why it was not measured"),
)  # fmt: skip

#: what tells in every row of a long form which run it is of
RUN_KEYS = tuple(
    field
    for field in RUN_FIELDS
    if field.name in ("run_id", "method", "display", "dataset", "codec", "protocol")
)

_DISTANCE = Field("distance", COUNT, "frames", "frames since the keyframe")

#: the columns of the frame of each form
FIELDS: dict[str, tuple[Field, ...]] = {
    "run": RUN_FIELDS,
    "distance": (
        *RUN_KEYS,
        _DISTANCE,
        Field("frames", COUNT, "frames", "how many were scored at this distance"),
        Field("miou", REAL, "fraction", "mean IoU at this distance"),
        Field("latency_ms", REAL, "ms", "network at this distance, median"),
    ),
    "class": (
        *RUN_KEYS,
        Field("class", TEXT, "", "name of the class"),
        Field("iou", REAL, "fraction", "IoU of the class, by the run's `aggregate`"),
    ),
    "frame": (
        *RUN_KEYS,
        Field("clip", COUNT, "", "number of the clip"),
        Field("frame", COUNT, "", "number of the frame in its clip"),
        _DISTANCE,
        Field("scored", "bool", "", "whether the frame carries labels and was scored"),
        Field("miou", REAL, "fraction", "mean IoU of this frame alone"),
        Field("pixel_accuracy", REAL, "fraction", "labelled pixels that are right"),
        Field("picture_type", TEXT, "", "I, P or B"),
        Field("bits", SOME, "bits", "size of the picture in the stream, where it is known"),
        Field("psnr_db", REAL, "dB", "PSNR of luma; infinite without loss"),
        Field("ssim", REAL, "", "SSIM of luma"),
        Field("intra_share", REAL, "fraction", "cells that have no vector"),
        Field("mean_vector", REAL, "pixels", "mean length of the vectors to the keyframe"),
        Field("p95_vector", REAL, "pixels", "95th percentile of their lengths"),
        Field("warp_error", REAL, "grey levels", "mean absolute error of the warped keyframe"),
        Field("decode_ms", REAL, "ms", "decoding"),
        Field("motion_ms", REAL, "ms", "motion"),
        Field("model_ms", REAL, "ms", "network"),
    ),
}  # fmt: skip

#: columns that hold structure as text
JSON_COLUMNS, LINE_COLUMNS = ("protocol_details", "sources"), ("remarks",)
