"""Labelled stills on disk: read and checked, and joined to clips where they follow one another in
time.

For datasets that are folders of images with one annotation file an image. What a pixel of an
annotation file means is the dataset's: it passes a function that reads one annotation to class
indices.
"""

from __future__ import annotations

import hashlib
import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL.ImageFile import ImageFile

from vssbench.core import reading
from vssbench.core.bounds import PIXELS
from vssbench.core.errors import DataError
from vssbench.core.shown import encoded
from vssbench.core.video import Clip, Image, LabelMap

#: formats, as Pillow names them, that keep every value of a mask; TIFF does but for some ways of
#: compression
_LOSSLESS = ("PNG", "BMP", "DIB", "PPM", "GIF", "TGA", "PCX", "TIFF")
_LOSSY_TIFF = ("jpeg", "tiff_jpeg", "webp")
#: formats whose 32-bit pixels of Pillow are of 16 bits in the file
_SIXTEEN_BITS = ("PNG", "PPM")
#: what damaged files give in Pillow: SyntaxError for a broken PNG chunk, struct.error for a header
#: that is cut, others from its plug-ins
_ERRORS = (
    OSError, SyntaxError, ValueError, TypeError, KeyError, IndexError, EOFError, OverflowError,
    AttributeError, NotImplementedError, MemoryError, RuntimeError, ZeroDivisionError, struct.error,
    zlib.error, Pillow.DecompressionBombError,
)  # fmt: skip
#: bytes read at a time
_CHUNK = 1 << 20

#: reads one annotation file to class indices, uint8 (H, W); raises DataError where a pixel has no
#: meaning
LabelReader = Callable[[Path], LabelMap]


@dataclass(frozen=True)
class Still:
    """One image with its annotation, if it has one: the sequence that it is from and its frame
    number in the source video."""

    image: Path
    label: Path | None
    sequence: str
    number: int


@dataclass(frozen=True)
class Size:
    """A size (height, width) in pixels to which frames are scaled down as the mean of the area of
    each new pixel.

    ``labels`` says whether labels are scaled too, each new pixel taking the label at its middle;
    otherwise they keep their size, and predictions are scaled up to it.
    """

    height: int
    width: int
    labels: bool = True

    def image(self, pixels: Image) -> Image:
        """An image (H, W, 3) at this size."""
        picture = Pillow.fromarray(pixels).resize((self.width, self.height), Pillow.Resampling.BOX)
        return np.asarray(picture, np.uint8)

    def label(self, labels: LabelMap) -> LabelMap:
        """A label map (H, W) at this size, if labels are scaled."""
        if not self.labels:
            return labels
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(np.intp)
            for new, old in zip((self.height, self.width), labels.shape, strict=True)
        )
        return np.ascontiguousarray(labels[rows[:, None], columns])


def read_image(path: Path) -> Image:
    """The image as uint8 RGB (H, W, 3); grey of 16 bits is scaled to 8.

    Raises DataError where the file is no image or is cut short, or its values have no known range
    (32-bit numbers).
    """
    return _pixels(path, _rgb)


def read_ids(path: Path, allowed: Collection[int]) -> LabelMap:
    """An annotation of class indices, uint8 (H, W). Raises DataError that names a value which is
    not ``allowed``, and for a file that does not keep every value."""
    mode = _check_lossless(path)
    if mode not in ("L", "P"):
        raise DataError(
            f"{path} has pixels of type {mode}: expected one 8-bit class index a pixel (type L or "
            "P); if these are colours, put them where the dataset's layout has its colour labels"
        )
    labels = _pixels(path, np.array)
    for value in np.unique(labels).tolist():
        if value not in allowed:
            y, x = np.argwhere(labels == value)[0]
            raise DataError(
                f"{path} holds the label {value}, first at x={x} y={y}: allowed are "
                f"{_ranges(allowed)}; check that the annotations are class indices of this dataset"
            )
    return labels


def read_colours(path: Path) -> npt.NDArray[np.uint8]:
    """An annotation of colours, uint8 RGB (H, W, 3). Raises DataError where the file holds grey
    values, or does not keep every value."""
    mode = _check_lossless(path)
    if mode not in ("RGB", "RGBA", "P"):
        raise DataError(
            f"{path} has pixels of type {mode}: expected colours (type RGB); are these class "
            "indices?"
        )
    return _pixels(path, _rgb)


def read_png(path: Path, modes: Collection[str]) -> tuple[str, str, npt.NDArray | None]:
    """Return an image's format and pixel type, and where it is a PNG of one of these types its
    values as they are stored, else None. Raises DataError where it does not read."""
    header = _header(path)
    wanted = header.format == "PNG" and header.mode in modes
    return header.format, header.mode, _pixels(path, np.array) if wanted else None


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
                    f"{one.image} and {other.image} are the same frame: expected each once; remove "
                    "one"
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
    """A clip of consecutive stills, checked; pixels are read again when they are asked for, at
    ``size`` where it is given.

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


def image_size(path: Path) -> tuple[int, int]:
    """Width and height of an image, without decoding it. Raises DataError where the file is no
    image."""
    return _header(path).size


@dataclass(frozen=True)
class _Header:
    """An image's header: width and height, Pillow's names of its pixel type and format, and its
    compression where the format has several."""

    size: tuple[int, int]
    mode: str
    format: str
    compression: str


def _header(path: Path) -> _Header:
    """Read an image's header, without decoding."""
    try:
        reading.check_readable(path)
        with _opened(path) as file:
            compression = str(file.info.get("compression", ""))
            return _Header(file.size, file.mode, file.format or "", compression)
    except _ERRORS as error:
        raise _unreadable(path, error) from error


@contextmanager
def _opened(path: Path) -> Iterator[ImageFile]:
    """Open an image of no more pixels than the bound; nothing is decoded yet."""
    with warnings.catch_warnings():
        # Pillow's own bound, which knows two steps and no setting; ours stands below it
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        try:
            file = Pillow.open(path)
        except Pillow.DecompressionBombError as error:
            found = re.search(r"\((\d+) pixels\)", str(error))
            PIXELS.check(int(found[1]) if found else 0, str(path))
            raise
        with file:
            width, height = file.size
            PIXELS.check(height * width, f"{path} is {width}x{height}")
            yield file


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(
        reading.fault_elsewhere(path, error)
        or f"{path} cannot be read as an image ({_first_line(error)}): copy it again from the "
        "source"
    )


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:200] or type(error).__name__


def _check_lossless(path: Path) -> str:
    """Return the pixel type of an annotation. Raises DataError where its format changes values."""
    header = _header(path)
    lossy = header.format == "TIFF" and header.compression in _LOSSY_TIFF
    if lossy or header.format not in _LOSSLESS:
        kind = f"{header.format} with {header.compression} inside" if lossy else header.format
        raise DataError(
            f"{path} is {kind}, which changes values as it is saved: expected a lossless format "
            "for annotations; take the PNG that they were published as, or export it again"
        )
    return header.mode


def _rgb(file: ImageFile) -> npt.NDArray[np.uint8]:
    """Convert an open image to RGB. Raises DataError for values of unknown range."""
    if file.mode.startswith("I;16") or (file.mode == "I" and file.format in _SIXTEEN_BITS):
        values = np.array(file).astype(np.uint32)
        grey = ((values * 255 + 32767) // 65535).astype(np.uint8)
        return np.repeat(grey[..., None], 3, -1)
    if file.mode in ("I", "F"):
        raise DataError(
            f"{os.fsdecode(file.filename)} has pixels of type {file.mode} (32-bit numbers), whose "
            "range is not known: expected an image of 8 or 16 bits a channel; convert it"
        )
    return np.array(file.convert("RGB"), np.uint8)


def _pixels(
    path: Path, convert: Callable[[ImageFile], npt.NDArray[np.uint8]]
) -> npt.NDArray[np.uint8]:
    try:
        with _opened(path) as file:
            return convert(file)
    except _ERRORS as error:
        raise _unreadable(path, error) from error


def check_size(path: Path, expected: tuple[int, int], reference: Path) -> None:
    """Check an image's width and height.

    Raises DataError where they are not the expected ones, which are those of ``reference``.
    """
    size = image_size(path)
    if size != expected:
        raise DataError(
            f"{path} is {size[0]}x{size[1]} but {reference} is {expected[0]}x{expected[1]} (width "
            "x height): expected equal sizes; take both from the same release of the dataset"
        )


def _fingerprint(stills: Sequence[Still], size: Size | None) -> str:
    """sha256 over names and contents of all files, whatever folder or date they have, and over the
    size asked for."""
    paths = [path for still in stills for path in (still.image, still.label) if path is not None]
    return fingerprint(paths, "" if size is None else repr(size))


def content_of(path: Path) -> str:
    """Return the sha256 of a file's content. Raises DataError where it cannot be read."""
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise _unreadable(path, error) from error


def fingerprint(paths: Iterable[Path], more: str = "") -> str:
    """sha256 over names and contents of files, and ``more``. Raises DataError for one that cannot
    be read."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(encoded(f"{path.name}\0{path.stat().st_size}\0"))
            with path.open("rb") as content:
                while chunk := content.read(_CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise _unreadable(path, error) from error
    digest.update(more.encode())
    return digest.hexdigest()


def _ranges(values: Collection[int]) -> str:
    """Format numbers as ranges: ``0..11, 255`` for {0, ..., 11, 255}."""
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(f"{part[0]}..{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
