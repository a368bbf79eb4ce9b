"""``bench.py segment``: a method on one's own video."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from vssbench.cli.options import SIZE, Finite, Whole, device_option, force_option, precision_option
from vssbench.sweep.defaults import DEFAULT_SCENES


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
    help="Video to write, or a folder for PNGs.",
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
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV to write, a line for each frame.",
)
@force_option
@device_option
@precision_option("fp32")
def segment(video: Path, method: str | None, out: Path, weights: Path | None, **given: Any) -> None:
    """Segment your own video IN, as a method does it frame by frame: full work on keyframes, cheap
    work between.

    Keyframes and motion vectors are those of the stream itself; where its vectors cannot be
    trusted, motion is estimated from the decoded frames, and a message says why. Time stamps,
    rotation and colour tags are heeded. For example:

    \b
        python bench.py segment drive.mp4 -m 'arseg[scale=0.5]' -o overlay.mp4 --legend
        python bench.py segment drive.mkv -m pspnet --size 360x480 -o labels --output palette
        python bench.py segment drive.mp4 -m warp --reencode 'h264[bitrate=1M,gop=12]' \\
            -o overlay.mp4 --stats frames.csv

    The network runs at the video's size, and does best at the size of the images that it was
    trained on. Exit status: 0, or 2 for bad input.
    """
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
