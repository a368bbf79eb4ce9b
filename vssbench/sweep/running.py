"""Tasks given to an executor, and what became of each as it ends: told to the user, and settled by
whoever asked."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace

from vssbench.core.progress import messages, track
from vssbench.sweep.executor import Executor, Outcome, Site, Task


def performed(
    executor: Executor,
    tasks: Sequence[Task],
    site: Site,
    label: str,
    settled: Callable[[Outcome], Outcome],
) -> dict[str, Outcome]:
    """Return the outcomes by the names of their tasks; those of tasks that a stop left out are
    missing.

    ``label`` says what is done, ``settled`` stores what the process of a task could not, and
    returns what is to be told. Raises VssbenchError where no task can be performed.
    """
    console, outcomes = messages(), {}
    with track(label, sum(task.frames for task in tasks)) as tracker:
        told = replace(site, advance=tracker.advance, say=console.print)
        with site.stop.listening(), closing(_outcomes(executor, tasks, told)) as ended:
            for each in ended:
                outcome = settled(each)
                outcomes[outcome.job.name] = outcome
                reason = f": {outcome.reason}" if outcome.reason else ""
                console.print(
                    f"[{len(outcomes)}/{len(tasks)}] {outcome.job.title}: {outcome.status}{reason}"
                )
    return outcomes


def _outcomes(
    executor: Executor, tasks: Sequence[Task], site: Site
) -> Generator[Outcome, None, None]:
    """Yield the outcomes as a generator, which an executor's iterator need not be."""
    yield from executor.run(tasks, site)
