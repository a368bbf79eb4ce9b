"""Small stores, written without measuring anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vssbench.run.measurement import Measurement
from vssbench.run.records import ConfusionRecord, LatencyRecord
from vssbench.run.store import RunStore


def write(root: Path, run_id: str, value: int = 1, timed: bool = True, **given: Any) -> None:
    """Store a run of three frames whose predictions are told by ``value``."""
    fields: dict[str, Any] = {
        "run_id": run_id,
        "created": "2026-01-01T00:00:00+00:00",
        "status": "done",
        "method": "pspnet",
        "display": "PSPNet18",
        "dataset": "camvid",
        "codec": "h264[gop=12]",
        "protocol": "dense",
        "classes": ["road", "sky"],
    }
    frames, times = np.arange(3), np.arange(3) / 7
    done = given.get("status", "done") == "done"
    classes = len((fields | given)["classes"])
    matrices = np.full((3, classes, classes), value, np.int64) + np.eye(classes, dtype=np.int64)
    confusion = ConfusionRecord(matrices, frames, frames, frames)
    RunStore(root).write(
        Measurement(**(fields | given)),
        confusion if done else None,
        LatencyRecord(frames, frames == 0, times, times, times) if done and timed else None,
        {},
        "",
    )
