"""A grid of texts as Markdown, LaTeX and for the terminal: how a table looks, whatever stands in
it."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from vssbench.report.long_table import LongTable

#: what stands for a number that is not there
DASH = "-"
#: widest first column on a terminal; longer names are folded
NAME_WIDTH = 34
#: and the narrowest, however many columns of numbers there are
_NAME_LEAST = 16
#: lines from which a table is laid out once, and not by rich, which takes too long
LONG = 300

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}", "\u2020": r"\textdagger{}", "\u2021": r"\textdaggerdbl{}",
    "\u2260": r"$\neq$",
    "\u00a7": r"\S{}", "\u00b6": r"\P{}",
}  # fmt: skip

#: words of a heading, and what stands in brackets as a whole
_PIECES = re.compile(r"\([^)]*\)|\S+")


@dataclass(frozen=True)
class Cell:
    """A text, and whether it is set in bold."""

    text: str
    bold: bool = False


@dataclass(frozen=True)
class Grid:
    """Headings and lines of equally many cells; the first ``left`` columns hold names, the others
    numbers."""

    headings: tuple[str, ...]
    lines: tuple[tuple[Cell, ...], ...]
    left: int = 1


def markdown(text: str) -> str:
    """Return one line of Markdown in which nothing is markup."""
    flat = " ".join(text.split())
    return "".join(f"\\{mark}" if mark in "\\|*_`[]<>" else mark for mark in flat)


def markdown_list(remarks: Sequence[str]) -> str:
    """Return the remarks as items of a list."""
    return "\n".join(f"- {markdown(remark)}" for remark in remarks)


def markdown_grid(grid: Grid) -> str:
    """Return a table in pipes, its columns aligned in the text too."""
    return _frame(grid, markdown, "**{}**").to_markdown(
        index=False,
        tablefmt="pipe",
        disable_numparse=True,
        colalign=["left" if place < grid.left else "right" for place in range(len(grid.headings))],
    )


def latex(text: str) -> str:
    """Return one line of LaTeX in which nothing is markup; a dash of a table is one in print."""
    if text == DASH:
        return "--"
    return "".join(_LATEX.get(mark, mark) for mark in " ".join(text.split()))


def latex_list(remarks: Sequence[str]) -> str:
    """Return the remarks as lines below a table."""
    return "\\par\\smallskip\n" + "\\\\\n".join(latex(remark) for remark in remarks)


def latex_grid(grid: Grid, title: str) -> str:
    """Return a tabular with the rules of booktabs and its title above the headings.

    pandas writes it by jinja2. Texts are escaped here: pandas' own escaping knows neither ``<``
    nor ``|``, and would take the bold numbers' markup for text.
    """
    import pandas as pd

    table = _frame(grid, latex, "\\textbf{{{}}}")
    table.columns = pd.MultiIndex.from_tuples([(latex(title), name) for name in table.columns])
    return table.to_latex(
        index=False,
        escape=False,
        column_format="l" * grid.left + "r" * (len(grid.headings) - grid.left),
        multicolumn_format="l",
    ).rstrip("\n")


def html_list(remarks: Sequence[str]) -> str:
    """Return the remarks as an HTML list; nothing of none."""
    items = "\n".join(f"<li>{html.escape(remark)}</li>" for remark in remarks)
    return f"<ul>\n{items}\n</ul>" if remarks else ""


def html_grid(grid: Grid, title: str) -> str:
    """Return an HTML table with its title as the caption, to be put into a page."""
    table = _frame(grid, html.escape, "<strong>{}</strong>")
    text = table.to_html(index=False, escape=False, border=0)
    head, _, rest = text.partition("\n")
    return f"{head}\n<caption>{html.escape(title)}</caption>\n{rest}"


def markdown_part(grid: Grid, title: str, remarks: Sequence[str]) -> list[str]:
    """Return a table with its heading above and the remarks below, in paragraphs of Markdown."""
    return [f"### {markdown(title)}", markdown_grid(grid), markdown_list(remarks)]


def latex_part(grid: Grid, title: str, remarks: Sequence[str]) -> list[str]:
    """Return a table with its title and the remarks below, in blocks of LaTeX."""
    return [latex_grid(grid, title), *([latex_list(remarks)] if remarks else [])]


def html_part(grid: Grid, title: str, remarks: Sequence[str]) -> list[str]:
    """Return a table with its caption and the remarks below, in elements of HTML."""
    return [html_grid(grid, title), html_list(remarks)]


#: how a part of a document is written in each format
PARTS = {"md": markdown_part, "latex": latex_part, "html": html_part}


def _frame(grid: Grid, escape: Callable[[str], str], bold: str) -> pd.DataFrame:
    """Return the grid's texts as a frame, ready for one of pandas' writers."""
    import pandas as pd

    lines = [
        [bold.format(escape(cell.text)) if cell.bold else escape(cell.text) for cell in line]
        for line in grid.lines
    ]
    return pd.DataFrame(lines, columns=[escape(heading) for heading in grid.headings], dtype=object)


def terminal_grid(grid: Grid, width: int | None = None, fold: bool = False) -> Table | LongTable:
    """Return a table for a terminal; the first column is ``width`` wide, names that do not fit are
    folded.

    Headings of numbers are folded too if ``fold``, at their spaces outside brackets; numbers never
    are.
    """
    shown = [
        "\n".join(_PIECES.findall(heading)) if fold and place >= grid.left else heading
        for place, heading in enumerate(grid.headings)
    ]
    if len(grid.lines) > LONG:
        from vssbench.report.long_table import LongTable

        lines = [[(cell.text, cell.bold) for cell in line] for line in grid.lines]
        return LongTable(shown, lines, grid.left, width)
    return _rich_table(grid, shown, width)


def _rich_table(grid: Grid, headings: Sequence[str], width: int | None) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    part = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for place, heading in enumerate(headings):
        least = _longest(grid, place, heading)
        if place < grid.left:
            least = min(_NAME_LEAST, least)
            wide = width if place == 0 else None
            part.add_column(
                Text(heading), overflow="fold", justify="left", width=wide, min_width=wide or least
            )
        else:
            part.add_column(
                Text(heading), justify="right", no_wrap=True, vertical="top", min_width=least
            )
    for line in grid.lines:
        part.add_row(*(Text(cell.text, style="bold green" if cell.bold else "") for cell in line))
    return part


def _longest(grid: Grid, place: int, heading: str) -> int:
    """Return characters of a column's longest line."""
    return max(
        len(text) for text in (*heading.split("\n"), *(line[place].text for line in grid.lines))
    )
