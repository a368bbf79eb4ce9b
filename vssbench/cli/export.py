"""``bench.py export``: frames as methods see them, for a program elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from vssbench.cli.options import (
    codec_option,
    data_root_option,
    gop_option,
    protocol_option,
    runs_option,
)


@click.command()
@click.argument("dataset")
@data_root_option
@codec_option
@gop_option
@protocol_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Folder to write: a new one, or an empty one.",
)
@runs_option
@click.option("--force", is_flag=True, help="Replace an export that is there already.")
@click.option("--dry-run", is_flag=True, help="Say how much would be written, and write nothing.")
def export(out: Path, runs: Path, force: bool, dry_run: bool, **source: Any) -> None:
    """Write the frames of DATASET as they come out of a codec, so that a program elsewhere runs on
    exactly what methods here see.

    Decoded frames and labels are PNGs, the motion to the keyframe an .npz (`field`, float32
    (H, W, 2): pixel p of the frame lies at p + field[p] in the keyframe, (x, y)); frames.csv lists
    them with distance, keyframe, picture type and bits, and says where `bench.py score` looks for
    each prediction. The folder is written whole or not at all. For example:

    \b
        python bench.py export camvid --data-root ~/CamVid -c 'h264[bitrate=1M]' -o frames

    Exit status: 0, or 2 for bad input.
    """
    from vssbench.core.progress import messages, track
    from vssbench.exchange.export import Export
    from vssbench.exchange.input import open_input

    wanted = Export(open_input(**source), out, runs / ".cache")
    wanted.check(force)
    messages().print(f"{out}: {wanted.estimate()}")
    if dry_run:
        return
    with track("exporting", wanted.input.frames()) as tracker:
        wanted.write(tracker.advance)
    click.echo(f"wrote {out}: frames.csv lists the frames")
