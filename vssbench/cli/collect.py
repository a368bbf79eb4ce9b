"""``bench.py collect``: everything that stores hold, in one file."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

import rich_click as click

from vssbench.cli.options import force_option, opened_store


@click.command()
@click.argument("stores", nargs=-1, metavar="[DIR...]", type=click.Path(path_type=Path))
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True,
    help="File to write: NAME.parquet, or NAME.tar.xz.",
)  # fmt: skip
@force_option
def collect(stores: tuple[Path, ...], out: Path, force: bool) -> None:
    """Write the runs of the stores DIR... (results/runs) to one file.

    A Parquet file has a row a run, its mIoU by distance and its classes' IoU as lists. NAME.tar.xz
    is a store in one file, to be published or sent: `table`, `plot`, `scores`, `compare` and
    `report` take it as --runs, and `merge` makes a folder of it. For example:

    \b
        python bench.py collect -o everything.parquet
        python bench.py collect laptop/runs server/runs -o everything.parquet
        python bench.py collect results/runs -o ours.tar.xz
        python bench.py table --runs ours.tar.xz

    Exit status: 0, or 1 if runs do not read, which are left out of a store.
    """
    from vssbench.core import files, outputs
    from vssbench.core.errors import UsageError
    from vssbench.core.naming import ARCHIVED
    from vssbench.core.progress import messages
    from vssbench.core.shown import plural
    from vssbench.core.special import is_special
    from vssbench.report.collect import collected
    from vssbench.report.frames import parquet
    from vssbench.run.store import RunStore

    archived = out.name.endswith(ARCHIVED)
    if not (archived or out.suffix == ".parquet" or is_special(out)):
        raise UsageError(f"-o {out}: expected NAME.parquet or NAME{ARCHIVED}")
    typed = stores or (Path("results/runs"),)
    outputs.check_output(out, typed, force)
    context = click.get_current_context()
    folders = {str(path): opened_store(path, context) for path in typed}
    if archived:
        count, damaged = _archived(folders, out)
        there = count + damaged
    else:
        there = sum(len(RunStore(folder).ids()) for folder in folders.values())
        table = collected(folders)
        files.write_bytes(out, parquet(table))
        count = len(table)
        damaged = there - count + int((table["status"] == "damaged").sum())
    click.echo(f"{out}: {plural(count, 'run')}")
    if damaged:
        messages().print(f"{damaged} of {there} runs do not read")
        sys.exit(1)


def _archived(folders: Mapping[str, Path], out: Path) -> tuple[int, int]:
    """Write the store in one file; return how many runs it has, and how many do not read, which is
    said of each. Raises UsageError for several stores, and where there is nothing to write."""
    from vssbench.core.errors import DataError, UsageError
    from vssbench.core.progress import messages
    from vssbench.run.archive import files_of, write_archive
    from vssbench.run.store import RunStore

    if len(folders) > 1:
        raise UsageError(
            f"{out} holds one store, and {len(folders)} are given: join them first, `merge "
            f"{shlex.join(folders)} --runs FOLDER`"
        )
    ((name, folder),) = folders.items()
    store, runs, damaged = RunStore(folder), [], 0
    for run_id in store.ids():
        try:
            runs.append((run := store.get(run_id), files_of(run)))
        except (DataError, UsageError) as error:
            messages().print(f"left out: {error}")
            damaged += 1
    if not runs:
        raise UsageError(f"no run that reads in {name}: expected a results store")
    write_archive(runs, out)
    return len(runs), damaged
