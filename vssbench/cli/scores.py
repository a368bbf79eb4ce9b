"""``bench.py scores``: every score of the results store with its interval, and differences of
methods with theirs."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vssbench.cli.choice import Choice, choice_options, chosen_rows
from vssbench.cli.options import absent_option, read_runs_option


@click.command()
@read_runs_option
@choice_options
@click.option(
    "--base",
    help="The method with which others are compared on the same frames; the costliest by default.",
)
@absent_option
@click.option(
    "--format", "fmt", type=click.Choice(["md", "csv", "json"]), help="Default: for the terminal."
)
def scores(
    runs: Path,
    choice: Choice,
    base: str | None,
    absent: str,
    fmt: str | None,
) -> None:
    """Print mIoU with its 95 % bootstrap interval, pooled and image-level mIoU, frequency-weighted
    IoU and accuracies; boundary F-score and temporal consistency where a run was made with
    --measure.

    Methods measured on the same frames are compared in pairs: what all find hard cancels. For
    example:

    \b
        python bench.py scores -c 'h264[bitrate=1M]' --base pspnet
    """
    from vssbench.cli.run import print_table
    from vssbench.core.progress import messages
    from vssbench.report.markup import terminal_grid
    from vssbench.report.scores import Rules, blocks, grid, remarks, render
    from vssbench.run.store import RunStore

    shown, remark = chosen_rows(runs, choice)
    scored = blocks(RunStore(runs), shown, base, Rules(absent, choice.without))
    if fmt is not None:
        click.echo(render(scored, fmt), nl=False)
    else:
        for block in scored:
            click.echo(block.title)
            print_table(terminal_grid(grid(block), fold=True))
            click.echo("\n".join([*remarks(block), ""]))
    if remark:
        messages().print(remark)
