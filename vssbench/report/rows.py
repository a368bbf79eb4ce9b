"""The rows of tables and figures: a dictionary a run of plain values, out of the frames of results.
Accuracies are fractions, times milliseconds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from vssbench.core.classes import VOID_NAMES, numbers_of
from vssbench.core.errors import UsageError
from vssbench.report.frames import records, tables, tables_of
from vssbench.report.index import facts
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
    return records(tables(runs, without))


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
    return rows(store.runs(), without) if without else records(tables_of(facts(store)))


def require(rows: Sequence[Row]) -> None:
    """Check that there are rows to show.

    Raises UsageError, saying how to make some, where there are none.
    """
    if not rows:
        raise UsageError(
            "no results to show: measure some first (see `run --help`), or name the folder that "
            "has them (--runs)"
        )
