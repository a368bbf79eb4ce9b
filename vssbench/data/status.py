"""Status of the datasets.

It tells what is there, what is missing and where to get it, and what can be run with what is there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vssbench.core import registry
from vssbench.core.errors import DataError, VssbenchError
from vssbench.core.shown import plural
from vssbench.core.variant import Variant
from vssbench.core.video import Clip, Image
from vssbench.data.ondisk import OnDisk, Outline, Part, Source
from vssbench.protocol import PROTOCOLS, Dense


@dataclass(frozen=True)
class Answer:
    """The answer whether a protocol can be run on a split.

    It says in words what comes of it or why not.
    """

    protocol: str
    possible: bool
    words: str


@dataclass(frozen=True)
class Offer:
    """One way to run a dataset: its clips in words and each protocol's answer; or why it cannot be
    had at all."""

    variant: str
    clips: str = ""
    answers: tuple[Answer, ...] = ()
    refused: str = ""

    @property
    def possible(self) -> bool:
        """Whether anything can be run."""
        return any(answer.possible for answer in self.answers)


@dataclass(frozen=True)
class Status:
    """A dataset in a folder (None where no folder was given)."""

    name: str
    title: str
    root: Path | None
    where: str
    parts: tuple[Part, ...] = ()
    offers: tuple[Offer, ...] = ()
    sources: tuple[Source, ...] = ()

    def record(self) -> dict[str, Any]:
        """Return the status as JSON values."""
        return {**asdict(self), "root": None if self.root is None else str(self.root)}


def find(root: Path, name: str | None) -> list[tuple[str, Path]]:
    """Return the datasets that a folder or a folder in it holds, by name. Raises DataError where it
    is none.

    With ``name`` the folder is taken to be that dataset's, whatever it holds.
    """
    if not root.is_dir():
        raise DataError(
            f"the folder {root} does not exist: expected a dataset there, or datasets in folders "
            "of it"
        )
    if name is not None:
        return [(name, root)]
    folders = [root, *sorted(path for path in root.iterdir() if path.is_dir())]
    places = [
        (name, folder)
        for folder in folders
        for name, cls in on_disk().items()
        if cls.held_in(folder)
    ]
    # what is below a dataset's folder is that dataset's
    return [
        (name, folder)
        for name, folder in places
        if folder == root or not any(at == root for _, at in places)
    ]


def on_disk() -> dict[str, type[OnDisk]]:
    """Return the datasets that can tell what a folder holds, by name."""
    classes = {name: registry.load("datasets", name) for name in registry.plugins("datasets")}
    return {name: cls for name, cls in classes.items() if issubclass(cls, OnDisk)}


def status(name: str, root: Path | None, gop: int) -> Status:
    """Return all that can be said of a dataset without reading its files. Raises UsageError for an
    unknown name."""
    cls = registry.load("datasets", name)
    if not issubclass(cls, OnDisk):
        return Status(
            name,
            cls.title,
            root,
            cls.where(),
            offers=(_offer(name, {}, root if cls.needs_root else None, gop),),
        )
    if root is None:
        return Status(name, cls.title, None, cls.where(), sources=cls.sources)
    offers = tuple(_offer(name, dict(params), root, gop) for params in cls.offers)
    return Status(name, cls.title, root, cls.where(), tuple(cls.parts(root)), offers, cls.sources)


def _offer(name: str, params: dict[str, Any], root: Path | None, gop: int) -> Offer:
    variant = Variant(name, params)
    given = {} if root is None else {"root": str(root)}
    try:
        dataset = registry.create("datasets", variant, **given)
        if isinstance(dataset, OnDisk):
            outlines = dataset.outlines()
        else:
            outlines = [
                Outline(clip.name, clip.length, clip.labelled_frames()) for clip in dataset.clips()
            ]
    except VssbenchError as error:
        said_below = registry.load("datasets", name).where()
        return Offer(str(variant), refused=str(error).replace(said_below, "").strip(" ."))
    return Offer(str(variant), described(outlines), answers(outlines, gop))


def described(outlines: Sequence[Outline]) -> str:
    """Return clips in words: how many, how long, how many labels."""
    lengths = sorted(outline.length for outline in outlines)
    labels = sum(len(outline.labelled) for outline in outlines)
    if not lengths:
        return "no clip"
    if lengths[-1] == 1:
        return f"{plural(len(lengths), 'still')}, {plural(labels, 'label')}"
    span = f"{lengths[0]}" if lengths[0] == lengths[-1] else f"{lengths[0]} to {lengths[-1]}"
    return f"{plural(len(lengths), 'clip')} of {span} frames, {plural(labels, 'label')}"


def answers(outlines: Sequence[Outline], gop: int) -> tuple[Answer, ...]:
    """Return each protocol's answer for some clips at a GOP length."""
    clips = [_clip(outline) for outline in outlines]
    if not any(outline.labelled for outline in outlines):
        return tuple(Answer(name, False, "no frame carries a label") for name in PROTOCOLS)
    answered = []
    for name, kind in PROTOCOLS.items():
        try:
            remarks = kind().remarks(clips, gop)
        except VssbenchError as error:
            answered.append(Answer(name, False, str(error)))
        else:
            every = (
                _dense(outlines, gop) if kind is Dense else "every labelled frame at every distance"
            )
            answered.append(Answer(name, True, "; ".join([every, *remarks])))
    return tuple(answered)


def _dense(outlines: Sequence[Outline], gop: int) -> str:
    """Describe the distances at which labels fall where each clip is encoded once."""
    distances = sorted({index % gop for outline in outlines for index in outline.labelled})
    if distances == [0]:
        return (
            "every label falls on a keyframe: this compares pictures and per-frame methods, and "
            "says nothing of distance"
        )
    lacking = [distance for distance in range(gop) if distance not in distances]
    if not lacking:
        return f"every distance 0 to {gop - 1}"
    return (
        f"distances {', '.join(map(str, distances))}; no label falls "
        f"{', '.join(map(str, lacking))} frames after a keyframe"
    )


def _clip(outline: Outline) -> Clip:
    """Return a clip that has the outline, for protocols to judge; its frames are never read."""
    return Clip(
        outline.name, outline.length, 0, 0, 1.0, _unread, _no_label, "", labelled=outline.labelled
    )


def _unread(index: int) -> Image:
    raise AssertionError(f"frame {index} of an outline has no pixels")


def _no_label(index: int) -> None:
    return None
