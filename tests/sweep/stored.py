"""Small stores, written without measuring anything."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tests.run.runs import measurement
from vssbench.run.records import ConfusionRecord, LatencyRecord
from vssbench.run.store import RunStore


def write(root: Path, run_id: str, value: int = 1, timed: bool = True, **given: Any) -> None:
    """Store a run of three frames whose predictions are told by ``value``."""
    item = measurement(run_id, **{"weights": {}, **given})
    frames, times = np.arange(3), np.arange(3) / 7
    done = item.status == "done"
    classes = len(item.classes)
    matrices = np.full((3, classes, classes), value, np.int64) + np.eye(classes, dtype=np.int64)
    confusion = ConfusionRecord(matrices, frames, frames, frames)
    RunStore(root).write(
        item,
        confusion if done else None,
        LatencyRecord(frames, frames == 0, times, times, times) if done and timed else None,
        {},
        "",
    )


def torn(path: Path) -> None:
    """Damage an archive inside: its end is as it was."""
    content = bytearray(path.read_bytes())
    content[60:90] = bytes(30)
    path.write_bytes(content)
