"""``bench.py table``: the results store as a table."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vssbench.cli.options import runs_option


@click.command()
@runs_option
@click.option("--format", "fmt", type=click.Choice(["md", "csv", "latex", "json"]), help="Default: for the terminal.")
@click.option("--per-class", is_flag=True, help="Add the IoU of every class.")
def table(runs: Path, fmt: str | None, per_class: bool) -> None:
    """Print a row for every method x dataset x codec of the results store.

    For example:

    \b
        python bench.py table --format latex > table.tex
    """
    from vssbench.cli.run import print_table
    from vssbench.report.rows import rows
    from vssbench.report.table import render, terminal
    from vssbench.store import RunStore

    found = rows(RunStore(runs).runs())
    if fmt is None and not per_class:
        print_table(terminal(found))
    else:
        click.echo(render(found, fmt or "md", per_class=per_class))
