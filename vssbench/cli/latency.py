"""``bench.py latency``: how long a frame takes."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vssbench.cli.options import SIZE, Finite, StoreToWrite, Whole, device_option
from vssbench.core.bounds import MOST_THREADS

if TYPE_CHECKING:
    from vssbench.latency.settings import Settings


@click.command()
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "-m",
    "--method",
    "methods",
    multiple=True,
    help="Method to time, as arseg[scale=0.5]. Repeatable.",
)
@click.option(
    "--size", type=SIZE, metavar="HxW", help="Size of the frames in pixels, height first."
)
@click.option("--classes", type=Whole(2), default=11, show_default=True, help="Number of classes.")
@device_option
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16", "fp16"]),
    default="fp32",
    show_default=True,
    help="Arithmetic of the network.",
)
@click.option(
    "--threads",
    type=Whole(1, MOST_THREADS),
    help="Threads of PyTorch on the CPU; its own choice by default.",
)
@click.option(
    "--processes",
    type=Whole(1),
    default=3,
    show_default=True,
    help="Fresh processes of each method.",
)
@click.option(
    "--rounds",
    type=Whole(1),
    default=40,
    show_default=True,
    help="Interleaved rounds of each process.",
)
@click.option(
    "--seconds",
    type=Finite(0, min_open=True),
    default=10.0,
    show_default=True,
    help="Counted time of a method in each process; a round is at least one GOP.",
)
@click.option("--gop", type=Whole(1), default=12, show_default=True, help="Frames of a GOP.")
@click.option(
    "--codec", default="h264", show_default=True, help="Codec of the stream, as h264[bitrate=300k]."
)
@click.option(
    "--clip",
    type=click.Path(path_type=Path),
    help="Video file or folder of images; a drawn street by default.",
)
@click.option(
    "--weights",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Weight file; random weights by default, which take the same time. Repeatable.",
)
@click.option(
    "--seed",
    type=Whole(0),
    default=0,
    show_default=True,
    help="Of the rounds' order and random weights.",
)
@click.option(
    "-o",
    "--runs",
    type=StoreToWrite(path_type=Path, file_okay=False),
    default=Path("results/latency"),
    show_default=True,
    help="Folder of the measurements.",
)
@click.option(
    "--compare",
    is_flag=True,
    help="Measure nothing: show the measurements in FOLDERS side by side.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def latency(
    folders: tuple[Path, ...], runs: Path, compare: bool, as_json: bool, **given: Any
) -> None:
    """Time methods frame by frame, in fresh processes and interleaved rounds, and say whether the
    times can be relied upon.

    For example:

    \b
        python bench.py latency -m pspnet -m 'arseg[scale=0.5]' --size 360x480 --threads 2
        python bench.py latency --compare results/latency

    Times of network, resize and argmax of keyframes, of other frames and of GOPs: median with its
    95 % interval, p90, p99, worst, median absolute deviation, frames a second; the share of frames
    that miss a deadline counts decoding, motion and input as well. Methods are compared by the
    ratio of their times in the same rounds.

    Exit status: 0, 1 if a method failed (the others are kept), 2 for bad input, 130 if it was
    interrupted (what was measured is kept).
    """
    from vssbench.core.errors import UsageError

    if compare:
        if given["methods"] or given["size"]:
            raise UsageError(
                "--compare measures nothing: give FOLDERS alone, without -m and --size"
            )
        _compare(folders or (runs,), as_json)
        return
    if folders:
        raise UsageError(f"{folders[0]}: folders are for --compare; methods are given with -m")
    if given["size"] is None:
        raise UsageError("which size of frames? Give --size HxW, as --size 360x480")
    _measure(_settings(given, runs), given["methods"], given["weights"], runs, as_json)


def _settings(given: dict[str, Any], runs: Path) -> Settings:
    """Return the settings of the options. Raises UsageError where they do not fit this machine."""
    from vssbench.cli.options import check_device
    from vssbench.core.variant import Variant, parse_variant
    from vssbench.latency.settings import Settings

    check_device(given["device"])
    asked = parse_variant(given["codec"])
    coded = Variant(asked.name, {"gop": given["gop"], **asked.params})
    as_given = ("size", "classes", "device", "precision", "processes", "rounds", "seconds")
    return Settings(
        codec=str(coded),
        gop=int(coded.params["gop"]),
        cache=runs / ".cache",
        **{name: given[name] for name in (*as_given, "threads", "clip", "seed")},
    )


def _measure(
    settings: Settings,
    methods: tuple[str, ...],
    weights: tuple[Path, ...],
    runs: Path,
    as_json: bool,
) -> None:
    from vssbench.core import registry
    from vssbench.core.machine import typed_command
    from vssbench.core.outputs import check_folder
    from vssbench.core.progress import messages, track
    from vssbench.core.variant import parse_variant
    from vssbench.latency import measure, result
    from vssbench.latency.tables import report
    from vssbench.run.identity import PACKAGES, code_version

    subjects = [measure.subject_of(method, settings.classes, weights) for method in methods]
    measure.check(settings, subjects)
    plugins = [registry.find("methods", parse_variant(each.method).name) for each in subjects]
    check_folder(runs)
    console = messages()
    # being told to end keeps what was measured, as Ctrl-C does
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with track("timing", settings.processes * settings.rounds * len(subjects)) as tracker:
        finished, samples = measure.measure(
            settings,
            subjects,
            typed_command(),
            code_version(plugins, (*PACKAGES, "latency")),
            lambda note: tracker.advance(1, note),
        )
    place = result.write(runs, finished, samples)
    click.echo(finished.model_dump_json(indent=1) if as_json else report(finished))
    for remark in finished.remarks:
        console.print(f"note: {remark}")
    console.print(f"{finished.stream}; wrote {place}")
    if finished.status == "interrupted":
        console.print("interrupted before the last round: what was measured until then is kept")
        sys.exit(130)
    sys.exit(1 if finished.status == "failed" else 0)


def _compare(folders: tuple[Path, ...], as_json: bool) -> None:
    import json

    from vssbench.latency.compare import check_comparable, ratios_again
    from vssbench.latency.result import find
    from vssbench.latency.tables import comparison, comparison_json

    stored = [item for folder in folders for item in find(folder)]
    check_comparable(stored)
    again = ratios_again(stored)
    click.echo(
        json.dumps(comparison_json(stored, again), indent=1)
        if as_json
        else comparison(stored, again)
    )
