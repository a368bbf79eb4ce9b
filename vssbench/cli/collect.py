"""``bench.py collect``: everything that stores hold, in one Parquet file."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click

from vssbench.cli.options import force_option


@click.command()
@click.argument(
    "stores", nargs=-1, metavar="[DIR...]", type=click.Path(path_type=Path, file_okay=False)
)
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="Parquet file to write."
)
@force_option
def collect(stores: tuple[Path, ...], out: Path, force: bool) -> None:
    """Write the runs of the stores DIR... (results/runs) to one Parquet file: a row a run, its
    mIoU by distance and its classes' IoU as lists.

    For example:

    \b
        python bench.py collect -o everything.parquet
        python bench.py collect laptop/runs server/runs -o everything.parquet
    """
    from vssbench.core import files, outputs
    from vssbench.core.progress import messages
    from vssbench.report.collect import collected
    from vssbench.report.frames import parquet
    from vssbench.run.store import RunStore

    folders = stores or (Path("results/runs"),)
    outputs.check_output(out, folders, force)
    table = collected(folders)
    files.write_bytes(out, parquet(table))
    click.echo(f"{out}: {len(table)} runs")
    there = sum(len(RunStore(folder).ids()) for folder in folders)
    damaged = there - len(table) + int((table["status"] == "damaged").sum())
    if damaged > 0:
        messages().print(f"{damaged} of {there} runs do not read")
        sys.exit(1)
