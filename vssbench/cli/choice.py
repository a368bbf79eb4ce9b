"""Which results a command shows: options that `table` and `plot` share, and the rows that they
choose."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich_click as click

from vssbench.cli.options import Whole, without_option

if TYPE_CHECKING:
    from vssbench.report.rows import Row

_OPTIONS = (
    click.option(
        "-m",
        "--method",
        "methods",
        multiple=True,
        help="Only this method, or those that begin so. Repeatable.",
    ),
    click.option(
        "-d", "--dataset", "datasets", multiple=True, help="Only this dataset. Repeatable."
    ),
    click.option(
        "-c",
        "--codec",
        "codecs",
        multiple=True,
        help="Only this codec, as h264[bitrate=1M]. Repeatable.",
    ),
    click.option(
        "--protocol",
        "protocols",
        multiple=True,
        help="Only this protocol, as every-distance. Repeatable.",
    ),
    click.option(
        "--gop", "gops", type=Whole(1), multiple=True, help="Only this GOP, in frames. Repeatable."
    ),
    click.option(
        "--all",
        "older",
        is_flag=True,
        help="Older runs of the same experiments too, not the newest alone.",
    ),
    without_option,
    click.option(
        "--strict",
        is_flag=True,
        help="Refuse runs that different versions of the code measured, as a published page must.",
    ),
)


times_option = click.option(
    "--times",
    type=click.Path(path_type=Path),
    help="Latencies of this measurement of `latency` (a folder that it stored, or its --json), in "
    "place of those of the runs, which may have shared the machine.",
)


@dataclass(frozen=True)
class Choice:
    """A user's choice among the results of a store."""

    methods: tuple[str, ...]
    datasets: tuple[str, ...]
    codecs: tuple[str, ...]
    older: bool
    without: tuple[str, ...] = ()
    strict: bool = False
    protocols: tuple[str, ...] = ()
    gops: tuple[int, ...] = ()


def choice_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add the options of a :class:`Choice` to a command, which takes them as one ``choice``."""

    @wraps(command)
    def with_choice(**given: Any) -> None:
        own = {field.name: given.pop(field.name) for field in fields(Choice)}
        command(choice=Choice(**own), **given)
        _leave_if_damaged()

    decorated: Callable[..., None] = with_choice
    for option in reversed(_OPTIONS):
        decorated = option(decorated)
    return decorated


def chosen_rows(runs: Path, choice: Choice, times: Path | None = None) -> tuple[list[Row], str]:
    """Return the rows asked for, with those times if any are given, and what to say of those not
    shown. Raises UsageError where there are none."""
    from vssbench.core.errors import UsageError
    from vssbench.core.naming import called
    from vssbench.core.shown import plural
    from vssbench.report.choose import chosen, newest
    from vssbench.report.footnotes import check_one_version
    from vssbench.report.rows import check_left_out, stored_rows
    from vssbench.report.timed import with_times
    from vssbench.run.store import RunStore

    store = RunStore(runs)
    # listed before they are read: another process may add one meanwhile, or remove one
    listed = set(store.ids())
    stored = stored_rows(store, choice.without)
    if not listed:
        raise UsageError(
            f"no results to show in {called(runs)}: measure some first (see `run --help`), or name "
            "the folder that has them (--runs)"
        )
    missing = listed - {row["run_id"] for row in stored}
    _note_damaged(runs, missing and missing & set(store.ids()))
    asked_for = chosen(
        stored, choice.datasets, choice.codecs, choice.methods, choice.protocols, choice.gops
    )
    check_left_out(choice.without, asked_for)
    kept, count = (asked_for, 0) if choice.older else newest(asked_for)
    _note_damaged(runs, {row["run_id"] for row in kept if row["status"] == "damaged"})
    if choice.strict:
        check_one_version(kept)
    if times is not None:
        kept = with_times(kept, times)
    said = f"left out {plural(count, 'older run')} of the same experiments: --all shows them too"
    return kept, said if count else ""


#: under which a command's context keeps the damaged runs that it met: folders and ids
_DAMAGED = "vssbench.damaged"


def _note_damaged(runs: Path, names: set[str]) -> None:
    """Remember runs that do not read, for the end of the command."""
    from vssbench.core.naming import called
    from vssbench.run.store import RunStore

    context = click.get_current_context(silent=True)
    if context is not None:
        found, store = context.meta.setdefault(_DAMAGED, set()), RunStore(runs)
        found.update((str(called(runs)), name, store.is_newer(name)) for name in names)


def _leave_if_damaged() -> None:
    """End a command that met damaged runs, or those of a newer version, with status 1, and name
    them."""
    from vssbench.core.progress import messages

    context = click.get_current_context(silent=True)
    found = [] if context is None else sorted(context.meta.get(_DAMAGED, ()))
    if context is None or not found:
        return
    for folder, name, newer in found:
        messages().print(f"{'newer' if newer else 'damaged'}: {Path(folder) / name}")
    damaged = [folder for folder, _, newer in found if not newer]
    for count, remedy in (
        (len(found) - len(damaged), "a newer version wrote them: update this one"),
        (len(damaged), _of_damaged(damaged)),
    ):
        if count:
            do = "run does" if count == 1 else "runs do"
            messages().print(f"{count} {do} not read, and the numbers are without them: {remedy}")
    context.exit(1)


def _of_damaged(folders: Sequence[str]) -> str:
    """Say what to do about damaged runs of these stores."""
    from vssbench.core.naming import is_archive

    remedy = "measure them again with run --force"
    if archives := sorted({folder for folder in folders if is_archive(Path(folder))}):
        remedy = f"get {', '.join(archives)} again from where it came, or make a folder of it"
        remedy += " (`merge`) and measure them there with run --force"
    return f"{remedy}; they may be sound, and another version of this program's"
