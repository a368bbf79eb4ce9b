"""Runs of a store that nobody needs, each with the reason."""

from __future__ import annotations

from collections.abc import Collection
from contextlib import suppress

from vssbench.core.errors import DataError, UsageError
from vssbench.report.choose import newest
from vssbench.report.rows import stored_rows
from vssbench.run.store import RunStore
from vssbench.run.stored import MisnamedRun, NewerRun, by_newer


def superfluous(store: RunStore, kinds: Collection[str]) -> dict[str, str]:
    """Return the ids of runs of these kinds, and why each is one: ``older`` than another of the
    same experiment, ``failed``, ``refused``, ``damaged``.

    A run that a newer version wrote is none of these, nor one whose folder has another name, nor a
    folder that holds anything but a run's files.
    """
    rows = [row for row in stored_rows(store) if not by_newer(row["version"])]
    reasons: dict[str, str] = {}
    if "older" in kinds:
        kept = {row["run_id"] for row in newest(rows)[0]}
        for row in rows:
            if row["run_id"] not in kept:
                reasons[row["run_id"]] = f"older: {_title(row)}, of {row['created']}"
    for row in rows:
        if row["status"] in kinds:
            reasons[row["run_id"]] = f"{row['status']}: {_title(row)}: {row['reason']}"
    if "damaged" in kinds:
        read = {row["run_id"] for row in rows}
        for name in store.ids():
            with suppress(UsageError):  # a folder that no run could have
                if name in read or not store.holds_folder(name) or store.is_foreign(name):
                    continue
                if not _is_sound(store, name):
                    reasons[name] = "damaged: its result does not read"
    return reasons


def _is_sound(store: RunStore, run_id: str) -> bool:
    """Return whether a run that was left out may be read by another version, or under its name."""
    try:
        store.get(run_id)
    except (NewerRun, MisnamedRun):
        return True
    except DataError:
        return False
    return True


def _title(row: dict[str, object]) -> str:
    return f"{row['method']} on {row['dataset']} under {row['codec']}"
