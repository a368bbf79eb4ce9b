"""Executors that do as they are told."""

from __future__ import annotations

from vssbench.sweep.executor import Executor, Outcome, Place
from vssbench.sweep.performing import Performer

STREET = "synthetic[height=32,width=48,clips=1,frames=3]"


class Told(Executor):
    """Gives each job the outcome that it was told, and notes it."""

    def __init__(self, **outcomes: str) -> None:
        self.outcomes, self.given = outcomes, []

    def run(self, jobs, site):
        for job in jobs:
            self.given.append(job)
            status = self.outcomes.get(f"seed{job.point.seed}", "failed")
            if status != "left":
                yield Outcome(job, status, "its process ended", "what it printed", stored=False)


class Here(Executor):
    """Performs each job in this process."""

    def run(self, jobs, site):
        performer = Performer(Place(site.root, site.cache))
        for job in jobs:
            answer = performer.perform(job)
            yield Outcome(job, answer.status, answer.reason, "", answer.stored)
