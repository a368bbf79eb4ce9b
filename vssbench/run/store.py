"""The results store: ``<root>/<run id>/`` holds one run. This is the only code that knows a run's
files.

A run is written into a hidden folder and then renamed (:mod:`vssbench.core.files`), so that readers
see all of it or nothing; any number of processes may write at once. A run that is replaced is
there, old or new, at every moment; readers that meet a replacement look again. What a killed writer
leaves is swept by the next one. Of two writers of a run id the later one stays.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shlex
import shutil
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import ValidationError

from vssbench.core import files, hidden, outputs, reading, steady
from vssbench.core.arrays import ARRAY_ERRORS, read_arrays
from vssbench.core.errors import DataError, UsageError
from vssbench.core.naming import called, is_archive
from vssbench.core.program import program
from vssbench.core.shortage import check_memory, shortage
from vssbench.core.shown import json_of, legible, message
from vssbench.core.version import __version__
from vssbench.run.measurement import Measurement
from vssbench.run.records import (
    ConfusionRecord,
    LatencyRecord,
    StreamRecord,
    arrays_of,
    damaged,
    load_record,
    unreadable,
)

RESULT, CONFUSION, LATENCY, STREAM, ENVIRONMENT, LOG = (
    "result.json", "confusion.npz", "latency.npz", "stream.npz", "environment.json", "log.txt",
)  # fmt: skip

#: hexadecimal digits of a run id: 64 bits, no collision to be feared below a hundred million runs
ID_DIGITS = 16


#: bytes of arrays that are read to see whether a stored run is damaged: those of a thousand frames
#: and more
_READ_FOR_CHECKSUMS = 1 << 24
_ID = re.compile(r"[A-Za-z0-9][\w.-]*")


_logger = logging.getLogger(__name__)


_T = TypeVar("_T")


@dataclass(frozen=True)
class Run:
    """A stored run: its measurement, and its arrays, read when first asked for (None where the run
    has none)."""

    measurement: Measurement
    path: Path

    @cached_property
    def confusion(self) -> ConfusionRecord | None:
        return self._steady(
            lambda: load_record(self.path / CONFUSION, ConfusionRecord, self._lengths)
        )

    @cached_property
    def latency(self) -> LatencyRecord | None:
        return self._steady(lambda: load_record(self.path / LATENCY, LatencyRecord))

    @cached_property
    def stream(self) -> StreamRecord | None:
        return self._steady(lambda: load_record(self.path / STREAM, StreamRecord))

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """The meters whose arrays were stored (names of vssbench.metrics.meters)."""
        own = {CONFUSION, LATENCY, STREAM}
        arrays = self._steady(lambda: list(self.path.glob("*.npz")))
        return tuple(sorted(path.stem for path in arrays if path.name not in own))

    @property
    def fault(self) -> str:
        """The fault in the files of a run that is done, in words; empty where there is none, as
        far as can be seen without reading large arrays."""
        if self.measurement.status != "done":
            return ""
        if CONFUSION not in self.files:
            return str(damaged(self.path / CONFUSION, "is missing"))
        wrong = (name for name in sorted(self.files) if not _sound(self.path / name))
        return next(
            (str(damaged(self.path / name, "is not what was written")) for name in wrong), ""
        )

    @property
    def timed(self) -> bool:
        """Whether the run has latencies; one that ran beside others has none."""
        return self._steady(lambda: (self.path / LATENCY).exists())

    @property
    def files(self) -> frozenset[str]:
        """The names of the run's arrays on disk."""
        return frozenset(self._steady(lambda: [path.name for path in self.path.glob("*.npz")]))

    def meter(self, name: str) -> dict[str, npt.NDArray] | None:
        """Return the arrays of a meter, None where it was not asked for. Raises DataError where
        they do not read."""
        path = self.path / f"{name}.npz"
        try:
            return self._steady(lambda: read_arrays(path, lambda _: None))
        except DataError as error:
            raise unreadable(path, error) from error

    @property
    def _lengths(self) -> dict[str, tuple[int, ...]]:
        """Return the lengths of the axes of the run's arrays, by their letters."""
        item = self.measurement
        values = len(item.classes)
        lengths: dict[str, tuple[int, ...]] = {
            "C": (values, values + 1) if item.void == "error" else (values,)
        }
        if item.frames:
            lengths["F"] = (item.frames,)
        return lengths

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions and settings of the machine that ran it. Raises DataError where the file does
        not read."""
        path = self.path / ENVIRONMENT
        try:
            content = json.loads(self._steady(lambda: reading.read_text(path)))
        except (OSError, ValueError, RecursionError, DataError) as error:
            raise unreadable(path, error) from error
        if not isinstance(content, dict):
            raise unreadable(path, "expected an object")
        return content

    @cached_property
    def log(self) -> str:
        """The run's messages. Raises DataError where the file does not read."""
        path = self.path / LOG
        try:
            return self._steady(lambda: reading.read_text(path))
        except (OSError, ValueError, DataError) as error:
            raise unreadable(path, error) from error

    def _steady(self, read: Callable[[], _T]) -> _T:
        """Return a file of the run that is there now: one that replaces it has the same id, and so
        the same numbers."""
        return steady.steady(self.path, read)


def run_id(identity: dict[str, Any]) -> str:
    """Return a short sha256 of all that changes a run's numbers; neither the order of keys nor
    tuple or list matters."""
    text = json.dumps(
        identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


class NewerRun(DataError):
    """A run that a newer version wrote: it is left as it is."""


class MisnamedRun(DataError):
    """A run in a folder of another name."""


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
        if not self.done(run_id):
            return False
        run = self.get(run_id)
        return CONFUSION in run.files and set(measures) <= set(run.measures)

    def done(self, run_id: str) -> bool:
        """Return whether a run was measured to its end, whichever of its arrays are there still."""
        try:
            return self.get(run_id).measurement.status == "done"
        except DataError:
            return False

    def holds(self, run_id: str) -> bool:
        """Return whether there is a readable run of that id, whatever became of it."""
        try:
            self.get(run_id)
        except DataError:
            return False
        return True

    def check_older(self, run_ids: Iterable[str]) -> None:
        """Raise NewerRun where a run of one of these ids is by a newer version, which is never
        replaced."""
        for each in run_ids:
            try:
                self.get(each)
            except NewerRun:
                raise
            except DataError:
                continue

    def get(self, run_id: str) -> Run:
        """Return the run of that id. Raises DataError where there is none or its files do not read,
        NewerRun where a newer version wrote it."""
        path = self._place(run_id)
        return steady.steady(path, lambda: self._run(run_id, path))

    def _run(self, run_id: str, path: Path) -> Run:
        check_memory()
        try:
            measurement = Measurement.model_validate_json(reading.read_bytes(path / RESULT))
        except OSError as error:
            raise DataError(
                f"no run {run_id!r} in {called(self.root)}: {error.strerror} for {RESULT}"
            ) from error
        except ValidationError as error:
            raise _fault(path / RESULT, error) from error
        if measurement.run_id != run_id:
            raise MisnamedRun(
                f"{called(path)} holds the run {measurement.run_id!r}: rename the folder to that"
            )
        for file in sorted(path.glob("*.npz")):
            if not file.is_file() or not zipfile.is_zipfile(file):
                raise damaged(file, "is no complete .npz file")
        return Run(measurement, path)

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
            if measurement.status == "done" and self.done(measurement.run_id):
                kept = [f"{name}.npz" for name in self.get(measurement.run_id).measures]
                for name in (*kept, LATENCY):
                    its = place / name
                    if not (draft / name).exists() and its.exists() and _sound(its):
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


def left_out(error: Exception) -> str:
    """Say that a run is left out which does not read."""
    kind = "a run" if isinstance(error, NewerRun) else "a damaged run"
    return f"left out {kind}: {message(str(error))}"


def not_written_to(path: Path) -> str:
    """Say that a store in one file is only read, and how to make a folder of it."""
    return (
        f"{path} is a store in one file, which is only read: `{program()} merge "
        f"{shlex.quote(str(path))} --runs FOLDER` makes a folder of it"
    )


def _sound(path: Path) -> bool:
    """Return whether the checksums of an archive are those of its content; yes for one that is too
    large to be read for that, or that cannot be read now."""
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(each.file_size for each in archive.infolist()) > _READ_FOR_CHECKSUMS:
                return True
            return archive.testzip() is None
    except OSError:
        return True
    except ARRAY_ERRORS as error:
        return bool(shortage(error))


def _copy(folder: Path, draft: Path) -> None:
    """Copy a run's files, and not their modes: a store that is read-only has copies that are
    not."""
    draft.mkdir()
    for path in folder.iterdir():
        shutil.copyfile(path, draft / path.name)


def _order(run: Run) -> tuple[str, ...]:
    item = run.measurement
    return item.dataset, item.codec, item.method, item.run_id


def _fault(path: Path, error: ValidationError) -> DataError:
    """Return the error of a row that does not fit: it is of a newer version, or damaged."""
    faults = error.errors()
    unknown = all(each["type"] == "extra_forbidden" for each in faults)
    where = ".".join(str(part) for part in faults[0]["loc"])
    version = _version(path)
    if not unknown and not _numbers(version) > _numbers(__version__):
        found = f"{where}: {faults[0]['msg']}" if where else faults[0]["msg"]
        return unreadable(path, found)
    found = (
        f"it has {where!r}, which vssbench {__version__} does not know"
        if unknown
        else f"{where}: {faults[0]['msg']}"
    )
    return NewerRun(
        f"{called(path)} does not read: {found}; it was written by a newer version "
        f"({version or 'unknown'}): update this one"
    )


def _version(path: Path) -> str:
    """Return the version that wrote a row; empty where it does not say."""
    try:
        row = json.loads(reading.read_bytes(path))
    except (OSError, ValueError, RecursionError, DataError):
        return ""
    version = row.get("version") if isinstance(row, dict) else ""
    return version if isinstance(version, str) else ""


def _numbers(version: str) -> list[int]:
    """Return the numbers of a version's release, by which it is later than another."""
    return [int(number) for number in re.findall(r"\d{1,9}", version.partition("+")[0])]
