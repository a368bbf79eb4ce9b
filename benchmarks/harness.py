"""Benchmark of the harness itself: scoring, its share of a run's time, memory over a long clip."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import click
import numpy as np
from common import benchmark, figures, in_turns

from vssbench.core.video import IGNORE
from vssbench.metrics.boundary import boundary_counts
from vssbench.metrics.confusion import confusion_matrix
from vssbench.metrics.consistency import ConsistencyMeter
from vssbench.metrics.meter import Seen
from vssbench.run.store import RunStore

GROUPS = ("scoring", "share", "memory")
BENCH = Path(__file__).parent.parent / "bench.py"


@benchmark(GROUPS, rounds=9, of="the scored frames")
@click.option(
    "--method",
    default="pspnet",
    show_default=True,
    help="Method of the run whose time is shared out.",
)
@click.option(
    "--frames",
    default="100,1000",
    show_default=True,
    help="Lengths of the clips whose memory is compared.",
)
def main(
    size: tuple[int, int],
    method: str,
    frames: str,
    rounds: int,
    groups: tuple[str, ...],
    output: Path | None,
    force: bool,
) -> None:
    """Measure the harness, not the methods."""
    wanted = groups or GROUPS
    with figures(output, force) as measured:
        if "scoring" in wanted:
            measured["scoring_ms"] = scoring(size, rounds)
            click.echo(f"A frame of {size[0]}x{size[1]}, median of {rounds} rounds:")
            for what, milliseconds in measured["scoring_ms"].items():
                click.echo(f"  {what}: {milliseconds:.2f} ms")
        if "share" in wanted:
            measured["share"] = share(method)
            click.echo(f"Shares of a run of {method} on the synthetic street, 360x480, 144 frames:")
            for what, part in measured["share"].items():
                click.echo(f"  {what}: {part:.1%}")
        if "memory" in wanted:
            measured["memory_mb"] = {length: memory(int(length)) for length in frames.split(",")}
            for length, peak in measured["memory_mb"].items():
                click.echo(f"Peak memory of bisenet over a clip of {length} frames: {peak:.0f} MB")


def scoring(size: tuple[int, int], rounds: int) -> dict[str, float]:
    """Return milliseconds of each score of one frame: labels in patches, 5 % of the pixels
    unscored, a third predicted wrong."""
    forms: dict[str, Callable[[], Any]] = {}
    for classes in (11, 19):
        label, prediction = _maps(size, classes)
        forms[f"confusion matrix, {classes} classes"] = partial(
            confusion_matrix, label, prediction, classes
        )
        forms[f"boundary F, {classes} classes"] = partial(
            boundary_counts, label, prediction, classes
        )
    label, prediction = _maps(size, 11)
    flow = np.full((*size, 2), 1.5, np.float32)
    meter, places = ConsistencyMeter(11), iter(range(10**9))
    forms["TC and VC, 11 classes, known motion"] = lambda: meter.add(
        Seen(prediction, label, 0, 0, next(places), 1, flow=lambda: flow)
    )
    times = in_turns(forms, rounds, _milliseconds)
    return {name: statistics.median(each) for name, each in times.items()}


def _milliseconds(form: Callable[[], Any]) -> float:
    started = time.perf_counter()
    form()
    return 1000 * (time.perf_counter() - started)


def _maps(size: tuple[int, int], classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a label and a prediction of those classes, uint8."""
    random = np.random.default_rng(classes)
    label, other = (
        _patches(
            random.integers(0, classes, (size[0] // side + 1, size[1] // side + 1)), side, size
        )
        for side in (24, 12)
    )
    wrong = _patches(random.random((size[0] // 12 + 1, size[1] // 12 + 1)) < 1 / 3, 12, size)
    prediction = np.where(wrong, other, np.roll(label, 3, 1)).astype(np.uint8)
    label = np.where(random.random(size) < 1 / 20, IGNORE, label).astype(np.uint8)
    return label, prediction


def _patches(values: np.ndarray, side: int, size: tuple[int, int]) -> np.ndarray:
    return np.repeat(np.repeat(values, side, 0), side, 1)[: size[0], : size[1]]


def share(method: str) -> dict[str, float]:
    """Return where the time of a run goes, as shares of it."""
    with tempfile.TemporaryDirectory() as folder:
        _run(method, "synthetic", folder)
        (run,) = RunStore(Path(folder)).runs()
        return {
            name: part / run.measurement.seconds for name, part in run.measurement.spent.items()
        }


def memory(frames: int) -> float:
    """Return megabytes that a run holds at most, over one clip of that length."""
    with tempfile.TemporaryDirectory() as folder:
        return _run("bisenet", f"synthetic[clips=1,frames={frames},height=180,width=240]", folder)


def _run(method: str, dataset: str, folder: str) -> float:
    """Run an experiment in a process of its own; the process's peak memory in megabytes."""
    command = [
        sys.executable,
        str(BENCH),
        "run",
        "-m",
        method,
        "-d",
        dataset,
        "-c",
        "h264[bitrate=1M]",
        "--runs",
        folder,
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise click.ClickException(
            f"{' '.join(command)} ended with status {os.waitstatus_to_exitcode(status)}"
        )
    return usage.ru_maxrss / 1024


if __name__ == "__main__":
    main()
