"""Runs to store: a measurement and arrays of any length, for the tests of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from vssbench.run.measurement import Measurement
from vssbench.run.records import ConfusionRecord, LatencyRecord


def measurement(run_id: str = "a1", **given: Any) -> Measurement:
    fields = {
        "run_id": run_id,
        "created": "2026-01-01T00:00:00+00:00",
        "status": "done",
        "method": "pspnet",
        "display": "PSPNet18",
        "dataset": "camvid",
        "codec": "h264[gop=12]",
        "protocol": "dense",
        "classes": ["road", "sky"],
        "weights": {"file": "w.safetensors", "trained": {"epochs": 3}},
    }
    return Measurement(**(fields | given))


def confusion(frames: int = 3, value: int = 1) -> ConfusionRecord:
    order = np.arange(frames)
    return ConfusionRecord(
        np.full((frames, 2, 2), value, np.int64),
        *(order, order // 2, order + 5, order // 2, order * 0),
    )


def latency(frames: int = 4) -> LatencyRecord:
    times = np.arange(frames) / 7
    return LatencyRecord(np.arange(frames), np.arange(frames) == 0, times, times * 2, times * 3)


def hidden(root: Path) -> list[Path]:
    return [path for path in root.iterdir() if path.name.startswith(".")]
