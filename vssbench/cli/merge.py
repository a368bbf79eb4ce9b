"""``bench.py merge``: stores of several machines joined."""

from __future__ import annotations

import sys
from pathlib import Path

import rich_click as click

from vssbench.cli.options import StoreToRead, runs_option


@click.command()
@click.argument(
    "stores", nargs=-1, required=True, metavar="DIR...", type=StoreToRead(path_type=Path)
)
@runs_option
def merge(stores: tuple[Path, ...], runs: Path) -> None:
    """Copy the runs of the stores DIR... (folders, or in one file) into --runs. What was measured
    twice with other results is named, and neither is taken for the other.

    For example:

    \b
        python bench.py merge laptop/runs server/runs --runs results/runs
        python bench.py merge published.tar.xz --runs published

    Exit status: 0, or 1 if runs are in conflict or do not read.
    """
    from vssbench.core.progress import messages
    from vssbench.core.shown import plural
    from vssbench.report import index
    from vssbench.run.store import RunStore
    from vssbench.sweep.merge import merge as join

    store = RunStore(runs)
    merged = join(stores, store)
    click.echo(
        f"{runs}: {plural(merged.copied, 'run')} copied, {merged.completed} completed, "
        f"{merged.same} were there"
    )
    console = messages()
    for line in merged.damaged:
        console.print(f"left out: {line}")
    for line in merged.conflicts:
        console.print(f"conflict: {line}")
    if merged.conflicts:
        console.print(
            f"{len(merged.conflicts)} in conflict stay as they are in {runs}/: measure them again "
            "with run --force, and keep those of the other store there"
        )
    if merged.copied or merged.completed:
        index.keep_up(store)
    if merged.conflicts or merged.damaged:
        sys.exit(1)
