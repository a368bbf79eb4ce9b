"""Stored runs as pandas frames: a row a run, and long forms by distance, class and frame.

Every table and every figure is made of these frames. Their columns are declared in
:mod:`vssbench.report.fields`; ``docs/results.md`` shows them.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from vssbench.core.errors import DataError, UsageError
from vssbench.core.naming import is_archive
from vssbench.core.program import program
from vssbench.report.facts import LONG_FORMS, Facts, facts_of, number
from vssbench.report.fields import FIELDS, JSON_COLUMNS, LINE_COLUMNS, RUN_FIELDS, typed
from vssbench.report.per_frame import lines_of
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
    _tell_data_apart([each.row for each in facts])
    longs = []
    for name, form in LONG_FORMS.items():
        parts: list[list[dict[str, Any]]] = [getattr(each, name) for each in facts]
        made = typed((line for part in parts for line in part), FIELDS[form])
        places = [place for place, part in enumerate(parts) for _ in part]
        longs.append(made.set_index(pd.Index(places, dtype="int64", name="run")))
    return Tables(typed((each.row for each in facts), RUN_FIELDS), *longs)


def records(its: Tables) -> list[dict[str, Any]]:
    """Return a dictionary a run of plain Python values, None where nothing was measured.

    ``miou_by_distance`` (a list, its index the distance) and ``per_class`` (by the class's name)
    come from the long forms.
    """
    curves: dict[int, list[float | None]] = {}
    for place, miou in zip(its.distances.index, its.distances["miou"].tolist(), strict=True):
        curves.setdefault(place, []).append(number(miou))
    by_class: dict[int, dict[str, float | None]] = {}
    ious = zip(its.classes.index, its.classes["class"], its.classes["iou"].tolist(), strict=True)
    for place, name, iou_of_class in ious:
        by_class.setdefault(place, {})[name] = number(iou_of_class)
    columns = {str(name): _plain(str(name), column) for name, column in its.runs.items()}
    return [
        dict(zip(columns, values, strict=True))
        | {"miou_by_distance": curves.get(place, []), "per_class": by_class.get(place, {})}
        for place, values in enumerate(zip(*columns.values(), strict=True))
    ]


def _plain(name: str, column: pd.Series) -> list[Any]:
    """Return a column's values as plain Python ones, None for missing ones."""
    values = column.astype(object).where(column.notna(), None).tolist()
    if name in JSON_COLUMNS:
        return [None if value is None else json.loads(value) for value in values]
    if name in LINE_COLUMNS:
        return [value.split("\n") if value else [] for value in values]
    return [value.isoformat() if isinstance(value, pd.Timestamp) else value for value in values]


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


def _tell_data_apart(rows: Sequence[dict[str, Any]]) -> None:
    """Fill in the digest of data for old runs, or name it where there are several."""
    known: dict[tuple[Any, ...], set[str]] = {}
    for row in rows:
        known.setdefault(_as_typed(row), set()).update({row["data"]} - {""})
    for row in rows:
        data = known[_as_typed(row)]
        if len(data) == 1:
            row["data"] = next(iter(data))  # of a run, too, that was stored before data were
        elif data:
            row["dataset_title"] = (
                f"{row['dataset_title'] or row['dataset']} (data {row['data'][:6] or 'unknown'})"
            )


def _as_typed(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["dataset"], row["height"], row["width"]
