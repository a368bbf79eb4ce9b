"""A stored run as it is read: its row, its arrays and its log, each from a file of its folder. This
is the only code that knows a run's files, beside what writes them (:mod:`vssbench.run.store`)."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import zipfile
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy.typing as npt
from pydantic import ValidationError

from vssbench.core import reading, steady
from vssbench.core.arrays import ARRAY_ERRORS, read_arrays, small_content
from vssbench.core.errors import DataError
from vssbench.core.naming import called
from vssbench.core.shortage import check_memory, shortage
from vssbench.core.shown import message
from vssbench.core.version import __version__
from vssbench.run.measurement import Measurement
from vssbench.run.records import (
    ConfusionRecord,
    LatencyRecord,
    StreamRecord,
    damaged,
    load_record,
    unreadable,
)

RESULT, CONFUSION, LATENCY, STREAM, ENVIRONMENT, LOG = (
    "result.json", "confusion.npz", "latency.npz", "stream.npz", "environment.json", "log.txt",
)  # fmt: skip
#: files of a run's own arrays; others are those of meters
_RECORDS = (CONFUSION, LATENCY, STREAM)
#: the files of a run beside the arrays of its meters
FILES = frozenset({RESULT, *_RECORDS, ENVIRONMENT, LOG})

#: bytes of arrays that are read to see whether a stored run is damaged: those of a thousand frames
#: and more
_READ_FOR_CHECKSUMS = 1 << 24

_T = TypeVar("_T")
_Record = TypeVar("_Record", ConfusionRecord, LatencyRecord, StreamRecord)


@dataclass(frozen=True)
class Run:
    """A stored run: its measurement, and its arrays, read when first asked for (None where the run
    has none)."""

    measurement: Measurement
    path: Path
    #: small files that were read with the run, until their digest or their arrays are asked for
    _read: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)
    #: small files that were read for their digest, until their arrays are asked for
    _contents: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def confusion(self) -> ConfusionRecord | None:
        return self._record(CONFUSION, ConfusionRecord, self._lengths)

    @cached_property
    def latency(self) -> LatencyRecord | None:
        return self._record(LATENCY, LatencyRecord)

    @cached_property
    def stream(self) -> StreamRecord | None:
        return self._record(STREAM, StreamRecord)

    def digest(self) -> str:
        """Return the sha256 of the files of these three, as they are on disk. Raises DataError
        where one cannot be read."""
        return self._steady(self._digest)

    def _digest(self) -> str:
        whole = hashlib.sha256()
        for name in _RECORDS:
            path = self.path / name
            try:
                content = self._contents[name] = self._read.pop(name, b"") or small_content(path)
                whole.update((content and hashlib.sha256(content).digest()) or _digest_of(path))
            except FileNotFoundError:
                whole.update(bytes(whole.digest_size))
            except (OSError, DataError) as error:
                raise unreadable(path, error) from error
        return whole.hexdigest()

    @cached_property
    def measures(self) -> tuple[str, ...]:
        """The meters whose arrays were stored (names of vssbench.metrics.meters)."""
        arrays = self._steady(lambda: list(self.path.glob("*.npz")))
        return tuple(sorted(path.stem for path in arrays if path.name not in _RECORDS))

    def holds(self, measures: Collection[str] = ()) -> bool:
        """Return whether it is a result: measured to its end, with its matrices and these meters
        on disk."""
        needed = {CONFUSION, *(f"{name}.npz" for name in measures)}
        return self.measurement.status == "done" and needed <= self.files

    @property
    def fault(self) -> str:
        """The fault in the files of a run that is done, in words; empty where there is none, as
        far as can be seen without reading large arrays."""
        if self.measurement.status != "done":
            return ""
        if CONFUSION not in self.files:
            return str(damaged(self.path / CONFUSION, "is missing"))
        wrong = (name for name in sorted(self.files) if not sound(self.path / name))
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

    def _record(
        self, name: str, kind: type[_Record], lengths: Mapping[str, tuple[int, ...]] | None = None
    ) -> _Record | None:
        path = self.path / name
        content = self._contents.pop(name, b"") or self._read.pop(name, b"")
        if content:
            return load_record(path, kind, lengths, content)
        return self._steady(lambda: load_record(path, kind, lengths))

    def _steady(self, read: Callable[[], _T]) -> _T:
        """Return a file of the run that is there now: one that replaces it has the same id, and so
        the same numbers."""
        return steady.steady(self.path, read)


class NewerRun(DataError):
    """A run that a newer version wrote: it is left as it is."""


class MisnamedRun(DataError):
    """A run in a folder of another name."""


def read_run(path: Path, run_id: str, whole: bool = False) -> Run:
    """Return the run of a folder; ``whole`` for one whose arrays are all needed: each file that is
    small is read once.

    Raises DataError where it has none of that id or its files do not read, NewerRun where a newer
    version wrote it, MisnamedRun where the folder has another name.
    """
    check_memory()
    try:
        measurement = Measurement.model_validate_json(reading.read_bytes(path / RESULT))
    except OSError as error:
        raise DataError(
            f"no run {run_id!r} in {called(path.parent)}: {error.strerror} for {RESULT}"
        ) from error
    except ValidationError as error:
        raise _fault(path / RESULT, error) from error
    if measurement.run_id != run_id:
        raise MisnamedRun(
            f"{called(path)} holds the run {measurement.run_id!r}: rename the folder to that"
        )
    return Run(measurement, path, _complete(path, whole))


def by_newer(version: str) -> str:
    """Say that a run's version is newer than this one, though the run reads; empty where it is
    not."""
    return _written(version) if _numbers(version) > _numbers(__version__) else ""


def _written(version: str) -> str:
    return f"it was written by a newer version ({version or 'unknown'}): update this one"


def _complete(path: Path, whole: bool) -> dict[str, bytes]:
    """Check that a run's arrays were written to their end, and return the content of small files by
    their names where it is wanted. Raises DataError."""
    try:
        names = sorted(name for name in os.listdir(path) if name.endswith(".npz"))
    except OSError as error:
        raise unreadable(path, error) from error
    contents = {}
    for name in names:
        file, content = path / name, b""
        with suppress(OSError, DataError):  # of a link that leads nowhere, of a folder
            if whole and name in _RECORDS:
                content = contents[name] = small_content(file)
        if not (zipfile.is_zipfile(io.BytesIO(content)) if content else _archive(file)):
            raise damaged(file, "is no complete .npz file")
    return contents


def _archive(path: Path) -> bool:
    return path.is_file() and zipfile.is_zipfile(path)


def _digest_of(path: Path) -> bytes:
    """Return the sha256 of a file that is too large to be kept."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def left_out(error: Exception) -> str:
    """Say that a run is left out which does not read."""
    kind = "a run" if isinstance(error, NewerRun) else "a damaged run"
    return f"left out {kind}: {message(str(error))}"


def sound(path: Path) -> bool:
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
    return NewerRun(f"{called(path)} does not read: {found}; {_written(version)}")


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
