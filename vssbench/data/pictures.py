"""Still pictures read within bounds: RGB frames and lossless labels, or a refusal in words."""

from __future__ import annotations

import os
import re
import struct
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL.ImageFile import ImageFile

from vssbench.core import reading
from vssbench.core.bounds import PIXELS
from vssbench.core.errors import DataError
from vssbench.core.video import Image, LabelMap

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

#: reads one annotation file to class indices, uint8 (H, W); raises DataError where a pixel has no
#: meaning
LabelReader = Callable[[Path], LabelMap]


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
        raise unreadable(path, error) from error


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


def unreadable(path: Path, error: Exception) -> DataError:
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
        raise unreadable(path, error) from error


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


def _ranges(values: Collection[int]) -> str:
    """Format numbers as ranges: ``0..11, 255`` for {0, ..., 11, 255}."""
    parts: list[list[int]] = []
    for value in sorted(values):
        if parts and value == parts[-1][-1] + 1:
            parts[-1].append(value)
        else:
            parts.append([value])
    return ", ".join(f"{part[0]}..{part[-1]}" if len(part) > 1 else str(part[0]) for part in parts)
