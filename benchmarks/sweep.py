"""Benchmark of sweeps: two workers against one and against `run` with two threads, a finished grid
of a thousand, `table` over ten thousand runs."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path

import click
import numpy as np
from common import Spent, benchmark, call, figures

from vssbench.run.store import RunStore
from vssbench.run.stored import RESULT
from vssbench.sweep.planner import Planner
from vssbench.sweep.points import points, read

GROUPS = ("workers", "grid", "table")
#: the street of the runs that are only listed
SMALL = "synthetic[height=32,width=48,clips=1,frames=3]"


@benchmark(GROUPS, rounds=1, size="180x240", of="the clips of the grid")
@click.option("--frames", default=48, show_default=True, help="Frames of each experiment.")
@click.option(
    "--seeds",
    type=click.IntRange(2),
    default=6,
    show_default=True,
    help="Streets of each method that `run` compares.",
)
@click.option("--finished", default=1000, show_default=True, help="Experiments that are done.")
@click.option("--runs", default=10_000, show_default=True, help="Runs that `table` reads.")
def main(
    size: tuple[int, int],
    rounds: int,
    groups: tuple[str, ...],
    output: Path | None,
    force: bool,
    frames: int,
    seeds: int,
    finished: int,
    runs: int,
) -> None:
    """Measure sweeps. The machine must be idle: all but processor times are by the clock."""
    wanted = groups or GROUPS
    with figures(output, force) as measured:
        if "workers" in wanted:
            streets = [
                f"synthetic[height={size[0]},width={size[1]},clips=1,frames={frames},seed={seed}]"
                for seed in range(seeds)
            ]
            taken = [workers(streets) for _ in range(rounds)]
            measured["workers"] = [
                {name: vars(each) for name, each in one.items()} for one in taken
            ]
            for one in taken:
                two = one["two workers"].clock
                click.echo(f"one worker / two workers: {one['one worker'].clock / two:.2f}")
                core = one["one worker on one core"].clock
                click.echo(f"one worker on one core / two workers: {core / two:.2f}")
                click.echo(f"run with two threads / two workers: {one['run'].clock / two:.2f}")
                apart = one["two sweeps of a half each"].clock
                click.echo(f"two sweeps of a half each / two workers: {apart / two:.2f}")
        if "grid" in wanted:
            told("grid", f"a finished grid of {finished}", grid(finished), measured)
        if "table" in wanted:
            for name, each in table(runs).items():
                told(f"table, {name}", f"table over {runs} runs, {name}", each, measured)


def told(name: str, words: str, spent: Spent, measured: dict[str, object]) -> None:
    """Keep what was spent, and print it."""
    measured[name] = vars(spent)
    click.echo(f"{words}: {spent.clock:.2f} s, {spent.processor:.2f} s of the processor")


def workers(streets: Sequence[str]) -> dict[str, Spent]:
    """Return what the accuracy of the methods that `run` compares takes on some streets, each time
    into a store of its own.

    One worker takes a second core, too, while an encoder runs beside what makes its images: on one
    core it does not. Two sweeps of one worker at once, each of half the streets, share nothing but
    the machine: their time is what it allows.
    """
    words = ["-c", "h264", *of(streets)]
    halves = streets[: len(streets) // 2], streets[len(streets) // 2 :]
    taken = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, count in (("one worker on one core", 1), ("one worker", 1), ("two workers", 2)):
            own = ["--runs", f"{folder}/{name}", "--workers", str(count), "--threads", "1"]
            with one_core() if name.endswith("core") else nullcontext():
                taken[name] = call("sweep", *words, *own)
        own = ["--workers", "1", "--threads", "1", "-c", "h264"]
        started = time.perf_counter()
        with ThreadPoolExecutor() as both:
            asked = [
                both.submit(call, "sweep", *own, *of(half), "--runs", f"{folder}/half-{number}")
                for number, half in enumerate(halves)
            ]
        clock = time.perf_counter() - started
        processor = sum(each.result().processor for each in asked)
        taken["two sweeps of a half each"] = Spent(clock, processor)
        taken["run"] = call("run", *words, "--runs", f"{folder}/run", threads=2)
    return taken


@contextmanager
def one_core() -> Iterator[None]:
    """Keep what is started within to one core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def of(streets: Sequence[str]) -> list[str]:
    """Return the options that ask for some streets."""
    return [word for street in streets for word in ("-d", street)]


def grid(count: int) -> Spent:
    """Return what a finished grid takes to say so."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["-d", SMALL, "-m", "bisenet", "-c", "raw", "--threads", "1", "--runs", folder]
        call("sweep", *words, "--seed", "0")
        wanted = points(
            read(None, {"dataset": SMALL, "method": "bisenet", "codec": "raw",
                        "seed": list(range(count))})
        )  # fmt: skip
        import torch

        torch.set_num_threads(1)
        experiments = Planner(Path(folder) / ".cache").experiments(wanted)
        copies(Path(folder), [(each.run_id, each.seed) for each in experiments])
        seeds = [text for seed in range(count) for text in ("--seed", str(seed))]
        return call("sweep", *words, *seeds)


def table(count: int) -> dict[str, Spent]:
    """Return what `table` takes the first time, when each run is read, and from then on: of copies
    of one run, whose arrays are equal, and of runs that differ in theirs."""
    taken = {}
    for kind, differ in (("copies", False), ("runs that differ", True)):
        with tempfile.TemporaryDirectory() as folder:
            words = ["-d", SMALL, "-m", "bisenet", "-c", "raw", "--threads", "1", "--runs", folder]
            call("sweep", *words, "--seed", "0")
            wanted = [(f"run-{number}", number) for number in range(count)]
            copies(Path(folder), wanted)
            if differ:
                alter(Path(folder, name) for name, _ in wanted)
            for time_ in ("the first time", "again"):
                taken[f"{kind}, {time_}"] = call("table", "--runs", folder)
    return taken


def copies(root: Path, wanted: Sequence[tuple[str, int]]) -> None:
    """Copy the one run of a store, under other ids and seeds."""
    (run,) = RunStore(root).runs()
    row = json.loads((run.path / RESULT).read_text(encoding="utf-8"))
    for name, seed in wanted:
        if name != run.measurement.run_id:
            place = root / name
            shutil.copytree(run.path, place, copy_function=os.link)
            (place / RESULT).unlink()
            text = json.dumps(row | {"run_id": name, "seed": seed})
            (place / RESULT).write_text(text, encoding="utf-8")


def alter(folders: Iterable[Path]) -> None:
    """Give runs other matrices and other times of the network."""
    for number, folder in enumerate(folders):
        for name, array, factor in (
            ("confusion.npz", "matrices", 1 + number),
            ("latency.npz", "model_ms", 1 + number / 1000),
        ):
            with np.load(folder / name) as archive:
                arrays = dict(archive)
            arrays[array] = arrays[array] * factor
            (folder / name).unlink()  # a link to that of all
            np.savez_compressed(folder / name, **arrays)


if __name__ == "__main__":
    main()
