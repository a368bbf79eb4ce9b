"""Lines of plain values as a pandas frame of declared columns."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pandas as pd

from vssbench.report.fields import JSON_COLUMNS, LINE_COLUMNS, TIME, YEARS, Field


def typed(lines: Iterable[Mapping[str, Any]], fields: Sequence[Field]) -> pd.DataFrame:
    """Return lines as a frame with these columns and their dtypes; what a line lacks is missing."""
    given = list(lines)
    columns = {field.name: _column(field, given) for field in fields}
    return pd.DataFrame(columns, index=pd.RangeIndex(len(given)))


def _column(field: Field, lines: Sequence[Mapping[str, Any]]) -> pd.Series:
    values: list[Any] = [line.get(field.name) for line in lines]
    if field.name in JSON_COLUMNS:
        values = [json.dumps(value, sort_keys=True) for value in values]
    elif field.name in LINE_COLUMNS:
        values = [value if value is None else "\n".join(value) for value in values]
    column = pd.Series(values, dtype=object)
    if field.dtype == TIME:
        column = pd.to_datetime(column, utc=True, errors="coerce", format="ISO8601")
        column = column.where(column.dt.year.between(*YEARS))
    return column.astype(pd.api.types.pandas_dtype(field.dtype))
