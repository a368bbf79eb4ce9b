"""The columns of a table, the rows that belong together, and the remarks below: the same for every
format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from string import ascii_uppercase
from typing import Any

from vssbench.report.footnotes import footnotes, marked, version_remarks
from vssbench.report.headings import Heading, conditions, headings
from vssbench.report.markup import DASH, Cell, Grid
from vssbench.report.rows import Row
from vssbench.report.streams import codec_key, measured_rate, quality_text, stream_title


@dataclass(frozen=True)
class Column:
    """A heading and how a row fills it; ``best`` marks the column whose greatest value is set in
    bold."""

    heading: str
    cell: Callable[[Row], str]
    best: str | None = None


def percent(value: float | None) -> str:
    """Return a fraction as a percentage with two decimals, as the papers print mIoU."""
    return DASH if value is None else f"{100 * value:.2f}"


def quantity(value: float | None) -> str:
    """Return three significant digits or more, never an exponent: 0.412, 18.96, 309.0, 1012."""
    if value is None:
        return DASH
    decimals = next(
        (places for bound, places in ((1, 3), (100, 2), (1000, 1)) if abs(value) < bound), 0
    )
    return f"{value:.{decimals}f}"


def _plain(key: str, scale: float = 1.0) -> Callable[[Row], str]:
    return lambda row: quantity(None if row[key] is None else row[key] * scale)


def _latency(kind: str) -> Callable[[Row], str]:
    median, tail = f"latency_{kind}_ms", f"latency_{kind}_p90_ms"

    def cell(row: Row) -> str:
        # the tail of a time that was typed in is not known
        more = "" if row[tail] is None else f" ({quantity(row[tail])})"
        return f"{quantity(row[median])}{more}"

    return cell


def _miou(row: Row) -> str:
    return percent(row["miou"]) if row["status"] == "done" else row["status"]


METHOD = Column("Method", lambda row: row["display"])
MIOU = Column("mIoU %", _miou, best="miou")
MIOU_0 = Column("mIoU d=0 %", lambda row: percent(row["miou_0"]))
MIOU_LAST = Column("mIoU d=last %", lambda row: percent(row["miou_last"]))
GMACS = Column("GMACs/frame", _plain("gmacs_gop"))
PARAMS = Column("Params M", _plain("params", 1e-6))
KEY_MS = Column("Key ms (p90)", _latency("key"))
NONKEY_MS = Column("Non-key ms (p90)", _latency("nonkey"))

#: every column of a document's table; what fits a printed page; what fits a terminal of 100 columns
FULL = (
    METHOD, MIOU, MIOU_0, MIOU_LAST, Column("GMACs key", _plain("gmacs_key")),
    Column("GMACs non-key", _plain("gmacs_nonkey")), GMACS, PARAMS, KEY_MS, NONKEY_MS,
    Column("Decode ms", _plain("decode_ms")), Column("Motion ms", _plain("motion_ms")),
    Column("kbit/s measured", lambda row: measured_rate([row]) or DASH),
    Column("PSNR dB", lambda row: quality_text([row], "psnr_db") or DASH),
    Column("SSIM", lambda row: quality_text([row], "ssim") or DASH), Column("Frames",
    lambda row: str(row["frames"])),
)  # fmt: skip
PRINTED = (METHOD, MIOU, MIOU_0, MIOU_LAST, GMACS, PARAMS, KEY_MS, NONKEY_MS)
TERMINAL = (
    METHOD, MIOU, Column("d=0 %", MIOU_0.cell), Column("d=last %", MIOU_LAST.cell), Column("GMACs",
    GMACS.cell),
    PARAMS, Column("Key ms", _plain("latency_key_ms")), Column("Non-key ms",
    _plain("latency_nonkey_ms")),
)  # fmt: skip

#: what tells rows of the same name apart, in the order in which it is tried
_DISTINCTIONS = (
    ("method", "{}"), ("void", "Void {}"), ("precision", "{}"), ("weights", "{}"),
    ("seed", "seed {}"), ("device", "{}"), ("machine", "{}"), ("version", "version {}"),
    ("created", "{}"), ("run_id", "run {}"),
)  # fmt: skip


@dataclass(frozen=True)
class Group:
    """Rows that may be compared: the same data, frame size, codec, GOP and protocol. Best mIoU
    first, rows without one last."""

    heading: Heading
    rows: tuple[Row, ...]
    #: the codec as typed where its title tells it from no other
    codec_note: str = ""

    @property
    def title(self) -> str:
        """Dataset and frame size, codec with its measured rate and GOP, and protocol, in words."""
        return f"{self.heading.dataset} / {self.stream()} / {self.heading.protocol}"

    def stream(self, gop: bool = True, short: bool = False) -> str:
        """Return the group's stream in words, as :func:`vssbench.report.streams.stream_title`."""
        words = stream_title(self.rows, gop, short)
        return f"{words} ({self.codec_note})" if self.codec_note else words

    def is_best(self, row: Row, column: Column) -> bool:
        """Return whether this row holds the column's greatest value, of two values at least."""
        best = self._best.get(column.best or "")
        return best is not None and row[column.best or ""] == best

    @cached_property
    def _best(self) -> dict[str, float]:
        """The greatest value of each column that has a best one, of two values at least."""
        names = {column.best for column in (*FULL, *TERMINAL) if column.best}
        values = {
            name: [row[name] for row in self.rows if row.get(name) is not None] for name in names
        }
        return {name: max(several) for name, several in values.items() if len(several) > 1}

    @property
    def machines(self) -> tuple[str, ...]:
        """The machines on which this group's rows were timed, in alphabetical order."""
        timed = {row["machine"] for row in self.rows if row["latency_key_ms"] is not None}
        return tuple(sorted(timed - {""}))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in the dataset's order."""
        return tuple(next((tuple(row["per_class"]) for row in self.rows if row["per_class"]), ()))

    def columns(self, base: Sequence[Column]) -> tuple[Column, ...]:
        """Return the columns of this group: a letter for the machine is added where there is more
        than one."""
        if len(self.machines) < 2:
            return tuple(base)
        return (*base, Column("Machine", lambda row: letter(self.machines, row["machine"])))

    def grid(self, columns: Sequence[Column]) -> Grid:
        """Return the group's rows as texts, the method's name to the left."""
        lines = [
            tuple(Cell(column.cell(row), self.is_best(row, column)) for column in columns)
            for row in self.rows
        ]
        return Grid(tuple(column.heading for column in columns), tuple(lines))

    def class_columns(self) -> tuple[Column, ...]:
        """Return the method and the IoU of each class, in percent."""
        return (METHOD, *(Column(f"{name} %", _class_cell(name)) for name in self.classes))

    def remarks(self) -> list[str]:
        """Return the remarks below the table: the machines, why a row has no numbers, and what the
        marks behind names say."""
        names = self.machines
        said = [f"Machine: {name}." for name in names] if len(names) == 1 else []
        if len(names) > 1:
            listed = "; ".join(f"{letter(names, name)} = {name}" for name in names)
            said.append(
                f"Machines: {listed}. Latencies of different machines must not be compared."
            )
        for row in self.rows:
            if row["status"] != "done":
                said.append(
                    f"{row['display']} {row['status']}: {row['reason'] or 'no reason was recorded'}"
                )
        said += dict.fromkeys(remark for row in self.rows for remark in row["remarks"])
        return [*said, *version_remarks(self.rows), *footnotes(self.rows)]


def letter(names: Sequence[str], name: str) -> str:
    """Return the letter of a name: A, B, ...

    in order, A2, B2, ... after Z. It is a dash for a name that is not among them.
    """
    if name not in names:
        return DASH
    turn, place = divmod(list(names).index(name), len(ascii_uppercase))
    return ascii_uppercase[place] + (str(turn + 1) if turn else "")


def groups(rows: Sequence[Row]) -> list[Group]:
    """Return rows that may be compared with each other, by dataset, codec and falling rate,
    whatever order they come in."""
    parts: dict[tuple[str, ...], list[Row]] = {}
    for row in sorted(rows, key=_rank):
        parts.setdefault((*conditions(row), *codec_key(row), str(row["gop"])), []).append(row)
    ordered = sorted(parts, key=lambda key: (key[0], *_stream_order(parts[key]), key))
    names = headings(rows)
    grouped = [Group(names[conditions(parts[key][0])], tuple(parts[key])) for key in ordered]
    titles = Counter(group.title for group in grouped)
    return [
        replace(group, codec_note=group.rows[0]["codec"]) if titles[group.title] > 1 else group
        for group in grouped
    ]


def _stream_order(rows: Sequence[Row]) -> tuple[str, float]:
    rates = [row["bitrate_kbps"] for row in rows if row["bitrate_kbps"] is not None]
    return rows[0]["codec_name"] or rows[0]["codec"].partition("[")[0], -max(rates, default=0.0)


def told_apart(part: Group) -> Group:
    """Return the group with names told apart, and with the marks of footnotes.

    What differs stands behind the names of rows that would otherwise have the same one.
    """
    names = [""] * len(part.rows)
    for display, places in _parted(range(len(part.rows)), "display", part.rows).items():
        _name_apart(str(display), places, part.rows, names)
    return replace(
        part,
        rows=tuple(
            row | {"display": marked(row | {"display": name})}
            for row, name in zip(part.rows, names, strict=True)
        ),
    )


def _name_apart(
    display: str, namesakes: Sequence[int], rows: Sequence[Row], names: list[str]
) -> None:
    """Fill in the names of rows that have the same one, given by their places."""
    alike: list[tuple[list[str], list[int]]] = [([], list(namesakes))]
    for field, note in _DISTINCTIONS:
        parts = []
        for notes, places in alike:
            values = _parted(places, field, rows)
            for value, part in values.items():
                said = note.format("none" if value in (None, "") else value)
                parts.append(([*notes, said] if len(values) > 1 else notes, part))
        alike = parts
    for notes, places in alike:
        for place in places:
            names[place] = f"{display} ({', '.join(notes)})" if notes else display


def _parted(places: Iterable[int], field: str, rows: Sequence[Row]) -> dict[Any, list[int]]:
    """Return the places of rows by their value of a field."""
    parts: dict[Any, list[int]] = {}
    for place in places:
        parts.setdefault(rows[place].get(field), []).append(place)
    return parts


def _rank(row: Row) -> tuple[bool, float, str, str, str]:
    accuracy = row["miou"]
    return accuracy is None, -(accuracy or 0.0), row["display"], row["method"], row["run_id"]


def _class_cell(name: str) -> Callable[[Row], str]:
    return lambda row: percent(row["per_class"].get(name))
