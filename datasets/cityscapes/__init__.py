"""Cityscapes: street scenes of 50 cities, 19 classes; one frame of each snippet of 30 (17 Hz) is
labelled, the 20th.

The folder, as published:

* ``leftImg8bit/SPLIT/CITY/CITY_SEQUENCE_FRAME_leftImg8bit.png``, 2048x1024
* ``gtFine/SPLIT/CITY/CITY_SEQUENCE_FRAME_gtFine_labelIds.png``, label ids (``labelTrainIds`` are
  read where these are missing)
* ``leftImg8bit_sequence/SPLIT/CITY/...``: all 30 frames of each snippet; the labelled one is number
  19 counted from 0

A clip is what is there of a snippet: consecutive frames around its labelled one. Without them it is
a still. Test labels are not published.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from vssbench.core.division import Division, divided_by
from vssbench.core.errors import DataError, UsageError
from vssbench.core.video import Clip
from vssbench.data.faults import missing_files, repeated_images, wrong_count, wrong_files
from vssbench.data.ondisk import (
    NothingThere,
    OnDisk,
    Outline,
    Part,
    Run,
    Source,
    counted,
    path_or_none,
    shown,
)
from vssbench.data.pictures import Size
from vssbench.data.stills import Still
from vssbench.datasets.cityscapes import held_out
from vssbench.datasets.cityscapes.labels import (
    CLASSES,
    LISTS,
    PALETTE,
    misnamed_train_ids,
    read_labels,
)

SPLITS = ("train", "val")
IMAGES, LABELLED, VIDEO = "leftImg8bit", "gtFine", "leftImg8bit_sequence"
FPS = 17.0
#: frames of a snippet, and the place of the labelled one
SNIPPET, LABELLED_AT = 30, 19
#: labelled frames of each split
COUNTS = {"train": 2975, "val": 500}

_NAME = re.compile(
    r"(?P<city>.+)_(?P<sequence>\d{6})_(?P<frame>\d{6})_(?:leftImg8bit|gtFine_label(?:Train)?Ids)\.png"
)
_SIZE = re.compile(r"(\d+)x(\d+)")
_LICENCE = "registration; non-commercial, https://www.cityscapes-dataset.com/license/"
_PACKAGE = "https://www.cityscapes-dataset.com/file-handling/?packageID="


@dataclass(frozen=True, order=True)
class Place:
    """A frame: city, sequence and number within it."""

    city: str
    sequence: str
    frame: int

    def near(self, offset: int) -> Place:
        """Return the frame of the snippet that is so many frames later."""
        return Place(self.city, self.sequence, self.frame + offset)

    def __str__(self) -> str:
        return f"{self.city}_{self.sequence}_{self.frame:06d}"


class Cityscapes(OnDisk):
    """Cityscapes' finely labelled frames, with their video where it is there.

    ``root`` is the folder; ``split`` what methods are scored on, train or val; ``sequence`` takes
    the video: auto where it is there, on demands it for every labelled frame, off takes stills;
    ``size`` as 512x1024 (height x width) scales frames down, full keeps them; ``labels`` scales
    labels with them (scaled) or keeps them (full), so that predictions are scaled up.
    """

    title = "Cityscapes"
    disjoint = True
    class_lists = LISTS
    sources = (
        Source("labels: gtFine_trainvaltest.zip, 241 MB", f"{_PACKAGE}1", _LICENCE),
        Source("labelled frames: leftImg8bit_trainvaltest.zip, 11 GB", f"{_PACKAGE}3", _LICENCE),
        Source("video: leftImg8bit_sequence_trainvaltest.zip, 324 GB", f"{_PACKAGE}14", _LICENCE),
    )
    offers = tuple(
        {"split": split, "sequence": sequence} for sequence in ("off", "auto") for split in SPLITS
    )

    def __init__(
        self,
        *,
        root: str | Path = "",
        split: Literal["train", "val", "test"] = "val",
        sequence: Literal["auto", "on", "off"] = "auto",
        size: str = "full",
        labels: Literal["scaled", "full"] = "scaled",
    ) -> None:
        if split == "test":
            raise UsageError(
                "cityscapes cannot be scored on split=test: its labels are not published; use "
                "split=val"
            )
        self.root = path_or_none(root)
        self.split, self.sequence = split, sequence
        self.size, self.training_size = _size(size, labels == "scaled"), _size(size, True)
        self.classes, self.palette = CLASSES, PALETTE

    @classmethod
    def where(cls) -> str:
        """Tell how to get Cityscapes and what its folder must look like."""
        return (
            "Cityscapes (registration, non-commercial) is at "
            "https://www.cityscapes-dataset.com/downloads/. The folder must hold leftImg8bit/ and "
            "gtFine/ as they are unpacked (SPLIT/CITY/CITY_SEQUENCE_FRAME_leftImg8bit.png and "
            "..._gtFine_labelIds.png), and leftImg8bit_sequence/ for video"
        )

    @classmethod
    def parts(cls, root: Path) -> list[Part]:
        """See OnDisk."""
        parts = []
        for split in SPLITS:
            held = _Split(root, split)
            for name, frames, expected, noun in (
                (IMAGES, held.images, COUNTS[split], "labelled frames"),
                (LABELLED, held.labels, COUNTS[split], "labels"),
                (VIDEO, held.video, COUNTS[split] * SNIPPET, "frames"),
            ):
                parts.append(
                    counted(
                        f"{name}/{split}", len(frames), expected, noun, f"get {name}, see below"
                    )
                )
        return parts

    def outlines(self) -> list[Outline]:
        """See OnDisk."""
        return [run.outline() for run in self._runs(self.split)]

    def clips(self) -> Sequence[Clip]:
        """Return a clip for each labelled frame, with what is there of its snippet.

        Raises DataError where a file is missing or wrong.
        """
        return self._clips(self.split, self.size)

    def training_clips(self) -> Sequence[Clip]:
        """Return the train split, its labels scaled with its frames. Raises DataError as ``clips``
        does."""
        return self._clips("train", self.training_size)

    def division(self) -> Division:
        """Return three training cities held out, see
        :mod:`vssbench.datasets.cityscapes.held_out`."""
        return divided_by(
            self.training_clips(),
            lambda clip: held_out.part(clip.name.partition("_")[0]),
            held_out.RULE,
        )

    def faults(self) -> Iterator[str]:
        """See OnDisk. Snippets are checked where a sequence is asked for."""
        held = _Split(self.folder(), self.split)
        if not held.images:
            held = self._held(self.split)
        places = sorted({*held.images, *held.labels})
        with_video = self.sequence != "off" and bool(held.video)
        pairs = [(held.image_path(place), held.label_path(place)) for place in places]
        yield from missing_files(pairs)
        there = [
            place
            for place, pair in zip(places, pairs, strict=True)
            if all(path.is_file() for path in pair)
        ]
        yield from wrong_count(self.split, len(there), COUNTS[self.split])
        yield from held.misnamed
        yield from wrong_files([held.still(place) for place in there], read_labels)
        yield from misnamed_train_ids((place.city, held.label_path(place)) for place in there)
        yield from repeated_images(held.image_path(place) for place in there)
        if with_video:
            for place in there:
                stills = held.snippet(place)
                if len(stills) < SNIPPET:
                    yield (
                        f"{VIDEO}/{self.split}: the snippet of {place} has {len(stills)} "
                        f"consecutive frames around its label, expected {SNIPPET}; complete the "
                        "folder"
                    )
                yield from wrong_files(stills, read_labels)
        elif self.sequence == "on":
            yield self._no_video(held)

    def _held(self, split: str) -> _Split:
        held = _Split(self.folder(), split)
        if not held.labels:
            raise NothingThere(
                f"{held.root} has no labels of the split {split}: expected "
                f"{LABELLED}/{split}/CITY/*_{LABELLED}_labelIds.png, found "
                f"{shown(sorted(held.root.iterdir()))}. {self.where()}"
            )
        if self.sequence == "on" and not held.video:
            raise DataError(self._no_video(held))
        return held

    def _no_video(self, held: _Split) -> str:
        return (
            f"sequence=on needs {held.root / VIDEO / held.split}, which holds no frame: get "
            "leftImg8bit_sequence, or use sequence=off for the labelled frames as stills"
        )

    def _clips(self, split: str, size: Size | None) -> list[Clip]:
        """Return the clips of a split. Raises DataError where a file is not there or wrong."""
        its_runs = self._runs(split)
        labels = [
            (run.group, still.label) for run in its_runs for still in run.stills if still.label
        ]
        for fault in misnamed_train_ids(labels):
            raise DataError(fault)
        return [run.clip(read_labels, size) for run in its_runs]

    def _runs(self, split: str) -> list[Run]:
        """Return the clips of a split. Raises DataError where a frame is not there."""
        held = self._held(split)
        its_runs = []
        for place in sorted(held.labels):
            around = held.snippet(place) if self.sequence != "off" else [held.still(place)]
            if self.sequence == "on" and len(around) == 1:
                raise DataError(
                    f"sequence=on: {VIDEO} has no frame beside the labelled frame {place}; "
                    "complete it, or use sequence=auto, which takes such frames as stills"
                )
            for still in around:
                if not still.image.is_file():
                    raise DataError(
                        f"the labelled frame {place} has no image: expected {still.image}. "
                        f"{self.where()}"
                    )
            its_runs.append(Run(str(place), tuple(around), FPS, place.city))
        return its_runs


class _Split:
    """The files of a split by frame."""

    def __init__(self, root: Path, split: str) -> None:
        self.root, self.split = root, split
        self.misnamed: list[str] = []

    @cached_property
    def images(self) -> dict[Place, Path]:
        """The labelled frames."""
        return self._files(IMAGES, "_leftImg8bit.png")

    @cached_property
    def labels(self) -> dict[Place, Path]:
        """Label ids, train ids where there are none."""
        return self._files(LABELLED, "_gtFine_labelTrainIds.png") | self._files(
            LABELLED, "_gtFine_labelIds.png"
        )

    @cached_property
    def video(self) -> dict[Place, Path]:
        """All frames of the snippets."""
        return self._files(VIDEO, "_leftImg8bit.png")

    def image_path(self, place: Place) -> Path:
        """Return the image of a labelled frame, of the video where it is missing among the stills;
        where it should be if nowhere."""
        usual = self.root / IMAGES / self.split / place.city / f"{place}_leftImg8bit.png"
        return self.images.get(place) or self.video.get(place, usual)

    def label_path(self, place: Place) -> Path:
        """Return the labels of a frame, or where they should be."""
        return self.labels.get(
            place, self.root / LABELLED / self.split / place.city / f"{place}_gtFine_labelIds.png"
        )

    def still(self, place: Place) -> Still:
        """Return a labelled frame by itself."""
        return Still(
            self.image_path(place),
            self.label_path(place),
            f"{place.city}_{place.sequence}",
            place.frame,
        )

    def snippet(self, place: Place) -> list[Still]:
        """Return the labelled frame with the frames of its snippet that lead to it and follow it
        without a gap."""
        before, after = 0, 0
        while before < LABELLED_AT and place.near(-before - 1) in self.video:
            before += 1
        while after < SNIPPET - LABELLED_AT - 1 and place.near(after + 1) in self.video:
            after += 1
        name = f"{place.city}_{place.sequence}"
        return [
            self.still(place)
            if not offset
            else Still(self.video[place.near(offset)], None, name, place.frame + offset)
            for offset in range(-before, after + 1)
        ]

    def _files(self, kind: str, ending: str) -> dict[Place, Path]:
        paths = {}
        for path in sorted((self.root / kind / self.split).glob(f"*/*{ending}")):
            match = _NAME.fullmatch(path.name)
            if match is None or match["city"] != path.parent.name:
                self.misnamed.append(
                    f"{path} is not named as Cityscapes' files are: expected "
                    f"{path.parent.name}_SEQUENCE_FRAME{ending} with six digits each; rename it, "
                    "or move it out of the folder"
                )
            else:
                paths[Place(match["city"], match["sequence"], int(match["frame"]))] = path
        return paths


def _size(text: str, labels: bool) -> Size | None:
    """Parse a size as it is typed. Raises UsageError."""
    if text == "full":
        return None
    match = _SIZE.fullmatch(text)
    if match is None or "0" in match.groups():
        raise UsageError(
            f"cityscapes cannot have size={text}: expected full or HEIGHTxWIDTH, as 512x1024"
        )
    return Size(int(match[1]), int(match[2]), labels)
