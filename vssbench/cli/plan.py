"""``bench.py plan``: what a sweep would take, before it is spent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from vssbench.cli.options import grid_options, said


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option(
    "--machine", default="", metavar="NAME",
    help="A part of the name of the processor or GPU whose past runs count; any by default.",
)  # fmt: skip
@grid_options
def plan(file: Path | None, machine: str, **given: Any) -> None:
    """Say what a grid, written in FILE.toml or as options, takes: experiments, hours, disk, by runs
    that were measured.

    A method that was never measured on the machine takes the time of the others there, scaled by
    its GMACs, and the plan says of how many that is so. Options win over the file. For example:

    \b
        python bench.py plan grid.toml --machine H100 --workers 8
        python bench.py plan -d camvid --data-root ~/CamVid -m pspnet -m bisenet --gop 12 --gop 30
    """
    from tabulate import tabulate

    from vssbench.cli.sweep import set_threads
    from vssbench.core.progress import messages
    from vssbench.core.shown import plural
    from vssbench.run.store import RunStore
    from vssbench.sweep.conduct import Wishes, passes, planned
    from vssbench.sweep.costs import Costs
    from vssbench.sweep.estimate import duration, in_words
    from vssbench.sweep.planner import Planner
    from vssbench.sweep.points import points, read
    from vssbench.sweep.quantities import size_in_words

    asked = read(file, said(given))
    wanted = points(asked)
    set_threads(asked)
    store = RunStore(Path(asked.runs))
    costs = Costs(store.runs(), machine)
    experiments = Planner(store.root / ".cache").experiments(wanted)
    every = planned(wanted, experiments, store, asked.latency)
    first, alone = passes(every, store, Wishes("", latency=asked.latency), asked.workers)
    work = [each.experiment for each in alone or first]
    cost = costs.estimate(work)
    beside = costs.estimate([each.experiment for each in first]).seconds
    latencies = sum(cost.seconds) if alone else 0.0
    takes = duration(beside, asked.workers) + latencies
    lines = [(name, number, f"{hours:.3g}") for name, (number, hours) in cost.methods.items()]
    if lines:
        click.echo(tabulate(lines, ("method", "experiments", "hours")) + "\n")
    click.echo(f"experiments  {len(every)}, of which {len(work)} are to be run")
    then = f", of which {in_words(latencies)} for latencies alone" if alone else ""
    click.echo(f"time         {in_words(takes)} with {asked.workers} at a time{then}")
    click.echo(f"results      {size_in_words(cost.results)}")
    click.echo(f"streams      {size_in_words(cost.streams)}")
    console = messages()
    if cost.scaled:
        console.print(
            f"{cost.scaled} of a method without a run on this machine: the time of others there, "
            "by GMACs"
        )
    if cost.unknown_streams:
        streams = plural(cost.unknown_streams, "stream")
        console.print(f"{streams} of a codec without a run: not counted")
