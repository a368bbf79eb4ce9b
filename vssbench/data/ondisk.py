"""The base of the datasets whose files lie in a folder.

It tells from names alone what is there, and where to get the rest.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from vssbench.core.dataset import Dataset
from vssbench.core.errors import DataError
from vssbench.core.home import expanded
from vssbench.core.variant import Value
from vssbench.core.video import Clip
from vssbench.data.pictures import LabelReader, Size
from vssbench.data.stills import Still, clip_of

#: how much of a part is there
COMPLETE, PARTIAL, MISSING, UNCOUNTED = "complete", "partial", "missing", "there"


class NothingThere(DataError):
    """A folder holds nothing of a split, as against one that holds it with faults."""


@dataclass(frozen=True)
class Source:
    """Where something can be had: what it is, its address and the terms under which it is given
    out."""

    what: str
    address: str
    terms: str


@dataclass(frozen=True)
class Part:
    """One part of a dataset in a folder: COMPLETE, PARTIAL, MISSING or UNCOUNTED (there, of no
    known number).

    ``found`` and ``remedy`` are in words; ``remedy`` is empty where nothing is wanting.
    """

    name: str
    state: str
    found: str
    remedy: str = ""


@dataclass(frozen=True)
class Outline:
    """The facts of a clip before any of its frames is read: its length and its labelled frames."""

    name: str
    length: int
    labelled: tuple[int, ...]


@dataclass(frozen=True)
class Run:
    """The files of one clip: stills in order, at so many frames a second.

    ``group`` and ``view_of`` are the clip's (:class:`vssbench.core.video.Clip`); an empty group is
    the clip's own name.
    """

    name: str
    stills: tuple[Still, ...]
    fps: float
    group: str = ""
    view_of: str = ""

    def outline(self) -> Outline:
        """Return the clip's outline: its length and its labelled frames."""
        labelled = tuple(
            index for index, still in enumerate(self.stills) if still.label is not None
        )
        return Outline(self.name, len(self.stills), labelled)

    def clip(self, read_label: LabelReader, size: Size | None = None) -> Clip:
        """Return the clip, checked. Raises DataError."""
        clip = clip_of(self.name, self.stills, self.fps, read_label, size)
        return replace(clip, group=self.group or self.name, view_of=self.view_of)


class OnDisk(Dataset):
    """A dataset of files in the folder ``root``, which is None where it was not given."""

    needs_root = True
    root: Path | None

    #: where its parts can be had
    sources: ClassVar[tuple[Source, ...]]
    #: parameters under which a folder may be run, each for a line of ``data status``
    offers: ClassVar[Sequence[Mapping[str, Value]]]

    @classmethod
    @abstractmethod
    def parts(cls, root: Path) -> list[Part]:
        """Count the parts of the dataset that a folder holds, without opening any file."""

    @abstractmethod
    def outlines(self) -> list[Outline]:
        """Return the clips that are scored, from the names of files. Raises DataError where they
        cannot be had, NothingThere where the folder has none of their files."""

    @abstractmethod
    def faults(self) -> Iterator[str]:
        """Return everything that is wrong with the split, each fault in words; reads every file.

        Raises NothingThere; DataError where a fault, told last, hides what else there may be.
        """

    @classmethod
    def held_in(cls, root: Path) -> bool:
        """Return whether a folder holds anything of the dataset."""
        return root.is_dir() and any(part.state != MISSING for part in cls.parts(root))

    def folder(self) -> Path:
        """Return the folder of the files. Raises DataError where none was given, or it is not
        there."""
        name = type(self).__module__.rpartition(".")[2]
        if self.root is None:
            raise DataError(f"{name} needs its files: pass --data-root DIR. {self.where()}")
        if not self.root.is_dir():
            raise DataError(
                f"the folder {self.root} does not exist: expected {self.title} there. "
                f"{self.where()}"
            )
        return self.root


def path_or_none(root: str | Path) -> Path | None:
    """Return a dataset's root as a path; None where it is empty."""
    return expanded(root) if root else None


def counted(name: str, found: int, expected: int, noun: str, remedy: str) -> Part:
    """Describe a part of which ``expected`` files are published."""
    state = MISSING if found == 0 else COMPLETE if found >= expected else PARTIAL
    words = f"{found} of {expected} {noun}" if found else f"none of {expected} {noun}"
    return Part(name, state, words, "" if state == COMPLETE else remedy)


def shown(paths: Sequence[Path] | Sequence[str], limit: int = 8) -> str:
    """Return the first few names of a folder, for messages; ``nothing`` where there is none."""
    names = [entry.name if isinstance(entry, Path) else entry for entry in paths]
    return (", ".join(names[:limit]) + (" ..." if len(names) > limit else "")) or "nothing"
