"""The look that all figures share, and how they are saved: readable at a paper's text width, the same bytes each time."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vssbench.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's colours for every kind of colour vision, those that are faint on white last
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
DASHES = ("-", "--", "-.", ":")
GREY = "#808080"

#: points (1/72 inch): labels, then everything else
LABEL_SIZE, TEXT_SIZE = 8.0, 9.0
#: mean width of a letter of the font, in parts of its size
LETTER_WIDTH = 0.56
#: inches that a panel gives to the numbers and the name of its y axis
Y_AXIS_WIDTH = 0.35
#: inches: a figure of one panel, and of two beside each other (the text width of a two-column paper)
SINGLE_WIDTH, DOUBLE_WIDTH, PANEL_HEIGHT = 4.8, 6.9, 3.0
COLUMNS, MAX_PANELS = 2, 6
DPI = 200

#: file ending -> metadata without dates or versions, so that equal data gives equal files
METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    ".svg": {"Date": None, "Creator": None},
}

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans", "font.size": TEXT_SIZE, "axes.titlesize": TEXT_SIZE, "axes.labelsize": TEXT_SIZE,
    "xtick.labelsize": LABEL_SIZE, "ytick.labelsize": LABEL_SIZE, "legend.fontsize": LABEL_SIZE, "pdf.fonttype": 42,
    "svg.hashsalt": "vssbench", "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True,
    "grid.color": "#E4E4E4", "grid.linewidth": 0.6, "axes.axisbelow": True, "lines.linewidth": 1.3,
    "lines.markersize": 5.0, "legend.frameon": False, "figure.dpi": DPI, "savefig.dpi": DPI,
}  # fmt: skip


@dataclass(frozen=True)
class Look:
    """How a method, or a family of methods, is drawn in every panel."""

    colour: str
    marker: str
    dash: str


def looks(names: Sequence[str]) -> dict[str, Look]:
    """One look a name, distinct in colour and marker together for up to 72 names and in marker for neighbours."""
    return {
        name: Look(PALETTE[place % len(PALETTE)], MARKERS[place % len(MARKERS)], DASHES[place // len(PALETTE) % len(DASHES)])
        for place, name in enumerate(names)
    }


@contextmanager
def sheet(path: Path, panels: int) -> Iterator[tuple[Figure, list[Axes]]]:
    """A figure of ``panels`` axes that share their y axis, two a row; written to ``path`` when the block ends.

    Raises UsageError where the file's ending is none of .png, .pdf and .svg, or where there are too many panels.
    """
    if path.suffix.lower() not in METADATA:
        raise UsageError(f"cannot write a figure as {path.name!r}: expected a name that ends in {', '.join(METADATA)}")
    if panels > MAX_PANELS:
        raise UsageError(
            f"{panels} panels (one for each dataset, codec and protocol) do not fit a figure: "
            f"choose at most {MAX_PANELS} of them"
        )
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(COLUMNS, panels)
    down = -(-panels // COLUMNS)
    with rc_context(_SETTINGS):
        size = (SINGLE_WIDTH if across == 1 else DOUBLE_WIDTH, PANEL_HEIGHT * down + 0.4)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(down, across, sharey=True, squeeze=False)
        axes = list(grid.flat)
        for spare in axes[panels:]:
            spare.remove()
        yield figure, axes[:panels]
        path.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(path, metadata=METADATA[path.suffix.lower()])


def legend_below(figure: Figure, handles: Sequence[Any]) -> None:
    """A legend below all panels, in as few lines as the figure's width allows, the lines about equally full."""
    for lines in range(1, len(handles) + 1):
        columns = -(-len(handles) // lines)
        legend = figure.legend(handles=list(handles), loc="outside lower center", ncols=columns, columnspacing=1.4)
        figure.draw_without_rendering()
        if columns == 1 or legend.get_window_extent().width <= figure.bbox.width:
            return
        legend.remove()


def wrapped_title(axes: Axes, lines: Sequence[str]) -> None:
    """A panel's title, wrapped where a line would be wider than the panel."""
    across = axes.get_gridspec().ncols  # type: ignore[union-attr]
    letters = int((axes.figure.get_figwidth() / across - Y_AXIS_WIDTH) * 72 / (LETTER_WIDTH * TEXT_SIZE))  # type: ignore[union-attr]
    pieces = [piece for line in lines for piece in textwrap.wrap(line, letters, break_on_hyphens=False)]
    axes.set_title("\n".join(pieces))


def settle(figure: Figure) -> None:
    """Fix the layout: what is placed by rendered extents afterwards stays where it was put."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
