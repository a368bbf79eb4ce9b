"""Messages and progress of a training, told by its main process alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console

from vssbench.core.progress import Tracker, track
from vssbench.training.samples import Samples


@dataclass(frozen=True)
class Progress:
    """Where one process of a training tells what it does; all but the ``main`` one are silent."""

    console: Console
    main: bool

    def say(self, line: str) -> None:
        """Print a line as it is, however long."""
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    @contextmanager
    def track(self, label: str, total: int) -> Iterator[Tracker]:
        """Show how much of some work is done."""
        if self.main and total:
            with track(label, total) as tracker:
                yield tracker
        else:
            yield Tracker(Console(quiet=True), label, total, None)

    def preload(self, label: str, samples: Samples) -> None:
        """Read samples into memory; what processes of an earlier phase held is free again."""
        samples.memory.lent = False
        with self.track(label, samples.preload_steps()) as tracker:
            for _ in samples.preload():
                tracker.advance()
