"""The tables, facets and facts of the report page, out of the rows of the runs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from vssbench.core.errors import DataError
from vssbench.metrics.bootstrap import Intervals, intervals
from vssbench.report.columns import DASH, Group, percent, quantity
from vssbench.report.counted import unscored_of
from vssbench.report.page.parts import Cell, Facet, Facts, Line, Sheet, Shown, Value
from vssbench.report.rows import Row
from vssbench.report.scores import interval_text
from vssbench.report.streams import curve, quality_text
from vssbench.run.stored import Run


def interval(run: Run, row: Row, notes: dict[str, None]) -> Intervals | None:
    if row["miou"] is None or run.confusion is None:
        return None
    try:
        unscored = unscored_of(run, row)
        return intervals(run.confusion, row["aggregate"], left_out=unscored)
    except DataError as error:
        notes[f"{row['display']}: {error}"] = None
        return None


def facets_of(shown: Sequence[Shown], parts: Sequence[Group]) -> tuple[Facet, ...]:
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


def table_of(shown: Sequence[Shown], parts: Sequence[Group]) -> Sheet:
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
            # a screen's width shows it
            _score(each, parts[each.condition]),
            *(Cell(of(each) or DASH, of(each)) for of in varied.values()),
            *(Cell(how(each.row[key]), _number(each.row[key])) for key, how in numbers.values()),
            Cell(quality_text([each.row], "psnr_db") or DASH, _number(each.row["psnr_db"])),
        ))
        for each in shown
    )  # fmt: skip
    headings = (
        ("Method", False), ("mIoU % [95 %]", True), *((name, False) for name in varied),
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


def classes_of(shown: Sequence[Shown]) -> tuple[Sheet, ...]:
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


def facts_of(
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
