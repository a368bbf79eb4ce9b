"""A stored measurement: ``<root>/<id>/`` holds ``result.json`` and ``latency.npz``, every frame's
times.

The folder is written under a hidden name and then renamed, so that readers see all of it or
nothing. Every measurement has an id of its own: two of the same methods stay side by side.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from vssbench.core import files, reading
from vssbench.core.arrays import read_arrays
from vssbench.core.errors import DataError
from vssbench.core.program import program
from vssbench.core.shortage import check_memory
from vssbench.core.shown import json_of
from vssbench.latency.samples import Samples, columns
from vssbench.latency.statistics import Ratio, Summary

RESULT, LATENCY = "result.json", "latency.npz"


class WarmUpRecord(BaseModel):
    """The warm-up of one process; see :class:`vssbench.latency.warmup.WarmUp`."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    seconds: float
    frames: int
    windows: int
    settled: bool
    first_ms: tuple[float, float]
    last_ms: tuple[float, float]


class MethodTimes(BaseModel):
    """One method: what it was, its times by kind (``key``, ``nonkey``, ``gop``), and whether they
    can be relied upon.

    ``verdict`` is ``stable`` or ``unstable: why``; ``others`` and ``stolen`` are the shares of all
    cores' time that other processes used, and that a hypervisor took, while it ran (None where the
    system does not tell), as mean over rounds; ``rounds_others`` is that of each round. ``again``
    is the time of frames shown once more, as a share of what they took when fresh (median over
    rounds). ``energy`` says what counted the energy of frames, or why nothing did. A failed method
    has its ``reason``, and times if it was measured before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    method: str
    display: str
    weights: str
    status: Literal["done", "failed"]
    reason: str = ""
    threads: int = 0
    warmups: list[WarmUpRecord] = []
    times: dict[str, Summary] = {}
    verdict: str = ""
    others: float | None = None
    stolen: float | None = None
    rounds_others: list[float | None] = []
    again: float | None = None
    energy: str = ""


class LatencyResult(BaseModel):
    """The result of ``bench.py latency``.

    ``status``: ``done``, ``interrupted`` before its last round, or ``failed`` where a method was
    given up.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    id: str
    created: str
    status: Literal["done", "interrupted", "failed"]
    seconds: float
    settings: dict[str, Any]
    stream: str
    methods: list[MethodTimes]
    ratios: list[Ratio]
    environment: dict[str, Any]
    remarks: list[str] = []
    command: str = ""
    version: str = ""


@dataclass(frozen=True)
class StoredLatency:
    """A stored measurement, and its samples, read when first asked for."""

    result: LatencyResult
    path: Path

    @cached_property
    def samples(self) -> Samples:
        """Every frame's times. Raises DataError where the file does not read."""
        path = self.path / LATENCY
        try:
            arrays = read_arrays(path, lambda _: None)
            if arrays is None:
                raise DataError("it is missing")
            # measurements of earlier versions tell of no energy
            names = {each.name for each in fields(Samples)} - ({"joules"} - arrays.keys())
            return Samples(**{name: arrays[name] for name in names})
        except (KeyError, DataError) as error:
            raise DataError(f"{path} does not read: {error}; measure again") from error


def new_id() -> str:
    """Return an id that sorts by time and is met once."""
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{uuid.uuid4().hex[:6]}"


def write(root: Path, result: LatencyResult, samples: Samples) -> Path:
    """Store a measurement and return its folder. Raises DataError where the folder cannot be
    written."""
    place = root / result.id
    with files.draft(place) as draft:
        draft.mkdir()
        (draft / RESULT).write_text(json_of(result) + "\n", encoding="utf-8")
        with (draft / LATENCY).open("wb") as file:
            np.savez_compressed(file, **columns(samples))  # type: ignore[arg-type]
    return place


def read(folder: Path) -> StoredLatency:
    """Return the measurement in a folder. Raises DataError where there is none or it does not
    read."""
    try:
        return StoredLatency(read_result(folder / RESULT), folder)
    except OSError as error:
        raise DataError(f"no measurement in {folder}: {error.strerror} for {RESULT}") from error


def read_result(path: Path) -> LatencyResult:
    """Return the result in a file, as it is stored or as ``--json`` prints it. Raises DataError for
    one that does not read, OSError where it is not there."""
    check_memory()
    try:
        return LatencyResult.model_validate_json(reading.read_bytes(path))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{path} does not read as a measurement of `{program()} latency`: {where} "
            f"{first['msg']}; give what it wrote"
        ) from error


def find(folder: Path) -> list[StoredLatency]:
    """Return the measurement in a folder, or all in the folders right below it, oldest first.
    Raises DataError for none."""
    if (folder / RESULT).exists():
        return [read(folder)]
    below = sorted(
        path.parent for path in folder.glob(f"*/{RESULT}") if not path.parent.name.startswith(".")
    )
    if not below:
        raise DataError(
            f"no measurement in {folder}: expected a folder that `{program()} latency` wrote, "
            "or one that holds such"
        )
    return [read(path) for path in below]
