"""``bench.py segment``: a method on one's own video, or on many."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vssbench.cli.options import (
    SIZE,
    Finite,
    Quantity,
    Whole,
    device_option,
    force_option,
    precision_option,
)
from vssbench.core.bounds import MOST_THREADS
from vssbench.core.errors import UsageError
from vssbench.core.home import expanded
from vssbench.sweep import quantities
from vssbench.sweep.defaults import DEFAULT_SCENES

if TYPE_CHECKING:
    from vssbench.segment.many import Account

#: options of many videos alone
MANY = ("ending", "workers", "threads", "time_limit", "memory_limit", "scheduler", "retry")
#: exit status of a call that was stopped, as of a program that Ctrl-C ends
STOPPED = 130


@click.command()
@click.argument("video", type=click.Path(path_type=Path), metavar="IN")
@click.option(
    "-m", "--method", "method", help="Method, as arseg[scale=0.5]; by default that of --weights."
)
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Video to write, or a folder for PNGs; of many videos the folder of all.",
)
@click.option(
    "--output",
    type=click.Choice(["overlay", "labels", "palette"]),
    default="overlay",
    show_default=True,
    help="The video tinted by its labels, their colours alone, or indexed PNGs in a folder.",
)
@click.option(
    "--alpha",
    type=Finite(0, 1),
    default=0.5,
    show_default=True,
    help="Weight of the colours in an overlay.",
)
@click.option("--legend", is_flag=True, help="Name the classes below the picture.")
@click.option(
    "--weights", type=click.Path(path_type=Path), help="Weight file; shipped weights by default."
)
@click.option(
    "-d",
    "--dataset",
    default=DEFAULT_SCENES,
    show_default=True,
    help="Dataset whose shipped weights to take.",
)
@click.option(
    "--size", type=SIZE, help="Size at which the network runs; the video's own by default."
)
@click.option(
    "--motion",
    type=click.Choice(["auto", "codec", "estimated"]),
    default="auto",
    show_default=True,
    help="The stream's own vectors, or optical flow; auto: the stream's own wherever they can be "
    "trusted.",
)
@click.option(
    "--reencode", metavar="CODEC", help="Encode the video first, as h264[bitrate=1M,gop=12]."
)
@click.option(
    "--max-gop",
    type=Whole(1),
    metavar="N",
    help="Full work after N frames without a keyframe.",
)
@click.option("--audio", is_flag=True, help="Copy the sound.")
@click.option(
    "--stats",
    type=click.Path(path_type=Path),
    help="CSV to write, a line for each frame; of many videos a folder of them.",
)
@click.option(
    "--ending", type=click.Choice([".mp4", ".mkv", ".mov", ".m4v"]),
    help="Many: ending of the videos that are written (.mp4).",
)  # fmt: skip
@click.option("--workers", type=Whole(1), help="Many: videos at a time (1).")
@click.option("--threads", type=Whole(1, MOST_THREADS), help="Many: threads of each.")
@click.option(
    "--time-limit", type=Quantity("time", quantities.seconds), help="Many: most of one: 90, 2h."
)
@click.option(
    "--memory-limit", type=Quantity("size", quantities.memory), help="Many: most memory of one: 4G."
)
@click.option(
    "--scheduler", help="Many: Dask's, as tcp://HOST:PORT, whose workers share the files."
)
@click.option(
    "--retry", type=click.Choice(["failed"]), multiple=True, help="Many: try again what failed."
)
@force_option
@device_option
@precision_option("fp32")
def segment(video: Path, method: str | None, out: Path, weights: Path | None, **given: Any) -> None:
    """Segment your own video IN, as a method does it frame by frame: full work on keyframes, cheap
    work between. A folder, or a list of videos in a .txt, is worked through and gone on with.

    Keyframes and motion vectors are those of the stream itself; where its vectors cannot be
    trusted, motion is estimated from the decoded frames, and a message says why. Time stamps,
    rotation and colour tags are heeded. For example:

    \b
        python bench.py segment drive.mp4 -m 'arseg[scale=0.5]' -o overlay.mp4 --legend
        python bench.py segment drive.mkv -m pspnet --size 360x480 -o labels --output palette
        python bench.py segment drive.mp4 -m warp --reencode 'h264[bitrate=1M,gop=12]' \\
            -o overlay.mp4 --stats frames.csv
        python bench.py segment drives/ -m pspnet -o segmented/ --workers 4

    The network runs at the video's size, and does best at the size of the images that it was
    trained on. Exit status: 0, or 2 for bad input; of many videos 1 if one failed, 130 if stopped.
    """
    from vssbench.segment.many import is_many

    many = {name: given.pop(name) for name in MANY}
    if is_many(video):
        _many(video, out, method, weights, many, given)
        return
    for name, value in many.items():
        if value:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option} is for many videos, a folder or a .txt, and {video} is one")
    _one(video, out, method, weights, given)


def _one(
    video: Path, out: Path, method: str | None, weights: Path | None, given: dict[str, Any]
) -> None:
    """Segment one video in this process."""
    from vssbench.core.progress import messages, track
    from vssbench.segment.output import stopped_cleanly
    from vssbench.segment.request import Request, prepared

    console = messages()
    work = prepared(video, out, method, weights, Request(**given), console.print)
    source = work.job.source
    height, width = source.size
    console.print(
        "; ".join(
            [
                f"{video}: {source.codec}, {width}x{height} at {float(source.rate):g} frames/s",
                *source.remarks(),
            ]
        )
    )
    with stopped_cleanly(), track("segmenting", source.frames) as tracker:
        work.advance = tracker.advance
        summary = work.run()
    click.echo(summary.line(work.job.out))


def _many(
    source: Path,
    out: Path,
    method: str | None,
    weights: Path | None,
    many: dict[str, Any],
    given: dict[str, Any],
) -> None:
    """Segment the videos of a folder or a list that are not done, each in a worker process."""
    from vssbench.core import registry
    from vssbench.core.progress import messages
    from vssbench.core.variant import Variant
    from vssbench.segment.many import Ask, conduct, planned
    from vssbench.segment.request import Request
    from vssbench.sweep.executor import Limits, Site, Stop

    if out.exists() and not out.is_dir():
        raise UsageError(f"-o {out} is a file: many videos need a folder")
    force = given.pop("force")
    out, source = expanded(out).resolve(), expanded(source)
    file = None if weights is None else expanded(weights).resolve()
    ask = Ask(method, file, Request(**given), *filter(None, [many["ending"]]))
    tasks, account = planned(ask, source, out, many["retry"], force)
    scheduler = many["scheduler"]
    place = Variant("dask", {"scheduler": scheduler}) if scheduler else Variant("processes", {})
    site = Site(
        out, out / ".cache", many["workers"] or 1, many["threads"],
        Limits(many["time_limit"], many["memory_limit"]), Stop(messages().print),
    )  # fmt: skip
    _tell(conduct(tasks, account, registry.create("executors", place), site), out)


def _tell(account: Account, out: Path) -> None:
    """Say what came of many videos and how to go on, and leave with the exit status."""
    from vssbench.core.progress import messages
    from vssbench.segment.manifest import MANIFEST

    console = messages()
    for name, reason in account.failed_before.items():
        console.print(f"  failed before: {name}: {reason}")
    click.echo(f"{account.done} of {account.videos} videos are done: {out / MANIFEST}")
    if account.failed:
        console.print(f"{account.failed} failed: --retry failed tries them again")
    if account.left:
        console.print(f"{account.left} are left: the same command goes on with them")
        sys.exit(STOPPED)
    if account.failed:
        sys.exit(1)
