"""Stores of several machines joined into one; nothing is chosen between two results that differ."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError, UsageError
from vssbench.core.naming import called
from vssbench.run.measurement import Measurement
from vssbench.run.store import RunStore
from vssbench.run.stored import CONFUSION, STREAM, NewerRun, Run

#: numbers of a row that are the same whenever it is measured
_NUMBERS = (
    "frames", "gop", "height", "width", "params", "gmacs_key", "gmacs_nonkey", "gmacs_gop",
    "bitrate_kbps", "psnr_db", "ssim",
)  # fmt: skip
#: by which sums may differ that were taken in another order
_ROUNDING = 1e-9


@dataclass
class Merged:
    """The outcome of a merge: how many runs were copied, how many gave more to one that was there
    (meters, latencies), how many were there already; what could not be joined, in words: two
    results that differ, and runs that do not read, or whose place has one by a newer version."""

    copied: int = 0
    completed: int = 0
    same: int = 0
    conflicts: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)


def merge(sources: Sequence[Path], target: RunStore) -> Merged:
    """Join the runs of stores into another.

    A run that the other has not, or has only as a failed, refused or damaged one, is copied. Of two
    results of one id all must be the same but times and energy: then the other keeps its own, and
    gets the meters and latencies that it lacks. Raises UsageError for a folder that is the target
    itself, DataError for one that is missing.
    """
    for source in sources:
        if not source.is_dir():
            raise DataError(f"no folder {source}: expected a results store, as `run` writes one")
        if target.root.exists() and source.samefile(target.root):
            raise UsageError(f"{source} is the store that is merged into: name others")
    target.check_writable()
    merged = Merged()
    for source in sources:
        store = RunStore(source)
        for name in store.ids():
            try:
                run = store.get(name)
                # the arrays are read before anything is copied: damage stays where it is
                _ = run.confusion, run.latency, run.stream
                if run.fault:
                    raise DataError(run.fault)
            except (DataError, UsageError) as error:
                merged.damaged.append(str(error))
                continue
            _join(run, target, merged)
    return merged


def _join(run: Run, target: RunStore, merged: Merged) -> None:
    run_id = run.measurement.run_id
    try:
        there = target.get(run_id)
    except NewerRun as error:
        merged.damaged.append(f"{called(run.path)}: {error}")
        return
    except DataError:
        target.take(run)
        merged.copied += 1
        return
    if run.measurement.status != "done" or there.measurement.status != "done":
        better = run.measurement.status == "done"
        if better:
            target.take(run)
        merged.copied, merged.same = merged.copied + better, merged.same + (not better)
        return
    if CONFUSION not in there.files:
        target.complete(run)
        merged.completed += 1
    elif reason := conflict(run, there):
        merged.conflicts.append(f"{called(run.path)} and {there.path}: {reason}")
    elif not run.files <= there.files:
        target.complete(run)
        merged.completed += 1
    else:
        merged.same += 1


def conflict(run: Run, there: Run) -> str:
    """Say how two results of one id differ in what does not depend on when they were measured;
    empty where they do not."""
    try:
        return (
            _predictions(run, there)
            or _numbers(run.measurement, there.measurement)
            or _further_arrays(run, there)
        )
    except DataError as error:
        return str(error)


def _numbers(one: Measurement, other: Measurement) -> str:
    """Compare what rows say, as far as both do."""
    for name in _NUMBERS:
        first, second = getattr(one, name), getattr(other, name)
        if None not in (first, second) and not math.isclose(first, second, rel_tol=_ROUNDING):
            return f"{name} is {first} in one and {second} in the other"
    return "" if one.typed == other.typed else "other numbers were typed in"


def _further_arrays(run: Run, there: Run) -> str:
    """Compare what is known of each frame of the streams, and of the meters that both have."""
    for file in (STREAM.removesuffix(".npz"), *run.measures):
        one, other = run.meter(file) or {}, there.meter(file) or {}
        for name in sorted(one.keys() & other.keys()):
            if not _alike(one[name], other[name]):
                return f"their {name} in {file}.npz differ"
    return ""


def _alike(one: npt.NDArray, other: npt.NDArray) -> bool:
    """Return whether arrays are equal where neither is NaN, as is what was not looked at."""
    if one.shape != other.shape:
        return False
    known = ~(np.isnan(one) | np.isnan(other))
    return np.allclose(one[known], other[known], rtol=_ROUNDING, atol=_ROUNDING)


def _predictions(run: Run, there: Run) -> str:
    first, second = run.confusion, there.confusion
    if first is None or second is None:
        return "one has no confusion matrices"
    for name in ("matrices", "distances", "clips", "frames"):
        one, other = getattr(first, name), getattr(second, name)
        if not np.array_equal(one, other):
            if name == "matrices" and one.shape == other.shape:
                return f"{int((one != other).any(axis=(1, 2)).sum())} of {len(one)} frames differ"
            return f"their {name} differ"
    return ""
