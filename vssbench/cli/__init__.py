"""The command ``bench.py``: click commands, one file a verb. stdout carries the result alone,
messages go to stderr."""

from __future__ import annotations

import os
import sys

import rich_click as click

from vssbench.cli.cache import cache
from vssbench.cli.codec import codec
from vssbench.cli.collect import collect
from vssbench.cli.compare import compare
from vssbench.cli.completion import VARIABLE, completion, register
from vssbench.cli.cost import cost
from vssbench.cli.data import data
from vssbench.cli.doctor import doctor
from vssbench.cli.export import export
from vssbench.cli.info import info
from vssbench.cli.latency import latency
from vssbench.cli.list import list_plugins
from vssbench.cli.merge import merge
from vssbench.cli.new import new
from vssbench.cli.plan import plan
from vssbench.cli.plot import plot
from vssbench.cli.prune import prune
from vssbench.cli.report import report
from vssbench.cli.reproduce import reproduce
from vssbench.cli.run import run
from vssbench.cli.score import score
from vssbench.cli.scores import scores
from vssbench.cli.segment import segment
from vssbench.cli.sweep import sweep
from vssbench.cli.table import table
from vssbench.cli.train import train
from vssbench.cli.weights import weights
from vssbench.core.errors import VssbenchError
from vssbench.core.version import __version__

click.rich_click.TEXT_MARKUP = "ansi"
click.rich_click.MAX_WIDTH = 110


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="vssbench")
def bench() -> None:
    """Compare efficient video semantic segmentation methods on compressed video.

    A first run, with nothing to download:

    \b
        python bench.py run
        python bench.py table
        python bench.py plot pareto -o pareto.png

    Two methods on your own CamVid under H.264 at two bitrates:

    \b
        python bench.py run -m pspnet -m 'arseg[scale=0.5]' -d camvid --data-root ~/CamVid
            -c 'h264[bitrate=1M]' -c 'h264[bitrate=300k]'

    A method, dataset or codec is written NAME or NAME[key=value,...].
    """


for _command in (
    list_plugins,
    info,
    data,
    run,
    sweep,
    plan,
    segment,
    cost,
    latency,
    train,
    weights,
    codec,
    table,
    reproduce,
    export,
    score,
    scores,
    compare,
    plot,
    report,
    merge,
    collect,
    prune,
    cache,
    new,
    doctor,
    completion,
):
    bench.add_command(_command)


def main() -> None:
    """Run the command line. Errors that are the user's to mend are one message and exit status
    2."""
    if VARIABLE in os.environ:
        register(bench)
    try:
        bench(prog_name="bench.py" if sys.argv[0].endswith("bench.py") else None)
    except VssbenchError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(2)
    except BrokenPipeError:  # the reader of a pipe has gone, as in `bench.py list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
