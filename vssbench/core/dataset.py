"""The interface that every dataset implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar

from vssbench.core.division import Division, divided_by_name
from vssbench.core.errors import UsageError
from vssbench.core.parameters import WithChoices
from vssbench.core.video import Clip

Colour = tuple[int, int, int]
#: name -> colour of each class, in the order of the labels' values
ClassList = Mapping[str, Colour]


@dataclass(frozen=True)
class Preparation:
    """An order to make what a dataset lacks from its raw videos.

    ``root`` is the dataset's folder, ``videos`` that of the videos where they lie elsewhere. Frames
    are taken around the labels of ``splits`` (all where none is named), so many before and after
    each.
    """

    root: Path
    videos: Path | None = None
    splits: tuple[str, ...] = ()
    before: int = 11
    after: int = 11


class Dataset(WithChoices, ABC):
    """One dataset. A plug-in's keyword-only arguments are its parameters in the bracket grammar."""

    #: shown in tables, in the field's own words
    title: ClassVar[str]
    #: whether files are needed, that is ``--data-root``
    needs_root: ClassVar[bool] = False
    #: the lists of classes that this dataset was published with: weights of foreign checkpoints
    #: take their classes' names from them, pictures their colours
    class_lists: ClassVar[tuple[ClassList, ...]] = ()
    #: the raw material that :meth:`prepare` takes frames from, in words; empty where there is none
    prepared_from: ClassVar[str] = ""

    #: whether no frame of the training part is among those that methods are scored on, but in the
    #: split ``train``; weights whose record names no frames are judged by it
    disjoint: ClassVar[bool] = False

    #: whether its frames are drawn by its own code, so that no other dataset can hold any of them
    drawn: ClassVar[bool] = False

    #: the part that methods are scored on, where there are several; tables tell it
    split: str = ""
    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]

    @abstractmethod
    def clips(self) -> Sequence[Clip]:
        """Return the clips on which methods are scored, checked: every file there, sizes equal,
        labels in range (DataError)."""

    @cached_property
    def scored_clips(self) -> Sequence[Clip]:
        """:meth:`clips`, asked for once: its checks read every file of a dataset on disk."""
        return self.clips()

    @cached_property
    def scored_marks(self) -> frozenset[str]:
        """The digests of the pictures that methods are scored on (:meth:`Clip.marks`)."""
        return frozenset(mark for clip in self.scored_clips for mark in clip.marks())

    @abstractmethod
    def training_clips(self) -> Sequence[Clip]:
        """Return the clips that methods are trained on.

        A clip of length 1 is a still: it has no neighbour in time.
        """

    def division(self) -> Division:
        """Return the training part divided: what is trained on, and what is held out to choose the
        best state by.

        Held-out clips are never those that methods are scored on, in any split that is not the
        training split.
        """
        return divided_by_name(self.training_clips())

    @classmethod
    def prepare(cls, order: Preparation, tell: Callable[[str], None]) -> Iterator[str]:
        """Make what is missing from the raw material; yields what came of each part in words.

        ``tell`` is told what happens meanwhile. Raises DataError where that cannot be done,
        UsageError where this dataset has nothing to prepare.
        """
        raise UsageError(f"there is nothing to prepare for {cls.title}: it is used as it is")

    @classmethod
    def where(cls) -> str:
        """Tell how to get this dataset and what its folder must look like.

        ``info`` and errors show it.
        """
        return "nothing to download"
