"""``bench.py score``: predictions of another program, scored like a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import rich_click as click

from vssbench.cli.options import (
    Count,
    Finite,
    codec_option,
    data_root_option,
    gop_option,
    measure_option,
    protocol_option,
    runs_option,
)
from vssbench.core.program import program

#: more than any network has
_MOST_PARAMETERS = 1e15

_TYPED = (
    click.option(
        "--params", type=Count(0, _MOST_PARAMETERS), help="Parameters, as 27.6e6. Typed in."
    ),
    click.option("--gmacs-key", type=Finite(0), help="GMACs of a keyframe. Typed in."),
    click.option(
        "--gmacs-nonkey",
        type=Finite(0),
        help="GMACs of another frame; a keyframe's by default. Typed in.",
    ),
    click.option(
        "--latency-key",
        "latency_key_ms",
        type=Finite(0),
        metavar="MS",
        help="Milliseconds of a keyframe. Typed in; needs --machine.",
    ),
    click.option(
        "--latency-nonkey",
        "latency_nonkey_ms",
        type=Finite(0),
        metavar="MS",
        help="Milliseconds of another frame; a keyframe's by default. Typed in.",
    ),
    click.option("--machine", default="", help="On what the latency was measured, in words."),
)


def _typed_options(command: Any) -> Any:
    """Add the options of what is typed in."""
    for option in reversed(_TYPED):
        command = option(command)
    return command


@click.command()
@click.argument("predictions", type=click.Path(path_type=Path))
@click.option("-d", "--dataset", required=True, help="Dataset, as camvid[split=test].")
@data_root_option
@codec_option
@gop_option
@protocol_option
@measure_option
@click.option("--name", help="The method's name, as segnext[size=b]; the folder's by default.")
@click.option("--display", default="", help="The name in tables; --name by default.")
@_typed_options
@runs_option
@click.option("--force", is_flag=True, help="Score again what is scored already.")
def score(predictions: Path, runs: Path, force: bool, **given: Any) -> None:
    """Score PREDICTIONS of another program: they stand in the same tables and plots as runs.

    The folder holds a PNG of class indices (grey or palette) or an array (.npy) a frame, at the
    label's size: CLIP/FRAME.png, as `bench.py export` names them and lists them in frames.csv;
    under every-distance and pairs dDISTANCE/CLIP/FRAME.png. One is needed for each frame that
    carries a label. Cost and latency are what is typed in, and are marked so. For example:

    \b
        python bench.py export camvid --data-root ~/CamVid -c 'h264[bitrate=1M]' -o frames
        python bench.py score predictions -d camvid --data-root ~/CamVid -c 'h264[bitrate=1M]'
            --name segnext --gmacs-key 15.9 --params 4300000

    Exit status: 0, or 2 for bad input, of which nothing is stored.
    """
    from vssbench.cli.run import print_table
    from vssbench.core.machine import typed_command
    from vssbench.core.progress import messages
    from vssbench.exchange.input import SOURCE, open_input
    from vssbench.exchange.score import Scoring, Typed, method_name, scored
    from vssbench.metrics.meters import named
    from vssbench.report.rows import rows
    from vssbench.report.table import terminal
    from vssbench.run.store import RunStore

    source = {name: given.pop(name) for name in SOURCE}
    name, display, measures = (given.pop(each) for each in ("name", "display", "measures"))
    scoring = Scoring(
        predictions,
        method_name(name, predictions),
        open_input(**source),
        display,
        Typed(**given),
        named(measures),
        runs / ".cache",
    )
    found = scored(scoring, RunStore(runs), typed_command(), force)
    print_table(terminal(rows([found])))
    messages().print(
        f"the row is in {runs}/ (`{program()} table --runs {runs}` shows all that are there)"
    )
