"""Options that several commands share, and what turns their text into objects."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import rich_click as click
from click.shell_completion import CompletionItem

from vssbench.core.bounds import MOST_THREADS, PIXELS
from vssbench.core.errors import UsageError, VssbenchError
from vssbench.core.machine import check_device
from vssbench.core.naming import ARCHIVED, is_archive
from vssbench.core.opening import open_dataset

__all__ = ["SIZE", "Size", "check_device", "open_dataset"]


class Size(click.ParamType):
    """``HxW`` in pixels, height first as in the papers' tables of CamVid (720x960)."""

    name = "HxW"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"([0-9]{1,6})[xX]([0-9]{1,6})", value)
        if match is None or 0 in (int(part) for part in match.groups()):
            self.fail(
                f"{value!r} is not a size: expected HEIGHTxWIDTH in pixels, as 720x960", param, ctx
            )
        height, width = int(match[1]), int(match[2])
        try:
            PIXELS.check(height * width, f"a size of {height}x{width}", UsageError)
        except UsageError as error:
            self.fail(str(error), param, ctx)
        return height, width


SIZE = Size()


class Quantity(click.ParamType):
    """A time or a size, as it is typed, which ``read`` turns into a number."""

    def __init__(self, name: str, read: Callable[[str], float]) -> None:
        self.name, self.read = name, read

    def convert(self, value: Any, param: Any, ctx: Any) -> float:
        try:
            return self.read(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Whole(click.IntRange):
    """A whole number of a range that fits into 31 bits, as all counts here do."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if number > _LARGEST:
            self.fail(f"{str(value)[:24]} is too large: expected at most {_LARGEST}", param, ctx)
        return number


class Finite(click.FloatRange):
    """A number of a range, neither infinite nor NaN."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value!r} is no finite number", param, ctx)
        return number


class Count(Finite):
    """A whole number that may be typed with an exponent, as 27.6e6."""

    name = "number"

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        number = super().convert(value, param, ctx)
        if number != int(number):
            self.fail(f"{value} is no whole number", param, ctx)
        return int(number)


_LARGEST = (1 << 31) - 1
#: MiB; a file of a part is a file of the system
part_size_option = click.option(
    "--part-size", type=Finite(0, 1 << 24, min_open=True), metavar="MIB",
    help="Split the weights into files of at most this many MiB.",
)  # fmt: skip

data_root_option = click.option(
    "--data-root", type=click.Path(path_type=Path), help="Folder that holds the dataset's files."
)


def _named(kind: click.Path, value: Any, param: Any, ctx: Any) -> Path:
    """Return a path; an empty text would stand for the folder one is in."""
    if value == "":
        kind.fail("'' names no folder", param, ctx)
    return Path(value)


class StoreToWrite(click.Path):
    """The folder of a results store; one in one file is only read, which is said."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = _named(self, value, param, ctx)
        if is_archive(path):
            from vssbench.run.store import not_written_to

            self.fail(not_written_to(path), param, ctx)
        return super().convert(value, param, ctx)


class StoreToRead(click.Path):
    """The folder of a results store; of one in one file that in which its runs lie for as long as
    the command runs."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = _named(self, value, param, ctx)
        try:
            folder = opened_store(path, ctx)
        except VssbenchError as error:
            self.fail(str(error), param, ctx)
        if ctx is not None and ctx.resilient_parsing:
            return folder
        if folder.is_file():
            self.fail(
                f"{path} is a file: expected the folder of a results store, or one in one file, "
                f"whose name ends in {ARCHIVED}",
                param,
                ctx,
            )
        return super().convert(folder, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        return [CompletionItem(incomplete, type="file")]


def opened_store(path: Path, context: click.Context | None) -> Path:
    """Return the folder of a store: of one in one file that in which its runs lie for as long as
    the command runs. Raises DataError where that does not read, or is not there."""
    if not is_archive(path) or context is None or context.resilient_parsing:
        return path
    from vssbench.run.archive import unpacked

    return context.with_resource(unpacked(path))


runs_option = click.option(
    "--runs", type=StoreToWrite(path_type=Path, file_okay=False), default=Path("results/runs"),
    show_default=True,
    help="Folder of the results store.",
)  # fmt: skip
#: of commands that write nothing into it
read_runs_option = click.option(
    "--runs", type=StoreToRead(path_type=Path, file_okay=False), default=Path("results/runs"),
    show_default=True,
    help="Folder of the results store, or one in one file (NAME.tar.xz, see `collect`).",
)  # fmt: skip
force_option = click.option(
    "--force", is_flag=True, help="Replace files that are there already; an input never is."
)
device_option = click.option(
    "--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N."
)
gop_option = click.option(
    "--gop",
    type=Whole(1),
    help="Frames of a GOP, where a codec's brackets do not say (12).",
)
protocol_option = click.option(
    "--protocol",
    default="dense",
    show_default=True,
    help="Which frame is scored at which distance.",
)
#: the scores that `run` and `score` measure beside mIoU
measure_option = click.option(
    "--measure",
    "measures",
    multiple=True,
    metavar="NAME",
    help="Beside mIoU: boundary (F-score of outlines), consistency (TC, VC over time); `scores` "
    "shows them. Repeatable.",
)
#: the one codec of `export` and `score`
codec_option = click.option(
    "-c",
    "--codec",
    default="raw",
    show_default=True,
    help="Codec that the frames go through, as h264[bitrate=1M,gop=12].",
)
absent_option = click.option(
    "--absent", type=click.Choice(["skip", "zero", "one"]), default="skip", show_default=True,
    help="A class in neither truth nor prediction: left out of the mean, or counted as 0 or 1.",
)  # fmt: skip

#: the same in `run`, `table`, `plot` and `scores`
without_option = click.option(
    "--without", multiple=True, metavar="CLASS",
    help="A class whose pixels are not scored and that no mean holds: 11 of CamVid's 12. "
    "Repeatable.",
)  # fmt: skip


def precision_option(default: str) -> Callable[[Any], Any]:
    """Return ``--precision``: fp32, or bf16 autocast."""
    return click.option(
        "--precision", type=click.Choice(["fp32", "bf16"]), default=default, show_default=True,
        help="Arithmetic of the network.",
    )  # fmt: skip


#: the grid of ``sweep`` and ``plan``, and what its time depends on, by the names of a file's keys
_GRID = (
    click.option("-m", "--method", multiple=True, help="Method, as arseg[scale=0.5]. Repeatable."),
    click.option("-d", "--dataset", multiple=True, help="Dataset. Repeatable."),
    click.option("-c", "--codec", multiple=True, help="Codec, as h264[bitrate=1M]. Repeatable."),
    click.option("--protocol", multiple=True, help="Protocol (dense). Repeatable."),
    click.option("--gop", type=Whole(1), multiple=True, help="Frames of a GOP. Repeatable."),
    click.option("--seed", type=Whole(0), multiple=True, help="Seed (0). Repeatable."),
    click.option(
        "--precision", type=click.Choice(["fp32", "bf16"]), multiple=True,
        help="Arithmetic of the network (fp32). Repeatable.",
    ),
    click.option("--weights", multiple=True, help="Weight file, as of `run`. Repeatable."),
    click.option("--measure", multiple=True, help="boundary, consistency. Repeatable."),
    without_option,
    click.option(
        "--void", type=click.Choice(["error", "masked"]),
        help="An output that stands for no scored class, as of `run` (error).",
    ),
    click.option("--data-root", help="Folder that holds the dataset's files."),
    click.option("--device", help="cpu, cuda or cuda:N (cpu)."),
    click.option(
        "--runs", type=StoreToWrite(file_okay=False),
        help="Folder of the results store (results/runs).",
    ),
    click.option("--workers", type=Whole(1), help="Experiments at a time (1)."),
    click.option(
        "--threads", type=Whole(1, MOST_THREADS), help="Threads of each experiment."
    ),
)  # fmt: skip


def grid_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Return options that stand for a grid, each of which wins over the key of its name in the
    file."""
    for option in reversed(_GRID):
        command = option(command)
    return command


def said(given: Mapping[str, Any], leave: Collection[str] = ()) -> dict[str, Any]:
    """Return the options that were given, by the names of a file's keys, without some."""
    return {
        name.replace("_", "-"): value
        for name, value in given.items()
        if name not in leave and value not in (None, ())
    }


def check_json(output: Path | None, force: bool) -> None:
    """Check ``--json FILE`` of a benchmark: one message, before any work, where the file may not or
    cannot be written."""
    from vssbench.core.outputs import check_output

    try:
        if output is not None:
            check_output(output, force=force, option="--json")
    except VssbenchError as error:
        raise click.UsageError(str(error)) from error
