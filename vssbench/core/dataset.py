"""The interface that every dataset implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import ClassVar

from vssbench.core.division import Division, divided_by_name
from vssbench.core.video import Clip


class Dataset(ABC):
    """One dataset. A plug-in's keyword-only arguments are its parameters in the bracket grammar."""

    #: shown in tables, in the field's own words
    title: ClassVar[str]
    #: whether files are needed, that is ``--data-root``
    needs_root: ClassVar[bool] = False

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]

    @abstractmethod
    def clips(self) -> Sequence[Clip]:
        """The clips on which methods are scored, checked: every file there, sizes equal, labels in
        range (DataError)."""

    @cached_property
    def scored_clips(self) -> Sequence[Clip]:
        """:meth:`clips`, asked for once: its checks read every file of a dataset on disk."""
        return self.clips()

    @abstractmethod
    def training_clips(self) -> Sequence[Clip]:
        """Return the clips that methods are trained on.

        A clip of length 1 is a still: it has no neighbour in time.
        """

    def division(self) -> Division:
        """The training part divided: what is trained on, and what is held out to choose the best
        state by.

        Held-out clips are never those that methods are scored on, in any split that is not the
        training split.
        """
        return divided_by_name(self.training_clips())

    @classmethod
    def where(cls) -> str:
        """Tell how to get this dataset and what its folder must look like.

        ``info`` and errors show it.
        """
        return "nothing to download"
