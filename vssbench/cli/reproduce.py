"""``bench.py reproduce``: the cells of a paper's tables, each with a verdict."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vssbench.cli.options import device_option, runs_option
from vssbench.core.program import program

if TYPE_CHECKING:
    import pandas as pd

    from vssbench.report.paper.layout import Layout
    from vssbench.report.paper.needs import Means, Need


@dataclass(frozen=True)
class _Report:
    """The judged cells of a paper's tables, and what their rows need."""

    tables: list[tuple[Layout, pd.DataFrame]]
    needs: list[Need]

    def frame(self) -> pd.DataFrame:
        """Return all judged cells as one frame."""
        import pandas as pd

        return pd.concat([its for _, its in self.tables], ignore_index=True)


@click.command()
@click.argument("paper")
@click.option("--table", help="One table alone, as 1 or fig4a; all of them by default.")
@click.option("--run", "run_them", is_flag=True, help="Run what data and weights are here for.")
@click.option(
    "--data-root", "roots", type=click.Path(path_type=Path), multiple=True,
    help="Folder that holds a dataset's files. Repeatable: each dataset is looked for in all.",
)  # fmt: skip
@click.option(
    "--weights", type=click.Path(path_type=Path), multiple=True, help="Weight file. Repeatable."
)
@runs_option
@device_option
@click.option("--force", is_flag=True, help="With --run: measure again what is done already.")
@click.option(
    "--format", "fmt", type=click.Choice(["md", "csv", "json"]), help="Default: for the terminal."
)
def reproduce(
    paper: str, table: str | None, run_them: bool, runs: Path, fmt: str | None, **given: Any
) -> None:
    """Say of each cell of a paper's tables whether it is reproduced here.

    For example:

    \b
        python bench.py reproduce arseg --table 1
        python bench.py reproduce arseg --run --data-root ~/CamVid --weights hr.safetensors

    Operations and parameters are always counted, in the paper's own convention, with the true
    count beside it. Accuracies and times are those of runs in the store made under the paper's
    conditions; --run makes those for which data and weights are here. Below the verdicts stands
    what data and weights each row needs, and what of it is missing.

    Verdicts: reproduced (to the printed digits; operations to 0.02 G), within noise (the printed
    number lies in the 95 % interval of ours), not reproduced, misprint (the paper's own numbers
    contradict it), not possible here (with what is missing).
    """
    from vssbench.cli.options import check_device
    from vssbench.report.paper.layout import of_paper
    from vssbench.report.paper.needs import Means

    force = given.pop("force")
    check_device(given["device"])
    means = Means(tuple(given["roots"]), tuple(given["weights"]), given["device"])
    layouts = of_paper(paper, table)
    if run_them:
        _run(layouts, means, runs, force)
    _print(_report(layouts, means, runs), fmt)


def _run(layouts: list[Layout], means: Means, runs: Path, force: bool) -> None:
    """Measure what data and weights are here for."""
    from vssbench.core.machine import typed_command
    from vssbench.core.progress import messages
    from vssbench.core.variant import parse_variant
    from vssbench.report.paper.needs import needs, opened
    from vssbench.run.store import RunStore
    from vssbench.sweep.grid import plan, sweep

    runnable = [need for need in needs(layouts, means) if need.runs]
    if not runnable:
        messages().print("nothing can be run: the list below says what is missing")
        return
    experiments = []
    for need in runnable:
        dataset = opened(need.dataset, need.size, means.roots)
        pair = (parse_variant(need.dataset), dataset)
        experiments += plan(means.grid(need), [pair], runs / ".cache")
    sweep(experiments, RunStore(runs), typed_command(), force)


def _report(layouts: list[Layout], means: Means, runs: Path) -> _Report:
    from vssbench.report.paper.cells import cells
    from vssbench.report.paper.needs import needs
    from vssbench.report.paper.ours import Store
    from vssbench.report.paper.verdicts import judged
    from vssbench.report.rows import rows
    from vssbench.run.store import RunStore

    store = RunStore(runs)
    there = rows(store.runs()) if runs.is_dir() else []
    known = Store(there, store, intervals=True)
    needed = needs(layouts, means)
    tables = [(each, judged(each, cells(each, known), needed)) for each in layouts]
    return _Report(tables, needed)


def _print(report: _Report, fmt: str | None) -> None:
    from vssbench.report.paper.cells import plain
    from vssbench.report.paper.verdicts import counts
    from vssbench.report.table import csv_text, json_text

    frame = report.frame()
    if fmt == "csv":
        click.echo(csv_text(plain(frame)), nl=False)
    elif fmt == "json":
        needs = [need.record() for need in report.needs]
        whole = {"cells": plain(frame), "needs": needs, "verdicts": counts(frame)}
        click.echo(json_text(whole), nl=False)
    else:
        _print_tables(report, fmt)
    said = ", ".join(f"{number} {word}" for word, number in counts(frame).items())
    click.echo(f"{len(frame)} cells: {said}", err=True)


def _print_tables(report: _Report, fmt: str | None) -> None:
    from vssbench.cli.run import print_table
    from vssbench.report.markup import markdown, markdown_grid, terminal_grid
    from vssbench.report.paper.sheet import Notes
    from vssbench.report.paper.verdicts import grid

    for layout, its in report.tables:
        notes = Notes()
        marks = {place: notes.mark(text) for place, text in enumerate(its["because"])}
        title = f"{layout.paper.title}, {layout.table}: {layout.title}"
        shown = grid(its, marks)
        if fmt == "md":
            listed = [f"- {mark}: {markdown(text)}" for mark, text in notes.all()]
            click.echo(f"### {markdown(title)}\n\n{markdown_grid(shown)}\n\n" + "\n".join(listed))
        else:
            click.echo(title)
            print_table(terminal_grid(shown))
            click.echo("\n".join(f"{mark}  {text}" for mark, text in notes.all()))
        click.echo()
    _print_needs(report.needs, fmt)


def _print_needs(needed: list[Need], fmt: str | None) -> None:
    """Print what the rows need: data first, then the methods whose weights are here or missing."""
    if not needed:
        return
    item = "- " if fmt == "md" else "  "
    click.echo("### Needed\n" if fmt == "md" else "Needed:")
    for need in {need.dataset: need for need in needed}.values():
        click.echo(f"{item}data of {need.dataset}: {need.no_data or 'here'}")
    methods: dict[tuple[str, str], dict[str, None]] = {}
    for need in needed:
        key = (need.dataset, need.no_weights or "here")
        methods.setdefault(key, {})[need.method] = None
    for (dataset, said), names in methods.items():
        click.echo(f"{item}weights for {dataset} of {', '.join(names)}: {said}")
    if any(need.no_weights for need in needed):
        click.echo(
            f"{item}weights are made by `{program()} train`, or of the authors' checkpoints by "
            f"`{program()} weights import`; pass them with --weights FILE"
        )
