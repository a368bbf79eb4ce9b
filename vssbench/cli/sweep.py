"""``bench.py sweep``: any number of experiments, in worker processes, killed and resumed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vssbench.cli.options import Quantity, grid_options, said
from vssbench.sweep import quantities

if TYPE_CHECKING:
    from vssbench.core.variant import Variant
    from vssbench.run.store import RunStore
    from vssbench.sweep.conduct import Planned, Report, Wishes
    from vssbench.sweep.executor import Executor, Site
    from vssbench.sweep.points import Point, Sweep

#: options that are no key of the file: they say what is done with it now
NOW = ("only", "dry_run", "retry", "force")
#: exit status of a sweep that was stopped, as of a program that Ctrl-C ends
STOPPED = 130


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False), required=False)
@grid_options
@click.option("--executor", help="Where experiments run: an executor, as processes.")
@click.option("--scheduler", help="Dask's, as tcp://HOST:PORT: experiments run on its workers.")
@click.option(
    "--time-limit", type=Quantity("time", quantities.seconds), help="Most of an experiment: 90, 2h."
)
@click.option(
    "--memory-limit", type=Quantity("size", quantities.memory),
    help="Most memory of an experiment and what it starts, as 4G.",
)  # fmt: skip
@click.option(
    "--latency/--no-latency", default=None,
    help="With several workers: time the experiments afterwards, each alone on the machine.",
)  # fmt: skip
@click.option(
    "--only", multiple=True, help="Only this method, dataset or codec of the grid. Repeatable."
)
@click.option(
    "--retry", type=click.Choice(["failed", "refused"]), multiple=True,
    help="Try again what failed, or was refused. Repeatable.",
)  # fmt: skip
@click.option("--force", is_flag=True, help="Measure again what is done already.")
@click.option("--dry-run", is_flag=True, help="List the experiments and what they take; run none.")
def sweep(file: Path | None, **given: Any) -> None:
    """Run the experiments of a grid, written in FILE.toml or as options, and go on where it was
    stopped.

    A key of the file is an option's name; several values make an axis. Options win over the file.
    For example:

    \b
        python bench.py sweep grid.toml --workers 4 --dry-run
        python bench.py sweep examples/arseg-table4.toml --data-root ~/CamVid \\
            --weights pspnet.safetensors --weights arseg.safetensors --workers 4
        python bench.py sweep -m pspnet -m warp --gop 12 --gop 30 --seed 0 --seed 1

    Ctrl-C once finishes what runs, twice abandons it; the same command goes on. Exit status: 0 if
    every experiment is done, 1 if one failed or was refused, 2 for bad input, 130 if it was
    stopped.
    """
    try:
        _swept(file, given)
    except KeyboardInterrupt as error:  # not while workers run, who end in their own way
        error.add_note("what is done is kept: the same command goes on")
        raise


def _swept(file: Path | None, given: dict[str, Any]) -> None:
    """Read the grid, and run or list it."""
    from vssbench.core import registry
    from vssbench.run.store import RunStore
    from vssbench.sweep.points import chosen, points, read

    asked = read(file, said(given, NOW))
    executor = registry.create("executors", _executor(asked))
    _check_latency(asked, executor)
    wanted = chosen(points(asked), given["only"])
    store = RunStore(Path(asked.runs))
    again = given["force"] or given["retry"] or len(store.ids()) < len(wanted)
    work = again and not given["dry_run"]
    with executor.prepared({each.device for each in wanted} if work else ()):
        _settled(asked, wanted, executor, store, given)


def _settled(
    asked: Sweep,
    wanted: Sequence[Point],
    executor: Executor,
    store: RunStore,
    given: dict[str, Any],
) -> None:
    """Check the experiments, and run those that are not done, or list them."""
    from vssbench.core.machine import typed_command
    from vssbench.report import index
    from vssbench.sweep.conduct import Wishes, planned, todo
    from vssbench.sweep.grid import say_absent
    from vssbench.sweep.planner import Planner
    from vssbench.sweep.rehearsal import check_plannable

    set_threads(asked)
    check_plannable(wanted, asked.time_limit)
    experiments = Planner(store.root / ".cache").experiments(wanted)
    plan = planned(wanted, experiments, store, asked.latency, executor.away)
    wishes = Wishes(typed_command(), given["force"], given["retry"], True, asked.latency)
    if given["dry_run"]:
        _show(plan, store, wishes, asked.workers)
        return
    say_absent(each.experiment for each in todo(plan, wishes))
    report, plan = _run(asked, plan, executor, store, wishes)
    status = _tell(report, plan, store, given["force"])
    if report.outcomes:
        index.keep_up(store)
    if status:
        sys.exit(status)


def set_threads(asked: Sweep) -> None:
    """Take as many threads as the workers, since their number is part of what a run is."""
    if asked.threads is not None:
        import torch

        torch.set_num_threads(asked.threads)


def _run(
    asked: Sweep, plan: list[Planned], executor: Executor, store: RunStore, wishes: Wishes
) -> tuple[Report, list[Planned]]:
    """Run accuracy in parallel, then latency alone on the machine if that is wanted."""
    from dataclasses import replace

    from vssbench.sweep.conduct import conduct, planned

    alone = asked.workers == 1 and not executor.away
    site = _site(asked, store)
    if alone or not asked.latency:
        return conduct(plan, store, executor, site, replace(wishes, timed=alone)), plan
    experiments = [each.experiment for each in plan]
    own = [each.point for each in plan]
    first = planned(own, experiments, store)
    report = conduct(first, store, executor, site, replace(wishes, timed=False, latency=False))
    if site.stop.wished:
        return report, first
    second = planned(own, experiments, store, latency=True)
    timed = conduct(
        second, store, executor, replace(site, workers=1), replace(wishes, force=False, retry=())
    )
    report.outcomes |= timed.outcomes
    report.left += timed.left
    return report, first


def _executor(asked: Sweep) -> Variant:
    """Return the executor that was asked for; a scheduler's address stands for Dask.

    Raises UsageError where both are given.
    """
    from vssbench.core.errors import UsageError
    from vssbench.core.variant import Variant, parse_variant

    if asked.scheduler is None:
        return parse_variant(asked.executor or "processes")
    if asked.executor is not None:
        raise UsageError(
            f"--scheduler {asked.scheduler} stands for an executor, Dask, and so does --executor "
            f"{asked.executor}: leave one out"
        )
    return Variant("dask", {"scheduler": asked.scheduler})


def _check_latency(asked: Sweep, executor: Executor) -> None:
    """Raise UsageError where latencies are asked of other machines."""
    from vssbench.core.errors import UsageError

    if asked.latency and executor.away:
        option = "--scheduler" if asked.scheduler else f"--executor {asked.executor}"
        raise UsageError(
            f"--latency times experiments alone on this machine, {option} runs them on others: "
            "leave one out"
        )


def _site(asked: Sweep, store: RunStore) -> Site:
    import torch

    from vssbench.core.progress import messages
    from vssbench.sweep.executor import Limits, Site, Stop

    return Site(
        store.root,
        store.root / ".cache",
        asked.workers,
        torch.get_num_threads(),
        Limits(asked.time_limit, asked.memory_limit),
        Stop(messages().print),
    )


def _show(plan: list[Planned], store: RunStore, wishes: Wishes, workers: int) -> None:
    """Print the experiments, what is done, and what the rest takes."""
    from tabulate import tabulate

    from vssbench.core.progress import messages
    from vssbench.core.shown import plural
    from vssbench.sweep.conduct import passes
    from vssbench.sweep.estimate import Estimator, duration, in_words, total

    seconds = Estimator(store.runs()).seconds
    first, alone = passes(plan, store, wishes, workers)
    work = alone or first
    waiting = {each.run_id for each in work}
    lines = []
    for each in plan:
        item = each.experiment
        takes = seconds(item) if each.run_id in waiting else None
        lines.append(
            [
                str(item.method), str(item.dataset_variant), str(item.codec_variant),
                each.point.protocol, item.precision, item.seed, each.state,
                "" if takes is None else in_words(takes),
            ]
        )  # fmt: skip
    names = ("method", "dataset", "codec", "protocol", "precision", "seed", "state", "takes")
    click.echo(tabulate(lines, names, disable_numparse=True))
    known, unknown = total((each.experiment for each in first), seconds)
    latencies, unknown_alone = total((each.experiment for each in alone), seconds)
    unknown = max(unknown, unknown_alone)
    takes = duration(known, workers) + sum(latencies)
    console = messages()
    console.print(f"{plural(len(plan), 'experiment')}, {len(work)} to run")
    if len(work) > unknown:
        then = f", of which {in_words(sum(latencies))} for latencies alone" if alone else ""
        console.print(
            f"{in_words(takes)} with {workers} at a time{then}, by past runs of this machine"
        )
    if unknown:
        console.print(f"{unknown} are like no past run: nothing is known of their time")


def _tell(report: Report, plan: list[Planned], store: RunStore, forced: bool) -> int:
    """Say what came of it and how to go on; returns the exit status."""
    from vssbench.core.progress import messages
    from vssbench.sweep.conduct import titles

    console = messages()
    before = [each for each in plan if each.run_id not in report.outcomes]
    left = {each.run_id for each in report.left}
    settled = [each for each in before if each.run_id not in left]
    done = report.counts["done"] + sum(each.state == "done" for each in settled)
    console.print(f"{done} of {len(plan)} experiments are done, in {store.root}/")
    wrong = [each for each in settled if each.state in ("failed", "refused")]
    names = titles(plan)
    for each in wrong:
        console.print(f"  {each.state} before: {names[each.run_id]}: {each.reason}")
    for each in settled:
        if each.state == "newer" or (each.kept and forced):
            console.print(f"  left as it is: {names[each.run_id]}: {each.reason}")
    failed = report.counts["failed"] + sum(each.state == "failed" for each in wrong)
    refused = report.counts["refused"] + sum(each.state == "refused" for each in wrong)
    if failed:
        console.print(f"{failed} failed: --retry failed tries them again")
    if refused:
        console.print(f"{refused} were refused, each for the reason that its row gives")
    if report.left:
        console.print(f"{len(report.left)} are left: the same command goes on with them")
        return STOPPED
    return int(done < len(plan))
