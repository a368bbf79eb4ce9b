"""``bench.py compare``: two methods, or two stores, on the same frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import rich_click as click

from vssbench.cli.choice import Choice, choice_options, chosen_rows
from vssbench.cli.options import absent_option, opened_store, read_runs_option


@click.command()
@click.argument("pair", nargs=2, metavar="A B")
@read_runs_option
@choice_options
@click.option(
    "--by",
    type=click.Choice(["distance", "class"]),
    multiple=True,
    help="Show each distance from the keyframe, or each class, too. Repeatable.",
)
@absent_option
@click.option(
    "--bd",
    is_flag=True,
    help="Bjontegaard deltas in place of differences: BD-mIoU and BD-rate over the measured rates "
    "of a codec, BD-GMACs over the scales of a family of methods; four points of each at least.",
)
@click.option(
    "--format",
    "fmt",
    type=click.Choice(["md", "csv", "json"]),
    help="Default: for the terminal. All three hold every distance and class.",
)
def compare(
    pair: tuple[str, str],
    runs: Path,
    choice: Choice,
    by: tuple[str, ...],
    absent: str,
    bd: bool,
    fmt: str | None,
) -> None:
    """Compare A and B on the same frames: the difference of their mIoU with its 95 % interval,
    whether it decides anything, and how many more labelled frames would.

    A and B are two methods of the store, or two stores (folders or in one file; of two versions of
    a method, of two trainings, of two machines), whose runs of the same method are compared. For
    example:

    \b
        python bench.py compare 'arseg[scale=0.5]' pspnet --by distance
        python bench.py compare results/before results/after -m bisenet
        python bench.py compare arseg pspnet --bd
    """
    folders = [opened_store(Path(name), click.get_current_context()) for name in pair]
    _check_folders(pair, folders)
    if bd:
        _deltas(pair, folders, runs, choice, (by, absent), fmt)
        return
    from vssbench.cli.run import print_table
    from vssbench.core.progress import messages
    from vssbench.report import compare as report
    from vssbench.report.markup import terminal_grid
    from vssbench.report.scores import Rules
    from vssbench.run.store import RunStore

    rules = Rules(absent, choice.without)
    if all(folder.is_dir() for folder in folders):
        chosen = [chosen_rows(folder, choice) for folder in folders]
        pairs = report.pairs_of_stores(chosen[0][0], chosen[1][0], pair)
        stores = [RunStore(folder) for folder in folders]
    else:
        chosen = [chosen_rows(runs, choice)]
        pairs = report.pairs_of_methods(chosen[0][0], *pair)
        stores = [RunStore(runs)] * 2
    comparisons = [
        report.comparison(each, stores, title, rules)
        for each, title in zip(pairs, report.titles(pairs), strict=True)
    ]
    if fmt is not None:
        click.echo(report.render(comparisons, fmt), nl=False)
    else:
        print_table(terminal_grid(report.summary(comparisons), fold=True))
        for item in comparisons:
            for kind in by:
                lines = item.distances if kind == "distance" else item.classes
                click.echo(f"{item.title}")
                print_table(terminal_grid(report.detail(lines, kind, item.names), fold=True))
        click.echo("\n".join(report.remarks(comparisons)))
    for _, remark in chosen:
        if remark:
            messages().print(remark)


def _check_folders(pair: tuple[str, str], folders: Sequence[Path]) -> None:
    """Raise UsageError where one of the two is a store's folder and the other one that is not
    there."""
    from vssbench.core.errors import UsageError

    there = [folder.is_dir() for folder in folders]
    for name, known, other in zip(pair, there, reversed(pair), strict=True):
        if not known and any(there) and len(Path(name).parts) > 1:
            raise UsageError(
                f"{name} is no results store, and {other} is one: give two stores, or two methods"
            )


def _deltas(
    pair: tuple[str, str],
    folders: Sequence[Path],
    runs: Path,
    choice: Choice,
    unused: tuple[tuple[str, ...], str],
    fmt: str | None,
) -> None:
    """Print the Bjontegaard deltas of two methods or two stores."""
    from vssbench.cli.run import print_table
    from vssbench.core.errors import UsageError
    from vssbench.core.progress import messages
    from vssbench.report import deltas
    from vssbench.report.markup import terminal_grid

    if unused != ((), "skip"):
        raise UsageError("--bd compares whole curves: leave --by and --absent out")
    if all(folder.is_dir() for folder in folders):
        chosen = [chosen_rows(folder, choice) for folder in folders]
        lines = deltas.of_stores(chosen[0][0], chosen[1][0], pair)
    else:
        chosen = [chosen_rows(runs, choice)]
        lines = deltas.of_methods(chosen[0][0], *pair)
    if fmt is not None:
        click.echo(deltas.render(lines, fmt), nl=False)
    else:
        print_table(terminal_grid(deltas.grid(lines), fold=True))
        click.echo("\n".join(deltas.remarks(lines)))
    for _, remark in chosen:
        if remark:
            messages().print(remark)
