"""``bench.py run``: measure methods on datasets under codecs."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import rich_click as click

from vssbench.cli.options import (
    data_root_option,
    device_option,
    gop_option,
    measure_option,
    precision_option,
    protocol_option,
    runs_option,
    without_option,
)
from vssbench.core.program import program


@click.command()
@click.option(
    "-m", "--method", "methods", multiple=True, help="Method, as arseg[scale=0.5]. Repeatable."
)
@click.option(
    "-d", "--dataset", "datasets", multiple=True, help="Dataset; synthetic by default. Repeatable."
)
@click.option(
    "-c", "--codec", "codecs", multiple=True, help="Codec, as h264[bitrate=1M,gop=12]. Repeatable."
)
@data_root_option
@gop_option
@protocol_option
@measure_option
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Weight file; the shipped ones by default. Repeatable, each goes to the method it was "
    "trained for.",
)
@without_option
@click.option(
    "--void",
    type=click.Choice(["error", "masked"]),
    default="error",
    show_default=True,
    help="An output that stands for no scored class (the twelfth of CamVid's networks, or that of "
    "a class left out): an error where it is the largest, or masked, so that the next counts.",
)
@runs_option
@device_option
@precision_option("fp32")
@click.option("--force", is_flag=True, help="Measure again what is done already.")
def run(
    datasets: tuple[str, ...], data_root: Path | None, runs: Path, force: bool, **given: Any
) -> None:
    """Measure mIoU by distance from the keyframe, GMACs and latency. No option at all runs the
    embedded default.

    For example:

    \b
        python bench.py run -m pspnet -m 'arseg[scale=0.5]' -d camvid --data-root ~/CamVid
            -c 'h264[bitrate=1M]' -c 'h264[bitrate=300k]' --gop 12

    Exit status: 0 if every experiment was measured, 1 if one failed, was refused or does not
    read (the others are kept), 2 for bad input.
    """
    from dataclasses import replace

    from vssbench.cli.options import check_device, open_dataset
    from vssbench.core.errors import DataError
    from vssbench.core.machine import typed_command
    from vssbench.core.progress import messages
    from vssbench.core.variant import parse_variant
    from vssbench.report import index
    from vssbench.report.rows import rows
    from vssbench.report.table import terminal
    from vssbench.run.store import RunStore
    from vssbench.sweep.defaults import DEFAULT_CODECS, DEFAULT_DATASET
    from vssbench.sweep.grid import Grid, plan, sweep

    grid = Grid(**given)
    grid = replace(grid, codecs=grid.codecs or DEFAULT_CODECS)
    check_device(grid.device)
    opened = []
    for text in datasets or (DEFAULT_DATASET,):
        variant = parse_variant(text)
        opened.append((variant, open_dataset(variant, data_root)))
    experiments = plan(grid, opened, runs / ".cache")
    store = RunStore(runs)
    measurements = sweep(experiments, store, typed_command(), force)
    stored = []
    for measurement in measurements:
        with suppress(DataError):  # a full disk
            stored.append(store.get(measurement.run_id))
    shown = rows(stored)
    if shown:
        print_table(terminal(shown))
    if len(stored) < len(measurements):
        messages().print(
            f"{len(measurements) - len(stored)} of {len(measurements)} experiments could not be "
            f"stored: look at the free space and the permissions of {runs}"
        )
    messages().print(
        f"{runs}/ holds {len(stored)} of {len(measurements)} experiments "
        f"(`{program()} table --runs {runs}` shows all that are there)"
    )
    index.keep_up(store)
    damaged = sum(row["status"] == "damaged" for row in shown)
    if damaged:
        messages().print(
            f"{damaged} of {len(shown)} runs do not read: --force measures and replaces them"
        )
    if damaged or any(measurement.status != "done" for measurement in measurements):
        sys.exit(1)


def print_table(table: object) -> None:
    """Print a rich table to stdout, wide enough that no number is lost: a narrow terminal breaks
    the lines."""
    from rich.console import Console

    console = Console(highlight=False)
    least = console.measure(table, options=console.options.update(width=1000)).minimum  # type: ignore[arg-type]
    wide = console.width if console.is_terminal else 140
    Console(highlight=False, width=max(wide, least)).print(table)
