"""The table of parameters and costs in ``docs/fidelity.md``: ``python -m vssbench.cost.fidelity --write docs/fidelity.md``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from tabulate import tabulate

from vssbench.cost.published import Published, read
from vssbench.errors import DataError, VssbenchError

BEGIN = "<!-- costs: written by python -m vssbench.cost.fidelity --write docs/fidelity.md -->"
END = "<!-- costs end -->"

#: a difference of more than this share needs a note
TOLERANCE = 0.01

_HEAD = ("variant", "classes", "input", "number", "convention", "published", "ours", "difference", "note")
_ALIGN = ("left", "right", "right", "left", "left", "right", "right", "right", "right")


def render(rows: Sequence[Published]) -> str:
    """The tables as Markdown, one a source, and the notes under them by number."""
    notes = list(dict.fromkeys(row.note for row in rows if row.note))
    beyond = sum(abs(row.difference()) > TOLERANCE for row in rows)
    within = f"{len(rows) - beyond} of ours are within {TOLERANCE:.0%}, {beyond} are not (bold)"
    parts = [f"{len(rows)} published numbers; {within}."]
    for source, group in groupby(sorted(rows, key=lambda row: _place(rows, row.source)), key=lambda row: row.source):
        table = [_line(row, notes) for row in group]
        parts += [f"### {source}", tabulate(table, _HEAD, tablefmt="github", disable_numparse=True, colalign=_ALIGN)]
    parts += ["### Notes", "\n".join(f"{number}. {note}." for number, note in enumerate(notes, 1))]
    return "\n\n".join(parts)


def replace(document: str, block: str) -> str:
    """The document with what stands between the two marks replaced. Raises DataError where a mark is missing."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise DataError(f"the document lacks the line {BEGIN if not begin else END}, between which and its pair the tables go")
    return f"{before}{BEGIN}\n\n{block}\n\n{END}{after}"


def _place(rows: Sequence[Published], source: str) -> int:
    """Where a source is first met."""
    return next(number for number, row in enumerate(rows) if row.source == source)


def _line(row: Published, notes: Sequence[str]) -> list[str]:
    decimals = max(2, len(row.printed.partition(".")[2]))
    digits = "," if row.size is None else f".{decimals}f"
    difference = row.difference()
    percent = f"{difference:+.2%}"
    return [
        f"`{row.typed}`",
        str(row.classes),
        "" if row.size is None else "{}x{}".format(*row.size),
        row.label(),
        row.convention,
        f"{int(row.printed):,}" if row.size is None else row.printed,
        format(row.ours(), digits),
        f"**{percent}**" if abs(difference) > TOLERANCE else percent,
        str(notes.index(row.note) + 1) if row.note else "",
    ]


def main() -> None:
    """Print the tables, or write them into a document."""
    parser = argparse.ArgumentParser(description="Parameters and costs beside the published ones, as Markdown.")
    parser.add_argument("--write", type=Path, metavar="FILE", help="replace the marked block of this document")
    target = parser.parse_args().write
    try:
        block = render(read())
        if target is None:
            print(block)
        else:
            target.write_text(replace(target.read_text(encoding="utf-8"), block), encoding="utf-8")
    except VssbenchError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
