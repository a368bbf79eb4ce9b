"""The layout of one's own clips: which folders are clips, and their frames and masks by number."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

from vssbench.core.errors import DataError

CLASSES_FILE, FRAMES, LABELS, GROUPS = "classes.txt", "frames", "labels", "groups.txt"
IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
VIDEOS = (
    ".mp4", ".mkv", ".mov", ".avi", ".mxf", ".webm", ".m4v", ".ts", ".m2ts", ".mts", ".mpg",
    ".mpeg", ".flv", ".wmv", ".3gp",
    ".ogv", ".ivf", ".h264", ".264", ".hevc", ".h265",
)  # fmt: skip

_NUMBER = re.compile(r"(\d+)\D*$")


def clip_folders(root: Path) -> list[Path]:
    """List the folders that may be clips: those with frames, masks or a video."""
    paths = (
        path for path in sorted(root.iterdir()) if path.is_dir() and not path.name.startswith(".")
    )
    return [
        path
        for path in paths
        if (path / FRAMES).is_dir() or (path / LABELS).is_dir() or videos_in(path)
    ]


def videos_in(path: Path) -> list[Path]:
    return sorted(
        file for file in path.iterdir() if file.is_file() and file.suffix.lower() in VIDEOS
    )


def masks_in(path: Path) -> list[Path]:
    return sorted((path / LABELS).glob("*.png"))


def check_masks(folder: Path) -> None:
    """Check that the masks are PNGs in a folder of their own.

    Raises DataError for masks of another format, which would pass for none, or a file in place of
    their folder.
    """
    if folder.is_file():
        raise DataError(f"{folder} is a file: expected a folder of masks, as {LABELS}/000019.png")
    for path in sorted(folder.glob("*")):
        if (
            path.suffix != ".png"
            and path.suffix.lower() in IMAGES
            and not path.name.startswith(".")
        ):
            raise DataError(
                f"{path} is a mask of another format: expected PNG ({LABELS}/NUMBER.png), which "
                "keeps every value"
            )


def numbered(folder: Path, suffixes: tuple[str, ...]) -> dict[int, Path]:
    """Return the files of a folder by the last digits of their names. Raises DataError where a name
    has none or two have the same."""
    by_number: dict[int, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.suffix.lower() not in suffixes:
            continue
        match = _NUMBER.search(path.stem)
        if match is None:
            raise DataError(
                f"{path} has no number in its name: expected the number of its frame, as "
                f"000019{path.suffix}"
            )
        number = int(match[1])
        if number in by_number:
            raise DataError(
                f"{by_number[number]} and {path} both have the number {number}: expected one file "
                "a frame; put one of them elsewhere"
            )
        by_number[number] = path
    return by_number


def check_frames(folder: Path, images: dict[int, Path], labels: dict[int, Path]) -> None:
    """Check that frames are complete and every mask has one.

    Raises DataError where there is no frame, one is missing between two others, or a mask has none.
    """
    numbers = sorted(images)
    if not numbers:
        raise DataError(
            f"{folder} holds no frame: expected images ({', '.join(IMAGES)}) named by their numbers"
        )
    step = min((other - one for one, other in pairwise(numbers)), default=1)
    for one, other in pairwise(numbers):
        if other - one != step:
            raise DataError(
                f"{folder} has no frame {one + step}: it goes from {one} to {other}, elsewhere by "
                f"{step}. Add what is missing, or cut the clip in two there: methods take frames "
                "for consecutive"
            )
    for number, path in labels.items():
        if number not in images:
            raise DataError(
                f"{path} is for frame {number}, which {folder} does not have (it has {numbers[0]} "
                f"to {numbers[-1]}): name masks by the numbers of their frames"
            )
