"""Two methods, or two stores, on the same frames: what one has over the other, with intervals, and
how many more frames would settle what an interval leaves open."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError
from vssbench.metrics.bootstrap import Intervals, class_differences, difference
from vssbench.metrics.draws import Interval
from vssbench.metrics.scores import scores
from vssbench.report import counted
from vssbench.report.choose import matches
from vssbench.report.columns import DASH, groups, percent
from vssbench.report.counted import widened
from vssbench.report.footnotes import footnotes, marked, version_remarks
from vssbench.report.headings import conditions
from vssbench.report.markup import Cell, Grid, markdown, markdown_grid, markdown_list
from vssbench.report.rows import Row
from vssbench.report.scores import Rules, interval_text
from vssbench.report.streams import codec_key
from vssbench.report.table import csv_text, json_text
from vssbench.run.store import RunStore

FORMATS = ("md", "csv", "json")
#: more frames than this settle nothing in practice
_MOST_FRAMES = 10_000_000

#: values of a store that a message lists at most
_LISTED = 4

#: says that neither is the better
OPEN = "not told apart"


@dataclass(frozen=True)
class Line:
    """One score of both: the whole mIoU, the mIoU at a distance, or the IoU of a class.

    Fractions, None where there is none; ``interval`` is that of the first minus the second.
    """

    name: str
    first: float | None
    second: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Comparison:
    """Two runs of the same data, codec and protocol. ``rows`` are the two runs'; ``notes`` say how
    the interval was made, or why there is none."""

    title: str
    names: tuple[str, str]
    rows: tuple[Row, Row]
    whole: Line
    distances: tuple[Line, ...]
    classes: tuple[Line, ...]
    frames: int
    notes: tuple[str, ...]

    @property
    def verdict(self) -> str:
        """Say which of the two is the better, as far as the interval decides it."""
        return verdict(self.whole.interval, self.names)

    @property
    def frames_to_settle(self) -> int | None:
        """Estimate how many labelled frames more would settle which is better; 0 if these do."""
        return frames_to_settle(self.whole.interval, self.frames)


def verdict(interval: Interval | None, names: tuple[str, str]) -> str:
    """Say which of two is better: the interval is of the first minus the second."""
    if interval is None or not interval.excludes_zero:
        return OPEN
    return f"{names[0] if interval.value > 0 else names[1]} is better"


def frames_to_settle(interval: Interval | None, frames: int) -> int | None:
    """Estimate how many labelled frames like these, beyond those there are, would make the interval
    exclude zero if the difference is as measured.

    An interval narrows with the square root of the number of frames. 0 where it excludes zero
    already; None where there is no interval or no number of frames in reach would do.
    """
    if interval is None or not interval.value:
        return None
    if interval.excludes_zero:
        return 0
    toward_zero = interval.value - interval.low if interval.value > 0 else (
        interval.high - interval.value
    )  # fmt: skip
    needed = frames * (toward_zero / abs(interval.value)) ** 2
    return None if needed > _MOST_FRAMES else math.ceil(needed) - frames


#: pairs of rows with the names that the two have in the comparison
Pair = tuple[Row, Row, tuple[str, str]]


def pairs_of_methods(rows: Sequence[Row], first: str, second: str) -> list[Pair]:
    """Pair the rows of two methods that were measured under the same conditions.

    A method is a variant or its beginning; the exact one is preferred, two that fit are refused.
    Raises UsageError where one of the two was not measured, or never where the other was.
    """
    for name in (first, second):
        if not any(matches(name, row["method"]) for row in rows):
            known = ", ".join(sorted({row["method"] for row in rows}))
            raise UsageError(f"no run of the method {name!r}: there are runs of {known}")
    pairs = []
    for group in groups([row for row in rows if row["miou"] is not None]):
        both = [_only(group.rows, name, group.title) for name in (first, second)]
        if both[0] is not None and both[1] is not None:
            pairs.append((both[0], both[1], (marked(both[0]), marked(both[1]))))
    if not pairs:
        raise UsageError(
            f"{first} and {second} were never measured on the same data under the same codec and "
            "protocol: measure both with the same options of `run`"
        )
    return pairs


def _only(rows: Sequence[Row], name: str, title: str) -> Row | None:
    fitting = [row for row in rows if row["method"] == name] or [
        row for row in rows if matches(name, row["method"])
    ]
    methods = sorted({row["method"] for row in fitting})
    if len(methods) > 1:
        raise UsageError(f"{name!r} stands for several methods: give one of {', '.join(methods)}")
    if len(fitting) > 1:
        differ = [
            field
            for field in ("void", "precision", "weights", "seed", "device", "machine", "version")
            if len({str(row[field]) for row in fitting}) > 1
        ]
        raise UsageError(
            f"{len(fitting)} runs of {name} are under {title}; they differ in "
            f"{', '.join(differ) or 'the time of measuring'}: keep them in stores of their own, "
            "and compare the stores"
        )
    return fitting[0] if fitting else None


def pairs_of_stores(first: Sequence[Row], second: Sequence[Row], names: tuple[str, str]) -> list[
    Pair
]:  # fmt: skip
    """Pair the rows of the same method, data, codec and protocol of two stores.

    Raises UsageError where there is none.
    """
    of_second: dict[tuple[str, str], list[Row]] = {}
    for group in groups([row for row in second if row["miou"] is not None]):
        for row in group.rows:
            of_second.setdefault(_subject(row), []).append(row)
    pairs = []
    for group in groups([row for row in first if row["miou"] is not None]):
        for row in group.rows:
            others = of_second.get(_subject(row), [])
            pairs += [
                (row, other, (f"{marked(row)}, {names[0]}", f"{marked(other)}, {names[1]}"))
                for other in others[:1]
            ]
    if not pairs:
        raise UsageError(
            f"{names[0]} and {names[1]} hold no run of the same method, data, codec and protocol"
            f"{_apart(first, second, names)}"
        )
    return pairs


def _apart(first: Sequence[Row], second: Sequence[Row], names: tuple[str, str]) -> str:
    """Return in what two stores have nothing in common; empty where that is no single thing."""
    for field in ("method", "dataset", "codec", "gop", "protocol"):
        values = [sorted({str(row[field]) for row in rows}) for rows in (first, second)]
        if not set(values[0]) & set(values[1]):
            return "; " + ", ".join(
                f"the {field} of {name} is {' or '.join(known[:_LISTED])}"
                f"{' or another' * (len(known) > _LISTED)}"
                for name, known in zip(names, values, strict=True)
            )
    return ""


def _conditions(row: Row) -> str:
    return repr((conditions(row), codec_key(row), row["gop"]))


def _subject(row: Row) -> tuple[str, str]:
    return _conditions(row), registry.settled("methods", row["method"])


def comparison(pair: Pair, stores: Sequence[RunStore], title: str, rules: Rules) -> Comparison:
    """Compare two runs, each out of its store, the first's and the second's."""
    first, second, names = pair
    runs = (stores[0].get(first["run_id"]), stores[1].get(second["run_id"]))
    own, other = runs[0].confusion, runs[1].confusion
    if own is None or other is None:
        raise DataError(f"a run under {title} has no confusion matrices any more: measure it again")
    classes = runs[0].measurement.classes
    # an output of no class may be an error in one of the two
    values = max(own.matrices.shape[1], other.matrices.shape[1])
    own, other = widened(own, values), widened(other, values)
    aggregate = str(first["aggregate"])
    left_out = counted.left_out(runs[0].measurement, values, rules.left_out)
    each = [scores(record, aggregate, rules.absent, left_out) for record in (own, other)]
    notes: dict[str, None] = {}
    try:
        whole: Intervals | None = difference(own, other, aggregate, rules.absent, left_out)
        of_classes = class_differences(own, other, aggregate, rules.absent, left_out)
        by_class: list[Interval | None] = [item.interval for item in of_classes]
    except DataError as error:
        whole, by_class = None, [None] * len(classes)
        notes[f"No interval: {error}"] = None
    if whole is not None:
        notes[whole.resampling.describe() + "."] = None
    notes |= dict.fromkeys([*first["remarks"], *second["remarks"]])
    notes |= dict.fromkeys([*version_remarks([first, second]), *footnotes([first, second])])
    by_distance = whole.by_distance if whole else ()
    curves = [its.miou_by_distance for its in each]
    length = min(len(curve) for curve in curves)
    return Comparison(
        title,
        names,
        (first, second),
        Line("mIoU", each[0].miou, each[1].miou, whole.miou if whole else None),
        tuple(
            Line(
                str(place),
                curves[0][place],
                curves[1][place],
                by_distance[place] if place < len(by_distance) else None,
            )
            for place in range(length)
        ),
        tuple(
            Line(name, each[0].class_iou[place], each[1].class_iou[place], by_class[place])
            for place, name in enumerate(classes)
        ),
        each[0].frames,
        tuple(notes),
    )


def titles(pairs: Sequence[Pair]) -> list[str]:
    """Return the conditions of each pair in words, no two of different conditions the same."""
    parts = groups([row for pair in pairs for row in pair[:1]])
    named = {row["run_id"]: part.title for part in parts for row in part.rows}
    return [named[pair[0]["run_id"]] for pair in pairs]


def summary(comparisons: Sequence[Comparison]) -> Grid:
    """Return a table with a line for each comparison: the whole mIoU."""
    lines = []
    several = len({_methods(item) for item in comparisons}) > 1
    for item in comparisons:
        more = item.frames_to_settle
        lines.append(
            (
                Cell(f"{item.title}: {' and '.join(_methods(item))}" if several else item.title),
                *(Cell(percent(value)) for value in (item.whole.first, item.whole.second)),
                _difference(item.whole.interval),
                Cell(item.verdict),
                Cell(DASH if more is None else str(more)),
            )
        )
    names = _headings(comparisons)
    return Grid(
        ("", *names, "difference, points [95 %]", "verdict", "more frames to settle"), tuple(lines)
    )


def _methods(item: Comparison) -> tuple[str, ...]:
    """Return the names of the methods compared: one where they are two runs of the same."""
    return tuple(dict.fromkeys(str(row["display"]) for row in item.rows))


def _headings(comparisons: Sequence[Comparison]) -> tuple[str, str]:
    """Name the two columns: by the methods, where all comparisons are of the same two."""
    names = {item.names for item in comparisons}
    pair = next(iter(names)) if len(names) == 1 else ("first", "second")
    return f"{pair[0]} %", f"{pair[1]} %"


def detail(lines: Sequence[Line], heading: str, names: tuple[str, str]) -> Grid:
    """Return a table with a line for each distance or class of one comparison."""
    return Grid(
        (heading, f"{names[0]} %", f"{names[1]} %", "difference, points [95 %]"),
        tuple(
            (
                Cell(line.name),
                Cell(percent(line.first)),
                Cell(percent(line.second)),
                _difference(line.interval),
            )
            for line in lines
        ),
    )


def _difference(interval: Interval | None) -> Cell:
    if interval is None:
        return Cell(DASH)
    return Cell(interval_text(interval, sign="+"), interval.excludes_zero)


def remarks(comparisons: Sequence[Comparison]) -> list[str]:
    """Return what is to be said below a table of comparisons."""
    said = [
        "The first minus the second, on the same frames; bold where the interval holds no zero."
    ]
    if any(item.frames_to_settle for item in comparisons):
        said.append(
            "More frames to settle: labelled frames like these, beside those there are, after "
            "which the interval would exclude zero if the difference is as measured."
        )
    return list(dict.fromkeys([*said, *(note for item in comparisons for note in item.notes)]))


def render(comparisons: Sequence[Comparison], format: str) -> str:
    """Return comparisons with all distances and classes as Markdown, CSV (a line each) or JSON."""
    if format == "json":
        return json_text([_record(item) for item in comparisons])
    if format == "csv":
        return csv_text([line for item in comparisons for line in _flat(item)])
    parts = [markdown_grid(summary(comparisons)), markdown_list(remarks(comparisons))]
    for item in comparisons:
        parts.append(f"### {markdown(item.title)}: {markdown(' and '.join(item.names))}")
        parts.append(markdown_grid(detail(item.distances, "distance", item.names)))
        parts.append(markdown_grid(detail(item.classes, "class", item.names)))
    return "\n\n".join(parts) + "\n"


_IDENTITY = ("run_id", "method", "weights", "version")


def _record(item: Comparison) -> dict[str, Any]:
    shared = ("dataset", "split", "classes", "codec", "gop", "protocol", "bitrate_kbps")
    return {
        "title": item.title,
        "names": item.names,
        **{name: item.rows[0][name] for name in shared},
        "first": {name: item.rows[0][name] for name in _IDENTITY},
        "second": {name: item.rows[1][name] for name in _IDENTITY},
        "miou": asdict(item.whole),
        "by_distance": [asdict(line) for line in item.distances],
        "by_class": [asdict(line) for line in item.classes],
        "verdict": item.verdict,
        "frames": item.frames,
        "frames_to_settle": item.frames_to_settle,
        "notes": item.notes,
    }


def _flat(item: Comparison) -> list[dict[str, Any]]:
    """Return a line of CSV for the whole, each distance and each class."""
    kinds = (("miou", (item.whole,)), ("distance", item.distances), ("class", item.classes))
    return [
        {
            "condition": item.title,
            "first_run": item.rows[0]["run_id"],
            "second_run": item.rows[1]["run_id"],
            "first_method": item.names[0],
            "second_method": item.names[1],
            "score": kind,
            "name": line.name,
            "first": line.first,
            "second": line.second,
            "difference": line.interval and line.interval.value,
            "low": line.interval and line.interval.low,
            "high": line.interval and line.interval.high,
            "notes": " ".join(item.notes),
        }
        for kind, lines in kinds
        for line in lines
    ]
