"""``bench.py table``: the results store as a table."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import rich_click as click

from vssbench.cli.choice import Choice, choice_options, chosen_rows, times_option
from vssbench.cli.options import read_runs_option

if TYPE_CHECKING:
    import pandas as pd

    from vssbench.report.paper.layout import Layout
    from vssbench.report.rows import Row

By = Literal["method", "codec", "distance"]


@dataclass(frozen=True)
class _Wanted:
    """The options of ``table`` that say what it looks like."""

    by: By
    base: str | None
    fmt: str | None
    per_class: bool
    like: str | None
    exact: bool
    intervals: bool
    times: Path | None


@click.command()
@read_runs_option
@choice_options
@times_option
@click.option(
    "--by", type=click.Choice(["method", "codec", "distance"]), default="method", show_default=True,
    help="A line a method; a line a codec and a column a method; or a column a distance.",
)  # fmt: skip
@click.option(
    "--base",
    help="With --by codec: the method over which the others gain; the costliest by default.",
)
@click.option(
    "--like", metavar="PAPER-TABLE",
    help="A paper's table in its own layout, ours beside the published numbers, as arseg-1.",
)  # fmt: skip
@click.option(
    "--exact", is_flag=True,
    help="With --like: leave out runs that were not made under the paper's conditions.",
)  # fmt: skip
@click.option("--intervals", is_flag=True, help="With --like: 95 % intervals of our mIoU.")
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["md", "csv", "latex", "html", "json", "parquet"]),
    help="Default: for the terminal. parquet is binary: redirect it to a file.",
)
@click.option("--per-class", is_flag=True, help="Add the IoU of every class.")
def table(runs: Path, choice: Choice, **given: Any) -> None:
    """Print the newest run of every method x dataset x codec of the results store. Rates are
    measured, not asked.

    For example:

    \b
        python bench.py table --format latex > table.tex
        python bench.py table --by distance --format csv > distances.csv
        python bench.py table --by codec --base pspnet -m pspnet -m arseg
        python bench.py table --like arseg-1 --format latex > table1.tex

    --like takes the table of a paper: arseg-1 to arseg-5, dff-4, icnet-2, bisenet-6 and others;
    an unknown name lists them. Published numbers are marked as such; costs are counted in the
    paper's own convention; where nothing was measured a note says why.
    """
    wanted = _Wanted(**given)
    _check(wanted)
    if wanted.like is not None:
        _print_like(runs, choice, wanted)
        return
    from vssbench.core.progress import messages

    rows, remark = chosen_rows(runs, choice, wanted.times)
    _print_rows(rows, wanted)
    if remark:
        messages().print(remark)


def _check(wanted: _Wanted) -> None:
    """Raise UsageError for options that contradict each other."""
    from vssbench.core.errors import UsageError

    if wanted.times is not None and wanted.by != "method":
        raise UsageError(
            f"--times: a table --by {wanted.by} shows no latencies; leave one of the two out"
        )
    if wanted.like is None and (wanted.exact or wanted.intervals):
        name = "--exact" if wanted.exact else "--intervals"
        raise UsageError(f"{name} is of a table --like a paper's: add that")
    if wanted.like is not None and (
        wanted.by != "method" or wanted.per_class or wanted.base is not None
    ):
        raise UsageError("--like is a layout of its own: leave --by, --base and --per-class out")
    if wanted.by != "method" and wanted.per_class:
        other = "method" if wanted.by == "codec" else "distance"
        raise UsageError(
            f"--by {wanted.by} has a column a {other} and no place for classes: leave --per-class "
            "out"
        )
    if wanted.by != "codec" and wanted.base is not None:
        raise UsageError(
            "--base is the method that others are compared with in a table --by codec: add that"
        )
    if wanted.fmt == "parquet":
        _check_parquet(wanted.by)


def _check_parquet(by: str) -> None:
    """Raise UsageError for a Parquet file that has no place to go, or no rows of runs."""
    from vssbench.core.errors import UsageError

    if by == "codec":
        raise UsageError("--format parquet holds a row a run: leave --by codec out")
    if sys.stdout.isatty():
        raise UsageError(
            "--format parquet is binary and not for a terminal: redirect it, as in "
            "`table --format parquet > table.parquet`"
        )


def _print_rows(rows: list[Row], wanted: _Wanted) -> None:
    """Print the table of runs that is wanted."""
    from vssbench.cli.run import print_table
    from vssbench.report.distances import (
        parquet_distances,
        render_distances,
        terminal_distances,
    )
    from vssbench.report.pivot import render_pivot, terminal_pivot
    from vssbench.report.table import parquet_of, render, terminal

    by, fmt, per_class = wanted.by, wanted.fmt, wanted.per_class
    if fmt == "parquet":
        distances = by == "distance"
        made = parquet_distances(rows) if distances else parquet_of(rows, per_class)
        click.echo(made, nl=False)
    elif by == "distance":
        if fmt is None:
            print_table(terminal_distances(rows))
        else:
            click.echo(render_distances(rows, fmt), nl=False)
    elif fmt is None and not per_class:
        shown = terminal_pivot(rows, wanted.base) if by == "codec" else terminal(rows)
        print_table(shown)
    elif by == "codec":
        click.echo(render_pivot(rows, fmt or "md", wanted.base), nl=False)
    else:
        click.echo(render(rows, fmt or "md", per_class=per_class), nl=False)


def _print_like(runs: Path, choice: Choice, wanted: _Wanted) -> None:
    """Print a paper's table with what the store has beside it."""
    from vssbench.cli.run import print_table
    from vssbench.report.paper.layout import find
    from vssbench.report.paper.render import parquet_of, render
    from vssbench.report.paper.sheet import sheet, terminal_sheet

    layout = find(wanted.like or "")
    its = _cells(layout, runs, choice, wanted)
    if wanted.fmt is None:
        print_table(terminal_sheet(sheet(layout, its)))
    elif wanted.fmt == "parquet":
        click.echo(parquet_of(its), nl=False)
    else:
        click.echo(render(layout, its, wanted.fmt), nl=False)


def _cells(layout: Layout, runs: Path, choice: Choice, wanted: _Wanted) -> pd.DataFrame:
    from vssbench.core.progress import messages
    from vssbench.report.paper.cells import cells
    from vssbench.report.paper.ours import Store
    from vssbench.run.store import RunStore

    store = RunStore(runs)
    if not runs.is_dir() or not store.runs():
        messages().print(f"no runs in {runs}: costs alone stand beside the published numbers")
        return cells(layout, Store())
    rows, _ = chosen_rows(runs, choice, wanted.times)
    return cells(layout, Store(rows, store, wanted.exact, wanted.intervals))
