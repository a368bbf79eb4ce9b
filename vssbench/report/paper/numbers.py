"""The numbers that papers and official code print, as a pandas frame: accuracy, cost, speed, each
with its source and how far it can be trusted.

``results/published/numbers.csv`` holds them; what the numbers of a table share (dataset, frame
size, codec, source) stands once in ``measurements.csv``, the texts of sources in ``sources.csv``.

Costs that ours are held to, with what explains a difference, are a table of their own
(:mod:`vssbench.cost.published`).
"""

from __future__ import annotations

import math
from collections.abc import Collection
from functools import cache
from pathlib import Path

import pandas as pd

from vssbench.core import reading
from vssbench.core.errors import DataError, UsageError
from vssbench.core.program import CHECKOUT_ONLY
from vssbench.report.fields import Field
from vssbench.report.typed import typed

#: how far a number can be trusted -> what that means
STATUS = {
    "printed": "as its source prints it",
    "misprint": "as its source prints it, and wrong by the source's own other numbers",
    "contradicted": "as its source prints it; another number of the same authors differs",
    "digitised": "read from the coordinates of a figure, to 0.05",
    "derived": "computed of printed numbers",
    "released": "in the result files that the authors released",
    "recomputed": "counted on the authors' code",
    "unverified": "its source was not located",
}

#: metric -> (the units that it has, whether more of it is better; None where neither)
METRICS: dict[str, tuple[tuple[str, ...], bool | None]] = {
    "miou": (("%",), True),
    "miou_d": (("%",), True),
    "iou": (("%",), True),
    "map": (("%",), True),
    "miou_change": (("%",), True),
    "gmacs": (("G", "Gi"), False),
    "gmacs_change": (("%",), False),
    "key_over_nonkey": (("x",), None),
    "params": (("M", "MiB"), False),
    "ms": (("ms",), False),
    "fps": (("fps",), True),
    "speedup": (("x",), True),
    "memory": (("GB",), False),
    "memory_saving": (("x",), True),
    "bd_miou": (("points", "%"), True),
    "bd_gmacs": (("%",), False),
}

#: the columns of the frame, in order
FIELDS = (
    Field("paper", "string", "", "key of the paper or method"),
    Field("table", "string", "", "table, figure or file that prints it"),
    Field("row", "string", "", "its row as printed"),
    Field("setting", "string", "", "what else tells the row: a part of the table, an option"),
    Field("variant", "string", "", "the method here that it is of, as typed; empty for none"),
    Field("dataset", "string", "", "dataset; empty where none is concerned"),
    Field("split", "string", "", "part of the dataset that was scored"),
    Field("classes", "Int64", "", "number of classes"),
    Field("height", "Int64", "pixels", "height of a frame, where it is stated"),
    Field("width", "Int64", "pixels", "width of a frame, where it is stated"),
    Field("codec", "string", "", "codec and rate as printed; empty for uncompressed frames"),
    Field("gop", "Int64", "frames", "frames from keyframe to keyframe"),
    Field("distance", "Int64", "frames", "frames since the keyframe, of `miou_d`"),
    Field("class", "string", "", "name of the class, of `iou`"),
    Field("metric", "string", "", "what was measured"),
    Field("convention", "string", "", "what is counted as an operation; `unknown` if not said"),
    Field("hardware", "string", "", "processor on which times were measured"),
    Field("value", "float64", "see `unit`", "the number"),
    Field("printed", "string", "see `unit`", "the number with the digits that are printed"),
    Field("unit", "string", "", "`Gi` is 2^30 operations, `MiB` 2^20 bytes of float32"),
    Field("status", "string", "", "how far it can be trusted"),
    Field("source", "string", "", "key of the source"),
    Field("source_text", "string", "", "the source in words: file, repository, commit"),
    Field("note", "string", "", "what must be known to read the number"),
)
#: columns of ``measurements.csv`` beside its key, and those of ``numbers.csv`` beside that key
SHARED = (
    "paper", "table", "dataset", "split", "classes", "height", "width", "codec", "source",
)  # fmt: skip
OWN = tuple(field.name for field in FIELDS if field.name not in (*SHARED, "printed", "source_text"))
_KEY = "measurement"


def folder() -> Path:
    """Return the folder of a checkout that holds the numbers and the layouts of their tables."""
    return Path(__file__).resolve().parents[3] / "results" / "published"


def published(paper: str | None = None) -> pd.DataFrame:
    """Return the published numbers, or those of one paper. Raises UsageError for an unknown one."""
    every = read(folder())
    if paper is None:
        return every.copy()
    if paper not in set(every["paper"]):
        known = ", ".join(sorted(set(every["paper"])))
        raise UsageError(f"no published numbers of {paper!r}: there are those of {known}")
    return every[every["paper"] == paper].reset_index(drop=True)


@cache
def read(where: Path) -> pd.DataFrame:
    """Read the numbers of a folder. Raises DataError where a file is absent or a row does not
    read."""
    sources = {
        line["source"]: line["text"] for line in _lines(where / "sources.csv", ("source", "text"))
    }
    shared = {line[_KEY]: line for line in _lines(where / "measurements.csv", (_KEY, *SHARED))}
    lines = []
    for number, own in enumerate(_lines(where / "numbers.csv", (_KEY, *OWN)), 2):
        _among(f"numbers.csv, line {number}", _KEY, own[_KEY], shared)
        line = {**shared[own[_KEY]], **own}
        _check(line, sources, f"numbers.csv, line {number}")
        lines.append(line)
    return typed(
        (
            {name: _value(line[name]) for name in ("value", *_WHOLE)}
            | {name: line[name] for name in _WORDS}
            | {"printed": line["value"], "source_text": sources[line["source"]]}
            for line in lines
        ),
        FIELDS,
    )


_WORDS = tuple(f.name for f in FIELDS if f.dtype == "string" and f.name in (*SHARED, *OWN))
_WHOLE = tuple(f.name for f in FIELDS if f.dtype == "Int64")


def _value(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _lines(file: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    if not file.is_file():
        raise DataError(f"{file} is not there: the published numbers {CHECKOUT_ONLY}")
    return reading.read_table(file, columns)


def _check(line: dict[str, str], sources: dict[str, str], where: str) -> None:
    """Raise DataError where a row is not what its columns promise."""
    metric = line["metric"]
    _among(where, "metric", metric, METRICS)
    _among(where, "unit", line["unit"], METRICS[metric][0])
    _among(where, "status", line["status"], STATUS)
    _among(where, "source", line["source"], sources)
    wanted = {"miou_d": "distance", "iou": "class", "gmacs": "convention"}.get(metric)
    for column in ("paper", "table", "row", *filter(None, [wanted])):
        if not line[column]:
            raise DataError(f"{where}: {column} is empty, and {metric} needs it")
    if line["status"] in ("misprint", "contradicted") and not line["note"]:
        raise DataError(
            f"{where}: a number that is {line['status']} needs a note that says by what"
        )
    for column in ("value", *(name for name in _WHOLE if line[name])):
        text = line[column]
        if _value(text) is None or (column in _WHOLE and not text.isdecimal()):
            raise DataError(f"{where}: {column}={text!r}; expected a number")


def _among(where: str, column: str, value: str, known: Collection[str]) -> None:
    if value not in known:
        raise DataError(f"{where}: {column}={value!r}; expected one of {', '.join(known)}")
