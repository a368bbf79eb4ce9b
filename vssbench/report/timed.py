"""Rows with the times that `bench.py latency` measured, in place of those of the runs themselves.

A run's own times are those of a machine that may have had other work, as a sweep's has.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError
from vssbench.core.program import program
from vssbench.latency.result import LatencyResult, MethodTimes, find, read_result
from vssbench.report.facts import machine_text
from vssbench.report.rows import Row

#: what a method's time depends on, beside the machine: its network's form, and what it computes in
_Key = tuple[str, int, int, int, str, str]


def with_times(rows: Sequence[Row], path: Path) -> list[Row]:
    """Return the rows with the times of measurements, none where there are none of the method at
    that size, for as many classes, on that device and in that precision.

    ``path`` is a folder as `bench.py latency` stores measurements, one or several, of which the
    newest counts, or a file that its ``--json`` printed. The stream plays no part: a network's
    time depends on the size of the picture. Raises DataError for what does not read, UsageError
    where none of the rows has a time.
    """
    known: dict[_Key, tuple[LatencyResult, MethodTimes]] = {}
    for result in _results(path):
        settings = result.settings
        for method in result.methods:
            if method.times:
                known[
                    method.method, *settings["size"], settings["classes"], settings["device"],
                    settings["precision"],
                ] = (result, method)  # fmt: skip
    found = [_found(_key(row), known) for row in rows]
    if not any(found):
        have = sorted({f"{key[0]} at {key[1]}x{key[2]}, {key[3]} classes" for key in known})
        raise UsageError(
            f"--times {path} has no time of the methods that are shown: it has those of "
            f"{'; '.join(have) or 'none'}; measure with `{program()} latency --size HEIGHTxWIDTH "
            "--classes N`"
        )
    return [_timed(row, times) for row, times in zip(rows, found, strict=True)]


def _found(
    wanted: _Key, known: dict[_Key, tuple[LatencyResult, MethodTimes]]
) -> tuple[LatencyResult, MethodTimes] | None:
    """Return the times of a method, which may be typed otherwise there; None where there are
    none."""
    if wanted in known:
        return known[wanted]
    method, *conditions = wanted
    name = method.partition("[")[0]
    alike = [
        key
        for key in reversed(known)  # the newest
        if key[0].partition("[")[0] == name and [*key[1:]] == conditions
    ]
    # only then, since a method's class is loaded to settle its parameters
    own = registry.settled("methods", method) if alike else ""
    same = (key for key in alike if registry.settled("methods", key[0]) == own)
    return known.get(next(same, wanted))


def _results(path: Path) -> list[LatencyResult]:
    if not path.is_file():
        return [each.result for each in find(path)]
    try:
        return [read_result(path)]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from error


def _key(row: Row) -> _Key:
    return (
        row["method"], row["height"], row["width"], row["classes"], row["device"], row["precision"],
    )  # fmt: skip


def _timed(row: Row, found: tuple[LatencyResult, MethodTimes] | None) -> Row:
    times: Row = {
        name: None
        for name in row
        if name.startswith(("latency_", "joules_")) or name in ("decode_ms", "motion_ms")
    }
    if found is None:
        return row | times
    result, method = found
    for kind in ("key", "nonkey"):
        if kind in method.times:
            times[f"latency_{kind}_ms"] = method.times[kind].median_ms
            times[f"latency_{kind}_p90_ms"] = method.times[kind].p90_ms
    for kind, summary in method.times.items():
        times[f"joules_{kind}"] = summary.joules
    machine = result.environment | ({"threads": method.threads} if method.threads else {})
    said = {"energy": method.energy, "machine": machine_text(machine, row["device"])}
    return row | times | said
