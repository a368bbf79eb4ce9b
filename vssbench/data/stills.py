"""Labelled stills on disk: read and checked, and joined to clips where they follow one another in
time.

For datasets that are folders of images with one annotation file an image. What a pixel of an
annotation file means is the dataset's: it passes a function that reads one annotation to class
indices.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

from vssbench.core.errors import DataError
from vssbench.core.video import Clip, Image, LabelMap
from vssbench.data.fingerprint import content_of, fingerprint
from vssbench.data.pictures import LabelReader, Size, check_size, image_size, read_image


@dataclass(frozen=True)
class Still:
    """One image with its annotation, if it has one: the sequence that it is from and its frame
    number in the source video."""

    image: Path
    label: Path | None
    sequence: str
    number: int


def check_files(pairs: Sequence[tuple[Path, Path]], remedy: str) -> None:
    """Check that every image and annotation is there.

    Raises DataError that names the first image or annotation which is not there, and how many are
    missing.
    """
    paths = [path for pair in pairs for path in pair]
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {len(paths)} files are missing, the first is {missing[0]}. {remedy}"
        )


def runs(stills: Iterable[Still], longest_gap: int) -> list[tuple[list[Still], int]]:
    """Cut stills into runs that are video. Returns (frames in time order, spacing in source frames)
    for each.

    Within a sequence the spacing is the smallest distance of two frames; a run ends where the next
    frame is further away. Where that spacing exceeds ``longest_gap`` nothing is video: every frame
    is a run by itself. Raises DataError where two stills claim the same frame.
    """
    its_runs: list[tuple[list[Still], int]] = []
    ordered = sorted(stills, key=lambda still: (still.sequence, still.number))
    for _, group in groupby(ordered, key=lambda still: still.sequence):
        frames = list(group)
        for one, other in pairwise(frames):
            if one.number == other.number:
                raise DataError(
                    f"{one.image} and {other.image} are the same frame: expected each once; put "
                    "one of them elsewhere"
                )
        spacing = min(
            (other.number - one.number for one, other in pairwise(frames)), default=longest_gap + 1
        )
        run = [frames[0]]
        for still in frames[1:]:
            if spacing > longest_gap or still.number - run[-1].number != spacing:
                its_runs.append((run, spacing))
                run = []
            run.append(still)
        its_runs.append((run, spacing))
    return its_runs


def clip_of(
    name: str,
    stills: Sequence[Still],
    fps: float,
    read_label: LabelReader,
    size: Size | None = None,
) -> Clip:
    """Return a clip of consecutive stills, checked; pixels are read again when they are asked for,
    at ``size`` where it is given.

    Raises DataError where an image and its annotation, or two frames, differ in size, or an
    annotation cannot be read.
    """
    width, height = image_size(stills[0].image)
    if size is not None and (size.height > height or size.width > width):
        raise DataError(
            f"{stills[0].image} is {height}x{width} (height x width), less than the "
            f"{size.height}x{size.width} that was asked for: frames are scaled down, never up; ask "
            "for a smaller size"
        )
    for still in stills:
        check_still(still, stills[0], read_label)
    frames = _Frames(tuple(stills), read_label, size)
    labelled = tuple(index for index, still in enumerate(stills) if still.label is not None)
    if size is not None:
        height, width = size.height, size.width
    return Clip(
        name,
        len(stills),
        height,
        width,
        fps,
        frames.image,
        frames.label,
        _fingerprint(stills, size),
        labelled=labelled,
        picture=frames.picture,
        names=tuple(still.image.stem for still in stills),
    )


def check_still(still: Still, first: Still, read_label: LabelReader) -> None:
    """Check a still against its label and the first of its clip.

    Raises DataError where it differs in size from either, or its label is wrong.
    """
    size = image_size(first.image)
    check_size(still.image, size, first.image)
    if still.label is not None:
        check_size(still.label, size, still.image)
        read_label(still.label)


@dataclass(frozen=True)
class _Frames:
    """Reads the frames of a clip. A class, not a closure: data loaders that start fresh processes
    pickle it."""

    stills: tuple[Still, ...]
    read_label: LabelReader
    size: Size | None

    def image(self, index: int) -> Image:
        pixels = read_image(self.stills[index].image)
        return pixels if self.size is None else self.size.image(pixels)

    def picture(self, index: int) -> str:
        """Return the digest of the image's file, whatever its name."""
        return content_of(self.stills[index].image)

    def label(self, index: int) -> LabelMap | None:
        path = self.stills[index].label
        if path is None:
            return None
        labels = self.read_label(path)
        return labels if self.size is None else self.size.label(labels)


def _fingerprint(stills: Sequence[Still], size: Size | None) -> str:
    """Return sha256 over names and contents of all files, whatever folder or date they have, and
    over the size asked for."""
    paths = [path for still in stills for path in (still.image, still.label) if path is not None]
    return fingerprint(paths, "" if size is None else repr(size))
