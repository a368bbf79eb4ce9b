"""Numbers that were typed in, not measured, are marked in every table, figure and frame."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import rich_click as click
from matplotlib.figure import Figure
from matplotlib.text import Text
from rich.console import Console

from tests.report.conftest import MakeRow
from vssbench.cli.options import Count
from vssbench.report.pivot import pivots
from vssbench.report.plots import distance, pareto
from vssbench.report.rates import rate
from vssbench.report.rows import Row
from vssbench.report.table import render, terminal

NAMES = "params, gmacs_key, gmacs_nonkey, gmacs_gop"
REMARK = "* its cost was typed in, not measured."


@pytest.fixture
def both(make_row: MakeRow) -> list[Row]:
    """A row of ours, and one of another program."""
    return [
        make_row(),
        make_row("SegNeXt", method="segnext", weights="", precision="", device="", typed=NAMES),
    ]


@pytest.mark.parametrize(("format", "star"), [("md", r"SegNeXt \*"), ("latex", "SegNeXt *")])
def test_tables_mark_the_name_and_say_what(both: list[Row], format: str, star: str) -> None:
    text = render(both, format)
    assert star in text
    assert REMARK.replace("*", r"\*" if format == "md" else "*") in text
    assert "PSPNet18 *" not in text.replace("\\", "")
    assert "typed in" not in render(both[:1], format)


def test_latencies_are_named_where_they_were_typed_in(both: list[Row]) -> None:
    both[1]["typed"] = "latency_key_ms, latency_nonkey_ms"
    text = render(both, "md")
    assert "SegNeXt \u2016" in text
    assert "\u2016 its latency was typed in, not measured." in text
    assert "its cost" not in text


def test_a_latency_without_its_tail_stands_alone(both: list[Row]) -> None:
    both[1] |= {"latency_key_ms": 12.5, "latency_key_p90_ms": None}
    text = render(both, "md")
    assert "12.50" in text
    assert "(-)" not in text


@pytest.mark.parametrize("text", ["27600000", "27.6e6", "3e9"])
def test_parameters_may_be_typed_with_an_exponent(text: str) -> None:
    assert Count(0, 1e15).convert(text, None, None) == int(float(text))


@pytest.mark.parametrize("text", ["27.5", "-1", "1e16", "many", "nan"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(click.BadParameter):
        Count(0, 1e15).convert(text, None, None)


def test_the_terminal_marks_it_too(both: list[Row]) -> None:
    console = Console(width=120, file=io.StringIO())
    console.print(terminal(both))
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert "SegNeXt *" in text
    assert REMARK in text


def test_csv_and_json_name_the_columns(both: list[Row]) -> None:
    lines = list(csv.DictReader(io.StringIO(render(both, "csv"))))
    assert {line["display"]: line["typed"] for line in lines} == {"PSPNet18": "", "SegNeXt": NAMES}
    assert {each["typed"] for each in json.loads(render(both, "json"))} == {"", NAMES}


def test_the_table_by_codec_marks_it(both: list[Row]) -> None:
    (table,) = pivots(both)
    assert "SegNeXt *" in table.methods
    assert REMARK in table.remarks()


@pytest.mark.parametrize("draw", [pareto, distance, rate])
def test_figures_mark_the_name_and_explain_the_mark(
    draw: Callable[..., list[str]], both: list[Row], figures: list[Figure], tmp_path: Path
) -> None:
    draw(both, tmp_path / "a.png")
    texts = {text.get_text() for text in figures[0].findobj(Text)}
    assert any(REMARK in text for text in texts)
    assert any("SegNeXt *" in text for text in texts)
