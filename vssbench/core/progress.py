"""Progress of long work on stderr, with the time left: a live bar on a terminal, a line now and
then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from vssbench.core.shown import message, plain

#: seconds between two lines where stderr is not a terminal
LINE_EVERY = 30.0


class _Messages(Console):
    """A console that shows foreign text as it is, and nothing of it steers the terminal."""

    def print(self, *objects: Any, **how: Any) -> None:
        """Print texts and what else rich can."""
        super().print(
            *(message(each) if isinstance(each, str) else each for each in objects), **how
        )


def messages() -> Console:
    """Return the console for everything that is not a command's result."""
    return _Messages(stderr=True, highlight=False, soft_wrap=True, markup=False)


class Tracker:
    """Counts steps of one piece of work; ``advance`` may be called as often as one likes."""

    def __init__(
        self, console: Console, label: str, total: int, bar: tuple[Progress, TaskID] | None
    ) -> None:
        self._console, self._label, self._total, self._bar = console, label, total, bar
        self._done, self._start = 0, time.monotonic()
        self._last_line = self._start

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Count steps; ``note`` is shown behind the label."""
        self._done += steps
        if self._bar is not None:
            progress, task = self._bar
            progress.update(
                task, completed=self._done, description=plain(f"{self._label} {note}".rstrip())
            )
            return
        now = time.monotonic()
        if now - self._last_line < LINE_EVERY or not self._done:
            return
        self._last_line = now
        left = (now - self._start) / self._done * (self._total - self._done)
        self._console.print(
            f"{self._label}: {self._done}/{self._total} {note} {left / 60:.1f} min left".replace(
                "  ", " "
            )
        )


@contextmanager
def track(label: str, total: int) -> Iterator[Tracker]:
    """Yield a tracker for ``total`` steps."""
    console = messages()
    if not console.is_terminal:
        yield Tracker(console, label, total, None)
        return
    columns = (
        TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left", markup=False), TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        yield Tracker(console, label, total, (progress, progress.add_task(label, total=total)))
