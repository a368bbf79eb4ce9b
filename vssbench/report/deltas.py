"""Bjontegaard deltas of two methods: over the measured rates of a codec, and over the scales of
their families."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import parse_variant
from vssbench.metrics.bjontegaard import (
    MIN_POINTS,
    SMALL_OVERLAP,
    Points,
    bd_cost,
    bd_quality,
    rises,
)
from vssbench.report.choose import matches
from vssbench.report.columns import DASH
from vssbench.report.families import family_name, family_of, scale_of
from vssbench.report.footnotes import footnotes, marked_line, version_remarks
from vssbench.report.headings import conditions, headings
from vssbench.report.markup import Cell, Grid, markdown_grid, markdown_list
from vssbench.report.rows import Row
from vssbench.report.streams import codec_key, curve, stream_title, uncompressed
from vssbench.report.table import csv_text, json_text


@dataclass(frozen=True)
class Axis:
    """One kind of curve: the column that is its cost, and what a difference along it is called."""

    over: str
    cost: str
    delta: str
    #: the codec in words, and what must be equal of two curves
    words: Callable[[Sequence[Row]], str]
    key: Callable[[Row], tuple[str, ...]]
    #: the method, or the family, of a curve
    curve: Callable[[Row], str]


RATES = Axis(
    "rates",
    "bitrate_kbps",
    "BD-rate",
    lambda rows: curve(rows[0], gop=True),
    lambda row: (curve(row, gop=True),),
    lambda row: str(row["method"]),
)
SCALES = Axis(
    "scales",
    "gmacs_gop",
    "BD-GMACs",
    stream_title,
    lambda row: (*codec_key(row), str(row["gop"])),
    lambda row: str(family_of(row["method"])),
)

#: rows of a curve, by the axis's place, the conditions and the codec
Key = tuple[str, ...]
Curves = dict[Key, list[Row]]


@dataclass(frozen=True)
class Line:
    """The deltas of two curves under the same conditions, the first against the second.

    ``quality`` in points of mIoU, ``cost`` as a fraction; None, with a note, where there is none.
    """

    title: str
    over: str
    names: tuple[str, str]
    points: tuple[int, int]
    quality: float | None
    cost: float | None
    overlap: float | None
    notes: tuple[str, ...]


def of_methods(rows: Sequence[Row], first: str, second: str) -> list[Line]:
    """Return the deltas of two methods, or families of methods: every pair of curves under the same
    conditions.

    Raises UsageError where there is none, with the reason.
    """
    for name in (first, second):
        if not any(matches(name, row["method"]) for row in rows):
            known = ", ".join(sorted({row["method"] for row in rows}))
            raise UsageError(f"no run of the method {name!r}: there are runs of {known}")
    lines = []
    for axis in (RATES, SCALES):
        sides = [_curves(axis, _chosen(axis, rows, name)) for name in (first, second)]
        lines += _lines(axis, sides[0], sides[1], rows)
    return _some(lines, f"{first} and {second}")


def of_stores(
    first: Sequence[Row], second: Sequence[Row], names: tuple[str, str]
) -> list[Line]:  # fmt: skip
    """Return the deltas of the same methods and families in two stores. Raises as
    :func:`of_methods`."""
    lines = []
    for axis in (RATES, SCALES):
        methods = [{axis.curve(row) for row in rows} for rows in (first, second)]
        for method in sorted(methods[0] & methods[1]):
            sides = [
                _curves(axis, [row for row in rows if axis.curve(row) == method])
                for rows in (first, second)
            ]
            for line in _lines(axis, sides[0], sides[1], [*first, *second]):
                both = tuple(
                    f"{name}, {store}" for name, store in zip(line.names, names, strict=True)
                )
                lines.append(Line(**{**vars(line), "names": both}))
    return _some(lines, " and ".join(names))


def _some(lines: list[Line], both: str) -> list[Line]:
    """Return the lines with a number, and those that come near it. Raises UsageError without."""
    if any(line.quality is not None or line.cost is not None for line in lines):
        return lines
    why = list(dict.fromkeys(f"{line.over}: {note}" for line in lines for note in line.notes))
    found = "; ".join(why[:2]) or (
        f"neither has {MIN_POINTS} rates of one codec or {MIN_POINTS} scales under conditions "
        "under which the other has them too"
    )
    raise UsageError(f"no Bjontegaard delta of {both}: {found}")


def _chosen(axis: Axis, rows: Sequence[Row], name: str) -> list[Row]:
    """Return the rows of the curve that a name stands for: the exact one, else all that fit where
    they are of one curve."""
    exact = str(family_of(name)) if axis is SCALES else str(parse_variant(name))
    own = [row for row in rows if axis.curve(row) == exact]
    if axis is SCALES and not own:
        own = [row for row in rows if matches(exact, axis.curve(row))]
    fitting = own or [row for row in rows if matches(name, row["method"])]
    return fitting if len({axis.curve(row) for row in fitting}) == 1 else []


def _curves(axis: Axis, rows: Iterable[Row]) -> Curves:
    curves: Curves = {}
    for row in rows:
        usable = row["miou"] is not None and row[axis.cost] is not None
        if axis is RATES:
            usable = usable and not uncompressed(row)
        elif scale_of(row["method"]) is None:
            usable = False
        if usable:
            curves.setdefault((*conditions(row), *axis.key(row)), []).append(row)
    return curves


def _lines(axis: Axis, first: Curves, second: Curves, rows: Sequence[Row]) -> list[Line]:
    named = headings(rows)
    lines = []
    for key in sorted(first.keys() & second.keys()):
        sides = (first[key], second[key])
        if min(map(len, sides)) < 2:  # a single point is not meant as a curve
            continue
        heading = named[conditions(sides[0][0])]
        title = f"{heading.dataset} / {axis.words(sides[0])} / {heading.protocol}"
        lines.append(_line(axis, title, *sides))
    return lines


def _line(axis: Axis, title: str, first: Sequence[Row], second: Sequence[Row]) -> Line:
    sides = (first, second)
    points = [[(row[axis.cost], 100 * row["miou"]) for row in side] for side in sides]
    named = family_name if axis is SCALES else lambda side: str(side[0]["display"])
    names = (named(first), named(second))
    notes: dict[str, None] = dict.fromkeys(
        note
        for name, side, its in zip(names, sides, points, strict=True)
        for note in _doubtful(axis, name, side, its)
    )
    found: list[float | None] = []
    overlaps = []
    for what, measure in (("BD-mIoU", bd_quality), (axis.delta, bd_cost)):
        try:
            its = measure(*points)
        except DataError as error:
            notes[f"No {what}: {error}"] = None
            found.append(None)
            continue
        found.append(its.value)
        overlaps.append(its.overlap)
        if its.overlap < SMALL_OVERLAP:
            notes[
                f"{what} of {names[0]} over {names[1]} is that of {100 * its.overlap:.0f} % of the "
                "curves' span, which is all that they share."
            ] = None
    rows = [*first, *second]
    notes |= dict.fromkeys(remark for row in rows for remark in row["remarks"])
    notes |= dict.fromkeys([*version_remarks(rows), *footnotes(rows)])
    counts = (len(points[0]), len(points[1]))
    marks = (marked_line(names[0], first), marked_line(names[1], second))
    overlap = min(overlaps, default=None)
    return Line(title, axis.over, marks, counts, found[0], found[1], overlap, tuple(notes))


def _doubtful(axis: Axis, name: str, side: Sequence[Row], points: Points) -> list[str]:
    """Say what a curve has that a delta should not stand on."""
    said = []
    if len({row["method"] + str(codec_key(row)) for row in side}) < len(side):
        said.append(
            f"{name} was measured more than once at the same point (on another machine, or with "
            "another seed or precision): the best of those at one cost counts."
        )
    if not rises(points):
        said.append(
            f"mIoU of {name} does not rise with every step of its {axis.over}: read "
            f"{axis.delta}, for which points are taken in the order of their mIoU, with care."
        )
    return said


def grid(lines: Sequence[Line]) -> Grid:
    """Return the deltas as a table, a line for each pair of curves."""
    return Grid(
        ("", "over", "A", "B", "points", "BD-mIoU, points", "BD-cost %", "shared %"),
        tuple(tuple(map(Cell, _cells(line))) for line in lines),
    )


def _cells(line: Line) -> tuple[str, ...]:
    axis = RATES if line.over == RATES.over else SCALES
    shared = DASH if line.overlap is None else f"{100 * line.overlap:.0f}"
    return (
        line.title,
        line.over,
        *line.names,
        f"{line.points[0]}, {line.points[1]}",
        DASH if line.quality is None else f"{line.quality:+.2f}",
        f"{axis.delta} {DASH}" if line.cost is None else f"{axis.delta} {100 * line.cost:+.2f}",
        shared,
    )


def remarks(lines: Sequence[Line]) -> list[str]:
    """Return what is to be said below the table."""
    said = [
        "A against B. BD-mIoU: points of mIoU above B at equal cost, on average. BD-rate and "
        "BD-GMACs: how much more (+) or less (-) bit rate or GMACs a frame at equal mIoU. "
        "Piecewise cubic (PCHIP) over the logarithm of the cost, where both curves have points."
    ]
    return [*said, *dict.fromkeys(note for line in lines for note in line.notes)]


def render(lines: Sequence[Line], format: str) -> str:
    """Return the deltas as Markdown, CSV or JSON (BD-cost as a fraction)."""
    if format == "md":
        return f"{markdown_grid(grid(lines))}\n\n{markdown_list(remarks(lines))}\n"
    if format == "json":
        return json_text([asdict(line) for line in lines])
    return csv_text([_flat(line) for line in lines])


def _flat(line: Line) -> dict[str, Any]:
    return {
        "condition": line.title,
        "over": line.over,
        "first": line.names[0],
        "second": line.names[1],
        "first_points": line.points[0],
        "second_points": line.points[1],
        "bd_miou_points": line.quality,
        "bd_cost": line.cost,
        "shared": line.overlap,
        "notes": " ".join(line.notes),
    }
