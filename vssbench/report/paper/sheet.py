"""A paper's table as text: two rows of headings, published numbers beside ours, the best in bold,
the second underlined, and notes below that cells refer to by letters."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

import pandas as pd

from vssbench.report.markup import DASH, NAME_WIDTH, latex, markdown
from vssbench.report.paper.cells import agrees, decimals, plain, shown
from vssbench.report.paper.layout import Layout
from vssbench.report.paper.numbers import STATUS

if TYPE_CHECKING:
    from rich.table import Table

#: a sign in print; a hyphen is shorter
_MINUS = re.compile(r"^-(?=\d)")

PUBLISHED, OURS, DIFFERENCE = "published", "ours", "difference"


@dataclass(frozen=True)
class Entry:
    """A text in a cell: whether it is the best or the second, and the letters of its notes."""

    text: str
    bold: bool = False
    underline: bool = False
    marks: str = ""


@dataclass(frozen=True)
class Head:
    """The headings of a column of texts, from the top."""

    group: str
    heading: str
    kind: str


@dataclass(frozen=True)
class Body:
    """A line of texts, with the part of the table that it stands in."""

    part: str
    label: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Sheet:
    """A table as texts. ``notes`` are letters with what they say, ``remarks`` hold for all of
    it."""

    title: str
    heading: str
    heads: tuple[Head, ...]
    lines: tuple[Body, ...]
    notes: tuple[tuple[str, str], ...]
    remarks: tuple[str, ...]

    def parts(self) -> list[tuple[str, list[Body]]]:
        """Return the lines by the part of the table that they stand in."""
        return [(part, list(its)) for part, its in groupby(self.lines, lambda line: line.part)]


class Notes:
    """Notes in the order in which they are first met, each with its letters; those ``left_out``
    have none."""

    def __init__(self, left_out: Collection[str] = ()) -> None:
        self._left_out = {"", *left_out}
        self._letters: dict[str, str] = {}

    def mark(self, *texts: str) -> str:
        """Return the letters of these notes, without those that are empty."""
        said = [text for text in dict.fromkeys(texts) if text not in self._left_out]
        for text in said:
            self._letters.setdefault(text, _letters(len(self._letters)))
        return ",".join(self._letters[text] for text in said)

    def all(self) -> tuple[tuple[str, str], ...]:
        """Return letters and texts."""
        return tuple((letters, text) for text, letters in self._letters.items())


def _letters(place: int) -> str:
    turn, rest = divmod(place, 26)
    return (ascii_lowercase[turn - 1] if turn else "") + ascii_lowercase[rest]


def sheet(layout: Layout, frame: pd.DataFrame) -> Sheet:
    """Return a table's texts, made of the frame of its cells."""
    its = plain(frame)
    # what holds for every published number is said once
    said = {_of_published(cell) for cell in its if cell["metric"]}
    of_all = tuple(said - {""}) if len(said) == 1 else ()
    notes = Notes(of_all)
    kinds = [
        (column, kind)
        for column in layout.columns
        for kind in _kinds(column.ours, _of_column(frame, column.group, column.heading))
    ]
    lines = []
    width = len(layout.columns)
    for place, line in enumerate(layout.lines):
        row = {
            (cell["group"], cell["column"]): cell
            for cell in its[place * width : (place + 1) * width]
        }
        entries = tuple(
            _entry(row[column.group, column.heading], kind, notes) for column, kind in kinds
        )
        lines.append(Body(line.part, line.label, entries))
    heads = tuple(Head(column.group, column.heading, kind) for column, kind in kinds)
    sources = list(dict.fromkeys(text for text in frame["source"] if text))
    return Sheet(
        f"{layout.paper.title}, {layout.table}: {layout.title}",
        layout.heading, heads, tuple(lines), notes.all(),
        (f"Published: {'; '.join(sources)}.", *of_all, *layout.remarks, *_ranked(layout)),
    )  # fmt: skip


def _of_column(frame: pd.DataFrame, group: str, heading: str) -> pd.DataFrame:
    return frame[(frame["group"] == group) & (frame["column"] == heading)]


def _kinds(ours: bool, column: pd.DataFrame) -> tuple[str, ...]:
    if not ours:
        return (PUBLISHED,)
    return (PUBLISHED, OURS, *([DIFFERENCE] if column["difference"].notna().any() else []))


def _ranked(layout: Layout) -> tuple[str, ...]:
    return () if layout.best == "none" else (f"Best of a {layout.best} bold, second underlined.",)


def _entry(cell: Mapping[str, Any], kind: str, notes: Notes) -> Entry:
    if not cell["metric"]:
        return Entry("")
    places = decimals(cell["printed"])
    if kind == PUBLISHED:
        rank = cell["rank_published"]
        return Entry(cell["printed"], rank == 1, rank == 2, notes.mark(_of_published(cell)))
    if kind == DIFFERENCE:
        apart = cell["difference"]
        # `z` has no -0.00
        return Entry("" if apart is None else f"{apart:+z.{places}f}")
    if cell["ours"] is None:
        return Entry(DASH, marks=notes.mark(_because(cell["reason"])))
    text = shown(cell["ours"], cell["printed"])
    if cell["low"] is not None:
        text += f" [{cell['low']:.{places}f}, {cell['high']:.{places}f}]"
    rank = cell["rank_ours"]
    said = ["" if cell["same"] else f"Other conditions: {cell['reason']}."]
    if cell["same"] and not agrees(cell):
        said.append(cell["note"])
    return Entry(text, rank == 1, rank == 2, notes.mark(*said))


def _of_published(cell: Mapping[str, Any]) -> str:
    """Return what is said of a published number; empty for one that is as its source prints it."""
    note = cell["published_note"]
    if cell["status"] == "printed":
        return f"{note}." if note else ""
    if cell["status"] == "misprint" and note.lower().startswith("a misprint"):
        return f"{note}."
    return f"Published number {cell['status']}: {note or STATUS[cell['status']]}."


def _because(reason: str) -> str:
    return f"None of ours: {reason}."


_Row = Sequence[tuple[str, int]]


def markdown_sheet(its: Sheet) -> str:
    """Return the table in pipes, its headings in one row."""

    def text(entry: Entry) -> str:
        shown = markdown(entry.text)
        shown = f"**{shown}**" if entry.bold else f"<u>{shown}</u>" if entry.underline else shown
        return shown + (f" <sup>{entry.marks}</sup>" if entry.marks else "")

    heads = ["<br>".join(map(markdown, filter(None, _titles(head)))) for head in its.heads]
    rows = [[markdown(its.heading), *heads]]
    for part, lines in its.parts():
        if part:
            rows.append([f"*{markdown(part)}*", *[""] * len(its.heads)])
        rows += [[markdown(line.label), *map(text, line.entries)] for line in lines]
    rule = [":--", *["--:"] * len(its.heads)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in (rows[0], rule, *rows[1:]))
    said = [f"- <sup>{mark}</sup> {markdown(note)}" for mark, note in its.notes]
    said += [f"- {markdown(remark)}" for remark in its.remarks]
    return f"### {markdown(its.title)}\n\n{table}\n\n" + "\n".join(said) + "\n"


def _titles(head: Head) -> tuple[str, str, str]:
    return head.group, head.heading, head.kind


def _spans(its: Sheet) -> list[list[tuple[str, int]]]:
    """Return the rows of headings as texts with how many columns each spans; no row of empty
    ones."""
    keys: tuple[Callable[[Head], tuple[str, ...]], ...] = (
        lambda head: (head.group,),
        lambda head: (head.group, head.heading),
        lambda head: _titles(head),
    )
    rows: list[list[tuple[str, int]]] = []
    for place, key in enumerate(keys):
        spans: list[tuple[str, int]] = []
        last: tuple[str, ...] | None = None
        for head in its.heads:
            if key(head) == last and place < 2:
                spans[-1] = (spans[-1][0], spans[-1][1] + 1)
            else:
                spans.append((key(head)[-1], 1))
            last = key(head)
        if any(text for text, _ in spans):
            rows.append(spans)
    return rows


def latex_sheet(its: Sheet) -> str:
    """Return the table as a tabular with the rules of booktabs, its title and notes around it."""

    def text(entry: Entry) -> str:
        shown = _MINUS.sub("$-$", latex(entry.text)) if entry.text else ""
        command = "textbf" if entry.bold else "underline" if entry.underline else ""
        shown = f"\\{command}{{{shown}}}" if command else shown
        return shown + (f"\\textsuperscript{{{entry.marks}}}" if entry.marks else "")

    width = len(its.heads)
    rows = _spans(its)
    lines = [f"\\begin{{tabular}}{{l{'r' * width}}}", "\\toprule"]
    for place, spans in enumerate(rows):
        last = place == len(rows) - 1
        first = latex(its.heading) if last else ""
        lines.append(" & ".join([first, *(_spanning(*span) for span in spans)]) + r" \\")
        lines += [] if last else [_rules(spans)]
    lines.append("\\midrule")
    for number, (part, of_part) in enumerate(its.parts()):
        lines += ["\\midrule"] if number else []
        if part:
            lines.append(f"\\multicolumn{{{width + 1}}}{{l}}{{\\textit{{{latex(part)}}}}} \\\\")
        lines += [
            " & ".join([latex(line.label), *map(text, line.entries)]) + r" \\" for line in of_part
        ]
    lines += ["\\bottomrule", "\\end{tabular}"]
    said = [f"\\textsuperscript{{{mark}}} {latex(note)}" for mark, note in its.notes]
    said += [latex(remark) for remark in its.remarks]
    notes = "\\par\\smallskip\\noindent\n" + " \\\\\n".join(said)
    return f"\\textbf{{{latex(its.title)}}}\\par\\smallskip\n" + "\n".join(lines) + f"\n{notes}\n"


def _spanning(text: str, width: int) -> str:
    if not text:
        return "" if width == 1 else f"\\multicolumn{{{width}}}{{c}}{{}}"
    return f"\\multicolumn{{{width}}}{{{'r' if width == 1 else 'c'}}}{{{latex(text)}}}"


def _rules(spans: _Row) -> str:
    """Return the rules below headings that span columns."""
    rules, column = [], 2
    for text, width in spans:
        if text:
            rules.append(f"\\cmidrule(lr){{{column}-{column + width - 1}}}")
        column += width
    return "".join(rules)


def html_sheet(its: Sheet) -> str:
    """Return the table as HTML, to be put into a page."""

    def text(entry: Entry) -> str:
        shown = html.escape(entry.text)
        tag = "strong" if entry.bold else "u" if entry.underline else ""
        shown = f"<{tag}>{shown}</{tag}>" if tag else shown
        return shown + (f"<sup>{entry.marks}</sup>" if entry.marks else "")

    rows = _spans(its)
    lines = ["<table>", f"<caption>{html.escape(its.title)}</caption>", "<thead>"]
    for place, spans in enumerate(rows):
        corner = f'<th rowspan="{len(rows)}" scope="col">{html.escape(its.heading)}</th>'
        heads = "".join(
            f'<th colspan="{width}" scope="col">{html.escape(title)}</th>' for title, width in spans
        )
        lines.append(f"<tr>{'' if place else corner}{heads}</tr>")
    lines += ["</thead>", "<tbody>"]
    for part, of_part in its.parts():
        if part:
            span = len(its.heads) + 1
            lines.append(f'<tr><th colspan="{span}" scope="rowgroup">{html.escape(part)}</th></tr>')
        for line in of_part:
            values = "".join(f"<td>{text(entry)}</td>" for entry in line.entries)
            lines.append(f'<tr><th scope="row">{html.escape(line.label)}</th>{values}</tr>')
    lines += ["</tbody>", "</table>", "<ul>"]
    lines += [f"<li><sup>{mark}</sup> {html.escape(note)}</li>" for mark, note in its.notes]
    lines += [f"<li>{html.escape(remark)}</li>" for remark in its.remarks]
    return "\n".join([*lines, "</ul>"]) + "\n"


def terminal_sheet(its: Sheet) -> Table:
    """Return the table for a terminal, its headings above each other."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    def text(entry: Entry) -> Text:
        style = "bold green" if entry.bold else "underline" if entry.underline else ""
        shown = Text(entry.text, style=style)
        return shown.append(f" {entry.marks}", style="dim") if entry.marks else shown

    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    longest = max(map(len, [*its.heading.split(), *(line.label for line in its.lines)]))
    table.add_column(Text(its.heading), overflow="fold", min_width=min(NAME_WIDTH, longest))
    for place, head in enumerate(its.heads):
        titles = list(filter(None, _titles(head)))
        numbers = [text(line.entries[place]).plain for line in its.lines]
        table.add_column(
            Text("\n".join(titles)), justify="right", no_wrap=True, vertical="top",
            min_width=max(map(len, [*titles, *numbers])),
        )  # fmt: skip
    for part, lines in its.parts():
        if part:
            table.add_row(Text(part, style="cyan"))
        for line in lines:
            table.add_row(Text(line.label), *map(text, line.entries))
    page = Table.grid()
    page.add_row(Text(its.title, style="bold cyan"))
    page.add_row(table)
    said = [*(f"{mark}  {note}" for mark, note in its.notes), *its.remarks]
    page.add_row(Text("\n".join([*said, ""]), overflow="fold"))
    return page
