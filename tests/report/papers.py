"""Runs and cells of the papers' tables, for their tests."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from vssbench.report.paper.cells import cells
from vssbench.report.paper.layout import find, layouts
from vssbench.report.paper.ours import Store
from vssbench.report.rows import Row

MakeRow = Callable[..., Row]
LAYOUTS = list(layouts().values())
#: conditions of AR-Seg's Table 1 on CamVid, as a row of ours has them
EXACT = {
    "dataset": "camvid[split=test,classes=12,sequence=on]", "split": "test", "classes": 12,
    "codec": "hevc[paper=arseg-camvid,fill=zero,whole_pixels=true,cell=4]",
    "protocol": "every-distance", "gop": 12, "height": 720, "width": 960,
}  # fmt: skip


def cell(frame: pd.DataFrame, line: str, column: str, group: str = "CamVid") -> pd.Series:
    its = frame[(frame["line"] == line) & (frame["column"] == column) & (frame["group"] == group)]
    assert len(its) == 1
    return its.iloc[0]


def table1(*rows: Row, exact: bool = False) -> pd.DataFrame:
    return cells(find("arseg-1"), Store(rows, exact=exact))
