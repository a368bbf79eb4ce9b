"""Stored runs as pandas frames: a row a run, and long forms by distance, class and frame.

They hold what the rows of :mod:`vssbench.report.rows` do, of which tables and figures are made.
Their columns are declared in :mod:`vssbench.report.fields`; ``docs/results.md`` shows them.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from vssbench.core.errors import DataError, UsageError
from vssbench.core.naming import is_archive
from vssbench.core.program import program
from vssbench.report.facts import LONG_FORMS, Facts, facts_of, tell_data_apart
from vssbench.report.fields import FIELDS, RUN_FIELDS
from vssbench.report.per_frame import lines_of
from vssbench.report.typed import typed
from vssbench.run.archive import unpacked
from vssbench.run.store import RunStore
from vssbench.run.stored import Run

By = Literal["run", "distance", "class", "frame"]


def results(
    path: str | Path = "results/runs", by: By = "run", without: Sequence[str] = ()
) -> pd.DataFrame:
    """Return the runs of a store, a folder or one in one file (NAME.tar.xz), as one frame.

    ``by`` is ``run`` for a row a run, or one of the long forms: ``distance`` (frames since the
    keyframe), ``class``, ``frame``. ``without`` names classes that are not scored, beside those
    that a run left out. Fractions, milliseconds; NaN where nothing was measured. A run
    whose arrays do not read has the status ``damaged`` and no row in the long forms. Raises
    UsageError for an unknown form, DataError where there is no such folder.
    """
    if by not in get_args(By):
        raise UsageError(f"by={by!r} is unknown: expected {', '.join(get_args(By))}")
    root = Path(path)
    if is_archive(root) and root.is_file():
        with unpacked(root) as folder:
            return results(folder, by, without)
    if not root.is_dir():
        raise DataError(
            f"no folder {root}: expected a results store, as `{program()} run` writes into "
            "results/runs"
        )
    return frame(RunStore(root).runs(), by, without)


def frame(runs: Sequence[Run], by: By = "run", without: Sequence[str] = ()) -> pd.DataFrame:
    """Return these runs as one frame, in the order given; see :func:`results`."""
    if by == "frame":
        lines = (line for run in runs for line in lines_of(run, without))
        return typed(lines, FIELDS["frame"])
    its = tables(runs, without)
    if by == "run":
        return its.runs
    return (its.distances if by == "distance" else its.classes).reset_index(drop=True)


@dataclass(frozen=True)
class Tables:
    """The frames of some runs that tables and figures are made of.

    The index of ``distances`` and ``classes`` is the place of their run in ``runs``.
    """

    runs: pd.DataFrame
    distances: pd.DataFrame
    classes: pd.DataFrame


def tables(runs: Sequence[Run], without: Sequence[str] = ()) -> Tables:
    """Return the frames by run, distance and class of these runs, each read once; classes named by
    ``without`` are not scored.

    Where a dataset as typed stands for several data (two folders, or one that was changed), their
    digests tell them apart in ``dataset_title``.
    """
    return tables_of([facts_of(run, without) for run in runs])


def tables_of(facts: Sequence[Facts]) -> Tables:
    """Return the frames of some runs' facts; see :func:`tables`."""
    tell_data_apart([each.row for each in facts])
    longs = []
    for name, form in LONG_FORMS.items():
        parts: list[list[dict[str, Any]]] = [getattr(each, name) for each in facts]
        made = typed((line for part in parts for line in part), FIELDS[form])
        places = [place for place, part in enumerate(parts) for _ in part]
        longs.append(made.set_index(pd.Index(places, dtype="int64", name="run")))
    return Tables(typed((each.row for each in facts), RUN_FIELDS), *longs)


def parquet(table: pd.DataFrame) -> bytes:
    """Return a frame as a Parquet file. Raises UsageError where pyarrow is not installed."""
    file = io.BytesIO()
    try:
        table.to_parquet(file, index=False, engine="pyarrow")
    except ImportError as error:
        raise UsageError(
            "Parquet needs pyarrow, which is not installed: pip install 'vssbench[parquet]', or "
            "take --format csv"
        ) from error
    return file.getvalue()
