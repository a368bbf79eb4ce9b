"""The rows of tables and figures: a dictionary a run of plain values. Accuracies are fractions,
times milliseconds."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from vssbench.core.classes import VOID_NAMES, numbers_of
from vssbench.core.errors import UsageError
from vssbench.report.facts import Facts, facts_of, tell_data_apart
from vssbench.report.fields import COUNT, JSON_COLUMNS, REAL, RUN_FIELDS, SOME, TIME, YEARS, Field
from vssbench.report.index import facts
from vssbench.report.index_entries import once
from vssbench.run.store import RunStore
from vssbench.run.stored import Run

Row = dict[str, Any]


def rows(runs: Sequence[Run], without: Sequence[str] = ()) -> list[Row]:
    """Return one dictionary a run, in the order given; None where a number was not measured.

    Its keys are the columns of the frame by run (:data:`vssbench.report.fields.RUN_FIELDS`) and
    ``miou_by_distance`` and ``per_class`` from the long forms: a list whose index is the distance,
    and the IoU of each class by its name. Classes named by ``without`` are not scored, in any run
    that has them.
    """
    return rows_of([facts_of(run, without) for run in runs])


def rows_of(facts: Sequence[Facts]) -> list[Row]:
    """Return the rows of some runs' facts; see :func:`rows`."""
    tell_data_apart([each.row for each in facts])
    columns = {field.name: _plain(field, facts) for field in RUN_FIELDS}
    return [
        dict(zip(columns, values, strict=True))
        | {
            "miou_by_distance": [_real(line["miou"]) for line in each.distances],
            "per_class": {line["class"]: _real(line["iou"]) for line in each.classes},
        }
        for each, values in zip(facts, zip(*columns.values(), strict=True), strict=True)
    ]


def _plain(field: Field, facts: Sequence[Facts]) -> list[Any]:
    """Return the values of a column, None where there is none."""
    values = [each.row.get(field.name) for each in facts]
    if field.name in JSON_COLUMNS:
        return [*map(once(_sorted), values)]
    if field.dtype == TIME:
        return [*map(once(_utc), values)]
    if field.dtype == REAL:
        return [*map(_real, values)]
    if field.dtype in (COUNT, SOME):
        return [None if value is None else int(value) for value in values]
    return values


def _sorted(value: Any) -> Any:
    """Return a structure with its names in alphabetical order."""
    return json.loads(json.dumps(value, sort_keys=True))


def _utc(text: str) -> str | None:
    """Return a time as one of UTC; None for a text that is none, as frames have it."""
    with suppress(ValueError, OverflowError):
        time = datetime.fromisoformat(text)
        time = time.replace(tzinfo=time.tzinfo or UTC).astimezone(UTC)
        return time.isoformat() if YEARS[0] <= time.year <= YEARS[1] else None
    return None


def _real(value: Any) -> float | None:
    return None if value is None or math.isnan(value) else float(value)


def check_left_out(without: Sequence[str], rows: Sequence[Row]) -> None:
    """Raise UsageError for a class to leave out that no run has."""
    classes = list(dict.fromkeys(name for row in rows for name in row["per_class"]))
    known = [*classes, *(VOID_NAMES if any(row["void"] for row in rows) else ())]
    for name in without:
        if classes and not numbers_of([name], known):
            raise UsageError(
                f"--without {name!r} is none of the classes that were scored: {', '.join(classes)}"
            )


def stored_rows(store: RunStore, without: Sequence[str] = ()) -> list[Row]:
    """Return the rows of every run of a store; those that its index knows are not read again.

    ``without`` as in :func:`rows`: the index does not know what other classes would give.
    """
    return rows(store.runs(), without) if without else rows_of(facts(store))


def require(rows: Sequence[Row]) -> None:
    """Check that there are rows to show.

    Raises UsageError, saying how to make some, where there are none.
    """
    if not rows:
        raise UsageError(
            "no results to show: measure some first (see `run --help`), or name the folder that "
            "has them (--runs)"
        )
