"""Stores of several machines joined into one; nothing is chosen between two results that differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vssbench.core.errors import DataError, UsageError
from vssbench.core.naming import called
from vssbench.run.store import RunStore
from vssbench.run.stored import CONFUSION, NewerRun, Run


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
    results of one id the predictions must be the same: then the other keeps its own, and gets the
    meters and latencies that it lacks. Raises UsageError for a folder that is the target itself,
    DataError for one that is missing.
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
    """Say how two results of one id differ; empty where they have the same predictions."""
    try:
        first, second = run.confusion, there.confusion
    except DataError as error:
        return str(error)
    if first is None or second is None:
        return "one has no confusion matrices"
    for name in ("matrices", "distances", "clips", "frames"):
        one, other = getattr(first, name), getattr(second, name)
        if not np.array_equal(one, other):
            if name == "matrices" and one.shape == other.shape:
                return f"{int((one != other).any(axis=(1, 2)).sum())} of {len(one)} frames differ"
            return f"their {name} differ"
    return ""
