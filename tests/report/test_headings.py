"""Headings of tables and panels: no two are the same, and each says what differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from vssbench.report import plots, rates
from vssbench.report.columns import groups
from vssbench.report.pivot import pivots
from vssbench.report.rows import Row
from vssbench.report.table import render

MakeRow = Callable[..., Row]

BASE = {"dataset": "synthetic[height=96,width=128,seed=0]", "dataset_title": "Street"}
#: what differs between two rows, and what their headings must say of it
CASES = (
    ({"dataset": "synthetic[height=96,width=128,seed=1]"}, ("seed=0", "seed=1")),
    ({"dataset": "synthetic[height=96,width=128]"}, ("seed=0", "seed by default")),
    ({"split": "test"}, (", val", ", test")),
    ({"classes": 11}, (", 2 classes", ", 11 classes")),
    ({"data": "bb" * 8}, ("data unknown", "data bbbbbb")),
    ({"dataset": "another[height=96,width=128,seed=0]"}, ("synthetic", "another")),
    (
        {"protocol_details": {"scored": "some"}},
        ("dense (scored=all)", "dense (scored=some)"),
    ),
    ({"codec": "hevc[bitrate=3000k]"}, ("hevc[bitrate=3M]", "hevc[bitrate=3000k]")),
)


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case[0]))
def differing(make_row: MakeRow, request: pytest.FixtureRequest) -> tuple[list[Row], list[str]]:
    """Two rows that must not be compared, and what their headings must say, in order."""
    other, said = request.param
    if "split" in other or "classes" in other:  # which typed parameters made
        key, value = next(iter(other.items()))
        other = {**other, "dataset": f"{BASE['dataset'][:-1]},{key}={value}]"}
    return [make_row("A", **BASE), make_row("B", **(BASE | other))], list(said)


def said_in(titles: list[str], words: list[str]) -> bool:
    """Return whether each title has one of the words, every word one title."""
    return sorted(next((w for w in words if w in title), "") for title in titles) == sorted(words)


def test_headings_of_tables_say_what_differs(differing: tuple[list[Row], list[str]]) -> None:
    rows, words = differing
    titles = [group.title for group in groups(rows)]
    assert len(set(titles)) == 2
    assert said_in(titles, words), titles
    text = render(rows, "md")
    headings = [line for line in text.splitlines() if line.startswith("###")]
    assert len(set(headings)) == 2


@pytest.mark.parametrize("draw", [plots.pareto, plots.distance])
def test_titles_of_panels_say_what_differs(
    differing: tuple[list[Row], list[str]],
    tmp_path: Path,
    figures: list[Figure],
    draw: Callable[[list[Row], Path], list[str]],
) -> None:
    rows, words = differing
    draw(rows, tmp_path / "a.png")
    titles = [axes.get_title().replace("\n", " ") for axes in figures[0].axes]
    assert said_in(titles, words), titles


def test_panels_over_the_rate_and_tables_by_codec_say_it_too(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    rows = [
        make_row(split=split, classes=classes, dataset=f"camvid[split={split},classes={classes}]")
        for split, classes in (("val", 11), ("test", 11), ("test", 12))
    ]
    rates.rate(rows, tmp_path / "a.png")
    rates.quality(rows, tmp_path / "b.png")
    words = ["CamVid 720x960, test, 11 classes", "CamVid 720x960, val, 11 classes"]
    words += ["CamVid 720x960, test, 12 classes"]
    for figure in figures:
        titles = [axes.get_title().replace("\n", " ") for axes in figure.axes]
        assert [title.partition(" / ")[0] for title in titles] == words
    tables = pivots(rows)
    assert [table.heading.partition(" / ")[0] for table in tables] == words
    records = [record for table in tables for record in table.records()]
    assert [(record["split"], record["classes"]) for record in records] == [
        ("test", 11), ("val", 11), ("test", 12),
    ]  # fmt: skip


def test_what_all_rows_share_is_left_out(make_row: MakeRow) -> None:
    rows = [make_row("A", protocol="dense"), make_row("B", protocol="pairs")]
    assert {group.heading.dataset for group in groups(rows)} == {"CamVid 720x960"}


def test_the_order_of_typed_parameters_makes_no_other_dataset(make_row: MakeRow) -> None:
    typed = ("synthetic[height=96,seed=1]", "synthetic[seed=1,height=96]")
    assert len(groups([make_row(text, dataset=text) for text in typed])) == 1
