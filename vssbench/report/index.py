"""The index of a store: what tables are made of, for each run by its files' names, sizes and times.

It spares reading the arrays of thousands of runs. It is made of the runs, and of them alone: it may
be deleted at any time, and a run whose files are others than it knows is read again.
"""

from __future__ import annotations

import json
import logging
from contextlib import suppress
from typing import Any

from vssbench.core import files
from vssbench.core.errors import DataError, UsageError
from vssbench.report.frames import Facts, facts_of
from vssbench.run.identity import code_version
from vssbench.run.store import RunStore

INDEX = ".index.json"
#: runs that must have been read for the index to be written: a small store needs none
WORTH = 50
#: packages whose source makes the facts of a run
_PACKAGES = ("core", "metrics", "report", "run")
_logger = logging.getLogger(__name__)


def facts(store: RunStore) -> list[Facts]:
    """Return the facts of every readable run, in the store's order: dataset, codec, method, id.

    A damaged folder is logged and left out.
    """
    known = _read(store)
    entries: dict[str, dict[str, Any]] = {}
    fresh = 0
    for name in store.ids():
        try:
            stamp = store.stamp(name)
            entry = known.get(name)
            if entry is None or entry["stamp"] != stamp:
                entry = {"stamp": stamp} | _packed(facts_of(store.get(name)))
                fresh += 1
            entries[name] = entry
        except (DataError, UsageError) as error:
            _logger.warning("left out a damaged run: %s", error)
    if fresh >= WORTH:
        _write(store, entries)
    return sorted(map(_unpacked, entries.values()), key=_order)


def _order(each: Facts) -> tuple[str, ...]:
    return tuple(each.row[name] for name in ("dataset", "codec", "method", "run_id"))


def _read(store: RunStore) -> dict[str, dict[str, Any]]:
    """Return the entries of an index that this source wrote; none where it does not read."""
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        content = json.loads((store.root / INDEX).read_bytes())
        if content["version"] == _version():
            return {
                name: entry for name, entry in content["runs"].items() if entry.keys() == _ENTRY
            }
    return {}


def _write(store: RunStore, entries: dict[str, dict[str, Any]]) -> None:
    content = {"version": _version(), "runs": entries}
    with suppress(DataError):  # who may not write here reads the runs each time
        files.write_text(store.root / INDEX, json.dumps(content, default=float))


def _version() -> str:
    return code_version(packages=_PACKAGES)


_ENTRY = {"stamp", "row", "distances", "classes", "run"}


def _packed(each: Facts) -> dict[str, Any]:
    """Return a run's facts with the fields that all of its lines share said once."""
    first = (each.distances or each.classes or [{}])[0]
    own = {"distance", "frames", "miou", "latency_ms", "class", "iou"}
    shared = {name: value for name, value in first.items() if name not in own}
    return {
        "row": each.row,
        "run": shared,
        "distances": [_without(line, shared) for line in each.distances],
        "classes": [_without(line, shared) for line in each.classes],
    }


def _unpacked(entry: dict[str, Any]) -> Facts:
    shared = entry["run"]
    return Facts(
        dict(entry["row"]),
        [shared | line for line in entry["distances"]],
        [shared | line for line in entry["classes"]],
    )


def _without(line: dict[str, Any], shared: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name not in shared}
