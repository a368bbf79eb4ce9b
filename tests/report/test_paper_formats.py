"""Formats of the papers' tables: balanced LaTeX, sound HTML and Markdown, cells for machines."""

from __future__ import annotations

import csv
import io
import json
import re
from html.parser import HTMLParser

import pandas as pd
import pytest

from tests.report.papers import EXACT, LAYOUTS, MakeRow, table1
from vssbench.cli.run import print_table
from vssbench.core.errors import UsageError
from vssbench.report.markup import latex
from vssbench.report.paper.cells import cells
from vssbench.report.paper.layout import Layout, find
from vssbench.report.paper.ours import Store
from vssbench.report.paper.render import parquet_of, render
from vssbench.report.paper.sheet import (
    Body,
    Entry,
    Head,
    Sheet,
    html_sheet,
    latex_sheet,
    markdown_sheet,
    sheet,
    terminal_sheet,
)

pytestmark = pytest.mark.usefixtures("no_counting")


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_latex_is_balanced_and_every_line_has_every_column(layout: Layout) -> None:
    text = render(layout, cells(layout, Store()), "latex")
    assert text.startswith(r"% needs \usepackage{booktabs}")
    assert re.findall(r"\\(begin|end)\{(\w+)\}", text) == [("begin", "tabular"), ("end", "tabular")]
    assert all(text.count(rule) == 1 for rule in (r"\toprule", r"\bottomrule"))
    columns = len(re.search(r"\\begin\{tabular\}\{(\w+)\}", text)[1])  # type: ignore[index]
    body = text.partition(r"\toprule")[2].partition(r"\bottomrule")[0]
    lines = [line for line in body.splitlines() if line.endswith(r"\\")]
    assert {spanned(line) for line in lines} == {columns}
    assert len(lines) >= len(layout.lines) + 1
    for first, last in re.findall(r"\\cmidrule\(lr\)\{(\d+)-(\d+)\}", body):
        assert 2 <= int(first) <= int(last) <= columns
    assert depth(text) == 0
    assert unescaped(text) == []
    assert text.isascii()


def spanned(line: str) -> int:
    """The columns that a line of a tabular fills."""
    parts = re.split(r"(?<!\\)&", line.removesuffix(r"\\"))
    spans = [re.match(r"\s*\\multicolumn\{(\d+)\}", part) for part in parts]
    return sum(int(span[1]) if span else 1 for span in spans)


def depth(text: str) -> int:
    """The braces that are left open at the end; a negative number where one is closed too soon."""
    open_ones = 0
    for mark in re.findall(r"(?<!\\)[{}]", text):
        open_ones += 1 if mark == "{" else -1
        if open_ones < 0:
            return open_ones
    return open_ones


def unescaped(text: str) -> list[str]:
    """Marks that LaTeX would read as its own, outside of what the table is made of."""
    plain = re.sub(r"^%.*$|\$-\$|(?<!\\)&|\\cmidrule\(lr\)", "", text, flags=re.MULTILINE)
    return re.findall(r"(?<!\\)[%$#_~^<>|]", plain)


def test_the_checks_of_latex_see_what_is_wrong() -> None:
    assert unescaped("50 % of a_b") == ["%", "_"]
    assert depth("{a}}") == -1
    assert depth("{a") == 1
    assert spanned(r"a & \multicolumn{3}{c}{b} \\") == 4


NASTY = "a_b & <i>50 %</i> | $x^2$ #1 {~} \\"


def nasty() -> Sheet:
    """A sheet whose every text is markup in one format or another."""
    heads = (Head(NASTY, NASTY, "published"), Head(NASTY, NASTY, "ours"))
    entries = (Entry(NASTY, bold=True), Entry(NASTY, underline=True, marks="a"))
    return Sheet(NASTY, NASTY, heads, (Body(NASTY, NASTY, entries),), (("a", NASTY),), (NASTY,))


def test_texts_are_escaped_in_every_format() -> None:
    text = latex_sheet(nasty())
    assert unescaped(text) == []
    assert depth(re.sub(r"\\[{}]", "", text)) == 0
    assert text.count(latex(NASTY)) == 10
    page = html_sheet(nasty())
    assert "<i>" not in page
    assert page.count("&lt;i&gt;50 %&lt;/i&gt;") == 10
    assert Tags.of(page) == []
    lines = [line for line in markdown_sheet(nasty()).splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {4}
    assert all("<i>" not in line.replace("\\<i\\>", "") for line in lines)


class Tags(HTMLParser):
    """Follows the tags of a page; ``wrong`` are those that do not fit."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []

    @classmethod
    def of(cls, page: str) -> list[str]:
        """Return the tags that do not fit, and those left open."""
        parser = cls()
        parser.feed(page)
        return [*parser.wrong, *parser.open]

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_html_and_markdown_are_sound(layout: Layout) -> None:
    frame = cells(layout, Store())
    page = render(layout, frame, "html")
    assert Tags.of(page) == []
    body = page.partition("<tbody>")[2].partition("</tbody>")[0].splitlines()
    assert len({line.count("<td>") for line in body if "<td>" in line}) == 1
    text = render(layout, frame, "md")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", line)) for line in lines}) == 1
    assert "published" in lines[0]


def test_machine_readable_forms_hold_every_cell() -> None:
    layout = find("arseg-1")
    frame = cells(layout, Store())
    records = json.loads(render(layout, frame, "json"))
    assert [record["published"] for record in records] == frame["published"].tolist()
    assert records[0]["ours"] is None
    lines = list(csv.DictReader(io.StringIO(render(layout, frame, "csv"))))
    assert [line["printed"] for line in lines] == frame["printed"].tolist()
    pytest.importorskip("pyarrow")
    back = pd.read_parquet(io.BytesIO(parquet_of(frame)))
    assert back["published"].tolist() == frame["published"].tolist()
    with pytest.raises(UsageError, match="'xml': expected md, csv"):
        render(layout, frame, "xml")


def test_numbers_have_the_digits_that_are_printed_and_intervals_where_drawn(
    make_row: MakeRow,
) -> None:
    frame = table1(make_row(method="arseg", miou=0.70482, **EXACT))
    place = frame.index[frame["same"].fillna(False) & (frame["metric"] == "miou")][0]
    frame.loc[place, ["low", "high"]] = [69.123, 71.987]
    text = markdown_sheet(sheet(find("arseg-1"), frame))
    assert "70.48 [69.12, 71.99]" in text.replace("\\", "")
    assert "| 0.00 |" in text or "| +0.00 |" in text
    assert "-0.00" not in text


@pytest.mark.parametrize("name", ["arseg-1", "arseg-2", "dsrl-readme", "bisenet-8"])
def test_the_terminal_shows_every_number_and_every_heading(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    layout = find(name)
    frame = cells(layout, Store())
    its = sheet(layout, frame)
    print_table(terminal_sheet(its))
    shown = capsys.readouterr().out
    assert all(printed in shown for printed in frame["printed"])
    for kind in ("ours", "difference"):
        headings = shown.partition("─")[0].split()
        assert headings.count(kind) == sum(head.kind == kind for head in its.heads)
