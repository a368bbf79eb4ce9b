"""Figures over the measured bit rate: accuracy of methods, and quality of the decoded frames, for
each codec."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from vssbench.core.errors import UsageError
from vssbench.report.columns import groups, told_apart
from vssbench.report.footnotes import footnotes, version_remarks
from vssbench.report.headings import Conditions, Heading, conditions, headings
from vssbench.report.plots import drawable, nothing_to_draw
from vssbench.report.rows import Row
from vssbench.report.streams import curve, uncompressed
from vssbench.report.style import (
    DASHES,
    GREY,
    MARKERS,
    PALETTE,
    Lettering,
    Look,
    label_axes,
    legend_outside,
    log_ticks,
    narrow,
    settle,
    sheet,
    wrapped_title,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

T = TypeVar("T")

#: markers and dashes of methods; every other one is drawn hollow, too
LOOKS = tuple(
    Look(GREY, MARKERS[place % len(MARKERS)], DASHES[place % len(DASHES)])
    for place in range(len(MARKERS) * len(DASHES))
)
XLABEL = "measured bit rate (kbit/s)"
QUALITIES = {"psnr": ("psnr_db", "PSNR of luma (dB)"), "ssim": ("ssim", "SSIM of luma")}
#: part of the axis's length left free beside the first and the last rate
_MARGIN = 0.06


def rate(rows: Sequence[Row], path: Path) -> list[str]:
    """Draw mIoU (%) against the measured rate (kbit/s, logarithmic), a line for each method and
    codec setting.

    Colours are codecs (of a single codec setting: methods), markers and dashes methods; a panel for
    each dataset and protocol. Uncompressed video is a level line: its rate is that of pixels. The
    format follows the file's ending, as in `vssbench.report.plots.pareto`. Returns the rows left
    out, in words. Raises UsageError where none can be drawn or there are more lines than can be
    told apart.
    """
    drawn, left_out = drawable(
        rows, {"miou": "accuracy", "bitrate_kbps": "measured rate"}, unless=uncompressed
    )
    lettering = Lettering.of(drawn)
    named = [row for part in groups(lettering.rows) for row in told_apart(part).rows]
    levels, coded = _parted(named)
    gop = len({row["gop"] for row in coded}) > 1
    colours = _assigned("codec settings", {curve(row, gop) for row in coded}, PALETTE, "-c")
    styles = _assigned("methods", {row["display"] for row in named}, LOOKS, "-m")
    if len(colours) == 1:  # colours are free for the methods
        colours = dict.fromkeys(colours, GREY)
        styles = {
            name: replace(look, colour=PALETTE[place % len(PALETTE)])
            for place, (name, look) in enumerate(styles.items())
        }
    panels = _panels(named)
    with sheet(Path(path), len(panels), lettering.fonts) as (figure, all_axes):
        for axes, (heading, members) in zip(all_axes, panels, strict=True):
            for (setting, method), points in _lines(_parted(members)[1], gop).items():
                _draw(
                    axes,
                    points,
                    colours[setting] if len(colours) > 1 else styles[method].colour,
                    styles[method],
                    list(styles).index(method) % 2 == 1,
                )
            for row in _parted(members)[0]:
                _level(
                    axes,
                    100 * row["miou"],
                    styles[row["display"]],
                    list(styles).index(row["display"]) % 2 == 1,
                )
            _finish(axes, heading, members)
        label_axes(all_axes, "mIoU (%)", XLABEL)
        legend_outside(figure, _method_handles(styles), place="upper")
        notes = [*version_remarks(named), *footnotes(named)]
        legend_outside(
            figure, _codec_handles(colours, bool(levels)), _heading(all_axes), notes=notes
        )
        settle(figure)
    return left_out


def quality(rows: Sequence[Row], path: Path, measure: str = "psnr") -> list[str]:
    """Draw PSNR (dB) or SSIM (``measure``) against the measured rate, a line a codec setting,
    panels as in `rate`.

    A stream that several methods read is drawn once. Returns what was left out, in words: streams
    without the number, or without loss.
    """
    if measure not in QUALITIES:
        raise UsageError(f"unknown quality {measure!r}: expected {' or '.join(QUALITIES)}")
    field, ylabel = QUALITIES[measure]
    known, left_out = drawable(
        rows, {field: ylabel.partition(" ")[0], "bitrate_kbps": "measured rate"}
    )
    lettering = Lettering.of(known)
    known = lettering.rows
    lossless = [row for row in known if uncompressed(row) or math.isinf(row[field])]
    left_out += list(
        dict.fromkeys(f"{row['codec']} on {row['dataset']} (nothing is lost)" for row in lossless)
    )
    drawn = [row for row in known if row not in lossless]
    if not drawn:
        raise nothing_to_draw(left_out)
    gop = len({row["gop"] for row in drawn}) > 1
    colours = _assigned("codec settings", {curve(row, gop) for row in drawn}, PALETTE, "-c")
    panels = _panels(drawn)
    with sheet(Path(path), len(panels), lettering.fonts) as (figure, all_axes):
        for axes, (heading, members) in zip(all_axes, panels, strict=True):
            for place, (setting, colour) in enumerate(colours.items()):
                points = sorted(
                    {
                        (row["bitrate_kbps"], row[field])
                        for row in members
                        if curve(row, gop) == setting
                    }
                )
                _draw(axes, points, colour, Look(colour, MARKERS[place], "-"), hollow=False)
            _finish(axes, heading, members)
        label_axes(all_axes, ylabel, XLABEL)
        handles = _codec_handles(colours, levels=False, marked=True)
        legend_outside(figure, handles, _heading(all_axes), notes=version_remarks(drawn))
        settle(figure)
    return left_out


def _parted(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Split rows into those without a codec, and the others."""
    coded = [row for row in rows if not uncompressed(row)]
    return [row for row in rows if uncompressed(row)], coded


def _panels(rows: Sequence[Row]) -> list[tuple[Heading, list[Row]]]:
    names = headings(rows)
    parts: dict[Conditions, list[Row]] = {}
    for row in rows:
        parts.setdefault(conditions(row), []).append(row)
    return [(names[key], parts[key]) for key in sorted(parts)]


def _lines(rows: Sequence[Row], gop: bool) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """Return points (kbit/s, mIoU %) by rising rate for each codec setting and method."""
    lines: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        lines.setdefault((curve(row, gop), row["display"]), []).append(
            (row["bitrate_kbps"], 100 * row["miou"])
        )
    return {key: sorted(lines[key]) for key in sorted(lines)}


def _assigned(what: str, names: set[str], signs: Sequence[T], option: str) -> dict[str, T]:
    if len(names) > len(signs):
        raise UsageError(
            f"{len(names)} {what} cannot be told apart in one figure: choose at most {len(signs)} "
            f"by {option}"
        )
    return dict(zip(sorted(names), signs, strict=False))


def _draw(
    axes: Axes, points: Sequence[tuple[float, float]], colour: str, look: Look, hollow: bool
) -> None:
    if points:
        axes.plot(
            *zip(*points, strict=True), color=colour, marker=look.marker, linestyle=look.dash,
            markerfacecolor="white" if hollow else colour, zorder=3,
        )  # fmt: skip


def _level(axes: Axes, value: float, look: Look, hollow: bool) -> None:
    """Draw a line from edge to edge, with the method's marker at its end."""
    axes.axhline(value, color=look.colour, linestyle=look.dash, linewidth=1.0, zorder=1)
    axes.plot(
        [1.0], [value], transform=axes.get_yaxis_transform(), color=look.colour, marker=look.marker,
        linestyle="", clip_on=False,
        markerfacecolor="white" if hollow else look.colour, zorder=4, scalex=False,
    )  # fmt: skip


def _heading(panels: Sequence[Axes]) -> str:
    return XLABEL if narrow(panels[0]) else ""


def _finish(axes: Axes, heading: Heading, members: Sequence[Row]) -> None:
    axes.set_xscale("log")
    axes.margins(_MARGIN)
    if any(not uncompressed(row) for row in members):
        log_ticks(axes)
    else:  # no rate that an axis could tell
        axes.set_xticks([])
        axes.set_xticks([], minor=True)
    first = members[0]
    gops = {row["gop"] for row in members}
    shared = [f"GOP {first['gop']}"] if len(gops) == 1 and first["gop"] else []
    wrapped_title(axes, [" / ".join([heading.dataset, *shared, heading.protocol])])


def _method_handles(styles: dict[str, Look]) -> list[Line2D]:
    from matplotlib.lines import Line2D

    return [
        Line2D(
            [], [], color=look.colour, marker=look.marker, label=name,
            linestyle=look.dash,  # type: ignore[arg-type]
            markerfacecolor="white" if place % 2 else look.colour,
        )
        for place, (name, look) in enumerate(styles.items())
    ]  # fmt: skip


def _codec_handles(colours: dict[str, str], levels: bool, marked: bool = False) -> list[Line2D]:
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=colour,
            marker=MARKERS[place] if marked else "",
            linewidth=1.3 if marked else 3.0,
            label=name,
        )
        for place, (name, colour) in enumerate(colours.items())
    ]
    return (
        [*handles, Line2D([], [], color=GREY, linewidth=1.0, label="uncompressed")]
        if levels
        else handles
    )
