"""A run's row: what was measured, how, and what came of it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from vssbench.core.errors import UsageError
from vssbench.core.variant import parse_variant
from vssbench.protocol import MEAN_OF_DISTANCES, POOLED

#: the remark on a run whose network gives other logits for the same frame
NON_DETERMINISTIC = (
    "non-deterministic: passes over the same frame gave different logits, so that another run may "
    "give other numbers"
)

Status = Literal["done", "failed", "refused"]


def _typed(text: str) -> str:
    """Check that a text can be typed again."""
    try:
        parse_variant(text)
    except UsageError as error:
        raise ValueError(str(error)) from error
    return text


def _seen(record: dict[str, Any]) -> dict[str, Any]:
    if record and not all(
        isinstance(record.get(name), int) for name in ("training", "selection", "known")
    ):
        raise ValueError("expected the counts training and selection, and whether they are known")
    return record


def _weights(record: dict[str, Any]) -> dict[str, Any]:
    if not isinstance(record.get("trained") or {}, dict):
        raise ValueError("expected an object for what is known of the training")
    return record


def _summed(text: str) -> str:
    if text not in (MEAN_OF_DISTANCES, POOLED):
        raise ValueError(f"expected {MEAN_OF_DISTANCES!r} or {POOLED!r}")
    return text


Typed = Annotated[str, AfterValidator(_typed)]
#: what fits into the whole numbers of frames and their sums
Count = Annotated[int, Field(ge=0, le=1 << 53)]
Real = Annotated[float, Field(ge=0, le=1e18)]


class Measurement(BaseModel):
    """One row: a method on a dataset through a codec under a protocol, and what it cost. Failed
    rows lack numbers.

    ``method``, ``dataset`` and ``codec`` are texts that can be typed again; ``split`` is the part
    of the dataset that was scored, empty where it has but one; ``data`` is a digest of
    the clips and classes that were scored, which a text does not tell where it names a folder.
    GMACs are 10^9 multiply-accumulates a frame on a keyframe, a non-keyframe and as the mean over a
    GOP, as far as GOPs were seen; where clips differ in size, ``width`` and ``height`` are 0,
    ``dataset_title`` says the sizes, and GMACs are the mean over frames. ``frames`` counts scored
    frames; ``seconds`` is the wall time of the run, ``spent`` where it went
    (:meth:`vssbench.run.recorder.Recorder.spent`); ``codec_rate`` is what the encoder was asked
    for, ``bitrate_kbps`` what came of it, measured. ``psnr_db``, of the mean squared error, and
    ``ssim`` are those of all frames' luma (None where nothing was encoded). ``without`` are the
    classes that are not scored; ``void`` what became of an output that stands for no scored class:
    ``error`` (it has a number behind the classes in the matrices, where it is not one of them),
    ``masked``, or empty where there is none (:mod:`vssbench.run.outputs`). ``sources`` are digests
    of the code by its parts, ``seen`` what the weights have seen of the frames
    (:class:`vssbench.run.seen.Seen`). ``predictions`` is the digest of another program's
    predictions where these were scored (:mod:`vssbench.exchange`); ``typed`` are numbers that were
    then stated, not measured, by their columns' names. ``joules_*`` are means of a frame,
    ``energy`` says of which counter, or why there is none (:mod:`vssbench.core.energy`). Accuracy
    and latency are derived from the run's arrays.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    run_id: str
    created: str
    status: Status
    reason: str = ""
    traceback: str = ""
    method: Typed
    display: str
    dataset: str
    dataset_title: str = ""
    split: str = ""
    data: str = ""
    codec: Typed
    codec_title: str = ""
    codec_name: str = ""
    codec_rate: str = ""
    protocol: str
    protocol_details: dict[str, Any] = {}
    aggregate: Annotated[str, AfterValidator(_summed)] = MEAN_OF_DISTANCES
    remarks: list[str] = []
    gop: Count = 0
    classes: Annotated[list[str], Field(max_length=256)] = []
    without: list[str] = []
    void: str = ""
    frames: Count = 0
    seconds: Real = 0.0
    spent: dict[str, float] = {}
    width: Count = 0
    height: Count = 0
    params: Count | None = None
    gmacs_key: Real | None = None
    gmacs_nonkey: Real | None = None
    gmacs_gop: Real | None = None
    bitrate_kbps: Real | None = None
    psnr_db: float | None = None
    ssim: float | None = None
    predictions: str = ""
    typed: dict[str, float] = {}
    weights: Annotated[dict[str, Any], AfterValidator(_weights)] = {}
    precision: str = "fp32"
    device: str = "cpu"
    joules_key: Real | None = None
    joules_nonkey: Real | None = None
    joules_gop: Real | None = None
    energy: str = ""
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 63)] = 0
    machine: dict[str, Any] = {}
    command: str = ""
    version: str = ""
    sources: dict[str, str] = {}
    seen: Annotated[dict[str, Any], AfterValidator(_seen)] = {}
