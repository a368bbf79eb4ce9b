"""The manifest of many videos: one CSV, a row for each step of each video, the last of which holds.

Rows are appended under a lock, so that any number of processes may do so; a row that a killed
process left unfinished is passed over.
"""

from __future__ import annotations

import csv
import io
import os
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

from vssbench.core import files, locks, reading
from vssbench.core.errors import DataError
from vssbench.core.shown import encoded

#: the manifest's name in the folder of outputs, and the file whose locks say what is under way
MANIFEST, CLAIMS = "manifest.csv", ".claims"
State = Literal["begun", "done", "failed"]


@dataclass(frozen=True)
class Stamp:
    """A video's size and time of change, which tell its content from a later one."""

    size: int
    modified_ns: int

    @classmethod
    def of(cls, video: Path) -> Stamp:
        """Return that of a file; of one that is missing, zeros."""
        try:
            status = video.stat()
        except OSError:
            return cls(0, 0)
        return cls(status.st_size, status.st_mtime_ns)


@dataclass(frozen=True)
class Entry:
    """A row of the manifest: a video, what became of it, and by what settings.

    ``output`` is relative to the manifest's folder; ``when`` is the time of the row in UTC.
    """

    video: str
    state: State
    output: str
    size: int
    modified_ns: int
    settings: str
    frames: int = 0
    seconds: float = 0.0
    reason: str = ""
    when: str = ""

    @property
    def stamp(self) -> Stamp:
        """The state of the video when the row was written."""
        return Stamp(self.size, self.modified_ns)


_COLUMNS = tuple(field.name for field in fields(Entry))


class Manifest:
    """The manifest of a folder of outputs, which need not be there yet."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / MANIFEST
        #: the videos that were begun at any time: what lies in their places is by this command
        self.begun: set[str] = set()

    def entries(self) -> dict[str, Entry]:
        """Return the last row of each video, by the video's path.

        Raises DataError where the file is no manifest.
        """
        try:
            reading.check_readable(self.path)
            text = self.path.read_text(encoding="utf-8", errors="surrogateescape")
        except FileNotFoundError:
            return {}
        except (OSError, DataError) as error:
            raise self._unreadable(str(error)) from error
        whole = text[: text.rfind("\n") + 1]
        rows = csv.DictReader(io.StringIO(whole))
        if tuple(rows.fieldnames or _COLUMNS) != _COLUMNS:
            raise self._unreadable("its columns are others")
        entries = {}
        for row in rows:
            if None in row or None in row.values():
                continue  # cut short by a full disk
            try:
                entry = _entry(row)
            except ValueError as error:
                raise self._unreadable(str(error)) from error
            entries[entry.video] = entry
            if entry.state == "begun":
                self.begun.add(entry.video)
        return entries

    def add(self, entry: Entry) -> None:
        """Append a row. Raises DataError where that fails."""
        text = io.StringIO()
        writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with locks.lock(self.folder / CLAIMS, MANIFEST, waiting=lambda: None):
                begun = self.path.exists() and self.path.stat().st_size > 0
                if not begun:
                    writer.writeheader()
                elif self._cut():
                    text.write("\n")
                writer.writerow(asdict(entry) | {"when": now, "reason": _line(entry.reason)})
                with self.path.open("ab") as file:
                    file.write(encoded(text.getvalue()))
                    file.flush()
                    os.fsync(file.fileno())
        except OSError as error:
            raise files.refusal(self.path, error) from error

    def _cut(self) -> bool:
        """Return whether the last row was left unfinished."""
        with self.path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) != b"\n"

    def _unreadable(self, reason: str) -> DataError:
        return DataError(
            f"{self.path} does not read as the manifest of many videos: {reason}; give another "
            "folder, or move it away to begin anew"
        )


def _line(text: str) -> str:
    """Return a text as one line."""
    return " ".join(text.split())


def _entry(row: dict[str, Any]) -> Entry:
    """Return a row's entry. Raises ValueError for what is none."""
    if row["state"] not in get_args(State):
        raise ValueError(f"it has the state {row['state']!r}")
    numbers: dict[str, Any] = {
        name: int(row[name]) for name in ("size", "modified_ns", "frames")
    } | {"seconds": float(row["seconds"])}
    return Entry(**(row | numbers))
