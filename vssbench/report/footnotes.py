"""Marks behind the names of methods and what they say below a table or figure; and whether rows
were measured by one version of the code."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.variant import parse_variant
from vssbench.run.measurement import NON_DETERMINISTIC, Measurement

Row = dict[str, Any]


@dataclass(frozen=True)
class Footnote:
    """A mark, the rows that bear it, and what it says."""

    mark: str
    applies: Callable[[Row], bool]
    text: str


def _is(field: str, *values: str) -> Callable[[Row], bool]:
    return lambda row: row.get(field, "") in values


def _is_typed(*beginnings: str) -> Callable[[Row], bool]:
    """Return whether columns whose names begin so were typed in."""
    return lambda row: any(name.startswith(beginnings) for name in row.get("typed", "").split(", "))


def _varies(row: Row) -> bool:
    """Return whether the run says that its network gave other logits for the same frame."""
    return NON_DETERMINISTIC in row.get("remarks", ())


FOOTNOTES = (
    Footnote(
        "\u2020", _is("seen", "training", "selection"),
        "its weights were trained, or their best state chosen, on frames that are scored here",
    ),
    Footnote(
        "\u2021", _is("seen", "unknown"),
        "it is not recorded on what its weights were trained: frames scored here may be among it",
    ),
    Footnote(
        "\u00a7", _is("void", "error"),
        "where its output of no scored class, as Void, is the largest, the pixel is an error",
    ),
    Footnote(
        "\u00b6", _is("void", "masked"),
        "its output of no scored class, as Void, is masked: the largest of the others counts",
    ),
    Footnote("*", _is_typed("gmacs", "params"), "its cost was typed in, not measured"),
    Footnote(
        "\u2260", _varies,
        "non-deterministic: passes over the same frame gave different logits, and another run may "
        "give other numbers",
    ),
    Footnote("\u2016", _is_typed("latency"), "its latency was typed in, not measured"),
)  # fmt: skip
_MARKS = "".join(note.mark for note in FOOTNOTES)


def marked(row: Row) -> str:
    """Return the row's name with its marks behind it."""
    return marked_line(str(row["display"]), [row])


def marked_line(name: str, rows: Sequence[Row]) -> str:
    """Return the name of a curve through several rows with the marks that any of them has."""
    marks = "".join(note.mark for note in FOOTNOTES if any(note.applies(row) for row in rows))
    return f"{name} {marks}" if marks else name


def unmarked(name: str) -> str:
    """Return a name without the marks of :func:`marked`."""
    return name.rstrip(_MARKS).rstrip() if name[-1:] in _MARKS else name


def footnotes(rows: Sequence[Row]) -> list[str]:
    """Return what the marks of these rows say, a line each."""
    return [
        f"{note.mark} {note.text}." for note in FOOTNOTES if any(note.applies(row) for row in rows)
    ]


def what_was_seen(item: Measurement) -> str:
    """Return what a run's weights have seen of the frames that it scored: ``training``,
    ``selection``, ``none`` or ``unknown``. Empty where nothing is known of weights at all."""
    found = item.seen
    if found:
        if found["training"]:
            return "training"
        if not found["known"]:
            return "unknown"
        return "selection" if found["selection"] else "none"
    return _by_dataset(item) if item.weights else ""


def _by_dataset(item: Measurement) -> str:
    """Return the same of a run that was stored before frames were compared."""
    trained = item.weights.get("trained") or {}
    try:
        dataset = parse_variant(item.dataset)
        same = parse_variant(str(trained.get("dataset"))).name == dataset.name
        disjoint = same and registry.load("datasets", dataset.name).disjoint
    except UsageError:
        return "unknown"
    if not disjoint:
        return "unknown"
    split = item.split or dataset.params.get("split")
    return "training" if split == "train" else "none"


def versions(rows: Sequence[Row]) -> list[str]:
    """Return the versions of the code that measured these rows, in order, one for each state of
    the code: runs of several plug-ins are of one state where no part that both have differs."""
    states: list[dict[str, str]] = []
    found = []
    done = (row for row in rows if row["status"] == "done")
    for row in sorted(done, key=lambda row: str(row["version"])):
        # of a run whose code's parts are not known the whole version tells
        parts = row.get("sources") or {"vssbench": row["version"]}
        for state in states:
            if all(state.get(name, digest) == digest for name, digest in parts.items()):
                state.update(parts)
                break
        else:
            states.append(dict(parts))
            found.append(row["version"])
    return found


def version_remarks(rows: Sequence[Row]) -> list[str]:
    """Return the remark that rows of one table were measured by different versions, else none."""
    found = versions(rows)
    if len(found) < 2:
        return []
    return [
        f"Measured by {len(found)} versions of the code, whose numbers may differ: "
        f"{', '.join(found)}."
    ]


def check_one_version(rows: Sequence[Row]) -> None:
    """Raise UsageError where rows were measured by different versions of the code."""
    found = versions(rows)
    if len(found) > 1:
        raise UsageError(
            f"--strict: these runs were measured by {len(found)} versions of the code "
            f"({', '.join(found)}): measure the older ones again, or choose runs of one version by "
            "-d, -c and -m"
        )
