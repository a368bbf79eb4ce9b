"""Names of the data and protocols behind groups of rows, such that no two groups have the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from vssbench.core.errors import UsageError
from vssbench.core.variant import Variant, format_value, parse_variant
from vssbench.protocol import COST, KEYFRAMES_ALONE
from vssbench.report.rows import Row

Conditions = tuple[str, str, str]
#: digits of a digest that are shown
_DIGITS = 6


@dataclass(frozen=True)
class Heading:
    """Dataset and protocol in words."""

    dataset: str
    protocol: str


def conditions(row: Row) -> Conditions:
    """Return the conditions that must be equal for two codecs to be compared.

    These are dataset, protocol, and frame size with the data's digest and the protocol's details.
    """
    left_out = row.get("without", "")
    details = json.dumps(
        [row["height"], row["width"], row["data"], row["protocol_details"], left_out],
        sort_keys=True,
    )
    return _ordered(row["dataset"]), row["protocol"], details


def dataset_title(row: Row) -> str:
    """Return dataset and frame size: ``CamVid 720x960``."""
    dataset, size = row["dataset_title"] or row["dataset"], f"{row['height']}x{row['width']}"
    return f"{dataset} {size}" if row["height"] and size not in dataset else dataset


def protocol_title(row: Row) -> str:
    """Return the protocol as typed, and that keyframes alone are scored where that is so."""
    alone = keyframes_alone(row)
    return f"{row['protocol']}, {KEYFRAMES_ALONE}" if alone else str(row["protocol"])


def keyframes_alone(row: Row) -> bool:
    """Return whether a row's cost is a keyframe's since keyframes alone are scored."""
    return row["protocol_details"].get(COST) == KEYFRAMES_ALONE


def headings(rows: Iterable[Row]) -> dict[Conditions, Heading]:
    """Return the heading of each set of conditions among the rows of one table or figure.

    Split and number of classes stand in each where the rows have more than one, and classes that
    are not scored wherever there are such. Where that leaves two the same, the parameters that
    differ follow, then the data's digests, then the protocol's settings.
    """
    first: dict[Conditions, Row] = {}
    for row in rows:
        first.setdefault(conditions(row), row)
    known = list(first.values())
    datasets = [", ".join([dataset_title(row), *notes]) for row, notes in _counted(known)]
    protocols = [protocol_title(row) for row in known]
    for differences in (_parameters, _digests):
        for place, note in _among_namesakes(known, datasets, protocols, differences):
            datasets[place] = f"{datasets[place]}, {note}"
    for place, note in _among_namesakes(known, datasets, protocols, _details):
        protocols[place] = f"{protocols[place]} ({note})"
    return dict(zip(first, map(Heading, datasets, protocols), strict=True))


def _counted(rows: Sequence[Row]) -> list[tuple[Row, list[str]]]:
    """Pair each row with its split and its number of classes, as far as rows differ in them, and
    with the classes that are not scored."""
    splits = {row["split"] for row in rows} - {""}
    counts = {row["classes"] for row in rows} - {0}
    return [
        (
            row,
            [row["split"]] * (len(splits) > 1 and bool(row["split"]))
            + [f"{row['classes']} classes"] * (len(counts) > 1 and bool(row["classes"]))
            + [f"without {row['without']}"] * bool(row.get("without")),
        )
        for row in rows
    ]


def _among_namesakes(
    rows: Sequence[Row],
    datasets: Sequence[str],
    protocols: Sequence[str],
    differences: Callable[[Sequence[Row]], list[str]],
) -> list[tuple[int, str]]:
    """Return the place of each row whose heading another has too, with what is to be added."""
    places: dict[tuple[str, str], list[int]] = {}
    for place, name in enumerate(zip(datasets, protocols, strict=True)):
        places.setdefault(name, []).append(place)
    return [
        (place, note)
        for same in places.values()
        if len(same) > 1
        for place, note in zip(same, differences([rows[at] for at in same]), strict=True)
        if note
    ]


def _parameters(rows: Sequence[Row]) -> list[str]:
    """Return the plug-in's name and the parameters, as far as they differ."""
    variants = [_parsed(row["dataset"]) for row in rows]
    named = len({variant.name for variant in variants}) > 1
    notes = _differing([variant.params for variant in variants], format_value, "{} by default")
    return [
        ", ".join(filter(None, [variant.name * named, note]))
        for variant, note in zip(variants, notes, strict=True)
    ]


def _digests(rows: Sequence[Row]) -> list[str]:
    if len({row["data"] for row in rows}) < 2:
        return [""] * len(rows)
    return [f"data {row['data'][:_DIGITS] or 'unknown'}" for row in rows]


def _details(rows: Sequence[Row]) -> list[str]:
    return _differing([row["protocol_details"] for row in rows], _text, "{} unknown")


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _differing(
    settings: Sequence[Mapping[str, Any]], form: Callable[[Any], str], missing: str
) -> list[str]:
    """Return for each of some settings those that are not the same in all."""
    names = dict.fromkeys(name for each in settings for name in each)
    differ = [
        name for name in names
        if len({form(each[name]) if name in each else None for each in settings}) > 1
    ]  # fmt: skip
    return [
        ", ".join(
            f"{name}={form(each[name])}" if name in each else missing.format(name)
            for name in differ
        )
        for each in settings
    ]


@lru_cache(maxsize=1024)  # thousands of rows have few datasets
def _ordered(text: str) -> str:
    """Return a variant's text with its parameters in alphabetical order."""
    variant = _parsed(text)
    return str(Variant(variant.name, dict(sorted(variant.params.items()))))


def _parsed(text: str) -> Variant:
    """Parse a variant; take a text that is none, as a record may hold, as a name."""
    try:
        return parse_variant(text)
    except UsageError:
        return Variant(text)
