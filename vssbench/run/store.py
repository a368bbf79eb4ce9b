"""The results store: ``<root>/<run id>/`` holds one run (:mod:`vssbench.run.stored`).

A run is written into a hidden folder and then renamed (:mod:`vssbench.core.files`), so that readers
see all of it or nothing; any number of processes may write at once. A run that is replaced is
there, old or new, at every moment; readers that meet a replacement look again. What a killed writer
leaves is swept by the next one. Of two writers of a run id the later one stays.
"""

from __future__ import annotations

import json
import logging
import os
import re
import shlex
import shutil
from collections.abc import Collection, Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vssbench.core import files, hidden, outputs, steady
from vssbench.core.errors import DataError, UsageError
from vssbench.core.naming import called, is_archive
from vssbench.core.program import program
from vssbench.core.shown import json_of, legible
from vssbench.run.measurement import Measurement
from vssbench.run.records import ConfusionRecord, LatencyRecord, StreamRecord, arrays_of
from vssbench.run.stored import (
    CONFUSION,
    ENVIRONMENT,
    FILES,
    LATENCY,
    LOG,
    RESULT,
    STREAM,
    NewerRun,
    Run,
    by_newer,
    left_out,
    read_run,
    sound,
)

_ID = re.compile(r"[A-Za-z0-9][\w.-]*")


_logger = logging.getLogger(__name__)


class RunStore:
    """Runs under one folder, which need not exist before the first is written."""

    def __init__(self, root: Path) -> None:
        """Take a folder. Raises UsageError for a store in one file, which is only read."""
        self.root = Path(root)
        if is_archive(self.root) and self.root.is_file():
            raise UsageError(not_written_to(self.root))

    def has(self, run_id: str, measures: Collection[str] = ()) -> bool:
        """Return whether the result of a run is there, with those meters.

        A failed, refused or damaged one is not.
        """
        run = self.result(run_id)
        return run is not None and run.holds(measures)

    def result(self, run_id: str) -> Run | None:
        """Return the run if it was measured to its end, whichever of its arrays are there still."""
        try:
            run = self.get(run_id)
        except DataError:
            return None
        return run if run.measurement.status == "done" else None

    def holds(self, run_id: str) -> bool:
        """Return whether there is a readable run of that id, whatever became of it."""
        try:
            self.get(run_id)
        except DataError:
            return False
        return True

    def is_newer(self, run_id: str) -> bool:
        """Return whether a run does not read since a newer version wrote it."""
        try:
            self.get(run_id)
        except NewerRun:
            return True
        except (DataError, UsageError):
            return False
        return False

    def check_older(self, run_ids: Iterable[str]) -> None:
        """Raise NewerRun where a run of one of these ids is by a newer version, which is never
        replaced."""
        for each in run_ids:
            try:
                run = self.get(each)
            except NewerRun:
                raise
            except DataError:
                continue
            if reason := by_newer(run.measurement.version):
                raise NewerRun(f"{called(run.path)} is not replaced: {reason}")

    def get(self, run_id: str, whole: bool = False) -> Run:
        """Return the run of that id, ``whole`` as :func:`vssbench.run.stored.read_run`. Raises
        DataError where there is none or its files do not read, NewerRun where a newer version
        wrote it."""
        path = self._place(run_id)
        return steady.steady(path, lambda: read_run(path, run_id, whole))

    def write(
        self,
        measurement: Measurement,
        confusion: ConfusionRecord | None,
        latency: LatencyRecord | None,
        environment: dict[str, Any],
        log: str,
        stream: StreamRecord | None = None,
        meters: Mapping[str, Mapping[str, npt.NDArray]] | None = None,
    ) -> Path:
        """Store a run, and the arrays of its meters by their names; returns its folder. An earlier
        run of the same id is replaced as a whole, but meters and latencies that it alone has are
        kept: the same id has the same predictions, and another process may have been asked for them
        meanwhile.

        Raises DataError where the folder cannot be written, and where a newer version's run is
        there.
        """
        self.check_older([measurement.run_id])
        place = self._place(measurement.run_id)
        with ExitStack() as others_wait, files.draft(place) as draft:
            draft.mkdir()
            (draft / RESULT).write_text(json_of(measurement) + "\n", encoding="utf-8")
            (draft / ENVIRONMENT).write_text(
                json.dumps(environment, indent=1, sort_keys=True) + "\n", encoding="utf-8"
            )
            (draft / LOG).write_text(legible(log), encoding="utf-8")
            for name, record in ((CONFUSION, confusion), (LATENCY, latency), (STREAM, stream)):
                if record is not None:
                    np.savez_compressed(draft / name, **arrays_of(record))  # type: ignore[arg-type]
            for name, arrays in (meters or {}).items():
                np.savez_compressed(draft / f"{name}.npz", **arrays)  # type: ignore[arg-type]
            # until the draft has taken its place, which it does before the stack is closed
            others_wait.enter_context(hidden.alone(self.root))
            earlier = self.result(measurement.run_id)
            if measurement.status == "done" and earlier is not None:
                for name in (*(f"{meter}.npz" for meter in earlier.measures), LATENCY):
                    its = place / name
                    if not (draft / name).exists() and its.exists() and sound(its):
                        shutil.copyfile(its, draft / name)
        return place

    def take(self, run: Run) -> None:
        """Copy a run of another store, in the place of one of its id. Raises DataError where the
        folder cannot be written, and where a newer version's run is there."""
        self.check_older([run.measurement.run_id])
        with files.draft(self._place(run.measurement.run_id)) as draft:
            _copy(run.path, draft)

    def complete(self, run: Run) -> None:
        """Give a stored run the arrays that it lacks and the same run of another store has. Raises
        DataError where the folder cannot be written."""
        place = self._place(run.measurement.run_id)
        with ExitStack() as others_wait, files.draft(place) as draft:
            others_wait.enter_context(hidden.alone(self.root))
            _copy(place, draft)
            for name in run.files - self.get(run.measurement.run_id).files:
                shutil.copyfile(run.path / name, draft / name)

    def is_foreign(self, run_id: str) -> bool:
        """Return whether a folder holds what no run has, or cannot be looked into: it was not made
        here."""
        try:
            names = os.listdir(self._place(run_id))
        except OSError:
            return True
        return any(name not in FILES and not name.endswith(".npz") for name in names)

    def remove(self, run_id: str) -> None:
        """Remove a run, as a whole. Raises DataError where the folder cannot be written."""
        files.remove_folder(self._place(run_id))

    def check_writable(self) -> None:
        """Make the folder where it is missing, and raise DataError where no run can be written into
        it."""
        outputs.check_folder(self.root)

    def ids(self) -> list[str]:
        """Return the ids of every run that is there, whether it reads or not."""
        hidden.adopt(self.root)
        return sorted(self._names() | hidden.set_aside(self.root) | self._names())

    def stamp(self, run_id: str) -> str:
        """Return what tells a run's files from any that replace or damage them: names, sizes and
        times, a line each; empty where there is none."""
        try:
            with os.scandir(self._place(run_id)) as entries:
                seen = [(entry.name, _status(entry)) for entry in entries]
        except OSError:
            return ""
        return "\n".join(
            sorted(f"{name} {status.st_size} {status.st_mtime_ns}" for name, status in seen)
        )

    def runs(self) -> list[Run]:
        """Return every readable run, sorted by dataset, codec, method and id; a damaged folder is
        logged and left out."""
        runs = []
        for name in self.ids():
            try:
                runs.append(self.get(name))
            except (DataError, UsageError) as error:
                _logger.warning("%s", left_out(error))
        return sorted(runs, key=_order)

    def holds_folder(self, run_id: str) -> bool:
        """Return whether a folder of that name is there, whatever is in it."""
        return (self.root / run_id).is_dir()

    def _names(self) -> set[str]:
        try:
            with os.scandir(self.root) as there:
                return {each.name for each in there if each.name[0] != "." and each.is_dir()}
        except (FileNotFoundError, NotADirectoryError):
            return set()

    def _place(self, run_id: str) -> Path:
        if not _ID.fullmatch(run_id):
            raise UsageError(f"{run_id!r} is no run id: expected letters, digits, '.', '_' and '-'")
        return self.root / run_id


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    """Return what is known of a file, or of a link that leads nowhere."""
    try:
        return entry.stat()
    except FileNotFoundError:
        return entry.stat(follow_symlinks=False)


def not_written_to(path: Path) -> str:
    """Say that a store in one file is only read, and how to make a folder of it."""
    return (
        f"{path} is a store in one file, which is only read: `{program()} merge "
        f"{shlex.quote(str(path))} --runs FOLDER` makes a folder of it"
    )


def _copy(folder: Path, draft: Path) -> None:
    """Copy a run's files, and not their modes: a store that is read-only has copies that are
    not."""
    draft.mkdir()
    for path in folder.iterdir():
        shutil.copyfile(path, draft / path.name)


def _order(run: Run) -> tuple[str, ...]:
    item = run.measurement
    return item.dataset, item.codec, item.method, item.run_id
