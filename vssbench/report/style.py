"""The look that all figures share, and how they are saved: readable at a paper's text width, the
same bytes each time."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import east_asian_width

from vssbench.core import files
from vssbench.core.errors import UsageError
from vssbench.core.progress import messages
from vssbench.lettering import FAMILY, complaint, families, matplotlib_ready, spelt, style
from vssbench.report.rows import Row

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's colours for every kind of colour vision, those that are faint on white last
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9", "#F0E442")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<")
DASHES = ("-", "--", "-.", ":")
GREY = "#808080"
#: at which no line is broken
_HARD_SPACE = "\u00a0"
#: what is not broken over two lines of a title
_WHOLE = r"\([^()]*\)|\d kbit/s|GOP \d+(?: to \d+)?"

#: points (1/72 inch): labels, then everything else
LABEL_SIZE, TEXT_SIZE = 8.0, 9.0
#: mean width of a letter of the font, in parts of its size
LETTER_WIDTH = 0.56
#: inches that a panel gives to the numbers and the name of its y axis
Y_AXIS_WIDTH = 0.35
#: inches: a figure of one panel, and of several beside each other (the text width of a two-column
#: paper)
SINGLE_WIDTH, DOUBLE_WIDTH = 4.8, 6.9
#: panels of a figure up to which so many stand beside each other, each so many inches high
ARRANGEMENTS = ((1, 1, 3.0), (6, 2, 3.0), (9, 3, 2.3), (24, 4, 2.1))
MAX_PANELS = ARRANGEMENTS[-1][0]
#: panels beside each other from which on axes are named once a figure and titles are short
NARROW_FROM = 3
DPI = 200
#: inches of a legend that a figure has room for; and letters that a legend's signs take
LEGEND_HEIGHT, _LEGEND_SIGN = 0.9, 6

#: file ending -> metadata without dates or versions, so that equal data gives equal files
METADATA: dict[str, dict[str, Any]] = {
    ".png": {"Software": None},
    ".pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    ".svg": {"Date": None, "Creator": None},
}

_SETTINGS: dict[Any, Any] = {
    "font.family": [FAMILY], "font.size": TEXT_SIZE, "axes.titlesize": TEXT_SIZE,
    "axes.labelsize": TEXT_SIZE,
    "xtick.labelsize": LABEL_SIZE, "ytick.labelsize": LABEL_SIZE, "legend.fontsize": LABEL_SIZE,
    "pdf.fonttype": 42,
    "svg.hashsalt": "vssbench", "axes.spines.top": False, "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#E4E4E4", "grid.linewidth": 0.6, "axes.axisbelow": True, "lines.linewidth": 1.3,
    "lines.markersize": 5.0, "legend.frameon": False, "figure.dpi": DPI, "savefig.dpi": DPI,
}  # fmt: skip


#: fields of a row that figures show
_NAMES = ("display", "dataset", "dataset_title", "codec_name", "codec_title", "without", "split")

#: numbers marked in a decade of a logarithmic axis, from few to many
_SUBDIVISIONS = (
    (1.0,),
    (1.0, 3.0),
    (1.0, 2.0, 5.0),
    (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0),
    tuple(1.0 + n / 4 for n in range(36)),
)


@dataclass(frozen=True)
class Look:
    """The look of a method, or of a family of methods, in every panel."""

    colour: str
    marker: str
    dash: str


def looks(names: Sequence[str]) -> dict[str, Look]:
    """Return one look a name, distinct for up to 72 names.

    They are distinct in colour and marker together, and in marker for neighbours.
    """
    return {
        name: Look(
            PALETTE[place % len(PALETTE)],
            MARKERS[place % len(MARKERS)],
            DASHES[place // len(PALETTE) % len(DASHES)],
        )
        for place, name in enumerate(names)
    }


@dataclass(frozen=True)
class Lettering:
    """Fonts for the names of a figure's rows, the rows with names that these can write, and the
    letters that no font has."""

    fonts: tuple[str, ...]
    rows: list[Row]
    lacking: frozenset[str] = frozenset()

    @classmethod
    def of(cls, rows: Sequence[Row], more: Iterable[str] = ()) -> Lettering:
        """Find fonts for every name, and for ``more``. Letters that no installed font has are
        written as their numbers, and a line on stderr says so."""
        names = (str(row[name]) for row in rows for name in _NAMES if name in row)
        fonts, lacking = families(chain(names, more))
        if lacking:
            messages().print(complaint(lacking), markup=False, highlight=False, soft_wrap=True)
        written = [
            row | {name: spelt(str(row[name]), lacking) for name in _NAMES if name in row}
            for row in rows
        ]
        return cls(tuple(fonts), written if lacking else list(rows), frozenset(lacking))

    def spelt(self, text: str) -> str:
        """Return a text as the fonts can write it."""
        return spelt(text, self.lacking)


def check_ending(path: Path) -> None:
    """Raise UsageError where a figure cannot be written in the format that a file's name says."""
    if path.suffix.lower() not in METADATA:
        raise UsageError(
            f"cannot write a figure as {path.name!r}: expected a name that ends in "
            f"{', '.join(METADATA)}"
        )


@contextmanager
def sheet(
    path: Path,
    panels: int,
    fonts: Sequence[str] = (FAMILY,),
    arrangement: tuple[int, float, float] | None = None,
) -> Iterator[tuple[Figure, list[Axes]]]:
    """Yield a figure of ``panels`` axes, some beside each other; written to ``path`` when the block
    ends.

    ``arrangement`` says how many stand beside each other, and the inches that the figure is wide
    and a panel high. ``fonts`` are asked for each letter in turn. Backend and style are this
    project's, whatever the user's own figures have.

    Raises UsageError where the file's ending is none of .png, .pdf and .svg, or where there are too
    many panels.
    """
    check_ending(path)
    if panels > MAX_PANELS:
        raise UsageError(
            f"{panels} panels do not fit a figure: choose what makes at most {MAX_PANELS}, by -d, "
            "-c and -m"
        )
    matplotlib_ready()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    if arrangement is None:
        across, height = next(known[1:] for known in ARRANGEMENTS if panels <= known[0])
        arrangement = (across, SINGLE_WIDTH if across == 1 else DOUBLE_WIDTH, height)
    across, width, height = arrangement
    down = -(-panels // across)
    with style({**_SETTINGS, "font.family": list(fonts)}):
        figure = Figure(figsize=(width, height * down + 0.4), layout="constrained")
        FigureCanvasAgg(figure)
        grid = figure.subplots(down, across, squeeze=False)
        axes = list(grid.flat)
        for spare in axes[panels:]:
            spare.remove()
        yield figure, axes[:panels]
        with files.draft(path) as draft:
            figure.savefig(draft, metadata=METADATA[path.suffix.lower()])


def narrow(axes: Axes) -> bool:
    """Return whether so many panels stand side by side that there is little room for words."""
    return axes.get_gridspec().ncols >= NARROW_FROM  # type: ignore[union-attr]


def share_y(panels: Sequence[Axes], kinds: Sequence[str]) -> None:
    """Use one y axis for all panels of a kind; its numbers stand only where the panel to the left
    is not of that kind."""
    first: dict[str, Axes] = {}
    for place, (axes, kind) in enumerate(zip(panels, kinds, strict=True)):
        if first.setdefault(kind, axes) is not axes:
            axes.sharey(first[kind])
        if not _is_left(axes) and kinds[place - 1] == kind:
            axes.tick_params(labelleft=False)


def label_axes(panels: Sequence[Axes], ylabel: str, xlabel: str) -> None:
    """Name the y axes to the left and each x axis. Narrow panels leave their x axes to the legend's
    heading."""
    for axes in panels:
        if not narrow(axes):
            axes.set_xlabel(xlabel)
        if _is_left(axes):
            axes.set_ylabel(ylabel)


def _is_left(axes: Axes) -> bool:
    return axes.get_subplotspec().is_first_col()  # type: ignore[union-attr]


def log_ticks(axes: Axes) -> None:
    """Put few plain numbers on a logarithmic x axis, which may span from a part of a decade to
    several. Limits must be final."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    low, high = axes.get_xlim()
    subs = next(
        (subs for subs in _SUBDIVISIONS if len(_marks(low, high, subs)) >= 3), _SUBDIVISIONS[-1]
    )
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _marks(low: float, high: float, subs: Sequence[float]) -> list[float]:
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    return [
        sub * 10.0**decade
        for decade in decades
        for sub in subs
        if low <= sub * 10.0**decade <= high
    ]


def legend_outside(
    figure: Figure,
    handles: Sequence[Any],
    heading: str = "",
    place: str = "lower",
    notes: Sequence[str] = (),
) -> None:
    """Put a legend below (``upper``: above) all panels, in as few lines as the figure's width
    allows, about equally full, below ``heading`` and ``notes``. Names wider than the figure are
    wrapped; the figure grows by what a legend needs beyond :data:`LEGEND_HEIGHT`."""
    letters = int(figure.get_figwidth() * 72 / (LETTER_WIDTH * LABEL_SIZE)) - _LEGEND_SIGN
    for handle in handles:
        handle.set_label(_wrapped(handle.get_label(), letters))
    engine = figure.get_layout_engine()
    figure.set_layout_engine("none")  # the panels have no room beside a legend not yet grown for
    title = "\n".join(filter(None, [heading, *(_wrapped(note, letters) for note in notes)]))
    count = max(1, len(handles))  # a legend of notes alone has no handle
    for lines in range(1, count + 1):
        columns = -(-count // lines)
        where: Any = f"outside {place} center"
        legend = figure.legend(
            handles=list(handles),
            loc=where,
            ncols=columns,
            columnspacing=1.4,
            title=title or None,
        )
        legend.get_title().set_fontsize(LABEL_SIZE if notes else TEXT_SIZE)
        figure.draw_without_rendering()
        extent = legend.get_window_extent()
        if columns == 1 or extent.width <= figure.bbox.width:
            figure.set_figheight(figure.get_figheight() + _growth(figure, extent.height))
            break
        legend.remove()
    figure.set_layout_engine(engine)


def _growth(figure: Figure, added: float) -> float:
    """Return the inches by which a figure must grow for its latest legend, of that height in
    pixels, beside those that it grew for before."""
    heights = [legend.get_window_extent().height for legend in figure.legends]
    whole, before = sum(heights) / figure.dpi, (sum(heights) - added) / figure.dpi
    return max(0.0, whole - LEGEND_HEIGHT) - max(0.0, before - LEGEND_HEIGHT)


def _wrapped(text: str, letters: int) -> str:
    """Return a text in lines of at most so many letters, of those that are twice as wide half as
    many."""
    wide = sum(east_asian_width(letter) in "WF" for letter in text) / max(1, len(text))
    room = max(8, int(letters / (1 + wide)))
    return "\n".join(textwrap.wrap(text, room, break_on_hyphens=False) or [text])


def wrapped_title(axes: Axes, lines: Sequence[str]) -> None:
    """Write a panel's title, wrapped where a line would be wider than the panel, but not in
    brackets, before a rate's unit, within a GOP or before a stroke."""
    across = axes.get_gridspec().ncols  # type: ignore[union-attr]
    size = LABEL_SIZE if narrow(axes) else TEXT_SIZE
    letters = int((axes.figure.get_figwidth() / across - Y_AXIS_WIDTH) * 72 / (LETTER_WIDTH * size))  # type: ignore[union-attr]
    whole = [
        re.sub(_WHOLE, lambda match: match[0].replace(" ", _HARD_SPACE), line).replace(
            " / ", f"{_HARD_SPACE}/ "
        )
        for line in lines
    ]
    pieces = [
        piece for line in whole for piece in textwrap.wrap(line, letters, break_on_hyphens=False)
    ]
    axes.set_title("\n".join(pieces).replace(_HARD_SPACE, " "), fontsize=size)


def settle(figure: Figure) -> None:
    """Fix the layout: what is placed by rendered extents afterwards stays where it was put, and
    titles of panels that lie to one side stand inside the figure."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        box = axes.title.get_window_extent()
        beyond = max(0.0, box.x1 - figure.bbox.width) or min(0.0, box.x0)
        if beyond:
            x, _ = axes.title.get_position()
            axes.title.set_x(x - beyond / axes.bbox.width)
