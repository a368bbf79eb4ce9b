"""``bench.py prune``: what is superseded, failed or damaged goes from a store."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vssbench.cli.options import runs_option

KINDS = ("older", "failed", "refused", "damaged")


@click.command()
@click.argument("kinds", nargs=-1, required=True, type=click.Choice(KINDS))
@runs_option
@click.option("--yes", is_flag=True, help="Remove them; without it they are listed alone.")
def prune(kinds: tuple[str, ...], runs: Path, yes: bool) -> None:
    """Remove runs of a store: `older` ones of an experiment that has a newer one, those that
    `failed` or were `refused`, and those that are `damaged`.

    For example:

    \b
        python bench.py prune older failed
        python bench.py prune older failed --yes
    """
    from vssbench.core.errors import DataError
    from vssbench.core.progress import messages
    from vssbench.core.shown import message, plural
    from vssbench.report.prune import superfluous
    from vssbench.run.store import RunStore

    if not runs.is_dir():
        raise DataError(f"no folder {runs}: expected a results store, as `run` writes one")
    store = RunStore(runs)
    chosen = superfluous(store, kinds)
    for run_id, reason in chosen.items():
        click.echo(message(f"{run_id} {' '.join(reason.split())}"))
        if yes:
            store.remove(run_id)
    verb = "removed" if yes else "would be removed: --yes removes them"
    messages().print(f"{plural(len(chosen), 'run')} of {runs}/ {verb}")
