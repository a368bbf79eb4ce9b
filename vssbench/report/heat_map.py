"""The figure of the IoU of each class by method, as a heat map."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from vssbench.core.errors import UsageError
from vssbench.report.columns import Group, groups, told_apart
from vssbench.report.plots import drawable, name_panels, notes_of
from vssbench.report.rows import Row
from vssbench.report.style import (
    DOUBLE_WIDTH,
    LABEL_SIZE,
    LETTER_WIDTH,
    SINGLE_WIDTH,
    Lettering,
    legend_outside,
    settle,
    sheet,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

#: inches of a class's line, of all lines at the least, of what stands above and below them, and of
#: a figure at the most
_LINE, _LEAST, _AROUND, _TALLEST = 0.165, 1.4, 1.0, 60.0
#: letters of a name that stands on its side above its column
_UPRIGHT = 22
#: methods from which on a panel takes the figure's whole width
_WIDE_FROM = 9
MEAN = "mIoU"


def classes(rows: Sequence[Row], path: Path) -> list[str]:
    """Draw the IoU (%) of each class by method, the mean first, a panel for each dataset, codec and
    protocol.

    Long names of methods are numbers above their columns, which the legend spells out. A class in
    neither truth nor prediction has a blank cell. Files as in `vssbench.report.plots.pareto`.
    Returns the rows left out, in words: those without accuracy.
    """
    drawn, left_out = drawable(rows, {"miou": "accuracy"})
    names = Lettering.of(drawn, (name for row in drawn for name in row["per_class"]))
    parts = [told_apart(part) for part in groups(names.rows)]
    shown = list(dict.fromkeys(row["display"] for part in parts for row in part.rows))
    numbered = max(map(len, shown)) > _UPRIGHT
    headings = {
        name: str(place) if numbered else name for place, name in enumerate(shown, 1)
    }  # fmt: skip
    with sheet(Path(path), len(parts), names.fonts, _arrangement(parts, headings)) as (
        figure,
        panels,
    ):
        image = None
        for axes, part in zip(panels, parts, strict=True):
            image = _panel(axes, part, headings, names)
        name_panels(panels, parts, "")
        for axes in panels:
            axes.set_ylabel("")
        assert image is not None
        bar = figure.colorbar(image, ax=panels, shrink=0.5, aspect=30, pad=0.02)
        bar.set_label("IoU (%)")
        bar.outline.set_visible(False)
        notes = notes_of(parts, None)
        if numbered or notes:
            legend_outside(figure, _spelt(headings if numbered else {}), notes=notes)
        settle(figure)
    return left_out


def _arrangement(parts: Sequence[Group], headings: dict[str, str]) -> tuple[int, float, float]:
    """Return how many panels stand beside each other, and the inches of the figure's width and of a
    panel's height. Raises UsageError where that is no figure any more."""
    methods = max(len(part.rows) for part in parts)
    across = 1 if len(parts) == 1 or methods >= _WIDE_FROM else 2
    letters = max(map(len, headings.values()))
    above = letters * LETTER_WIDTH * LABEL_SIZE / 72
    lines = _LINE * (1 + max(len(part.classes) for part in parts))
    height = max(lines, _LEAST) + _AROUND + above
    if height * -(-len(parts) // across) > _TALLEST:
        raise UsageError(
            f"the classes of {len(parts)} panels do not fit a figure: choose fewer by -d and -c"
        )
    wide = across > 1 or methods >= _WIDE_FROM
    return across, DOUBLE_WIDTH if wide else SINGLE_WIDTH, height


def _panel(axes: Axes, part: Group, headings: dict[str, str], names: Lettering) -> AxesImage:
    """Draw a panel: lines are the mean and the classes, columns the methods, the best first."""
    lines = [MEAN, *part.classes]
    values = np.array(
        [
            [row["miou"], *(_number(row["per_class"].get(name)) for name in part.classes)]
            for row in part.rows
        ],
        np.float64,
    ).T
    image = axes.imshow(100 * values, cmap="viridis", vmin=0, vmax=100, aspect="auto")
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    columns = [headings[row["display"]] for row in part.rows]
    upright = max(map(len, columns)) > 2
    axes.set_xticks(range(len(columns)), columns, rotation=90 if upright else 0)
    axes.set_yticks(range(len(lines)), [names.spelt(line) for line in lines])
    axes.xaxis.tick_top()
    axes.tick_params(length=0)
    axes.axhline(0.5, color="white", linewidth=2.0)
    for (line, column), value in np.ndenumerate(100 * values):
        if not math.isnan(value):
            axes.text(
                column, line, f"{value:.0f}", ha="center", va="center", fontsize=LABEL_SIZE,
                color="black" if value > 60 else "white",
            )  # fmt: skip
    return image


def _number(value: float | None) -> float:
    return math.nan if value is None else value


def _spelt(headings: dict[str, str]) -> list[object]:
    """Return handles of a legend that say which number is which method."""
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], linestyle="", label=f"{number}  {name}") for name, number in headings.items()
    ]
