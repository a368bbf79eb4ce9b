"""Published parameter counts and costs, ``results/published/costs.csv``, and ours beside them in
the same convention.

Columns: ``variant`` as typed; ``part``, a submodule's path where the number is of its parameters
alone; ``classes``; ``height`` and ``width`` in pixels, empty for parameters, which no size changes;
``gop``, the frames of a GOP's mean; ``what`` (parameters, a keyframe, another frame, a GOP's mean);
``convention``, the one of ours that reproduces it (:mod:`vssbench.cost.conventions`);
``operations``, what its source counts as one, and ``known_by``, how that is known; ``auxiliary``,
whether heads that serve training alone are in it; ``input``, whether its source states the size;
``value`` and its ``unit``; ``source``, a paper's table, or a repository and commit that was
measured; ``explained``, ours minus the published number as far as the note explains it, in the
value's unit; ``note``, why ours differs, and by how much.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from vssbench.core import reading, registry
from vssbench.core.errors import DataError
from vssbench.core.program import CHECKOUT_ONLY
from vssbench.core.variant import Variant, parse_variant
from vssbench.cost.conventions import conventions
from vssbench.cost.gmacs import Cost, meta_model, parameters

#: the columns of the file
COLUMNS = (
    "variant", "part", "classes", "height", "width", "gop", "what", "convention", "operations",
    "known_by", "auxiliary", "input", "value", "unit", "source", "explained", "note",
)  # fmt: skip
#: what -> its name in a table: all parameters, those that inference uses; GMACs of a keyframe, of
#: another frame, the mean of a GOP; the first of these over the second
WHAT = {
    "params": "parameters",
    "params_inference": "parameters at inference",
    "gmacs_key": "GMACs key",
    "gmacs_nonkey": "GMACs non-key",
    "gmacs_gop": "GMACs GOP",
    "key_over_nonkey": "key / non-key",
}

#: what a source counts as one operation -> its name, and how many of these a multiply-accumulate
#: is. In a ratio it cancels
OPERATIONS = {
    "macs": ("MACs", 1),
    "2macs": ("2 x MACs", 2),
    "either": ("cancels", 1),
    "unknown": ("unknown", 1),
}
#: how that is known: the source says so or names a tool that counts so; it does not, and of the two
#: only this one comes near a recomputation; it was measured by a tool that counts so
KNOWN_BY = ("stated", "recomputed", "measured", "unknown")
#: ``none``: the network has no such heads
AUXILIARY = ("with", "without", "none", "unknown")
INPUT = ("stated", "assumed")

#: a dataset of 11 classes (CamVid) has 12 where Void is trained too: what is published for one is
#: worth seeing beside the other
_WITH_VOID = (11, 12)


@dataclass(frozen=True)
class Published:
    """One published number. ``size`` is (height, width), None for parameters; ``gop`` is None but
    for a GOP's mean."""

    typed: str
    part: str
    classes: int
    size: tuple[int, int] | None
    gop: int | None
    what: str
    convention: str
    operations: str
    known_by: str
    auxiliary: str
    input: str
    printed: str
    unit: str
    source: str
    explained: str
    note: str

    @property
    def variant(self) -> Variant:
        """The method, of whatever spelling."""
        return parse_variant(self.typed)

    @property
    def value(self) -> float:
        """The number that is printed."""
        return float(self.printed)

    def ours(self) -> float:
        """Return our number for the published one: parameters, G or a ratio.

        It is in the same convention and in the source's operations.
        """
        if self.size is None:
            whole, at_inference = _parameters(self.variant, self.classes, self.part)
            return whole if self.what == "params" else at_inference
        cost = _cost(self.convention, self.variant, self.classes, *self.size)
        if self.what == "key_over_nonkey":
            return cost.gmacs_key / cost.gmacs_nonkey
        _, factor = OPERATIONS[self.operations]
        if self.gop is not None:
            return factor * cost.gmacs_gop(self.gop)
        return factor * (cost.gmacs_key if self.what == "gmacs_key" else cost.gmacs_nonkey)

    def difference(self) -> float:
        """Return ours over the published number, minus 1."""
        return self.ours() / self.value - 1

    def unexplained(self) -> float:
        """Return what is left of ours minus the published number beside what the note explains."""
        return self.ours() - self.value - float(self.explained or 0)

    def holds(self) -> bool:
        """Return whether the note explains the difference, to half of the last digit that it names.

        A note that names none explains none: ours is the published number to its last digit.
        """
        decimals = len((self.explained or self.printed).partition(".")[2])
        return abs(self.unexplained()) <= 0.5 * 10**-decimals + 1e-9

    def label(self) -> str:
        """Describe the number in words."""
        interval = "" if self.gop is None else f" {self.gop}"
        return WHAT[self.what] + interval + (f" of {self.part}" if self.part else "")

    def counted(self) -> str:
        """Describe in words what the source counts as one and how that is known.

        It is empty for parameters.
        """
        if not self.operations:
            return ""
        name, _ = OPERATIONS[self.operations]
        return name if self.known_by == "unknown" else f"{name}, {self.known_by}"

    def shape(self) -> str:
        """Return the input's size, as HxW; empty for parameters."""
        return (
            ""
            if self.size is None
            else "{}x{}".format(*self.size) + (" (assumed)" if self.input == "assumed" else "")
        )

    def record(self) -> dict[str, Any]:
        """Return the row as plain values, with ours beside it."""
        return {
            "what": self.what, "number": self.label(), "convention": self.convention,
            "operations": self.operations,
            "known_by": self.known_by, "counted": self.counted(), "auxiliary": self.auxiliary,
            "size": self.size,
            "input": self.input, "shape": self.shape(), "classes": self.classes, "gop": self.gop,
            "value": self.printed,
            "unit": self.unit, "ours": self.ours(), "difference": self.difference(),
            "source": self.source, "explained": self.explained, "note": self.note,
        }  # fmt: skip


def path() -> Path:
    """Return the table in a checkout."""
    return Path(__file__).resolve().parents[2] / "results" / "published" / "costs.csv"


def read(file: Path | None = None) -> list[Published]:
    """Return all rows, in the file's order. Raises DataError where it is absent or a row does not
    read."""
    file = file or path()
    if not file.is_file():
        raise DataError(f"{file} is not there: the published costs {CHECKOUT_ONLY}")
    return [
        _row(record, f"{file.name}, line {number}")
        for number, record in enumerate(reading.read_table(file, COLUMNS), 2)
    ]


def matching(variant: Variant, classes: int, size: tuple[int, int]) -> list[Published]:
    """Return the rows of a variant, however it was typed, at that size; parameters whatever the
    size."""
    wanted = _key(variant)
    near = _WITH_VOID if classes in _WITH_VOID else (classes,)
    return [
        row
        for row in read()
        if row.variant.name == variant.name
        and row.classes in near
        and row.size in (None, size)
        and _key(row.variant) == wanted
    ]


def _key(variant: Variant) -> dict[str, object]:
    return registry.resolved("methods", variant)


def _row(record: dict[str, str], where: str) -> Published:
    what, convention = record["what"], record["convention"]
    if what not in WHAT:
        raise DataError(f"{where}: what={what!r}; expected one of {', '.join(WHAT)}")
    counted = not what.startswith("params")
    if counted:
        _check(
            record,
            where,
            convention=conventions(),
            operations=OPERATIONS,
            known_by=KNOWN_BY,
            input=INPUT,
        )
    _check(record, where, auxiliary=AUXILIARY)
    try:
        size = (int(record["height"]), int(record["width"])) if counted else None
        gop = int(record["gop"]) if what == "gmacs_gop" else None
        classes, printed = int(record["classes"]), record["value"]
        float(printed)
    except ValueError as error:
        raise DataError(
            f"{where}: {error}; expected classes, height, width, gop and value as numbers"
        ) from error
    return Published(
        record["variant"], record["part"], classes, size, gop, what, convention,
        record["operations"], record["known_by"],
        record["auxiliary"], record["input"], printed, record["unit"], record["source"],
        _explained(record, where), record["note"],
    )  # fmt: skip


def _explained(record: dict[str, str], where: str) -> str:
    """Return the difference that a row's note explains, as it is written; empty for none.

    Raises DataError where it is no number but 0, or no note explains it.
    """
    text = record.get("explained") or ""
    if text and not (re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text) and float(text)):
        raise DataError(
            f"{where}: explained={text!r}; expected ours minus the published number, or nothing "
            "where they agree"
        )
    if text and not record["note"]:
        raise DataError(f"{where}: explained={text!r}, and the note that explains it is empty")
    return text


def _check(record: dict[str, str], where: str, **known: Collection[str]) -> None:
    """Check that columns hold known values.

    Raises DataError where a column holds none of what is known.
    """
    for column, values in known.items():
        if record[column] not in values:
            raise DataError(
                f"{where}: {column}={record[column]!r}; expected one of {', '.join(values)}"
            )


@cache
def _cost(convention: str, variant: Variant, classes: int, height: int, width: int) -> Cost:
    return conventions()[convention].count(variant, classes, height, width)


@cache
def _parameters(variant: Variant, classes: int, part: str) -> tuple[int, int]:
    """Count all parameters, and those that inference uses.

    Of a submodule, both are all that it has.
    """
    model = meta_model(variant, classes)
    if part:
        whole = sum(parameter.numel() for parameter in model.get_submodule(part).parameters())
        return whole, whole
    numbers = parameters(model)
    return numbers.training, numbers.inference
