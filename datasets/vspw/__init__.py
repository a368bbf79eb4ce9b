"""VSPW: 3,536 videos of scenes in the wild at 15 Hz, 124 classes, every frame labelled.

The folder is ``VSPW_480p``, or ``VSPW`` (720p to 4K) in the same layout, or one that holds either:

* ``data/VIDEO/origin/00000166.jpg`` and so on: the frames, numbered at 15 Hz from some number on
* ``data/VIDEO/mask/00000166.png``: their masks, 1 to 124; 0 (others) and 255 (void) are not scored
* ``train.txt``, ``val.txt``: a video's folder a line

A clip is a video. Masks of the test videos are not given out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from vssbench.core import reading
from vssbench.core.errors import DataError, UsageError
from vssbench.core.video import Clip
from vssbench.data.faults import missing_files, repeated_images, wrong_files
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
from vssbench.data.stills import Still
from vssbench.datasets.vspw.labels import CLASSES, LISTS, PALETTE, read_labels

DATA, IMAGES, MASKS = "data", "origin", "mask"
#: videos of each split: Zhou et al., "A Survey on Deep Learning Technique for Video Segmentation",
#: arXiv 2107.01153, table of datasets; their sum with 387 of the test is the paper's 3,536
COUNTS = {"train": 2806, "val": 343}
FPS = 15.0
#: folders by which the data are given out
_NAMES = ("VSPW_480p", "VSPW")


class Vspw(OnDisk):
    """VSPW's videos, every frame of them labelled.

    ``root`` is the folder; ``split`` what methods are scored on, train or val.
    """

    title = "VSPW"
    disjoint = True
    class_lists = LISTS
    sources = (
        Source(
            "frames and masks at 480 lines: VSPW_480p",
            "https://github.com/sssdddwww2/vspw_dataset_download",
            "its authors', https://www.vspwdataset.com",
        ),
        Source(
            "masks, and the script that takes the frames from the videos, at full size",
            "https://github.com/VSPW-dataset/VSPW-dataset-download",
            "its authors', https://www.vspwdataset.com",
        ),
    )
    offers = tuple({"split": split} for split in COUNTS)

    def __init__(self, *, root: str | Path = "", split: str = "val") -> None:
        if split == "test":
            raise UsageError(
                "vspw cannot be scored on split=test: its masks are not given out; use split=val"
            )
        if split not in COUNTS:
            raise UsageError(f"vspw cannot have split={split}: expected one of {', '.join(COUNTS)}")
        self.root, self.split = path_or_none(root), split
        self.classes, self.palette = CLASSES, PALETTE

    @classmethod
    def where(cls) -> str:
        """Tell how to get VSPW and what its folder must look like."""
        return (
            "VSPW_480p is linked in https://github.com/sssdddwww2/vspw_dataset_download, beside it "
            "the frames of 988_f_Xvy_DCPt8 that are damaged in it. The folder must hold "
            "train.txt, val.txt, data/VIDEO/origin/NUMBER.jpg and data/VIDEO/mask/NUMBER.png"
        )

    @classmethod
    def parts(cls, root: Path) -> list[Part]:
        """See OnDisk: the videos of each split that have frames and masks."""
        base, found = _base(root), []
        for split, expected in COUNTS.items():
            listing = base / f"{split}.txt"
            names = _listed(listing) if listing.is_file() else []
            whole = sum(_Video(base / DATA / name).is_whole() for name in names)
            remedy = "get VSPW_480p, see below" if names else f"get {split}.txt, see below"
            found.append(counted(split, whole, expected, "videos with frames and masks", remedy))
        return found

    def outlines(self) -> list[Outline]:
        """See OnDisk."""
        return [run.outline() for run in self._runs(self.split)]

    def clips(self) -> Sequence[Clip]:
        """Return a clip for each video of the split.

        Raises DataError where a file is missing or wrong.
        """
        return self._clips(self.split)

    def training_clips(self) -> Sequence[Clip]:
        """Return the videos of the train split. Raises DataError as ``clips`` does."""
        return self._clips("train")

    def faults(self) -> Iterator[str]:
        """See OnDisk."""
        videos = self._videos(self.split)
        if len(videos) != COUNTS[self.split]:
            yield (
                f"{self.split}.txt lists {len(videos)} videos, expected {COUNTS[self.split]} as "
                "published; get the list again"
            )
        for video in videos:
            numbers = sorted({*video.images, *video.masks})
            if not numbers:
                yield video.nothing()
            pairs = [(video.image(number), video.mask(number)) for number in numbers]
            yield from missing_files(pairs)
            yield from video.faults()
            there = [number for number in numbers if number in video.images]
            yield from wrong_files([video.still(number) for number in there], read_labels)
            yield from repeated_images(video.image(number) for number in there)

    def _clips(self, split: str) -> list[Clip]:
        return [run.clip(read_labels) for run in self._runs(split)]

    def _runs(self, split: str) -> list[Run]:
        """Return the videos of a split as clips. Raises DataError where a frame or a mask is
        missing."""
        found = []
        for video in self._videos(split):
            numbers = sorted({*video.images, *video.masks})
            if not numbers:
                raise DataError(f"{video.nothing()} {self.where()}")
            for number in numbers:
                if number not in video.images or number not in video.masks:
                    path = video.mask(number) if number in video.images else video.image(number)
                    raise DataError(
                        f"{path} is missing: every frame of VSPW has a mask. {self.where()}"
                    )
            for fault in video.faults():
                raise DataError(fault)
            stills = tuple(video.still(number) for number in numbers)
            found.append(Run(video.path.name, stills, FPS))
        return found

    def _videos(self, split: str) -> list[_Video]:
        """Return the videos that the split's list names. Raises NothingThere where there is no
        list, and DataError where it names a video twice."""
        base = _base(self.folder())
        listing = base / f"{split}.txt"
        if not listing.is_file():
            raise NothingThere(
                f"{listing} is missing: found {shown(sorted(base.iterdir()))}. {self.where()}"
            )
        names = _listed(listing)
        for one, other in pairwise(sorted(names)):
            if one == other:
                raise DataError(f"{listing} names the video {one} twice: take one of them out")
        if not names:
            raise NothingThere(f"{listing} names no video: get the list again. {self.where()}")
        return [_Video(base / DATA / name) for name in sorted(names)]


class _Video:
    """The files of a video by the numbers of its frames."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.misnamed: list[str] = []
        self.images = self._numbered(IMAGES, ".jpg")
        self.masks = self._numbered(MASKS, ".png")

    def is_whole(self) -> bool:
        """Return whether there are frames, and a mask for each."""
        return bool(self.images) and self.images.keys() == self.masks.keys()

    def image(self, number: int) -> Path:
        """Return a frame's image, or where it should be."""
        return self.images.get(number, self.path / IMAGES / f"{number:08d}.jpg")

    def mask(self, number: int) -> Path:
        """Return a frame's mask, or where it should be."""
        return self.masks.get(number, self.path / MASKS / f"{number:08d}.png")

    def still(self, number: int) -> Still:
        """Return a frame with its mask, if that is there."""
        return Still(self.images[number], self.masks.get(number), self.path.name, number)

    def nothing(self) -> str:
        """Say that the video is not there."""
        return (
            f"{self.path} holds no frame: expected {IMAGES}/NUMBER.jpg and {MASKS}/NUMBER.png; "
            "complete the folder, or take the video out of the list."
        )

    def faults(self) -> Iterator[str]:
        """Yield every file that is not named by a number, and every place where frames do not
        follow each other, which methods and measures over time take them to do."""
        yield from self.misnamed
        for one, other in pairwise(sorted(self.images)):
            if other != one + 1:
                yield (
                    f"{self.path / IMAGES} has no frame {one + 1}: it goes from {one} to {other}; "
                    "complete the folder"
                )

    def _numbered(self, kind: str, ending: str) -> dict[int, Path]:
        """Return the files of a kind by the numbers that are their names."""
        found: dict[int, Path] = {}
        for path in sorted((self.path / kind).glob(f"*{ending}")):
            if path.stem.isdecimal():
                found[int(path.stem)] = path
            elif not path.name.startswith("."):
                self.misnamed.append(
                    f"{path} is not named as VSPW's files are: expected a number, as "
                    f"00000166{ending}; rename it, or move it out of the folder"
                )
        return found


def _base(root: Path) -> Path:
    """Return the folder that holds the lists: the root, or one of the names in it."""
    places = (root, *(root / name for name in _NAMES))
    return next((place for place in places if (place / DATA).is_dir()), root)


def _listed(listing: Path) -> list[str]:
    names = [line.strip() for line in reading.read_lines(listing) if line.strip()]
    for name in names:
        reading.inside(listing.parent, Path(name))
    return names
