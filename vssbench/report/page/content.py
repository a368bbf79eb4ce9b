"""All that a page says of some runs, out of the frames of results: conditions, tables, curves,
facts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from vssbench.core.errors import DataError
from vssbench.metrics.bootstrap import Interval, Intervals, intervals
from vssbench.report.columns import DASH, Group, groups, percent, quantity, told_apart
from vssbench.report.costs import energy_in_words
from vssbench.report.counted import unscored_of
from vssbench.report.footnotes import footnotes, version_remarks
from vssbench.report.frames import frame
from vssbench.report.page.verdicts import Verdict, overall, verdict
from vssbench.report.rows import Row, require
from vssbench.report.scores import interval_text
from vssbench.report.streams import curve, quality_text
from vssbench.run.store import Run, RunStore

Value = float | str | None
#: costs that the plots can have as their axis, and the names of the axes
_AXES = {
    "gmacs": "GMACs a frame",
    "latency": "latency of a frame, ms",
    "params": "parameters, millions",
    "energy": "energy of a frame, J",
}


@dataclass(frozen=True)
class Shown:
    """A run on the page: its row with its name told apart, the number of its conditions, and the
    95 % interval of its mIoU where there is one."""

    number: int
    condition: int
    row: Row
    interval: Intervals | None
    #: network time of a frame in ms, the mean over distances of their medians
    latency: float | None

    @property
    def name(self) -> str:
        """The method's name, told apart among those under the same conditions."""
        return str(self.row["display"])


@dataclass(frozen=True)
class Facet:
    """A choice of runs by one property: its name, its values, and each run's place among these."""

    name: str
    values: tuple[str, ...]
    places: tuple[int, ...]


@dataclass(frozen=True)
class Cell:
    """A text, by what it is sorted (None: last), and how it is marked."""

    text: str
    value: Value
    marked: bool = False

    @property
    def order(self) -> str:
        """The value as the page's script reads it."""
        if isinstance(self.value, float) and math.isinf(self.value):
            return "Infinity"
        return "" if self.value is None else str(self.value)

    @property
    def share(self) -> str:
        """A fraction as a colour map takes it, between 0 and 1; empty for what is none."""
        if not isinstance(self.value, float):
            return ""
        return f"{min(max(self.value, 0.0), 1.0):.3f}"


@dataclass(frozen=True)
class Line:
    """A line of a table: the number of its run, and its cells."""

    run: int
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Sheet:
    """A table of the page: a title, its headings and whether numbers stand below each."""

    title: str
    headings: tuple[tuple[str, bool], ...]
    lines: tuple[Line, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """The facts by which a run can be repeated: texts by their names; the command by itself."""

    run: int
    title: str
    command: str
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Content:
    """Everything that the page shows beside pictures."""

    conditions: tuple[Group, ...]
    shown: tuple[Shown, ...]
    facets: tuple[Facet, ...]
    verdicts: tuple[Verdict | None, ...]
    overall: tuple[str, ...]
    table: Sheet
    classes: tuple[Sheet, ...]
    facts: tuple[Facts, ...]
    shared: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = field(default=())

    @property
    def names(self) -> list[str]:
        """The names of methods that the plots tell apart, in alphabetical order."""
        return sorted({each.name for each in self.scored})

    @property
    def scored(self) -> list[Shown]:
        """The runs that have an accuracy, which the plots draw."""
        return [each for each in self.shown if each.row["miou"] is not None]

    @property
    def axes(self) -> dict[str, str]:
        """The costs that the plots can have as their axis, and the names of the axes.

        Energy is among them where it was measured.
        """
        measured = any(each.row["joules_gop"] is not None for each in self.scored)
        return {name: text for name, text in _AXES.items() if name != "energy" or measured}

    @property
    def energy(self) -> str:
        """Say by what the energy was counted, or of how many runs it was not measured, and why."""
        return energy_in_words([each.row for each in self.scored])


def content(store: RunStore, rows: Sequence[Row]) -> Content:
    """Gather what a page shows of these rows of a store. Raises UsageError where there are none."""
    require(rows)
    parts = tuple(told_apart(part) for part in groups(rows))
    runs = {row["run_id"]: store.get(row["run_id"]) for row in rows}
    times = _latencies(frame(list(runs.values()), "distance"))
    shown: list[Shown] = []
    notes: dict[str, None] = {}
    for number, part in enumerate(parts):
        for row in part.rows:
            interval = _interval(runs[row["run_id"]], row, notes)
            latency = times.get(row["run_id"], _typed_latency(row))
            shown.append(Shown(len(shown), number, row, interval, latency))
    verdicts = tuple(verdict(store, part) for part in parts)
    notes |= dict.fromkeys([*version_remarks(rows), *footnotes(rows)])
    shared, facts = _facts(shown, runs)
    return Content(
        parts,
        tuple(shown),
        _facets(shown, parts),
        verdicts,
        tuple(overall([each for each in verdicts if each is not None])),
        _table(shown, parts),
        _classes(shown),
        facts,
        shared,
        tuple(notes),
    )


def _interval(run: Run, row: Row, notes: dict[str, None]) -> Intervals | None:
    if row["miou"] is None or run.confusion is None:
        return None
    try:
        unscored = unscored_of(run, row)
        found = intervals(run.confusion, row["aggregate"], left_out=unscored)
    except DataError as error:
        notes[f"{row['display']}: {error}"] = None
        return None
    notes[found.resampling.describe() + "."] = None
    return found


def _latencies(distances: pd.DataFrame) -> dict[str, float]:
    """Return the network's time on a frame of each run, over the distances that were scored."""
    means = distances.groupby("run_id")["latency_ms"].mean().dropna()
    return {str(name): float(value) for name, value in means.items()}


def _typed_latency(row: Row) -> float | None:
    """Return the same of a run whose times were typed in: those of a keyframe and of the others,
    over the distances that were scored."""
    key, later, distances = (
        row["latency_key_ms"], row["latency_nonkey_ms"], len(row["miou_by_distance"]),
    )  # fmt: skip
    if key is None or distances < 2:
        return None if key is None else float(key)
    return None if later is None else float((key + (distances - 1) * later) / distances)


def _facets(shown: Sequence[Shown], parts: Sequence[Group]) -> tuple[Facet, ...]:
    """Return the properties in which the runs differ."""
    many = len({each.row["gop"] for each in shown}) > 1
    kinds: dict[str, Callable[[Shown], str]] = {
        "Method": lambda each: each.name,
        "Dataset": lambda each: parts[each.condition].heading.dataset,
        "Codec": lambda each: curve(each.row, many),
        "Rate asked": lambda each: each.row["codec_rate"] or "none",
        "Protocol": lambda each: parts[each.condition].heading.protocol,
        "Machine": lambda each: each.row["machine"] or "not known",
        "Status": lambda each: each.row["status"],
    }
    found = []
    for name, of in kinds.items():
        each_value = [of(each) for each in shown]
        values = tuple(dict.fromkeys(each_value if name != "Method" else sorted(each_value)))
        if len(values) > 1:
            found.append(Facet(name, values, tuple(values.index(value) for value in each_value)))
    return tuple(found)


#: heading -> the field that it is sorted by, and how a row is written there
_NUMBERS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "d=0 %": ("miou_0", percent),
    "d=last %": ("miou_last", percent),
    "GMACs/frame": ("gmacs_gop", quantity),
    "GMACs key": ("gmacs_key", quantity),
    "GMACs non-key": ("gmacs_nonkey", quantity),
    "Params M": ("params", lambda value: quantity(None if value is None else value / 1e6)),
    "Key ms": ("latency_key_ms", quantity),
    "Key p90": ("latency_key_p90_ms", quantity),
    "Non-key ms": ("latency_nonkey_ms", quantity),
    "Non-key p90": ("latency_nonkey_p90_ms", quantity),
    "Decode ms": ("decode_ms", quantity),
    "Motion ms": ("motion_ms", quantity),
    "J/frame": ("joules_gop", quantity),
    "kbit/s": ("bitrate_kbps", lambda value: DASH if value is None else f"{value:.0f}"),
    "SSIM": ("ssim", lambda value: DASH if value is None else f"{value:.4f}"),
    "Frames": ("frames", str),
}
#: the fields that few machines can measure: they have a column where any run has a value
_WHERE_MEASURED = ("joules_gop",)


def _table(shown: Sequence[Shown], parts: Sequence[Group]) -> Sheet:
    """Return the table of all runs; what is the same for all stands in its notes."""
    texts: dict[str, Callable[[Shown], str]] = {
        "Dataset": lambda each: parts[each.condition].heading.dataset,
        "Stream": lambda each: parts[each.condition].stream(),
        "Protocol": lambda each: parts[each.condition].heading.protocol,
        "Machine": lambda each: each.row["machine"],
    }
    same = {name: len({of(each) for each in shown}) == 1 for name, of in texts.items()}
    notes = [
        f"{name}: {of(shown[0])}." for name, of in texts.items() if same[name] and of(shown[0])
    ]
    varied = {name: of for name, of in texts.items() if not same[name]}
    numbers = {
        name: (key, how)
        for name, (key, how) in _NUMBERS.items()
        if key not in _WHERE_MEASURED or any(each.row[key] is not None for each in shown)
    }
    lines = tuple(
        Line(each.number, (
            Cell(each.name, each.name),
            *(Cell(of(each) or DASH, of(each)) for of in varied.values()),
            _score(each, parts[each.condition]),
            *(Cell(how(each.row[key]), _number(each.row[key])) for key, how in numbers.values()),
            Cell(quality_text([each.row], "psnr_db") or DASH, _number(each.row["psnr_db"])),
        ))
        for each in shown
    )  # fmt: skip
    headings = (
        ("Method", False), *((name, False) for name in varied), ("mIoU % [95 %]", True),
        *((name, True) for name in numbers), ("PSNR dB", True),
    )  # fmt: skip
    notes += dict.fromkeys(remark for part in parts for remark in part.remarks() if
                           not remark.startswith("Machine"))  # fmt: skip
    if "Machine" in varied:
        notes.append("Latencies of different machines must not be compared.")
    return Sheet("Results", headings, lines, tuple(notes))


def _score(each: Shown, part: Group) -> Cell:
    row = each.row
    if row["status"] != "done" or row["miou"] is None:
        return Cell(str(row["status"]), None)
    text = percent(row["miou"]) if each.interval is None else interval_text(each.interval.miou)
    measured = [other["miou"] for other in part.rows if other["miou"] is not None]
    return Cell(text, row["miou"], len(measured) > 1 and row["miou"] == max(measured))


def _number(value: Any) -> Value:
    return None if value is None else float(value)


def _classes(shown: Sequence[Shown]) -> tuple[Sheet, ...]:
    """Return the IoU of each class as a table for each list of classes."""
    parts: dict[tuple[str, ...], list[Shown]] = {}
    for each in shown:
        if each.row["per_class"]:
            parts.setdefault(tuple(each.row["per_class"]), []).append(each)
    sheets = []
    for names, its in parts.items():
        lines = tuple(
            Line(each.number, (
                Cell(each.name, each.name),
                *(Cell(percent(each.row["per_class"][name]), _number(each.row["per_class"][name]))
                  for name in names),
            ))
            for each in its
        )  # fmt: skip
        headings = (("Method", False), *((name, True) for name in names))
        sheets.append(Sheet(f"IoU of {len(names)} classes", headings, lines))
    return tuple(sheets)


def _facts(
    shown: Sequence[Shown], runs: dict[str, Run]
) -> tuple[tuple[tuple[str, str], ...], tuple[Facts, ...]]:
    """Return what the environments of all runs share, and each run's facts with the rest of its
    environment."""
    environments = [_environment(runs[each.row["run_id"]]) for each in shown]
    shared = {
        name: text
        for name, text in environments[0].items()
        if all(other.get(name) == text for other in environments)
    }
    facts = []
    for each, environment in zip(shown, environments, strict=True):
        item = runs[each.row["run_id"]].measurement
        own = {name: text for name, text in environment.items() if name not in shared}
        entries = {**_identity(each.row), **_weights(item.weights), **_protocol(each.row), **own}
        kept = tuple((name, text) for name, text in entries.items() if text)
        title = f"{each.name} on {each.row['dataset']} through {each.row['codec']}"
        facts.append(Facts(each.number, title, item.command, kept))
    return tuple(shared.items()), tuple(facts)


def _identity(row: Row) -> dict[str, str]:
    names = (
        "run_id", "status", "reason", "method", "dataset", "split", "data", "without", "void",
        "seen", "predictions", "typed", "codec", "gop", "frames", "seed", "precision",
        "device", "machine", "energy", "version",
        "created", "seconds",
    )  # fmt: skip
    return {name.replace("_", " "): _text(row[name]) for name in names if row[name] is not None}


def _weights(record: dict[str, Any]) -> dict[str, str]:
    trained = record.get("trained")
    by = trained.get("command", "") if isinstance(trained, dict) else ""
    return {
        "weights": str(record.get("file", "")),
        "sha256 of the weights": str(record.get("sha256", "")),
        "weights trained by": str(by),
    }


def _protocol(row: Row) -> dict[str, str]:
    details = {f"protocol: {name}": _text(value) for name, value in row["protocol_details"].items()}
    return {
        "protocol": row["protocol"],
        **details,
        "mIoU": row["aggregate"],
        "remarks": " ".join(row["remarks"]),
    }


def _environment(run: Run) -> dict[str, str]:
    try:
        return {name: _text(value) for name, value in run.environment.items()}
    except DataError as error:
        return {"environment": str(error)}


def _text(value: Any) -> str:
    if isinstance(value, (dict, list)):
        return json.dumps(value, sort_keys=True)
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def plotted(page: Content, titles: Sequence[str]) -> dict[str, Any]:
    """Return the data of the plots and filters as JSON has it; mIoUs in per cent."""
    names = page.names
    return {
        "axes": page.axes,
        "conditions": list(titles),
        "names": names,
        "facets": [
            {"name": facet.name, "values": facet.values, "places": facet.places}
            for facet in page.facets
        ],
        "runs": [_curves(each, names.index(each.name)) for each in page.scored],
        "total": len(page.shown),
    }


def _curves(each: Shown, look: int) -> dict[str, Any]:
    row, bounds = each.row, each.interval
    by_distance = bounds.by_distance if bounds else ()
    params = row["params"]
    return {
        "run": each.number,
        "condition": each.condition,
        "look": look,
        "machine": row["machine"],
        "gmacs": row["gmacs_gop"],
        "latency": each.latency,
        "energy": row["joules_gop"],
        "params": None if params is None else params / 1e6,
        "miou": 100 * row["miou"],
        "bounds": _bounds(bounds.miou if bounds else None),
        "curve": [None if value is None else 100 * value for value in row["miou_by_distance"]],
        "curve_bounds": [_bounds(item) for item in by_distance],
    }


def _bounds(interval: Interval | None) -> list[float] | None:
    if interval is None:
        return None
    return [round(100 * end, 4) for end in (interval.low, interval.high)]
