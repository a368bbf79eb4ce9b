"""``bench.py table``: the results store as a table."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click

from vssbench.cli.choice import Choice, choice_options, chosen_rows
from vssbench.cli.options import runs_option


@click.command()
@runs_option
@choice_options
@click.option(
    "--by", type=click.Choice(["method", "codec"]), default="method", show_default=True,
    help="A line a method, or a line a codec and a column a method.",
)  # fmt: skip
@click.option(
    "--base",
    help="With --by codec: the method over which the others gain; the costliest by default.",
)
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["md", "csv", "latex", "json", "parquet"]),
    help="Default: for the terminal. parquet is binary: redirect it to a file.",
)
@click.option("--per-class", is_flag=True, help="Add the IoU of every class.")
def table(
    runs: Path,
    choice: Choice,
    by: str,
    base: str | None,
    fmt: str | None,
    per_class: bool,
) -> None:
    """Print the newest run of every method x dataset x codec of the results store. Rates are
    measured, not asked.

    For example:

    \b
        python bench.py table --format latex > table.tex
        python bench.py table --format parquet > table.parquet
        python bench.py table --by codec --base pspnet -m pspnet -m arseg
    """
    from vssbench.cli.run import print_table
    from vssbench.core.errors import UsageError
    from vssbench.core.progress import messages
    from vssbench.report.pivot import render_pivot, terminal_pivot
    from vssbench.report.table import parquet_of, render, terminal

    if by == "codec" and per_class:
        raise UsageError(
            "--by codec has a column a method and no place for classes: leave --per-class out"
        )
    if by == "method" and base is not None:
        raise UsageError(
            "--base is the method that others are compared with in a table --by codec: add that"
        )
    if fmt == "parquet":
        _check_parquet(by)
    shown, remark = chosen_rows(runs, choice)
    if fmt is None and not per_class:
        print_table(terminal_pivot(shown, base) if by == "codec" else terminal(shown))
    elif fmt == "parquet":
        click.echo(parquet_of(shown, per_class), nl=False)
    elif by == "codec":
        click.echo(render_pivot(shown, fmt or "md", base), nl=False)
    else:
        click.echo(render(shown, fmt or "md", per_class=per_class))
    if remark:
        messages().print(remark)


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
