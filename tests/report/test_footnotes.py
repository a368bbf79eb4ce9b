"""Marks behind names and their footnotes in tables and figures; versions of the code in a table."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from matplotlib.figure import Figure

from vssbench.core.errors import UsageError
from vssbench.report import deltas, footnotes, plots, rates, series
from vssbench.report.pivot import render_pivot
from vssbench.report.rows import Row
from vssbench.report.table import render

MakeRow = Callable[..., Row]


@pytest.fixture
def three(make_row: MakeRow) -> list[Row]:
    """A method that has seen what it is scored on, one of which that is not known, a sound one."""
    return [
        make_row("Seen", method="pspnet", seen="training", gmacs_gop=300.0),
        make_row("Chosen", method="dff", seen="selection", gmacs_gop=200.0, miou=0.65),
        make_row("Unknown", method="bisenet", seen="unknown", gmacs_gop=100.0, miou=0.6),
        make_row("Sound", method="icnet", gmacs_gop=50.0, miou=0.5),
    ]


def test_every_table_marks_them(three: list[Row]) -> None:
    for text in (render(three, "md"), render_pivot(three, "md")):
        for words in (
            "Seen †",
            "Chosen †",
            "Unknown ‡",
            "† its weights were trained",
            "‡ it is not",
        ):
            assert words in text, (words, text)
        assert "Sound †" not in text
        assert "Sound ‡" not in text
    latex = render(three, "latex")
    assert r"Seen \textdagger{}" in latex
    assert "†" not in latex
    assert render_pivot(three, "md", base="Seen").startswith("### CamVid")  # without its mark
    assert "†" not in render(three[3:], "md")


@pytest.mark.parametrize("draw", [plots.pareto, plots.distance, rates.rate])
def test_every_figure_marks_them(
    three: list[Row],
    tmp_path: Path,
    figures: list[Figure],
    draw: Callable[[list[Row], Path], list[str]],
) -> None:
    draw(three, tmp_path / "a.png")
    (figure,) = figures
    texts = [text.get_text() for axes in figure.axes for text in axes.texts]
    for legend in figure.legends:
        texts += [text.get_text() for text in legend.get_texts()]
        texts += [legend.get_title().get_text()]
    texts += [text.get_text() for text in figure.texts]
    said = " ".join(texts).replace("\n", " ")
    for words in ("Seen †", "Chosen †", "Unknown ‡", "Sound"):
        assert words in said, said
    for line in footnotes.footnotes(three):
        assert line in said, said


def test_a_curve_has_the_marks_of_all_its_points(
    make_row: MakeRow, tmp_path: Path, figures: list[Figure]
) -> None:
    """A line through points of which one alone bears a mark is one line."""
    pytest.importorskip("scipy", reason="SciPy is not installed")
    rates = (300.0, 1000.0, 2000.0, 4000.0)
    rows = [
        make_row(
            name, method=name.lower(), bitrate_kbps=rate, miou=0.5 + place / 10,
            codec=f"hevc[bitrate={rate:g}k]", run_id=f"{name}{rate}",
            seen="training" if (name, place) == ("A", 2) else "none",
            remarks=["said of a point"] if place == 1 else [],
        )
        for name in ("A", "B") for place, rate in enumerate(rates)
    ]  # fmt: skip
    (line,) = deltas.of_methods(rows, "a", "b")
    assert line.names == ("A \u2020", "B")
    assert "said of a point" in line.notes
    gops = [make_row("A", gop=gop, run_id=str(gop), seen=seen) for gop, seen in
            ((6, "training"), (12, "none"))]  # fmt: skip
    series.gop(gops, tmp_path / "a.png")
    assert [line.get_label() for line in figures[0].axes[0].lines] == ["A \u2020"]


def test_versions_are_counted_by_states_of_the_code(make_row: MakeRow) -> None:
    rows = [
        make_row(f"{name}{state}", version=f"0.1.0+{name}{state}",
                 sources={"vssbench": state, f"methods/{name}": name})
        for name in "abc" for state in "12"
    ]  # fmt: skip
    assert footnotes.versions(rows) == ["0.1.0+a1", "0.1.0+a2"]
    assert footnotes.versions(rows[::2]) == ["0.1.0+a1"]
    old = [make_row(version="0.1.0+old", sources={}), make_row(version="0.1.0+old", sources={})]
    assert footnotes.versions([*rows[::2], *old]) == ["0.1.0+a1", "0.1.0+old"]


def test_versions_of_the_code_are_told_and_can_be_refused(make_row: MakeRow) -> None:
    """By the digests of its parts: two plug-ins make two versions of one state of the code."""
    first = make_row("A", version="0.1.0+a", sources={"vssbench": "1", "methods/a": "2"})
    second = make_row("B", version="0.1.0+b", sources={"vssbench": "1", "methods/b": "3"})
    assert footnotes.version_remarks([first, second]) == []
    footnotes.check_one_version([first, second])
    for other in (
        {"sources": {"vssbench": "9", "methods/b": "3"}},
        {"sources": {"vssbench": "1", "methods/a": "9"}},
        {"sources": {}},
    ):
        rows = [first, {**second, **other}]
        assert "Measured by 2 versions of the code" in render(rows, "md")
        with pytest.raises(UsageError, match=r"--strict: .*0\.1\.0\+a, 0\.1\.0\+b"):
            footnotes.check_one_version(rows)
