"""The table of parameters and costs in ``docs/fidelity.md``: ``python -m tools.fidelity --write
docs/fidelity.md``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

from tabulate import tabulate

from vssbench.core import files
from vssbench.core.errors import DataError, VssbenchError
from vssbench.cost.published import Published, read

BEGIN = "<!-- costs: written by python -m tools.fidelity --write docs/fidelity.md -->"
END = "<!-- costs end -->"

#: a difference of more than this share needs a note
TOLERANCE = 0.01

_HEAD = (
    "variant", "classes", "input", "number", "convention", "operations", "auxiliary heads",
    "published", "ours", "difference", "explained", "note",
)  # fmt: skip
_ALIGN = (
    "left",
    "right",
    "right",
    "left",
    "left",
    "left",
    "left",
    "right",
    "right",
    "right",
    "right",
    "right",
)


def render(rows: Sequence[Published]) -> str:
    """Return the tables as Markdown, one a source, and the notes under them by number."""
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    beyond = sum(abs(row.difference()) > TOLERANCE for row in rows)
    within = f"{len(rows) - beyond} of ours are within {TOLERANCE:.0%}, {beyond} are not (bold)"
    parts = [f"{len(rows)} published numbers; {within}."]
    for source, group in groupby(
        sorted(rows, key=lambda row: _place(rows, row.source)), key=lambda row: row.source
    ):
        table = [_line(row, notes) for row in group]
        parts += [
            f"### {source}",
            tabulate(table, _HEAD, tablefmt="github", disable_numparse=True, colalign=_ALIGN),
        ]
    parts += ["### Notes", "\n".join(f"{number}. {note}." for number, note in enumerate(notes, 1))]
    return "\n\n".join(parts)


def replace(document: str, block: str, begin: str = BEGIN, end: str = END) -> str:
    """Return the document with what stands between the two marks replaced. Raises DataError where a
    mark is missing."""
    before, found_begin, rest = document.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        missing = end if found_begin else begin
        raise DataError(
            f"the document lacks the line {missing}, between which and its pair the tables go"
        )
    return f"{before}{begin}\n\n{block}\n\n{end}{after}"


def _place(rows: Sequence[Published], source: str) -> int:
    """Return the number of the first row of a source."""
    return next(number for number, row in enumerate(rows) if row.source == source)


def _line(row: Published, notes: Sequence[str]) -> list[str]:
    decimals = max(2, len(row.printed.partition(".")[2]))
    digits = "," if row.size is None else f".{decimals}f"
    difference = row.difference()
    percent = f"{difference:+.2%}"
    return [
        f"`{row.typed}`",
        str(row.classes),
        row.shape(),
        row.label(),
        row.convention,
        row.counted(),
        row.auxiliary,
        f"{int(row.printed):,}" if row.size is None else row.printed,
        format(row.ours(), digits),
        f"**{percent}**" if abs(difference) > TOLERANCE else percent,
        f"{int(row.explained):+,}" if row.explained and row.size is None else row.explained,
        str(notes.index(row.note) + 1) if row.note else "",
    ]


def write_block(description: str, render_block: Callable[[], str], begin: str, end: str) -> None:
    """Print a block of tables, or write it between its marks into a document, as a command."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "--write", type=Path, metavar="FILE", help="replace the marked block of this document"
    )
    target = parser.parse_args().write
    try:
        block = render_block()
        if target is None:
            print(block)
        else:
            files.write_text(target, replace(target.read_text(encoding="utf-8"), block, begin, end))
    except VssbenchError as error:
        sys.exit(str(error))


def main() -> None:
    """Print the tables, or write them into a document."""
    write_block(
        "Parameters and costs beside the published ones, as Markdown.",
        lambda: render(read()),
        BEGIN,
        END,
    )


if __name__ == "__main__":
    main()
