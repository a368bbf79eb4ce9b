"""Verdicts on the cells of a paper's table: whether what stands here reproduces what is printed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal, get_args

import pandas as pd

from vssbench.report.markup import DASH, Cell, Grid
from vssbench.report.paper.cells import agrees, decimals, plain, shown
from vssbench.report.paper.layout import Layout
from vssbench.report.paper.needs import Need, need_of
from vssbench.report.paper.ours import ACCURACIES

Verdict = Literal[
    "reproduced", "within noise", "not reproduced", "misprint", "not possible here"
]  # fmt: skip
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


def judged(layout: Layout, frame: pd.DataFrame, needed: Iterable[Need]) -> pd.DataFrame:
    """Return the cells that hold a number, with the columns ``verdict`` and ``because``.

    Numbers that follow from others, such as relative changes, are not judged. ``needed`` is what
    the rows of the table need, of which the reason says what is missing.
    """
    lacking = pd.Series(_missing(layout, needed), dtype="string")
    of_paper = (frame["metric"] != "") & frame["same"].notna()
    its = frame[of_paper].reset_index(drop=True)
    said = [
        (word, reason + (more if word == "not possible here" else ""))
        for (word, reason), more in zip(
            map(verdict, plain(its)), lacking[of_paper.to_numpy()], strict=True
        )
    ]
    return its.assign(
        verdict=pd.Series([word for word, _ in said], dtype="string"),
        because=pd.Series([reason for _, reason in said], dtype="string"),
    )


def _missing(layout: Layout, needed: Iterable[Need]) -> list[str]:
    """Return for each cell what its measurement lacks, to be added to why there is none."""
    known = {(each.method, each.dataset, each.codec, each.protocol): each for each in needed}
    said = []
    for _, _, number in layout.numbers():
        setting = None if number is None else layout.paper.setting(number)
        need = None
        if number is not None and setting is not None and number["metric"] in ACCURACIES:
            keys = [need_of(number, way) for way in setting.ways]
            need = next((known[key] for key in keys if key in known), None)
        if need is None:
            said.append("")
        else:
            lacks = need.missing()
            said.append(f"; {lacks} missing, see below" if lacks else "; --run makes one")
    return said


def verdict(cell: Mapping[str, Any]) -> tuple[Verdict, str]:
    """Return the verdict on a cell, and why."""
    if cell["ours"] is None:
        return "not possible here", cell["reason"]
    if not cell["same"]:
        value = shown(cell["ours"], cell["printed"])
        return "not possible here", f"a run of other conditions has {value} ({cell['reason']})"
    if agrees(cell):
        return "reproduced", cell["note"]
    if cell["status"] == "misprint":
        return "misprint", cell["published_note"]
    if cell["low"] is not None and cell["low"] <= cell["published"] <= cell["high"]:
        return "within noise", f"ours within [{cell['low']:.2f}, {cell['high']:.2f}] at 95 %"
    return "not reproduced", cell["note"] or cell["published_note"]


def counts(its: pd.DataFrame) -> dict[str, int]:
    """Return how many cells have each verdict, those that none has left out."""
    known = its["verdict"].value_counts()
    return {word: int(known[word]) for word in VERDICTS if word in known}


HEADINGS = (
    "Row", "Column", "Published", "Ours", "Difference", "True count, GMACs", "Verdict",
)  # fmt: skip


def grid(its: pd.DataFrame, marks: Mapping[int, str]) -> Grid:
    """Return judged cells as a table; ``marks`` are the letters of what is said of each."""
    lines = []
    for place, cell in enumerate(plain(its)):
        places = decimals(cell["printed"])
        apart = cell["difference"]
        said = f"{cell['verdict']} {marks.get(place, '')}".strip()
        lines.append(
            (
                Cell(" / ".join(filter(None, [cell["part"], cell["line"]]))),
                Cell(" ".join(filter(None, [cell["group"], cell["column"]]))),
                Cell(cell["printed"]),
                Cell(DASH if cell["ours"] is None else shown(cell["ours"], cell["printed"])),
                Cell("" if apart is None else f"{apart:+z.{places}f}"),
                Cell("" if cell["counted"] is None else f"{cell['counted']:.2f}"),
                Cell(said, cell["verdict"] in ("reproduced", "within noise")),
            )
        )
    return Grid(HEADINGS, tuple(lines), left=2)
