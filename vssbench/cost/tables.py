"""Tables of ``bench.py cost``: for the terminal and for documents, and one flat table as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from typing import Any

from tabulate import tabulate

from vssbench.cost.agreement import HEAD, ignored, lines
from vssbench.cost.uncounted import remark

_MEGA = 1e6


def printed(rows: Sequence[dict[str, Any]], gop: int, form: str) -> str:
    """Return all tables that the rows hold, one under the other, in a form of tabulate's."""
    parts = ["\n".join([_counts(rows, gop, form), *_uncounted(rows)])]
    if rows and "cross_check" in rows[0]:
        parts += _cross_check(rows, gop, form)
    if rows and "memory" in rows[0]:
        parts += _memory(rows, gop, form)
    if rows and "published" in rows[0]:
        parts += _published(rows, form)
    return "\n\n".join(parts)


def flat(rows: Sequence[dict[str, Any]]) -> str:
    """Return the rows as CSV, nested values by their path (``cross_check.fvcore.key.products``)."""
    lines = [dict(_leaves(row)) for row in rows]
    names = list(dict.fromkeys(name for line in lines for name in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def _leaves(value: dict[str, Any], path: str = "") -> list[tuple[str, Any]]:
    leaves: list[tuple[str, Any]] = []
    for name, inner in value.items():
        leaves += (
            _leaves(inner, f"{path}{name}.") if isinstance(inner, dict) else [(path + name, inner)]
        )
    return leaves


def _counts(rows: Sequence[dict[str, Any]], gop: int, form: str) -> str:
    head = [
        "method",
        "name",
        "params M",
        "in training M",
        "GMACs key",
        "GMACs non-key",
        f"GMACs GOP {gop}",
    ]
    body = [
        [
            row["method"], row["display"], row["params"] / _MEGA, row["params_training"] / _MEGA,
            row["gmacs_key"], row["gmacs_nonkey"], row["gmacs_gop"],
        ]
        for row in rows
    ]  # fmt: skip
    return tabulate(body, head, floatfmt=".2f", tablefmt=form)


def _uncounted(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Return a line, under an empty one, for each method whose operators lack a formula."""
    said = [remark(row["method"], tuple(row["uncounted"])) for row in rows]
    found = [line for line in said if line]
    return ["", *found] if found else []


def _cross_check(rows: Sequence[dict[str, Any]], gop: int, form: str) -> list[str]:
    """Return the three counters, and under them what each leaves out."""
    body = [line for row in rows for line in lines(row["method"], row["cross_check"], gop)]
    missing = [
        (row["method"], frame, tool, ignored(tally))
        for row in rows
        for frame, tallies in row["cross_check"].frames().items()
        for tool, tally in tallies.items()
    ]
    heads = (
        ("method", *HEAD[1:]),
        ("method", "frame", "tool", "not counted, with the number of calls"),
    )
    return [
        "GMACs of products by three counters:\n\n"
        + tabulate(body, heads[0], tablefmt=form, disable_numparse=True),
        tabulate(missing, heads[1], tablefmt=form, disable_numparse=True),
    ]


def _memory(rows: Sequence[dict[str, Any]], gop: int, form: str) -> list[str]:
    head = (
        "method", "moved key MB", "moved non-key MB", "weights read MB", "alive key MB",
        "alive non-key MB", "kind",
        "loading MB", "held MB", f"peak of GOP {gop} MB", "device", "threads",
    )  # fmt: skip
    body = []
    for row in rows:
        memory = row["memory"]
        key, other = memory["key"], memory["nonkey"]
        sizes = [key["moved"], other["moved"], key["weights"], key["peak"], other["peak"]]
        measured = [memory[name] for name in ("loading", "held", "gop")]
        body.append(
            [
                row["method"], *(f"{size / _MEGA:,.1f}" for size in sizes), memory["kind"],
                *(f"{size / _MEGA:,.1f}" for size in measured), memory["device"], memory["threads"],
            ]
        )  # fmt: skip
    align = ("left", *["right"] * 5, "left", *["right"] * 3, "left", "right")
    table = tabulate(body, head, tablefmt=form, disable_numparse=True, colalign=align)
    return [
        "Memory, 1 MB = 10^6 bytes; activations by operators, then a process of its own:\n\n"
        + table
    ]


def _published(rows: Sequence[dict[str, Any]], form: str) -> list[str]:
    """Tabulate the published numbers beside ours.

    Ours are counted in the convention and with the classes of each.
    """
    head = (
        "method", "number", "convention", "operations", "auxiliary heads", "input", "classes",
        "published", "ours",
        "difference", "source",
    )  # fmt: skip
    body, notes = [], []
    for row in rows:
        for entry in row["published"]:
            mark = ""
            if entry["note"]:
                notes += [] if entry["note"] in notes else [entry["note"]]
                mark = f" [{notes.index(entry['note']) + 1}]"
            digits = ",.0f" if entry["unit"] == "parameters" else ".2f"
            body.append(
                (
                    row["method"], entry["number"], entry["convention"], entry["counted"],
                    entry["auxiliary"], entry["shape"],
                    entry["classes"], entry["value"], format(entry["ours"], digits),
                    f"{entry['difference']:+.2%}",
                    entry["source"] + mark,
                )
            )  # fmt: skip
        if not row["published"]:
            body.append(
                (row["method"], "nothing published for this size and these classes", *[""] * 9)
            )
    table = tabulate(body, head, tablefmt=form, disable_numparse=True)
    return ["\n".join([table, *(f"[{number}] {note}" for number, note in enumerate(notes, 1))])]
