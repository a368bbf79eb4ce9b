"""The planning of a grid tried in a process of its own, where installed plug-ins take part: no
error tells of one that crashes the process that imports or makes it."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from multiprocessing import connection as connections
from multiprocessing.connection import Connection
from pathlib import Path

from vssbench.core import hidden, registry
from vssbench.core.errors import UsageError
from vssbench.core.shown import message
from vssbench.core.variant import parse_variant
from vssbench.sweep.forks import child, forkable
from vssbench.sweep.planner import Planner
from vssbench.sweep.points import Point
from vssbench.sweep.process import ended
from vssbench.sweep.worker import print_into, read_log

#: seconds in which an experiment is planned, which takes tenths of one, where no limit is set
_PATIENCE = 600.0
#: lines of what a plug-in printed last that are told
_TOLD = 8


def check_plannable(wanted: Sequence[Point], seconds: float | None = None) -> None:
    """Check that no installed plug-in ends this process, or takes longer than a limit, where the
    experiments of a grid are planned. Raises UsageError that tells of the first that does.

    Nothing is checked where no process can be forked.
    """
    tried = {(each.dataset, each.method, each.codec): each for each in wanted if _installed(each)}
    if not tried or not forkable({"cpu"}):
        return
    with hidden.temporary() as folder:
        log = folder / "log.txt"
        point, reason = _tried(list(tried.values()), log, seconds or _PATIENCE)
        if reason:
            names = " and ".join(_installed(point))
            last = "\n".join(("", *read_log(log).strip().splitlines()[-_TOLD:]))
            raise UsageError(
                f"{point.method} on {point.dataset} by {point.codec} cannot be planned: {reason}. "
                f"Installed plug-ins take part, {names}: mend the one at fault, or leave it out"
                f"{message(last).rstrip()}"
            )


def _installed(point: Point) -> list[str]:
    """Name an experiment's plug-ins that are not this project's own."""
    texts = {"dataset": point.dataset, "method": point.method, "codec": point.codec}
    return [f"the {kind} {text!r}" for kind, text in texts.items() if _is_installed(kind, text)]


def _is_installed(kind: str, text: str) -> bool:
    try:
        return registry.find(f"{kind}s", parse_variant(text).name).entry_point is not None
    except UsageError:
        return False  # the planning says what is wrong


def _tried(points: Sequence[Point], log: Path, seconds: float) -> tuple[Point, str]:
    """Plan in another process; return the point that it came to, and what became of it there, in
    words: nothing where it planned them all, or where there can be no process."""
    try:
        process, connection = child(_plan, log, points)
    except OSError:
        return points[0], ""
    number = 0
    try:
        while ready := connections.wait([connection, process.sentinel], seconds):
            if connection not in ready or (told := _received(connection)) is None:
                process.join()
                return points[number], ended(process.exitcode or 0)
            if told == len(points):
                return points[-1], ""
            number = told
        return points[number], f"it took longer than {seconds:g} s"
    finally:
        process.kill()
        process.join()
        connection.close()


def _received(connection: Connection) -> int | None:
    try:
        return int(connection.recv())
    except (EOFError, OSError):  # it ended, perhaps within a message
        return None


def _plan(connection: Connection, log: Path, points: Sequence[Point]) -> None:
    """Plan experiments one after another, and tell which is next."""
    print_into(log)
    planner = Planner(Path())  # nothing is encoded
    for number, point in enumerate(points):
        connection.send(number)
        # what is said in words is said where it is planned for good
        with suppress(Exception, SystemExit):
            experiment = planner.experiment(point)
            experiment.frames()
            _ = experiment.run_id
    connection.send(len(points))
