"""AR-Seg's processed data: CamVid or Cityscapes as its authors encoded, decoded and published them,
with motion vectors.

The folder is ``3M-GOP12`` (CamVid, 960x720) or ``5M-GOP12`` (Cityscapes), or one that holds it, as
AR-Seg's pre-processing writes it (github.com/THU-LYJ-Lab/AR-Seg, pre-process/). Every labelled
frame was encoded once for each distance d:

* ``decoded_GOP12_dist_d/``: the labelled frames, decoded d frames after their keyframe; on CamVid
  ``test/NAME.png`` with ``test_labels_with_ignored/``, on Cityscapes ``leftImg8bit/val/CITY/`` with
  ``gtFine/``
* ``frames/``: their keyframes, named by the number of the frame in the video
* ``MVmap_GOP12_dist_d/``: the motion to the keyframe, int16 (H, W, 2) in quarter pixels, (x, y),
  backward

A clip is a keyframe and the frame d later, so that ``dense`` over all clips is AR-Seg's protocol:
mIoU_d over all labelled frames at distance d. Run it under ``raw[motion=given]``: anything else
would code twice.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from vssbench.core.division import Division, divided_by
from vssbench.core.division import Part as HeldOutPart
from vssbench.core.errors import DataError, UsageError
from vssbench.core.video import IGNORE, Clip, Given
from vssbench.data.faults import complaint, missing_files, wrong_files
from vssbench.data.ondisk import (
    COMPLETE,
    MISSING,
    PARTIAL,
    NothingThere,
    OnDisk,
    Outline,
    Part,
    Run,
    Source,
    path_or_none,
    shown,
)
from vssbench.data.stills import LabelReader, Still, fingerprint, image_size, read_ids
from vssbench.datasets.camvid import held_out as held_out_of_camvid
from vssbench.datasets.camvid import labels as camvid_labels
from vssbench.datasets.camvid.raw_video import FOOTAGE
from vssbench.datasets.cityscapes import held_out as held_out_of_cityscapes
from vssbench.datasets.cityscapes import labels as cityscapes_labels

#: units of a stored vector in a pixel
UNITS = 4
_DECODED = re.compile(r"decoded_GOP(\d+)_dist_(\d+)")
_NAME = re.compile(r"(?P<sequence>[^_]+)_f?(?P<number>\d+)")
_CITY_NAME = re.compile(r"(?P<sequence>.+_\d{6})_(?P<number>\d{6})(?:_gtFine)?_leftImg8bit")


@dataclass(frozen=True)
class Sample:
    """A labelled frame, decoded at one distance, with its keyframe and the motion to it (None at
    distance 0)."""

    name: str
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
        """Return the files as a clip."""
        frame = Still(self.image, self.label, self.name, self.distance)
        first = () if self.keyframe is None else (Still(self.keyframe, None, self.name, 0),)
        return Run(f"{self.name}@{self.distance}", (*first, frame), fps, self.name)


class ArSegData(OnDisk):
    """AR-Seg's decoded frames with their motion, at every distance that the folder has.

    ``root`` is the folder; ``split`` what methods are scored on: auto is test on CamVid and val on
    Cityscapes; ``gop`` which of the folder's GOP lengths. Run under ``raw[motion=given]``.
    """

    title = "AR-Seg's data"
    disjoint = True
    sources = (
        Source(
            "CamVid as processed by AR-Seg's authors",
            "https://cloud.tsinghua.edu.cn/d/f358201e9ac14c4e801a/ or "
            "https://drive.google.com/drive/folders/1EMDyP59-WE2OK8FqYFY_f3SAd7PgZ7Ld",
            "CamVid's: research use",
        ),
        Source(
            "the scripts that make it, for CamVid and Cityscapes",
            "https://github.com/THU-LYJ-Lab/AR-Seg (pre-process)",
            "the data sets' own",
        ),
    )  # fmt: skip
    offers = ({"split": "auto"},)

    def __init__(
        self,
        *,
        root: str | Path = "",
        split: Literal["auto", "train", "val", "test"] = "auto",
        gop: int = 12,
    ) -> None:
        if gop < 1:
            raise UsageError(
                f"arsegdata cannot have gop={gop}: expected the GOP length in the folders' names, "
                "as 12"
            )
        self.root = path_or_none(root)
        kind = _kind(self.root) if self.root is not None else CamVidFiles
        self.split, self.gop = kind.default_split if split == "auto" else split, gop
        self.classes, self.palette = kind.classes, kind.palette

    @classmethod
    def where(cls) -> str:
        """Tell how to get the data and what the folder must look like."""
        return (
            "AR-Seg's authors link processed data in https://github.com/THU-LYJ-Lab/AR-Seg, which "
            "also has the scripts that make them. The folder must hold decoded_GOP12_dist_0 to "
            "_11, MVmap_GOP12_dist_1 to _11 and frames/, or a folder that does, as 3M-GOP12"
        )

    @classmethod
    def parts(cls, root: Path) -> list[Part]:
        """See OnDisk: samples that are whole, distance by distance."""
        base = _base(root)
        if base is None:
            return [Part("decoded_GOP12_dist_0 to _11", MISSING, "none", "see below")]
        files, parts = _kind(root)(base), []
        for gop, distance in sorted(files.distances):
            try:
                samples = [
                    sample
                    for split in ("train", "val", "test")
                    for sample in files.samples(split, gop, distance)
                ]
            except DataError as error:
                parts.append(
                    Part(
                        f"GOP {gop}, distance {distance}",
                        PARTIAL,
                        "a file that is none of AR-Seg's",
                        str(error),
                    )
                )
                continue
            whole = sum(all(path.is_file() for path in sample.paths()) for sample in samples)
            words = f"{whole} of {len(samples)} frames with label, keyframe and motion"
            state = COMPLETE if whole == len(samples) and whole else PARTIAL if whole else MISSING
            remedy = (
                ""
                if state == COMPLETE
                else "complete it; python bench.py data verify arsegdata names each file"
            )
            parts.append(Part(f"GOP {gop}, distance {distance}", state, words, remedy))
        return parts

    def outlines(self) -> list[Outline]:
        """See OnDisk."""
        return [sample.run(1.0).outline() for sample in self._samples(self.split)[1]]

    def clips(self) -> Sequence[Clip]:
        """A clip for every labelled frame at every distance. Raises DataError where a file is
        missing or wrong."""
        return self._clips(self.split)

    def training_clips(self) -> Sequence[Clip]:
        """The pairs of the train split, which the authors made for the last distance alone. Raises
        DataError as ``clips``."""
        return self._clips("train")

    def division(self) -> Division:
        """Held out are the frames that the dataset itself holds out, see
        :mod:`vssbench.datasets.camvid.held_out`."""
        cities = _kind(self.folder()) is CityscapesFiles
        rule = held_out_of_cityscapes.RULE if cities else held_out_of_camvid.RULE
        return divided_by(self.training_clips(), _city_part if cities else _drive_part, rule)

    def faults(self) -> Iterator[str]:
        """See OnDisk."""
        files, samples = self._samples(self.split)
        yield from missing_files((sample.image, sample.label) for sample in samples)
        counts = {
            distance: sum(s.distance == distance for s in samples) for distance in range(self.gop)
        }
        most = max(counts.values())
        for distance, count in counts.items():
            if count < most:
                yield (
                    f"distance {distance} has {count} frames, others {most}: every distance "
                    "should have the same"
                )
        for sample in samples:
            for path in (sample.keyframe, sample.motion):
                if path is not None and not path.is_file():
                    yield (
                        f"{path} is missing: expected for {sample.image}; get it, or take the "
                        "frame out at all distances"
                    )
            yield from wrong_files(
                [still for still in sample.run(1.0).stills if still.image.is_file()],
                files.read_label,
            )
            if sample.motion is not None and sample.motion.is_file() and sample.image.is_file():
                yield from complaint(_check_motion, sample)

    def _clips(self, split: str) -> list[Clip]:
        files, samples = self._samples(split)
        clips = []
        for sample in samples:
            for path in sample.paths():
                if not path.is_file():
                    raise DataError(
                        f"{path} is missing: expected for {sample.image}. {self.where()}"
                    )
            clip = sample.run(files.fps).clip(files.read_label)
            if sample.motion is not None:
                _check_size(sample.motion, clip.height, clip.width)
            distances = (0,) if sample.keyframe is None else (0, sample.distance)
            motion = partial(_motion_of, path=sample.motion, height=clip.height, width=clip.width)
            given = Given(distances, motion, f"AR-Seg's {files.base.name}")
            mark = f"{clip.fingerprint}{distances}"
            if sample.motion is not None:
                mark = fingerprint([sample.motion], mark)
            clips.append(replace(clip, given=given, fingerprint=mark))
        return clips

    def _samples(self, split: str) -> tuple[Files, list[Sample]]:
        """Return the folder, and the labelled frames of a split at every distance.

        Raises DataError where there is none.
        """
        root = self.folder()
        base = _base(root)
        if base is None:
            raise NothingThere(
                f"{root} holds no decoded_GOP{self.gop}_dist_0: found "
                f"{shown(sorted(root.iterdir()))}. {self.where()}"
            )
        files = _kind(root)(base)
        split = files.default_split if split == "auto" else split
        distances = sorted(distance for gop, distance in files.distances if gop == self.gop)
        samples = [
            sample for distance in distances for sample in files.samples(split, self.gop, distance)
        ]
        if not samples:
            there = ", ".join(
                f"GOP {gop} at distance {distance}" for gop, distance in sorted(files.distances)
            )
            raise NothingThere(
                f"{base} holds no frame of the split {split} at a GOP of {self.gop}: found "
                f"{there}. {self.where()}"
            )
        return files, samples


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
        """The folder of the frames at a distance."""
        return self.base / f"decoded_GOP{gop}_dist_{distance}"

    def vectors(self, gop: int, distance: int) -> Path:
        """The folder of the motion at a distance."""
        return self.base / f"MVmap_GOP{gop}_dist_{distance}"

    @property
    @abstractmethod
    def read_label(self) -> LabelReader:
        """Reads an annotation."""

    @abstractmethod
    def samples(self, split: str, gop: int, distance: int) -> list[Sample]:
        """The labelled frames of a split at a distance, by the names of the images."""


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
            match = _NAME.fullmatch(image.stem)
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
                    distance,
                    image,
                    self._label(split, gop, distance, image.stem),
                    *pair,
                )
            )
        return samples

    def _label(self, split: str, gop: int, distance: int, name: str) -> Path:
        """A frame's label, beside the frames or (they are links, which archives lose) beside those
        of another distance."""
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
                    distance,
                    image,
                    label,
                    *((keyframe, motion) if distance else (None, None)),
                )
            )
        return samples

    def _label(self, folder: Path, split: str, city: str, name: str) -> Path:
        """A frame's label: beside the frames, or in the dataset's own folder above."""
        roots = [folder, self.base, self.base.parent, self.base.parent.parent]
        places = [root / "gtFine" / split / city / f"{name}_gtFine_labelIds.png" for root in roots]
        return next((place for place in places if place.is_file()), places[0])


def _city_part(clip: Clip) -> HeldOutPart:
    return held_out_of_cityscapes.part(clip.name.partition("_")[0])


def _drive_part(clip: Clip) -> HeldOutPart:
    match = _NAME.fullmatch(clip.name.partition("@")[0])
    return (
        "training"
        if match is None
        else held_out_of_camvid.part(match["sequence"], int(match["number"]))
    )


def _base(root: Path) -> Path | None:
    """Return the folder that holds the decoded frames: root, or the first one in it that does."""
    for folder in [root, *sorted(path for path in root.glob("*") if path.is_dir())]:
        if any(_DECODED.fullmatch(path.name) for path in folder.glob("decoded_GOP*")):
            return folder
    return None


def _kind(root: Path) -> type[Files]:
    """Return the name of the dataset that a folder was made of."""
    base = _base(root) if root.is_dir() else None
    cityscapes = base is not None and any(base.glob("decoded_GOP*/leftImg8bit"))
    return CityscapesFiles if cityscapes else CamVidFiles


def _motion_of(index: int, path: Path | None, height: int, width: int) -> npt.NDArray[np.float32]:
    """Return the motion of a clip's frame to its keyframe, float32 (H, W, 2) in pixels.

    It is zero at the keyframe, which is frame 0.
    """
    if index == 0 or path is None:
        return np.zeros((height, width, 2), np.float32)
    return read_motion(path, height, width)


def read_motion(path: Path, height: int, width: int) -> npt.NDArray[np.float32]:
    """Read a file of vectors: float32 (H, W, 2) in pixels, (x, y).

    Raises DataError where it is of another size.
    """
    _check_size(path, height, width)
    stored = np.fromfile(path, "<i2").reshape(height, width, 2)
    return stored.astype(np.float32) / np.float32(UNITS)


def _check_size(path: Path, height: int, width: int) -> None:
    expected = height * width * 2 * 2
    if path.stat().st_size != expected:
        raise DataError(
            f"{path} has {path.stat().st_size} bytes: expected {expected}, two int16 for each "
            f"pixel of {width}x{height}; copy it again from the source"
        )


def _check_motion(sample: Sample) -> None:
    """Check that a file's vectors lie in the frame, as AR-Seg's always do.

    Raises DataError where they do not.
    """
    assert sample.motion is not None
    width, height = image_size(sample.image)
    motion = read_motion(sample.motion, height, width)
    x, y = motion[..., 0] + np.arange(width), motion[..., 1] + np.arange(height)[:, None]
    beyond = int(((x < 0) | (x > width - 1) | (y < 0) | (y > height - 1)).sum())
    if beyond:
        raise DataError(
            f"{sample.motion}: {beyond} of its {width * height} vectors lead out of the frame: "
            "expected backward motion in quarter pixels, int16 (H, W, 2), (x, y); was it written "
            "by another tool?"
        )
