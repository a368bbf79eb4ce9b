"""Your own clips: a folder a clip, with frames or a video file, masks for some or all frames, and a
file of class names.

::

    DIR/
      classes.txt              road, 128, 64, 128        a class a line, in the order of the
                               car, 0, 0, 142            masks' values from 0 (colours may be
                               ignore: 255               left out; - stands for a value that
                                                         does not count; ignore: more of these)
      drive-1/
        frames/000000.png ...  every frame; the last digits of a name are its number
        labels/000019.png ...  grey or palette PNG of class indices, for the frames of these numbers
      drive-2/
        video.mp4              or a video file, whose pictures count from 0
        labels/000120.png
      train.txt, test.txt      optional: a clip a line, for split=train, split=test and any
                               other name; validation.txt names those held out of training,
                               else some of train.txt are
      groups.txt               optional: a clip and its group a line, a comma between; clips of a
                               group (a drive, a place) resemble each other, and an interval
                               draws them as one

A clip without ``labels/`` is shown to methods and not scored.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from vssbench.core import reading
from vssbench.core.division import Division, divided_by_name
from vssbench.core.errors import DataError, UsageError
from vssbench.core.video import Clip
from vssbench.data.classes_file import ClassList, read_classes
from vssbench.data.faults import complaint, repeated_images, wrong_files
from vssbench.data.movie import Movie
from vssbench.data.ondisk import (
    MISSING,
    UNCOUNTED,
    NothingThere,
    OnDisk,
    Outline,
    Part,
    Run,
    path_or_none,
    shown,
)
from vssbench.data.stills import Still
from vssbench.data.videofile import MOST_RATE
from vssbench.datasets.folder.filmed import FPS, Filmed
from vssbench.datasets.folder.layout import (
    CLASSES_FILE,
    FRAMES,
    GROUPS,
    IMAGES,
    LABELS,
    check_frames,
    check_masks,
    clip_folders,
    masks_in,
    numbered,
    videos_in,
)

#: the list of clips that are held out of training
VALIDATION = "validation"


class Folder(OnDisk):
    """Your own clips.

    ``root`` is the folder; ``split`` the name of a list of clips (``test`` for test.txt), all for
    every clip; ``fps`` the frames a second, 0 for a video's own and 30 for images; ``first`` the
    number of a video's first picture in its masks' names.
    """

    title = "own clips"
    sources = ()
    offers = ({"split": "all"},)

    def __init__(
        self, *, root: str | Path = "", split: str = "all", fps: float = 0.0, first: int = 0
    ) -> None:
        if not 0 <= fps <= MOST_RATE or first < 0:
            raise UsageError(
                f"folder cannot have fps={fps:g} and first={first}: expected numbers of 0 or more, "
                f"and at most {MOST_RATE} frames a second"
            )
        self.root = path_or_none(root)
        self.split, self.fps, self.first = split, fps, first

    @classmethod
    def where(cls) -> str:
        """Tell what the folder must look like."""
        return (
            f"The folder must hold {CLASSES_FILE} (a class a line) and a folder for each clip, "
            f"with {FRAMES}/NUMBER.png or one video file, and masks {LABELS}/NUMBER.png of class "
            "indices; see docs/data.md"
        )

    @cached_property
    def class_list(self) -> ClassList:
        """The classes file. Raises DataError."""
        return read_classes(self.folder() / CLASSES_FILE)

    @property
    def classes(self) -> tuple[str, ...]:  # type: ignore[override]
        """Names of the classes file."""
        return self.class_list.names

    @property
    def palette(self) -> tuple[tuple[int, int, int], ...]:  # type: ignore[override]
        """Colours of the classes file, or chosen ones where it gives none."""
        return self.class_list.palette

    @classmethod
    def parts(cls, root: Path) -> list[Part]:
        """See OnDisk."""
        has_classes = (root / CLASSES_FILE).is_file()
        if not has_classes:
            return [Part(CLASSES_FILE, MISSING, "no classes file", "write one: a class a line")]
        parts = [Part(CLASSES_FILE, UNCOUNTED, "a classes file")]
        for path in clip_folders(root):
            labels = sum(1 for _ in (path / LABELS).glob("*.png"))
            frames = sum(1 for each in (path / FRAMES).glob("*") if each.suffix.lower() in IMAGES)
            what = f"{frames} frames" if frames else shown(videos_in(path))
            parts.append(Part(path.name, UNCOUNTED, f"{what}; {labels} masks"))
        return parts

    @cached_property
    def groups(self) -> dict[str, str]:
        """The group of each clip that groups.txt names.

        Raises DataError where a line is none, or names a clip twice or one that is not there.
        """
        listing = self.folder() / GROUPS
        groups: dict[str, str] = {}
        for number, line in enumerate(reading.read_lines(listing) if listing.exists() else (), 1):
            text = line.partition("#")[0].strip()
            if not text:
                continue
            name, comma, group = (part.strip() for part in text.rpartition(","))
            place = f"{listing} line {number}"
            if not (comma and name and group):
                raise DataError(f"{place} is {text[:80]!r}: expected a clip, a comma and its group")
            if name in groups:
                raise DataError(f"{place} names the clip {name[:80]!r} again: expected each once")
            if not (self.folder() / name).is_dir():
                raise DataError(
                    f"{place} names the clip {name[:80]!r}, which is no folder of "
                    f"{self.folder()}: found {shown(clip_folders(self.folder()))}"
                )
            groups[name] = group
        return groups

    def outlines(self) -> list[Outline]:
        """See OnDisk."""
        return [item.outline() for item in self._items(self.split)]

    def clips(self) -> Sequence[Clip]:
        """Return the clips of the split, at least one of them with labels. Raises DataError."""
        return self._clips(self.split)

    def training_clips(self) -> Sequence[Clip]:
        """Return the clips that train.txt lists. Raises DataError where there is no such list."""
        return self._clips("train")

    def division(self) -> Division:
        """Return the clips that validation.txt lists held out, or, without such a list, a tenth of
        train.txt's.

        Raises DataError where validation.txt names a clip of test.txt, or every clip of train.txt.
        """
        root = self.folder()
        if not (root / f"{VALIDATION}.txt").is_file():
            return divided_by_name(self.training_clips())
        validation = self._clips(VALIDATION)
        held = {clip.name for clip in validation}
        scored = (
            {path.name for path in self._paths("test")} if (root / "test.txt").is_file() else set()
        )
        if held & scored:
            raise DataError(
                f"{root / VALIDATION}.txt names the clip {min(held & scored)}, which test.txt "
                "names too: methods are scored on that one; take it out of one of the lists"
            )
        training = [clip for clip in self.training_clips() if clip.name not in held]
        if not any(clip.labelled for clip in training):
            raise DataError(
                f"{root / VALIDATION}.txt names every labelled clip of train.txt: expected one to "
                "train on; take a clip out of it"
            )
        return Division(training, validation, f"the clips of {VALIDATION}.txt")

    def faults(self) -> Iterator[str]:
        """See OnDisk."""
        paths = self._paths(self.split)
        read_label = self.class_list.reader()
        yield from complaint(lambda: self.groups)
        if not any(masks_in(path) for path in paths):
            yield self._no_mask(self.split)
        for path in paths:
            try:
                item = self._item(path)
            except DataError as error:
                yield str(error)
                continue
            if isinstance(item, Run):
                yield from wrong_files(item.stills, read_label)
                yield from repeated_images(
                    still.image for still in item.stills if still.label is not None
                )
            else:
                yield from complaint(item.outline)
                for label in item.labels.values():
                    yield from complaint(item.check, label)
                    yield from complaint(read_label, label)

    def _clips(self, split: str) -> list[Clip]:
        read_label = self.class_list.reader()
        # a group of its own name is no other clip's
        groups = {name: f"group {group}" for name, group in self.groups.items()}
        clips = [
            replace(clip, group=groups.get(clip.name, clip.name))
            for clip in (item.clip(read_label) for item in self._items(split))
        ]
        if not any(clip.labelled for clip in clips):
            raise DataError(self._no_mask(split))
        return clips

    def _no_mask(self, split: str) -> str:
        return (
            f"no clip of {self.folder()} (split {split}) has a mask: nothing to score. "
            f"{self.where()}"
        )

    def _items(self, split: str) -> list[Run | Filmed]:
        return [self._item(path) for path in self._paths(split)]

    def _paths(self, split: str) -> list[Path]:
        """Return the folders of a split's clips. Raises DataError where a list names one that is
        not there, or there is none."""
        root = self.folder()
        listing = root / f"{split}.txt"
        if split != "all" and not listing.is_file():
            raise NothingThere(
                f"{listing} is missing: expected a clip's folder a line, for split={split} or to "
                "train on it"
            )
        if split == "all":
            paths = clip_folders(root)
        else:
            lines = (line.partition("#")[0].strip() for line in reading.read_lines(listing))
            paths = [reading.inside(root, Path(line)) for line in lines if line]
            for path in paths:
                if not path.is_dir():
                    raise DataError(
                        f"{listing} names the clip {path.name!r}, which is no folder of {root}: "
                        f"found {shown(clip_folders(root))}"
                    )
        if not paths:
            raise NothingThere(
                f"{root} holds no clip (split {split}): found {shown(sorted(root.iterdir()))}. "
                f"{self.where()}"
            )
        return paths

    def _item(self, path: Path) -> Run | Filmed:
        """Find a clip's frames or video in its folder.

        Raises DataError where it has neither frames nor a video, or both, or numbers do not fit.
        """
        videos, frames = videos_in(path), path / FRAMES
        if frames.is_dir() == bool(videos) or len(videos) > 1:
            raise DataError(
                f"the clip {path} has {'a folder' if frames.is_dir() else 'no folder'} {FRAMES}/ "
                f"and {shown(videos) if videos else 'no video file'}: expected either {FRAMES}/ or "
                "one video file"
            )
        check_masks(path / LABELS)
        labels = numbered(path / LABELS, (".png",)) if (path / LABELS).is_dir() else {}
        if videos:
            return Filmed(path.name, Movie(videos[0]), labels, self.first, self.fps)
        images = numbered(frames, IMAGES)
        check_frames(frames, images, labels)
        stills = tuple(
            Still(images[number], labels.get(number), path.name, number)
            for number in sorted(images)
        )
        return Run(path.name, stills, self.fps or FPS)
