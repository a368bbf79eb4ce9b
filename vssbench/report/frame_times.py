"""The figure of the time of every frame: the spikes of keyframes, and the deadlines that they
miss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from vssbench.core.errors import DataError
from vssbench.report.columns import groups, told_apart
from vssbench.report.plots import (
    LOG_FROM,
    by_machine,
    drawable,
    name_panels,
    notes_of,
    spread_over,
)
from vssbench.report.rows import Row
from vssbench.report.style import (
    GREY,
    LABEL_SIZE,
    Lettering,
    Look,
    label_axes,
    legend_outside,
    looks,
    settle,
    sheet,
)
from vssbench.run.records import LatencyRecord
from vssbench.run.store import RunStore

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

#: frames a second of the deadlines
RATES = (25, 30)
#: GOPs that are drawn, and frames at the most
_GOPS, _FRAMES = 4, 120
_TIMES = "_times"
XLABEL = "frames in the order timed (markers: keyframes)"


def times_of(store: RunStore, rows: Sequence[Row]) -> dict[str, LatencyRecord]:
    """Return the times of the rows' frames, by ``run_id``, of those runs that kept them."""
    found = {}
    for row in rows:
        try:
            record = store.get(row["run_id"]).latency
        except DataError:
            continue
        if record is not None and len(record.model_ms):
            found[row["run_id"]] = record
    return found


def latency(rows: Sequence[Row], path: Path, times: Mapping[str, LatencyRecord]) -> list[str]:
    """Draw the time of each frame (ms: decoding, motion and network) over the first GOPs, with the
    deadlines of 25 and 30 frames a second; the legend says which part of all frames misses them.

    A panel for each dataset, codec, protocol and machine; files as in
    `vssbench.report.plots.pareto`. Returns the rows left out, in words: those without such times.
    """
    timed = [row | {_TIMES: times.get(row["run_id"])} for row in rows]
    drawn, left_out = drawable(timed, {_TIMES: "times of frames"})
    names = Lettering.of(drawn)
    parts = [each for part in groups(names.rows) for each in by_machine(told_apart(part))]
    styles = looks(sorted({row["display"] for part in parts for row in part.rows}))
    sums = {row["run_id"]: total(row[_TIMES]) for row in drawn}
    every = np.concatenate([*sums.values(), [1000 / rate for rate in RATES]]).tolist()
    logarithmic = spread_over(every) > LOG_FROM
    with sheet(Path(path), len(parts), names.fonts) as (figure, panels):
        handles = {}
        for axes, part in zip(panels, parts, strict=True):
            if logarithmic:
                _logarithmic(axes)
            for row in part.rows:
                its = (sums[row["run_id"]], row[_TIMES].key)
                length = min(_FRAMES, _GOPS * max(1, row["gop"]))
                handles[row["display"]] = _line(axes, its, length, styles[row["display"]])
            _deadlines(axes)
        heading = name_panels(panels, parts, XLABEL)
        label_axes(panels, "ms per frame", XLABEL)
        ordered = [handles[name] for name in styles]
        for name, handle in zip(styles, ordered, strict=True):
            its_runs = [
                row["run_id"] for part in parts for row in part.rows if row["display"] == name
            ]
            handle.set_label(f"{name}: {_late([sums[run] for run in its_runs])}")
        legend_outside(figure, ordered, heading, notes=notes_of(parts, None))
        settle(figure)
    return left_out


def total(record: LatencyRecord) -> npt.NDArray[np.float64]:
    """Return the whole time of each frame, ms (F,); what was not measured counts nothing."""
    parts = (record.decode_ms, record.motion_ms, record.model_ms)
    return np.sum([np.nan_to_num(part) for part in parts], axis=0)


def _late(runs: Sequence[npt.NDArray[np.float64]]) -> str:
    """Say which part of all frames misses each deadline, as a span where runs differ in it."""
    said = []
    for rate in RATES:
        shares = sorted(100 * float((times > 1000 / rate).mean()) for times in runs)
        ends = dict.fromkeys(f"{share:.0f}" for share in (shares[0], shares[-1]))
        said.append(f"{' to '.join(ends)} % at {rate} fps")
    return f"late {' and '.join(said)}"


def _line(
    axes: Axes,
    its: tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]],
    length: int,
    look: Look,
) -> Line2D:
    times, key = (each[:length] for each in its)
    places = np.arange(len(times))
    axes.plot(
        places[key], times[key], linestyle="", marker=look.marker, color=look.colour, markersize=4
    )
    (line,) = axes.plot(
        places, times, color=look.colour, linestyle=look.dash, linewidth=0.9, marker=look.marker,
        markersize=4, markevery=np.flatnonzero(key).tolist(),
    )  # fmt: skip
    return line


def _logarithmic(axes: Axes) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _deadlines(axes: Axes) -> None:
    """Draw the deadlines, named to the right of the panel, the longer above and the shorter below
    its line."""
    for rate, side in zip(RATES, ("bottom", "top"), strict=True):
        axes.axhline(1000 / rate, color=GREY, linestyle=":", linewidth=1.0, zorder=1)
        axes.annotate(
            f"{rate} fps", (1.01, 1000 / rate), (0, 0), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", ha="left", va=side, fontsize=LABEL_SIZE, color="#505050",
        )  # fmt: skip
