"""The command ``bench.py``: click commands, one file a verb. stdout carries the result alone,
messages go to stderr."""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

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
from vssbench.core import bounds, standard
from vssbench.core.allocator import ask_for_huge_pages
from vssbench.core.errors import UsageError, VssbenchError
from vssbench.core.program import as_called, program
from vssbench.core.shortage import shortage
from vssbench.core.shown import Guarded, message, settle
from vssbench.core.version import __version__

click.rich_click.TEXT_MARKUP = "ansi"
click.rich_click.MAX_WIDTH = 110


#: characters of one argument: as many as a path has in Linux, and more
LONGEST_ARGUMENT = 16_384
#: what the system answers where output is the matter, and not a file that is read
_OF_OUTPUT = frozenset((errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EBADF))
#: exit status after Ctrl-C: 128 and the number of the signal
INTERRUPTED = 130


@contextmanager
def _told() -> Iterator[None]:
    """Shorten click's messages, which quote what was typed, and end after Ctrl-C as shells
    expect."""
    try:
        yield
    except click.ClickException as error:
        vars(error)["message"] = message(error.message)
        raise
    except KeyboardInterrupt as error:
        notes = getattr(error, "__notes__", None) or ["files that were not finished are not kept"]
        click.echo(f"\nInterrupted: {message('; '.join(notes))}", err=True)
        sys.exit(INTERRUPTED)


class _Bench(click.RichGroup):
    """The command with all verbs."""

    def make_context(self, *args: Any, **more: Any) -> click.Context:
        """Read the arguments before the verb."""
        with _told():
            return super().make_context(*args, **more)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the verb."""
        with _told():
            return super().invoke(ctx)


@click.group(cls=_Bench, context_settings={"help_option_names": ["-h", "--help"]})
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


def _name_examples(command: click.Command) -> None:
    """Let the help of a command and of those below it name the program as it was called."""
    command.help = as_called(command.help or "")
    for each in getattr(command, "commands", {}).values():
        _name_examples(each)


#: objects made until Python looks for cycles among them; what is imported makes a million, and
#: with the usual 700 a quarter of a short command's time goes into looking through them
_OBJECTS = 5000


def main() -> None:
    """Run the command line. Errors that are the user's to mend are one message and exit status
    2."""
    gc.set_threshold(_OBJECTS)
    ask_for_huge_pages()
    try:
        _main()
    finally:
        gc.freeze()  # the interpreter's end would look through all of it once more


def _main() -> None:
    if VARIABLE in os.environ:
        register(bench)
    _name_examples(bench)
    standard.mend()
    settle(sys.stdout)
    settle(sys.stderr)
    if sys.stdout.isatty():
        sys.stdout = cast(Any, Guarded(sys.stdout))
    sys.stderr = standard.unfailing(sys.stderr)
    status: Any = 0
    try:
        try:
            _check_arguments(sys.argv[1:])
            if VARIABLE not in os.environ:
                _check_surroundings()
            bench(prog_name=program())
        except SystemExit as end:
            status = end.code
        sys.stdout.flush()  # here a full disk is one message
    except VssbenchError as error:
        status = _failed(str(error))
    except BrokenPipeError:  # the reader of a pipe has gone, as in `bench.py list | head -1`
        _drop_output()
        status = 141
    except Exception as error:
        said = shortage(error)
        if not said and not isinstance(error, OSError):
            raise
        status = _failed(said or _of_system(error))
    sys.exit(status)


def _of_system(error: Exception) -> str:
    """Say what the system could not do, with files above all."""
    filename, reason = getattr(error, "filename", None), getattr(error, "strerror", None)
    if filename is None:
        _drop_output()
    of_output = getattr(error, "errno", None) in _OF_OUTPUT
    unnamed = "the output cannot be written" if of_output else "a file cannot be read or written"
    what = f"{filename or unnamed}: "
    closed = filename is None and getattr(error, "errno", None) == errno.EBADF
    remedy = "it is closed" if closed else "check the disk and the folder"
    return f"{what}{reason or error}; {remedy}"


def _check_arguments(arguments: list[str]) -> None:
    """Raise UsageError for an argument that no option can mean."""
    for text in arguments:
        if len(text) > LONGEST_ARGUMENT:
            raise UsageError(
                f"an argument has {len(text)} characters (it begins {text[:40]!r}): at most "
                f"{LONGEST_ARGUMENT} are taken"
            )


def _check_surroundings() -> None:
    """Raise UsageError for a current folder that is gone, which libraries fail at in words of their
    own, and for a bound of the environment that is no number."""
    try:
        Path.cwd()
    except OSError as error:
        raise UsageError(
            f"the current folder is not there any more ({error.strerror}): change to one that is"
        ) from error
    bounds.check_all()


def _failed(text: str) -> int:
    click.echo(f"Error: {message(text)}", err=True)
    return 2


def _drop_output() -> None:
    """Let what is not written yet go nowhere: the interpreter would try again at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
