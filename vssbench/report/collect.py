"""One frame of everything that stores hold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from vssbench.core.errors import DataError
from vssbench.report.frames import tables_of
from vssbench.report.index import facts
from vssbench.run.store import RunStore


def collected(stores: Mapping[str, Path]) -> pd.DataFrame:
    """Return a row a run of all stores, folders by their names: the columns of the frame by run,
    the ``store``, and as lists ``miou_by_distance``, ``class_names`` and ``class_iou``.

    Raises DataError where there is no such folder.
    """
    for name, folder in stores.items():
        if not folder.is_dir():
            raise DataError(f"no folder {name}: expected a results store, as `run` writes one")
    every = [(name, each) for name, folder in stores.items() for each in facts(RunStore(folder))]
    table = tables_of([each for _, each in every]).runs
    table.insert(0, "store", pd.Series([name for name, _ in every], dtype="string"))
    for name, kind, value in (
        ("miou_by_distance", "distances", "miou"),
        ("class_names", "classes", "class"),
        ("class_iou", "classes", "iou"),
    ):
        table[name] = [[line[value] for line in getattr(each, kind)] for _, each in every]
    return table
