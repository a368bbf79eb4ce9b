"""Labelled stills on disk: read and checked, and joined to clips where they follow one another in time.

For datasets that are folders of images with one annotation file an image. What a pixel of an annotation file means is
the dataset's: it passes a function that reads one annotation to class indices.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from vssbench.errors import DataError
from vssbench.video import Clip, Image, LabelMap

#: reads one annotation file to class indices, uint8 (H, W); raises DataError where a pixel has no meaning
LabelReader = Callable[[Path], LabelMap]


@dataclass(frozen=True)
class Still:
    """One image with its annotation: the sequence that it is from and its frame number in the source video."""

    image: Path
    label: Path
    sequence: str
    number: int


def read_image(path: Path) -> Image:
    """The image as uint8 RGB (H, W, 3). Raises DataError where the file is no image or is cut short."""
    return _pixels(path, "RGB")


def read_ids(path: Path, allowed: Collection[int]) -> LabelMap:
    """An annotation of class indices, uint8 (H, W). Raises DataError that names a value which is not ``allowed``."""
    mode = _header(path)[1]
    if mode not in ("L", "P"):
        raise DataError(
            f"{path} has pixels of type {mode}: expected one 8-bit class index a pixel (type L or P); "
            "if these are colours, put them where the dataset's layout has its colour labels"
        )
    labels = _pixels(path, None)
    for value in np.unique(labels).tolist():
        if value not in allowed:
            y, x = np.argwhere(labels == value)[0]
            raise DataError(
                f"{path} holds the label {value}, first at x={x} y={y}: allowed are {_ranges(allowed)}; "
                "check that the annotations are class indices of this dataset"
            )
    return labels


def read_colours(path: Path) -> npt.NDArray[np.uint8]:
    """An annotation of colours, uint8 RGB (H, W, 3). Raises DataError where the file holds grey values."""
    mode = _header(path)[1]
    if mode not in ("RGB", "RGBA", "P"):
        raise DataError(f"{path} has pixels of type {mode}: expected colours (type RGB); are these class indices?")
    return _pixels(path, "RGB")


def check_files(pairs: Sequence[tuple[Path, Path]], remedy: str) -> None:
    """Raises DataError that names the first image or annotation which is not there, and how many are missing."""
    paths = [path for pair in pairs for path in pair]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(f"{len(missing)} of {len(paths)} files are missing, the first is {missing[0]}. {remedy}")


def runs(stills: Iterable[Still], longest_gap: int) -> list[tuple[list[Still], int]]:
    """Cut stills into runs that are video. Returns (frames in time order, spacing in source frames) for each.

    Within a sequence the spacing is the smallest distance of two frames; a run ends where the next frame is further
    away. Where that spacing exceeds ``longest_gap`` nothing is video: every frame is a run by itself. Raises DataError
    where two stills claim the same frame.
    """
    found: list[tuple[list[Still], int]] = []
    ordered = sorted(stills, key=lambda still: (still.sequence, still.number))
    for _, group in groupby(ordered, key=lambda still: still.sequence):
        frames = list(group)
        for one, other in pairwise(frames):
            if one.number == other.number:
                raise DataError(f"{one.image} and {other.image} are the same frame: expected each once; remove one")
        spacing = min((other.number - one.number for one, other in pairwise(frames)), default=longest_gap + 1)
        run = [frames[0]]
        for still in frames[1:]:
            if spacing > longest_gap or still.number - run[-1].number != spacing:
                found.append((run, spacing))
                run = []
            run.append(still)
        found.append((run, spacing))
    return found


def clip_of(name: str, stills: Sequence[Still], fps: float, read_label: LabelReader) -> Clip:
    """A clip of consecutive stills, each labelled and checked; pixels are read again when they are asked for.

    Raises DataError where an image and its annotation, or two frames, differ in size, or an annotation cannot be read.
    """
    width, height = _header(stills[0].image)[0]
    for still in stills:
        _check_size(still.image, (width, height), stills[0].image)
        _check_size(still.label, (width, height), still.image)
        read_label(still.label)
    frames = _Frames(tuple(stills), read_label)
    return Clip(name, len(stills), height, width, fps, frames.image, frames.label, _fingerprint(stills))


@dataclass(frozen=True)
class _Frames:
    """Reads the frames of a clip. A class, not a closure: data loaders that start fresh processes pickle it."""

    stills: tuple[Still, ...]
    read_label: LabelReader

    def image(self, index: int) -> Image:
        return read_image(self.stills[index].image)

    def label(self, index: int) -> LabelMap | None:
        return self.read_label(self.stills[index].label)


def _header(path: Path) -> tuple[tuple[int, int], str]:
    """Size (width, height) and pixel type, without decoding."""
    try:
        with Pillow.open(path) as file:
            return file.size, file.mode
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"{path} cannot be read as an image ({error}): copy it again from the source") from error


def _pixels(path: Path, mode: str | None) -> npt.NDArray[np.uint8]:
    try:
        with Pillow.open(path) as file:
            return np.array(file if mode is None else file.convert(mode), np.uint8)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow raises SyntaxError for a broken PNG chunk
        raise DataError(f"{path} cannot be read as an image ({error}): copy it again from the source") from error


def _check_size(path: Path, expected: tuple[int, int], reference: Path) -> None:
    size = _header(path)[0]
    if size != expected:
        raise DataError(
            f"{path} is {size[0]}x{size[1]} but {reference} is {expected[0]}x{expected[1]} (width x height): "
            "expected equal sizes; take both from the same release of the dataset"
        )


def _fingerprint(stills: Sequence[Still]) -> str:
    """sha256 over names and contents of all files, whatever folder or date they have."""
    digest = hashlib.sha256()
    for still in stills:
        for path in (still.image, still.label):
            content = path.read_bytes()
            digest.update(f"{path.name}\0{len(content)}\0".encode())
            digest.update(content)
    return digest.hexdigest()


def _ranges(values: Collection[int]) -> str:
    """``0..11, 255`` for {0, ..., 11, 255}."""
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(f"{part[0]}..{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
