"""AR-Seg's folders of CamVid and of Cityscapes: how files are named, and what labels mean."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

from vssbench.core.errors import DataError
from vssbench.core.video import IGNORE
from vssbench.data.ondisk import Run
from vssbench.data.pictures import LabelReader, read_ids
from vssbench.data.stills import Still
from vssbench.datasets.camvid import labels as camvid_labels
from vssbench.datasets.camvid.raw_video import FOOTAGE
from vssbench.datasets.cityscapes import labels as cityscapes_labels

#: a frame of CamVid, as its authors name it
NAME = re.compile(r"(?P<sequence>[^_]+)_f?(?P<number>\d+)")
_DECODED = re.compile(r"decoded_GOP(\d+)_dist_(\d+)")
_CITY_NAME = re.compile(r"(?P<sequence>.+_\d{6})_(?P<number>\d{6})(?:_gtFine)?_leftImg8bit")


@dataclass(frozen=True)
class Sample:
    """A labelled frame, decoded at one distance, with its keyframe and the motion to it (None at
    distance 0). ``group`` is its drive or city."""

    name: str
    group: str
    distance: int
    image: Path
    label: Path
    keyframe: Path | None
    motion: Path | None

    def paths(self) -> list[Path]:
        """List all files of the clip."""
        return [
            path
            for path in (self.image, self.label, self.keyframe, self.motion)
            if path is not None
        ]

    def run(self, fps: float) -> Run:
        """Return the files as a clip, one of the views of the frame."""
        frame = Still(self.image, self.label, self.name, self.distance)
        first = () if self.keyframe is None else (Still(self.keyframe, None, self.name, 0),)
        name = f"{self.name}@{self.distance}"
        return Run(name, (*first, frame), fps, self.group, self.name)


class Files(ABC):
    """AR-Seg's folder of one dataset: how its files are named, and what its labels mean."""

    classes: tuple[str, ...]
    palette: tuple[tuple[int, int, int], ...]
    default_split: str
    fps: float

    def __init__(self, base: Path) -> None:
        self.base = base

    @cached_property
    def distances(self) -> set[tuple[int, int]]:
        """GOP length and distance of every folder of decoded frames."""
        matches = (_DECODED.fullmatch(path.name) for path in self.base.iterdir() if path.is_dir())
        return {(int(match[1]), int(match[2])) for match in matches if match is not None}

    def decoded(self, gop: int, distance: int) -> Path:
        """Return the folder of the frames at a distance."""
        return self.base / f"decoded_GOP{gop}_dist_{distance}"

    def vectors(self, gop: int, distance: int) -> Path:
        """Return the folder of the motion at a distance."""
        return self.base / f"MVmap_GOP{gop}_dist_{distance}"

    @property
    @abstractmethod
    def read_label(self) -> LabelReader:
        """Reads an annotation."""

    def misnamed(self, samples: Iterable[Sample]) -> Iterator[str]:
        """Yield a fault where annotations hold other values than their names say."""
        yield from ()

    @abstractmethod
    def samples(self, split: str, gop: int, distance: int) -> list[Sample]:
        """Return the labelled frames of a split at a distance, by the names of the images."""


class CamVidFiles(Files):
    """CamVid: 12 classes, of which Void is one. A keyframe's number counts the frames of the video
    file from 1."""

    classes = camvid_labels.NAMES
    palette = tuple(camvid_labels.CLASSES.values())
    default_split, fps = "test", 30.0

    @property
    def read_label(self) -> LabelReader:
        """See Files."""
        return partial(read_ids, allowed=frozenset({*range(len(self.classes)), IGNORE}))

    def samples(self, split: str, gop: int, distance: int) -> list[Sample]:
        """See Files."""
        samples = []
        for image in sorted((self.decoded(gop, distance) / split).glob("*.png")):
            match = NAME.fullmatch(image.stem)
            if match is None or match["sequence"] not in FOOTAGE:
                raise DataError(
                    f"{image} is not named as CamVid's frames are: expected SEQUENCE_NUMBER, as "
                    "0016E5_08159"
                )
            sequence, number = (
                match["sequence"],
                int(match["number"]) - FOOTAGE[match["sequence"]].first + 1 - distance,
            )
            keyframe = self.base / "frames" / sequence / f"{sequence}_{number:06d}.png"
            motion = self.vectors(gop, distance) / sequence / f"{image.stem}.bin"
            pair = (keyframe, motion) if distance else (None, None)
            samples.append(
                Sample(
                    image.stem,
                    sequence,
                    distance,
                    image,
                    self._label(split, gop, distance, image.stem),
                    *pair,
                )
            )
        return samples

    def _label(self, split: str, gop: int, distance: int, name: str) -> Path:
        """Return a frame's label, beside the frames or (they are links, which archives lose) beside
        those of another distance."""
        first = self.decoded(gop, distance)
        folders = [first, *(self.decoded(*each) for each in sorted(self.distances)), self.base]
        places = [
            folder / f"{split}_labels_with_ignored" / f"{name}{mark}.png"
            for folder in folders
            for mark in ("_L", "")
        ]
        return next((place for place in places if place.is_file()), places[0])


class CityscapesFiles(Files):
    """Cityscapes: 19 classes."""

    classes, palette = cityscapes_labels.CLASSES, cityscapes_labels.PALETTE
    default_split, fps = "val", 17.0

    @property
    def read_label(self) -> LabelReader:
        """See Files."""
        return cityscapes_labels.read_labels

    def misnamed(self, samples: Iterable[Sample]) -> Iterator[str]:
        """See Files."""
        return cityscapes_labels.misnamed_train_ids(
            (sample.label.parent.name, sample.label) for sample in samples
        )

    def samples(self, split: str, gop: int, distance: int) -> list[Sample]:
        """See Files."""
        samples, folder = [], self.decoded(gop, distance)
        for image in sorted((folder / "leftImg8bit" / split).glob("*/*_leftImg8bit.png")):
            match = _CITY_NAME.fullmatch(image.stem)
            if match is None:
                raise DataError(
                    f"{image} is not named as AR-Seg names it: expected "
                    "CITY_SEQUENCE_FRAME_gtFine_leftImg8bit.png"
                )
            city, name = image.parent.name, f"{match['sequence']}_{match['number']}"
            before = f"{match['sequence']}_{int(match['number']) - distance:06d}_leftImg8bit.png"
            keyframe = self.base / "frames" / split / city / before
            motion = self.vectors(gop, distance) / split / city / f"{image.stem}.bin"
            label = self._label(folder, split, city, name)
            samples.append(
                Sample(
                    name,
                    city,
                    distance,
                    image,
                    label,
                    *((keyframe, motion) if distance else (None, None)),
                )
            )
        return samples

    def _label(self, folder: Path, split: str, city: str, name: str) -> Path:
        """Return a frame's label: beside the frames, or in the dataset's own folder above."""
        roots = [folder, self.base, self.base.parent, self.base.parent.parent]
        places = [root / "gtFine" / split / city / f"{name}_gtFine_labelIds.png" for root in roots]
        return next((place for place in places if place.is_file()), places[0])


def base_of(root: Path) -> Path | None:
    """Return the folder that holds the decoded frames: root, or the first one in it that does."""
    for folder in [root, *sorted(path for path in root.glob("*") if path.is_dir())]:
        if any(_DECODED.fullmatch(path.name) for path in folder.glob("decoded_GOP*")):
            return folder
    return None


def kind_of(root: Path) -> type[Files]:
    """Return the layout of the dataset that a folder was made of."""
    base = base_of(root) if root.is_dir() else None
    cityscapes = base is not None and any(base.glob("decoded_GOP*/leftImg8bit"))
    return CityscapesFiles if cityscapes else CamVidFiles
