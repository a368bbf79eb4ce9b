"""Parts that the benchmarks share: options, forms timed in turns, ratios within a round, the file
of their figures."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from vssbench.cli.options import Size, check_json
from vssbench.core import files
from vssbench.core.machine import describe_machine

T = TypeVar("T")
Command = Callable[..., None]
Forms = Mapping[str, Callable[[], Any]]
BENCH = Path(__file__).parent.parent / "bench.py"


@dataclass(frozen=True)
class Spent:
    """Seconds by the clock, and processor seconds of all processes of a command."""

    clock: float
    processor: float


def call(*words: str, threads: int = 1) -> Spent:
    """Run a command of ``bench.py`` to its end, with so many threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, str(BENCH), *words], env=environment, stdout=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    clock = time.perf_counter() - started
    if status:
        raise click.ClickException(f"bench.py {' '.join(words)[:200]} failed")
    return Spent(clock, used.ru_utime + used.ru_stime)


def benchmark(
    groups: Sequence[str], rounds: int, size: str = "720x960", of: str = "the image"
) -> Callable[[Command], click.Command]:
    """Make a command of a function, with the options that every benchmark has: ``--size``,
    ``--rounds``, ``--group``, ``--json`` and ``--force``."""
    options = (
        click.option(
            "--size",
            type=Size(),
            default=size,
            show_default=True,
            help=f"Height x width of {of}.",
        ),
        click.option(
            "--rounds",
            type=click.IntRange(1),
            default=rounds,
            show_default=True,
            help="Rounds; each runs every form once.",
        ),
        click.option(
            "--group",
            "groups",
            type=click.Choice(groups),
            multiple=True,
            help="What to measure; all if left out.",
        ),
        click.option(
            "--json",
            "output",
            type=click.Path(path_type=Path, dir_okay=False),
            help="Write all figures here, of every round.",
        ),
        click.option("--force", is_flag=True, help="Replace the file of --json where it is there."),
    )

    def made(function: Command) -> click.Command:
        for option in reversed(options):
            function = option(function)
        return click.command()(function)

    return made


@contextmanager
def figures(output: Path | None, force: bool, **settings: Any) -> Iterator[dict[str, Any]]:
    """Yield the figures of a benchmark to be filled in: machine and settings stand there already.
    At the end they are written to ``output``, whose place is checked before anything is
    measured."""
    check_json(output, force)
    measured: dict[str, Any] = {"machine": describe_machine("cpu"), **settings}
    yield measured
    if output is not None:
        files.write_text(output, json.dumps(measured, indent=1) + "\n")


def in_turns(
    forms: Forms, rounds: int, timed: Callable[[Callable[[], Any]], T]
) -> dict[str, list[T]]:
    """Return what ``timed`` says of every form in every round, but of one round before them."""
    times: dict[str, list[T]] = {name: [] for name in forms}
    for number in range(rounds + 1):
        for name, form in forms.items():
            spent = timed(form)
            if number:
                times[name].append(spent)
    return times


def ratios(times: Sequence[float], base: Sequence[float]) -> list[float]:
    """Return the ratio of each round."""
    return [a / b for a, b in zip(times, base, strict=True)]


def spread(values: Sequence[float], unit: str = "") -> str:
    """Return median, least and most in words."""
    return f"{statistics.median(values):8.3f}{unit}   {min(values):.3f} to {max(values):.3f}"
