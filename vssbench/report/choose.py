"""Which of the stored runs are shown: those asked for, and of each experiment the newest."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from vssbench.core.errors import UsageError
from vssbench.core.variant import Variant, parse_variant
from vssbench.report.rows import Row, require
from vssbench.report.streams import codec_key

#: what makes two runs the same experiment; they may still differ in code, library versions and the
#: time of day
_SAME = (
    "method",
    "dataset",
    "data",
    "protocol",
    "height",
    "width",
    "gop",
    "precision",
    "weights",
    "seed",
    "device",
    "machine",
    "without",
    "void",
)
#: by how much clocks of machines that are in order may differ
_CLOCKS_DIFFER = timedelta(hours=1)
#: a row's field -> the option that filters by it
_OPTIONS = {
    "dataset": "-d", "codec": "-c", "method": "-m", "protocol": "--protocol", "gop": "--gop",
}  # fmt: skip


def chosen(
    rows: Sequence[Row],
    datasets: Sequence[str] = (),
    codecs: Sequence[str] = (),
    methods: Sequence[str] = (),
    protocols: Sequence[str] = (),
    gops: Sequence[int] = (),
) -> list[Row]:
    """Return the rows that match one of each kind of variant, and have one of the GOPs; an empty
    kind lets all pass. See `matches`.

    Raises UsageError, listing what there is, where a variant matches no row, or no row matches all
    kinds.
    """
    require(rows)
    kept = list(rows)
    asked: dict[str, Sequence[Any]] = {
        "dataset": datasets, "codec": codecs, "method": methods, "protocol": protocols, "gop": gops,
    }  # fmt: skip
    for field, wanted in asked.items():
        for value in wanted:
            if not any(_has(row[field], value) for row in rows):
                present = ", ".join(map(str, sorted({row[field] for row in rows})))
                raise UsageError(
                    f"{_OPTIONS[field]} {value}: no result has such a {field}; there are {present}"
                )
        kept = [
            row for row in kept if not wanted or any(_has(row[field], value) for value in wanted)
        ]
    if not kept:
        used = [_OPTIONS[field] for field, wanted in asked.items() if wanted]
        listed = f"{', '.join(used[:-1])} and {used[-1]}"
        raise UsageError(f"no result matches all of {listed} together: leave one of them out")
    return kept


def _has(value: Any, wanted: Any) -> bool:
    return matches(wanted, value) if isinstance(wanted, str) else bool(value == wanted)


def matches(text: str, variant: str) -> bool:
    """Return whether a variant begins with the text, or has its name and parameters.

    The parameters may be in any order, and the variant may have more.

    ``h264``, ``h264[bitrate=1M]`` and ``h264[gop=12]`` all match ``h264[bitrate=1M,gop=12]``.
    """
    if variant.startswith(text):
        return True
    wanted, found = _parsed(text), _parsed(variant)
    return wanted.name == found.name and wanted.params.items() <= found.params.items()


def newest(rows: Sequence[Row]) -> tuple[list[Row], int]:
    """Return the newest run of each experiment, in the order given, and how many older ones there
    were.

    A run that is dated in the future was measured while a clock was wrong: it is older than any
    whose date can be true.
    """
    now = (datetime.now(UTC) + _CLOCKS_DIFFER).isoformat(timespec="seconds")
    latest: dict[str, int] = {}
    for place, row in enumerate(rows):
        experiment = _experiment(row)
        if experiment not in latest or _age(rows[latest[experiment]], now) < _age(row, now):
            latest[experiment] = place
    return [rows[place] for place in sorted(latest.values())], len(rows) - len(latest)


def _age(row: Row, now: str) -> tuple[bool, str, str]:
    return row["created"] <= now, row["created"], row["run_id"]


def _experiment(row: Row) -> str:
    return json.dumps(
        [[str(row[name]) for name in _SAME], codec_key(row), row["protocol_details"]],
        sort_keys=True,
    )


def _parsed(text: str) -> Variant:
    """Parse a variant; take the text as a name where it does not read as one.

    The beginning of a word may not.
    """
    try:
        return parse_variant(text)
    except UsageError:
        return Variant(text)
