"""Figures of many methods, of long names, of names in any script, and whatever the user's figures
look like."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from vssbench import lettering
from vssbench.core.variant import Variant, parse_variant
from vssbench.report import frame_times, heat_map, plots, rates, series
from vssbench.report.rows import Row
from vssbench.run.records import LatencyRecord

MakeRow = Callable[..., Row]
Draw = Callable[[list[Row], Path], list[str]]


def times(rows: list[Row], path: Path) -> list[str]:
    """Draw the times of frames of rows that have none of their own."""
    frames = np.arange(12)
    key, ms = frames % 12 == 0, np.where(frames % 12 == 0, 60.0, 15.0)
    record = LatencyRecord(frames, key, ms / 10, ms / 10, ms)
    return frame_times.latency(rows, path, {row["run_id"]: record for row in rows})


DRAWS = (
    plots.pareto,
    plots.distance,
    rates.rate,
    heat_map.classes,
    series.scale,
    series.gop,
    times,
)
#: those that have no line a method
QUALITIES = (rates.quality,)
#: inches that a panel keeps, however large the legend is
LEAST = 1.3
#: a letter that DejaVu Sans lacks and a font that comes with matplotlib has
RARE = "\u2312"


@pytest.fixture
def twenty(make_row: MakeRow) -> list[Row]:
    """Twenty methods with names of 70 letters, at two rates, some of them with marks."""
    rows = []
    for number in range(20):
        name = f"AR0.5-PSP18 (stages {number}, convolution=creff, keyframes local, every frame)"
        for codec, kbps in (("hevc[bitrate=3M]", 3012.0), ("hevc[bitrate=1M]", 998.0)):
            miou = 0.5 + 0.01 * number + kbps / 1e5
            rows.append(
                make_row(
                    name, method=f"arseg[stages={number}]", codec=codec, bitrate_kbps=kbps,
                    run_id=f"{number} {codec}",
                    miou=miou, miou_by_distance=[miou] * 12, gmacs_gop=5 * 1.2**number,
                    seen=("none", "training", "unknown")[number % 3],
                    void=("", "error")[number % 2],
                )
            )  # fmt: skip
    return rows


def varied(rows: list[Row], draw: Draw) -> list[Row]:
    """Return rows of which each has a second, of another scale or GOP, where a figure needs it."""
    key, values = {series.scale: ("method", (0.5, 1.0)), series.gop: ("gop", (6, 12))}.get(
        draw, ("", (0,))
    )
    made = []
    for row, value in product(rows, values):
        other: dict[str, Any] = {"run_id": f"{value} {row['run_id']}"}
        if key == "method":
            method = parse_variant(row["method"])
            other[key] = str(Variant(method.name, {**method.params, "scale": value}))
            name = row["display"].replace("AR0.5", f"AR{value}")
            other["display"] = name if name.startswith("AR") else f"{name} {value:g}x"
        elif key:
            other[key] = value
        made.append(row | other)
    return made


def texts_of(figure: Figure) -> list[Text]:
    """All texts but the numbers of the axes, of which those beyond the panel are not drawn."""
    numbers = {
        label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)
        for label in axis.get_ticklabels(which="both")
    }  # fmt: skip
    return [
        text for text in figure.findobj(Text)
        if isinstance(text, Text) and text.get_text() and text not in numbers
    ]  # fmt: skip


@pytest.mark.parametrize("draw", DRAWS)
def test_twenty_methods_of_long_names_are_all_told(
    twenty: list[Row], tmp_path: Path, figures: list[Figure], draw: Draw
) -> None:
    """No name is cut off, no legend lies over a panel, and the panels keep their height."""
    # at two rates where the kind is one of rates
    draw(varied(twenty if draw in DRAWS[:4] else twenty[::2], draw), tmp_path / "a.png")
    (figure,) = figures
    figure.draw_without_rendering()
    width, height = figure.bbox.size
    for text in texts_of(figure):
        extent = text.get_window_extent()
        assert extent.x0 >= -1, text
        assert extent.x1 <= width + 1, text
        assert extent.y0 >= -1, text
        assert extent.y1 <= height + 1, text
    legends = [legend.get_window_extent() for legend in figure.legends]
    for axes in figure.axes:
        assert axes.bbox.height / figure.dpi >= LEAST
        assert not any(axes.bbox.overlaps(legend) for legend in legends)
    said = " ".join(
        text.get_text().replace("\n", " ")
        for legend in figure.legends
        for text in legend.get_texts()
    )
    assert all(f"(stages {number}," in said for number in range(20))


def test_twenty_methods_over_the_rate_are_told_apart(
    twenty: list[Row], tmp_path: Path, figures: list[Figure]
) -> None:
    rates.rate(twenty, tmp_path / "a.png")
    signs = {
        (line.get_marker(), line.get_linestyle(), line.get_color(), line.get_markerfacecolor())
        for line in figures[0].axes[0].lines
    }
    assert len(signs) == 20


@pytest.mark.parametrize("draw", [*DRAWS, *QUALITIES])
def test_letters_of_no_font_are_written_as_numbers(
    make_row: MakeRow,
    tmp_path: Path,
    figures: list[Figure],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    recwarn: pytest.WarningsRecorder,
    draw: Draw,
) -> None:
    monkeypatch.setattr(lettering, "_installed", list)
    rows = [make_row("网络1 Сеть", dataset_title="街景"), make_row("网络2", dataset_title="街景")]
    draw(varied(rows, draw), tmp_path / "a.png")
    error = capsys.readouterr().err
    assert error.count("no installed font has the letters") == 1
    assert "install a font" in error
    said = " ".join(text.get_text().replace("\n", " ") for text in figures[0].findobj(Text))  # type: ignore[attr-defined]
    assert "<U+8857 U+666F> 720x960" in said
    assert all("网" not in text.get_text() for text in figures[0].findobj(Text))  # type: ignore[attr-defined]
    if draw not in (plots.pareto, rates.quality) or "<U+7F51" in said:
        assert "<U+7F51 U+7EDC>1 Сеть" in said  # Cyrillic stays
    assert not [str(each.message) for each in recwarn if "missing from font" in str(each.message)]


def test_cyrillic_needs_no_other_font(capsys: pytest.CaptureFixture[str]) -> None:
    assert lettering.families(["Дорога", "Ω", "PSPNet18 †‡§¶"]) == ([lettering.FAMILY], set())
    assert capsys.readouterr().err == ""


def test_a_font_that_has_the_letter_is_taken(
    make_row: MakeRow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fonts, lacking = lettering.families([f"A{RARE}"])
    assert not lacking
    assert len(fonts) == 2
    plots.pareto([make_row(f"A{RARE}")], tmp_path / "a.png")
    assert capsys.readouterr().err == ""
    assert lettering.has_all(lettering.font_file([RARE]), RARE)


DRAW = """
import sys
from pathlib import Path
from vssbench.report.style import sheet

with sheet(Path(sys.argv[1]), 1) as (figure, (axes,)):
    axes.plot([1, 2], [3, 4], label="a_b $c")
    axes.legend()
    axes.set_title("Title")
"""


def test_the_users_backend_and_style_change_nothing(tmp_path: Path) -> None:
    """A notebook's, a misspelt one, and a matplotlibrc that asks for LaTeX and grey lines."""
    rc = tmp_path / "matplotlibrc"
    rc.write_text("text.usetex: True\nfont.size: 30\naxes.prop_cycle: cycler('color', ['gray'])\n")
    pictures = []
    for number, own in enumerate(
        (
            {},
            {"MPLBACKEND": "module://matplotlib_inline.backend_inline", "MATPLOTLIBRC": str(rc)},
            {"MPLBACKEND": "nonsense"},
        )
    ):
        environment = {key: value for key, value in os.environ.items() if "MATPLOTLIB" not in key}
        environment.pop("MPLBACKEND", None)
        path = tmp_path / f"{number}.png"
        done = subprocess.run(
            [sys.executable, "-c", DRAW, path], env=environment | own, text=True, check=False,
            capture_output=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        pictures.append(path.read_bytes())
    assert pictures[0] == pictures[1] == pictures[2]
