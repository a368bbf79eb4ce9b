"""Every score of a run with its 95 % interval, and what one method has over another on the same
frames."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, TypeVar

from vssbench.core.errors import DataError, UsageError
from vssbench.metrics.bootstrap import Intervals, difference, intervals
from vssbench.metrics.draws import Interval
from vssbench.metrics.scores import Scores, scores
from vssbench.report import further
from vssbench.report.columns import DASH, groups, percent, told_apart
from vssbench.report.counted import left_out, names_left_out, widened
from vssbench.report.footnotes import footnotes, unmarked, version_remarks
from vssbench.report.further import Further
from vssbench.report.markup import Cell, Grid, markdown_part
from vssbench.report.rows import Row, check_left_out
from vssbench.report.table import csv_text, json_text
from vssbench.run.records import ConfusionRecord
from vssbench.run.store import RunStore
from vssbench.run.stored import Run

T = TypeVar("T")

FORMATS = ("md", "csv", "json")


@dataclass(frozen=True)
class Line:
    """One run: its scores, the interval of its mIoU (None where there are too few frames), and the
    same of its difference to the base (None for the base itself, or where they cannot be compared);
    and what further was measured."""

    row: Row
    scores: Scores
    interval: Intervals | None
    gain: Intervals | None
    further: Further


@dataclass(frozen=True)
class Block:
    """Runs under the same conditions, best mIoU first; ``notes`` say how intervals were made, and
    why one is missing."""

    title: str
    base: str
    lines: tuple[Line, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """The rules by which classes are counted.

    They are the rule for absent ones, as in :mod:`vssbench.metrics.iou`, and the names of those
    left out, in letters of either case, beside those that a run left out itself.
    """

    absent: str = "skip"
    left_out: tuple[str, ...] = ()


def blocks(store: RunStore, rows: Sequence[Row], base: str | None, rules: Rules) -> list[Block]:
    """Return the scores of measured rows, a block for each set of conditions. ``base`` is a method
    or its beginning, by default the costliest. Raises UsageError where no row is measured, the base
    is in no block or a class is not known."""
    check_left_out(rules.left_out, rows)
    parts = [
        told_apart(group) for group in groups([row for row in rows if row["miou"] is not None])
    ]
    if not parts:
        raise UsageError("no measured run to score: measure some first (see `run --help`)")
    scored = [_block(store, group.title, group.rows, base, rules) for group in parts]
    if base is not None and not any(block.base for block in scored):
        names = ", ".join(sorted({row["method"] for group in parts for row in group.rows}))
        raise UsageError(f"--base {base!r} is none of the methods measured: {names}")
    return scored


def _block(
    store: RunStore, title: str, rows: Sequence[Row], base: str | None, rules: Rules
) -> Block:
    runs = {row["run_id"]: store.get(row["run_id"]) for row in rows}
    records = _of_one_width(runs)
    chosen = _base(rows, base)
    notes: dict[str, None] = {}
    lines = []
    for row in rows:
        record = records[row["run_id"]]
        assert record is not None  # a row without matrices has no mIoU
        item = runs[row["run_id"]].measurement
        unscored = left_out(item, record.matrices.shape[1], rules.left_out)
        how = (row["aggregate"], rules.absent, unscored)
        own = _tried(partial(intervals, record, *how), notes)
        gain = None
        if chosen is not None and chosen is not row:
            other = records[chosen["run_id"]]
            assert other is not None
            gain = _tried(partial(difference, record, other, *how), notes)
        more = (
            _tried(partial(further.further, runs[row["run_id"]], rules.absent, how[2]), notes)
            or Further.nothing()
        )
        lines.append(
            Line(row, _of_classes(scores(record, *how), len(item.classes)), own, gain, more)
        )
        notes |= dict.fromkeys(row["remarks"])
    notes |= dict.fromkeys(
        line.interval.resampling.describe() + "." for line in lines if line.interval
    )
    notes |= dict.fromkeys(further.notes([line.further for line in lines]))
    unscored_names = {
        ", ".join(names_left_out(run.measurement, rules.left_out)) for run in runs.values()
    }
    for names in sorted(unscored_names - {""}):
        notes[
            f"Pixels of {names} are not scored, and no mean holds them (TC and VC count them)."
        ] = None
    notes |= dict.fromkeys([*version_remarks(rows), *footnotes(rows)])
    return Block(title, chosen["display"] if chosen else "", tuple(lines), tuple(notes))


def _of_one_width(runs: Mapping[str, Run]) -> dict[str, ConfusionRecord | None]:
    """Return the matrices of runs on the same classes, of one of which an output of no class may be
    an error, with as many values each: they can be compared."""
    records = {name: run.confusion for name, run in runs.items()}
    values = max((each.matrices.shape[1] for each in records.values() if each), default=0)
    return {name: each and widened(each, values) for name, each in records.items()}


def _of_classes(its: Scores, count: int) -> Scores:
    """Return the scores of the classes alone, without that of an output of no class."""
    return replace(
        its,
        class_iou=its.class_iou[:count],
        class_accuracy=its.class_accuracy[:count],
        left_out=tuple(number for number in its.left_out if number < count),
    )


def _base(rows: Sequence[Row], base: str | None) -> Row | None:
    if base is None:
        return max(rows, key=lambda row: row["gmacs_gop"] or 0.0)
    named = [
        row for row in rows if base in (row["method"], row["display"], unmarked(row["display"]))
    ]
    return next(iter(named or [row for row in rows if row["method"].startswith(base)]), None)


def _tried(make: Callable[[], T], notes: dict[str, None]) -> T | None:
    """Return the result of a function, or None and a note of why it cannot be had."""
    try:
        return make()
    except DataError as error:
        notes[str(error)] = None
        return None


HEADINGS = (
    "Method", "mIoU % [95 %]", "over base, points [95 %]", "pooled %", "image %",
    "freq. weighted %", "pixel acc. %",
    "class acc. %", "frames",
)  # fmt: skip


def grid(block: Block) -> Grid:
    """Return a block as a table; a difference whose interval holds no zero is bold."""
    more = further.headings([line.further for line in block.lines])
    return Grid(
        (*HEADINGS, *more),
        tuple((*_cells(line), *further.cells(line.further, more)) for line in block.lines),
    )


def _cells(line: Line) -> tuple[Cell, ...]:
    its = line.scores
    plain = (
        its.pooled_miou,
        its.image_miou,
        its.frequency_weighted_iou,
        its.pixel_accuracy,
        its.mean_accuracy,
    )
    return (
        Cell(line.row["display"]),
        Cell(percent(its.miou) if line.interval is None else interval_text(line.interval.miou)),
        Cell(DASH)
        if line.gain is None
        else Cell(interval_text(line.gain.miou, sign="+"), line.gain.miou.excludes_zero),
        *(Cell(percent(value)) for value in plain),
        Cell(str(its.frames)),
    )


def interval_text(interval: Interval, sign: str = "") -> str:
    """Return a score or a difference with its interval, in points: ``+1.75 [-0.12, +2.93]``."""
    value, low, high = (
        f"{100 * number:{sign}.2f}" for number in (interval.value, interval.low, interval.high)
    )
    return f"{value} [{low}, {high}]"


def remarks(block: Block) -> list[str]:
    """Return the remarks below a block."""
    compared = (
        [f"Over {block.base}, on the same frames; bold where the interval holds no zero."]
        if block.lines[1:]
        else []
    )
    return [*compared, *block.notes]


def render(scored: Sequence[Block], format: str) -> str:
    """Return the blocks as Markdown, CSV or JSON (fractions, not per cent)."""
    if format == "md":
        parts = ["\n\n".join(markdown_part(grid(b), b.title, remarks(b))) + "\n" for b in scored]
        return "\n".join(parts)
    records = [_record(block, line) for block in scored for line in block.lines]
    if format == "json":
        return json_text(records)
    return csv_text(
        [
            {k: v for k, v in record.items() if not isinstance(v, dict | list | tuple)}
            for record in records
        ]
    )


def _record(block: Block, line: Line) -> dict[str, Any]:
    names = (
        "run_id", "method", "display", "dataset", "split", "classes", "without", "void", "seen",
        "codec", "protocol", "bitrate_kbps", "remarks",
    )  # fmt: skip
    record = {name: line.row[name] for name in names} | {"base": block.base} | asdict(line.scores)
    for name, interval in (("miou", line.interval), ("gain", line.gain)):
        value = None if interval is None else interval.miou
        record |= {f"{name}_low": value and value.low, f"{name}_high": value and value.high}
        if name == "gain":
            record["gain"] = value and value.value
    record |= line.further.record()
    record["resampling"] = None if line.interval is None else asdict(line.interval.resampling)
    return record
