"""``bench.py plan``: what a sweep would take, before it is spent."""

from __future__ import annotations

from pathlib import Path

import rich_click as click

from vssbench.cli.options import Whole


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--machine", default="", metavar="NAME",
    help="A part of the name of the processor or GPU whose past runs count; any by default.",
)  # fmt: skip
@click.option("--workers", type=Whole(1), help="Experiments at a time; the file's (1).")
@click.option("--data-root", help="Folder that holds the dataset's files.")
@click.option("--runs", help="Folder of the results store; the file's (results/runs).")
def plan(file: Path, machine: str, workers: int | None, **given: str | None) -> None:
    """Say what the grid in FILE.toml takes: experiments, hours, disk, by runs that were measured.

    A method that was never measured on the machine takes the time of the others there, scaled by
    its GMACs, and the plan says of how many that is so. For example:

    \b
        python bench.py plan examples/arseg-table3.toml --data-root ~/CamVid --machine H100
    """
    from tabulate import tabulate

    from vssbench.core.progress import messages
    from vssbench.run.store import RunStore
    from vssbench.sweep.conduct import Wishes, planned, todo
    from vssbench.sweep.costs import Costs
    from vssbench.sweep.estimate import in_words
    from vssbench.sweep.planner import Planner
    from vssbench.sweep.points import points, read
    from vssbench.sweep.quantities import size_in_words

    options = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
    asked = read(file, options)
    wanted = points(asked)
    store = RunStore(Path(asked.runs))
    costs = Costs(store.runs(), machine)
    experiments = Planner(store.root / ".cache").experiments(wanted)
    every = planned(wanted, experiments, store)
    work = [each.experiment for each in todo(every, Wishes(""))]
    cost, at_once = costs.estimate(work), workers or asked.workers
    lines = [(name, number, f"{hours:.3g}") for name, (number, hours) in cost.methods.items()]
    if lines:
        click.echo(tabulate(lines, ("method", "experiments", "hours")) + "\n")
    click.echo(f"experiments  {len(every)}, of which {len(work)} are to be run")
    click.echo(f"time         {in_words(cost.hours * 3600 / at_once)} with {at_once} at a time")
    click.echo(f"results      {size_in_words(cost.results)}")
    click.echo(f"streams      {size_in_words(cost.streams)}")
    console = messages()
    if cost.scaled:
        console.print(
            f"{cost.scaled} of a method without a run on this machine: the time of others there, "
            "by GMACs"
        )
    if cost.unknown_streams:
        console.print(f"{cost.unknown_streams} streams of a codec without a run: not counted")
