"""Which of a run's classes count: those that it left out itself, and those that a reader leaves
out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from vssbench.core.classes import numbers_of
from vssbench.core.errors import DataError
from vssbench.run.measurement import Measurement
from vssbench.run.records import ConfusionRecord
from vssbench.run.stored import Run


def left_out(item: Measurement, values: int, without: Sequence[str] = ()) -> list[int]:
    """Return the numbers that no mean holds among ``values`` rows of a confusion matrix.

    They are the classes that the run left out, those named by ``without`` in letters of either
    case, and what is beyond the classes: an output of no class.
    """
    unscored = numbers_of([*item.without, *without], item.classes)
    return [*unscored, *range(len(item.classes), values)]


def unscored_of(run: Run, row: Mapping[str, Any]) -> list[int]:
    """Return the numbers that no mean of a row holds among the values of its run's matrices."""
    record = run.confusion
    values = len(run.measurement.classes) if record is None else record.matrices.shape[1]
    return left_out(run.measurement, values, names_of_row(row))


def names_of_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the classes that a row leaves out."""
    return tuple(filter(None, str(row.get("without", "")).split(", ")))


def names_left_out(item: Measurement, without: Sequence[str] = ()) -> list[str]:
    """Return the names of the run's classes that are not scored, as the run spells them."""
    numbers = numbers_of([*item.without, *without], item.classes)
    return [item.classes[number] for number in numbers]


def check_values(record: ConfusionRecord, item: Measurement) -> None:
    """Raise DataError where the matrices are not of the run's classes, or of one value more where
    an output of no class is an error."""
    count = len(item.classes)
    allowed = {count, count + 1} if item.void == "error" else {count}
    shape = record.matrices.shape[1:]
    if shape not in {(values, values) for values in allowed}:
        raise DataError(f"confusion matrices of shape {record.matrices.shape} for {count} classes")


def widened(record: ConfusionRecord, values: int) -> ConfusionRecord:
    """Return the record with matrices of so many values; the further ones are never counted."""
    more = values - record.matrices.shape[1]
    if more <= 0:
        return record
    return replace(record, matrices=np.pad(record.matrices, ((0, 0), (0, more), (0, more))))
