"""The layouts of CamVid's folders, and the names of its files: the original release, Kaggle's
copies, SegNet's lists, and the frames of the raw videos."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from vssbench.core import reading
from vssbench.core.errors import DataError
from vssbench.core.program import program
from vssbench.data.stills import Still

#: folders of the original release
STILLS, COLOURS = "701_StillsRaw_full", "LabeledApproved_full"
_NAME = re.compile(r"(?P<sequence>.+)_f?(?P<number>\d+)")
#: endings of images
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")


def with_video(folder: Path, stills: Sequence[Still]) -> list[Still]:
    """Return every frame of the raw videos with the labels of the stills.

    Raises DataError where one has none.
    """
    labels = {(still.sequence, still.number): still.label for still in stills}
    frames = []
    for sequence in sorted({still.sequence for still in stills}):
        for image in sorted((folder / sequence).glob("*.png")):
            name, number = frame_of(image)
            frames.append(Still(image, labels.pop((name, number), None), name, number))
    if labels:
        sequence, number = min(labels)
        raise DataError(
            f"{len(labels)} of {len(stills)} labelled frames have no video in {folder}, the first "
            f"is frame {number} of {sequence}: take them from the raw videos with {program()} "
            "data prepare camvid, or leave sequence=on out"
        )
    return frames


def listed_pairs(root: Path, split: str) -> list[tuple[Path, Path]] | None:
    """Return image and annotation of every line of SegNet's list; None where there is no list."""
    listing = root / f"{split}.txt"
    if not listing.is_file():
        return None
    pairs = []
    for number, line in enumerate(reading.read_lines(listing), start=1):
        entries = line.split()
        if len(entries) not in (0, 2):
            raise DataError(
                f"{listing} line {number} has {len(entries)} entries: expected 'image annotation'; "
                "mend the line"
            )
        if entries:
            pairs.append((_inside(root, entries[0]), _inside(root, entries[1])))
    return pairs


def _inside(root: Path, entry: str) -> Path:
    """Return the path below root of a path in a list.

    SegNet's own lists begin with ``/SegNet/CamVid/``: their last two parts count.
    """
    path = PurePosixPath(entry)
    shortened = Path(*path.parts[-2:]) if path.is_absolute() else Path(path)
    return reading.inside(root, shortened)


def colour_pairs(root: Path, split: str) -> list[tuple[Path, Path]] | None:
    """Return image and colour annotation of every frame of a split; None where there are no colour
    annotations."""
    images, labels = root / STILLS, root / COLOURS
    if images.is_dir() and labels.is_dir():
        return [
            pair for pair in paired(images, labels) if _segnet_split(*frame_of(pair[0])) == split
        ]
    images, labels = root / split, root / f"{split}_labels"
    return paired(images, labels) if images.is_dir() and labels.is_dir() else None


def paired(images: Path, labels: Path) -> list[tuple[Path, Path]]:
    """Pair NAME.png or NAME.jpg with NAME_L.png, for every name in either folder.

    A missing file shows when files are checked.
    """
    by_stem = {
        path.stem: path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES
    }
    labelled = {path.stem.removesuffix("_L") for path in labels.glob("*_L.png")}
    return [
        (by_stem.get(stem, images / f"{stem}.png"), labels / f"{stem}_L.png")
        for stem in sorted({*by_stem, *labelled})
    ]


def frame_of(image: Path) -> tuple[str, int]:
    """Parse sequence and frame number from ``0016E5_07959.png`` or ``Seq05VD_f00000.png``."""
    match = _NAME.fullmatch(image.stem)
    if match is None:
        raise DataError(
            f"{image} is not named as CamVid's frames are: expected SEQUENCE_NUMBER, as "
            "0016E5_07959; move it out of the folder or the list"
        )
    return match["sequence"], int(match["number"])


def still_of(image: Path, label: Path) -> Still:
    """Return an image with its annotation, by the image's name."""
    return Still(image, label, *frame_of(image))


def _segnet_split(sequence: str, number: int) -> str:
    """Return SegNet's split of the 701 frames: two sequences whole, two cut."""
    if sequence == "0016E5":
        return "val" if 7959 <= number <= 8159 else "train"
    if sequence == "0001TP":
        return "train" if number <= 8520 else "test"
    whole = {"0006R0": "train", "Seq05VD": "test"}
    if sequence not in whole:
        raise DataError(
            f"the sequence {sequence!r} is none of CamVid's: expected 0001TP, 0006R0, 0016E5 or "
            f"Seq05VD; move its frames out of {STILLS}"
        )
    return whole[sequence]
