"""The table by distance: a column a distance in every format, what is not known left empty."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from itertools import permutations

import pandas as pd
import pytest

from vssbench.cli.run import print_table
from vssbench.core.errors import UsageError
from vssbench.report.distances import parquet_distances, render_distances, terminal_distances
from vssbench.report.rows import Row
from vssbench.report.table import FORMATS

MakeRow = Callable[..., Row]


@pytest.fixture
def two(make_row: MakeRow) -> list[Row]:
    """Two methods of one group, and one of another dataset whose curve is shorter."""
    return [
        make_row("PSPNet18"),
        make_row("AR", method="arseg", miou=0.9, miou_by_distance=[0.7039, 0.6, 0.5, 0.71]),
        make_row("BiSeNet18", dataset="cityscapes", miou_by_distance=[0.5]),
    ]


def test_a_column_a_distance_and_the_best_of_each_bold(two: list[Row]) -> None:
    table = render_distances(two, "md").split("\n\n")[1].splitlines()
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table]
    assert cells[0] == ["Method", "d=0", "d=1", "d=2", "d=3"]
    assert cells[2] == ["AR", "**70.39**", "60.00", "**50.00**", "**71.00**"]
    assert cells[3] == ["PSPNet18", "**70.39**", "**70.29**", "-", "69.57"]


def test_machine_readable_forms_hold_a_row_a_distance(two: list[Row]) -> None:
    records = json.loads(render_distances(two, "json"))
    assert len(records) == 9
    assert {record["distance"] for record in records} == {0, 1, 2, 3}
    assert [record["miou"] for record in records if record["display"] == "PSPNet18"] == [
        0.7039, 0.7029, None, 0.6957,
    ]  # fmt: skip
    lines = list(csv.DictReader(io.StringIO(render_distances(two, "csv"))))
    assert [line["distance"] for line in lines] == [str(each["distance"]) for each in records]
    pytest.importorskip("pyarrow")
    frame = pd.read_parquet(io.BytesIO(parquet_distances(two)))
    assert frame["distance"].tolist() == [each["distance"] for each in records]
    assert frame["miou"].isna().sum() == 1


def test_latex_and_html_have_as_many_cells_as_columns(two: list[Row]) -> None:
    for table in render_distances(two, "latex").split(r"\begin{tabular}")[1:]:
        columns = len(table.partition("{")[2].partition("}")[0])
        lines = [line for line in table.splitlines() if "&" in line and "multicolumn" not in line]
        assert {line.count("&") + 1 for line in lines} == {columns}
    page = render_distances(two, "html")
    assert page.count("<caption>") == 2
    assert len(re.findall(r"<tr", page)) == 5
    assert "<strong>70.39</strong>" in page


@pytest.mark.parametrize("format", list(FORMATS))
def test_the_order_of_rows_does_not_matter(two: list[Row], format: str) -> None:
    assert len({render_distances(list(order), format) for order in permutations(two)}) == 1


def test_the_terminal_shows_every_number(
    two: list[Row], capsys: pytest.CaptureFixture[str]
) -> None:
    print_table(terminal_distances(two))
    shown = capsys.readouterr().out
    assert all(number in shown for number in ("70.39", "70.29", "60.00", "71.00", "d=3"))


def test_runs_without_distances_are_refused_in_words(make_row: MakeRow) -> None:
    with pytest.raises(UsageError, match="no measured run has a mIoU by distance"):
        render_distances([make_row(miou_by_distance=[])], "md")
    with pytest.raises(UsageError, match="no results to show"):
        render_distances([], "md")
