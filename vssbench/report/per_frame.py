"""A run's lines by frame: scores, coding and times of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from vssbench.core.errors import DataError
from vssbench.metrics.iou import iou, mean_present
from vssbench.metrics.scores import without as scored_matrices
from vssbench.report.counted import check_values, left_out
from vssbench.report.fields import RUN_KEYS
from vssbench.run.records import ConfusionRecord, LatencyRecord, StreamRecord
from vssbench.run.stored import Run

_Key = tuple[int, int, int]


def lines_of(run: Run, without: Sequence[str]) -> list[dict[str, Any]]:
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
    run_of = {field.name: getattr(item, field.name) for field in RUN_KEYS}
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
