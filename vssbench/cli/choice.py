"""Which results a command shows: options that `table` and `plot` share, and the rows that they
choose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

if TYPE_CHECKING:
    from vssbench.report.rows import Row

_OPTIONS = (
    click.option(
        "-m",
        "--method",
        "methods",
        multiple=True,
        help="Only this method, or those that begin so. Repeatable.",
    ),
    click.option(
        "-d", "--dataset", "datasets", multiple=True, help="Only this dataset. Repeatable."
    ),
    click.option(
        "-c",
        "--codec",
        "codecs",
        multiple=True,
        help="Only this codec, as h264[bitrate=1M]. Repeatable.",
    ),
    click.option(
        "--all",
        "older",
        is_flag=True,
        help="Older runs of the same cells too, not the newest alone.",
    ),
)


def choice_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``-m``, ``-d``, ``-c`` and ``--all``, passed as ``methods``, ``datasets``, ``codecs`` and
    ``older``."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def chosen_rows(
    runs: Path,
    methods: tuple[str, ...],
    datasets: tuple[str, ...],
    codecs: tuple[str, ...],
    older: bool,
) -> tuple[list[Row], str]:
    """The rows asked for, and what to say of those not shown. Raises UsageError where there are
    none."""
    from vssbench.report.choose import chosen, newest
    from vssbench.report.rows import rows
    from vssbench.run.store import RunStore

    found = chosen(rows(RunStore(runs).runs()), datasets, codecs, methods)
    if older:
        return found, ""
    kept, count = newest(found)
    noun = "run" if count == 1 else "runs"
    return (
        kept,
        f"left out {count} older {noun} of the same cells: --all shows them too" if count else "",
    )
