"""Still pictures read within bounds: RGB frames and lossless labels, or a refusal in words."""

from __future__ import annotations

import os
import re
import struct
import sys
import warnings
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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
#: the largest value of 16 bits
_DEEP = 65535
#: types of pixels that are no light: inks, and colours apart from a screen's
_INKS = ("CMYK", "LAB", "HSV")
#: EXIF's number of the way up; those whose rows are the picture's columns; the direction in which
#: rows and columns are read then
_EXIF_ORIENTATION = 0x0112
_LYING = (5, 6, 7, 8)
_FLIPS = {2: (1, -1), 3: (-1, -1), 4: (-1, 1), 6: (1, -1), 7: (-1, -1), 8: (-1, 1)}
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
        """Return an image (H, W, 3) at this size."""
        picture = Pillow.fromarray(pixels).resize((self.width, self.height), Pillow.Resampling.BOX)
        return np.asarray(picture, np.uint8)

    def label(self, labels: LabelMap) -> LabelMap:
        """Return a label map (H, W) at this size, if labels are scaled."""
        if not self.labels:
            return labels
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(np.intp)
            for new, old in zip((self.height, self.width), labels.shape, strict=True)
        )
        return np.ascontiguousarray(labels[rows[:, None], columns])


def read_image(path: Path) -> Image:
    """Return the image as uint8 RGB (H, W, 3), the right way up; 16 bits are scaled to 8.

    Raises DataError where the file is no image or is cut short, its values have no known range
    (32-bit numbers), its colours are inks, or pixels of it are transparent.
    """
    return _pixels(path, _frame)


def read_ids(path: Path, allowed: Collection[int]) -> LabelMap:
    """Return an annotation of class indices, uint8 (H, W). Raises DataError that names a value
    which is not ``allowed``, and for a file that does not keep every value."""
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
    """Return an annotation of colours, uint8 RGB (H, W, 3). Raises DataError where the file holds
    grey values, or does not keep every value."""
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
    """Return width and height of an image, without decoding it. Raises DataError where the file is
    no image."""
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
            width, height = file.size
            size = (height, width) if _orientation(file) in _LYING else (width, height)
            return _Header(size, file.mode, file.format or "", compression)
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


def _frame(file: ImageFile) -> Image:
    """Convert an open frame to RGB. Raises DataError for colours that mean nothing by themselves:
    inks, transparent pixels, values of unknown range."""
    name = os.fsdecode(file.filename)
    if file.mode in _INKS:
        raise DataError(
            f"{name} has colours of type {file.mode}, which no screen has as they are: expected "
            "RGB or grey; convert it by its colour profile"
        )
    key, pixels = file.info.get("transparency"), _rgb(file)
    if file.has_transparency_data and _is_transparent(file, key):
        raise DataError(
            f"{name} has transparent pixels, whose colour is not known: expected opaque frames; "
            "lay it on a background"
        )
    return pixels


def _is_transparent(file: ImageFile, key: Any) -> bool:
    """Return whether a pixel of an open image lets something through."""
    deep = _deep(file)
    if deep is not None and deep.shape[-1] == 3:
        return bool((deep == key).all(-1).any())
    if deep is not None:
        return bool(deep[..., 3].min() < _DEEP)
    if file.mode.startswith("I"):
        return bool((np.array(file) == key).any())
    return bool(np.array(file.convert("RGBA"))[..., 3].min() < 255)


def _rgb(file: ImageFile) -> Image:
    """Convert an open image to RGB. Raises DataError for values of unknown range."""
    if file.mode.startswith("I;16") or (file.mode == "I" and file.format in _SIXTEEN_BITS):
        return np.repeat(_to_8_bits(np.array(file))[..., None], 3, -1)
    if file.mode in ("I", "F"):
        raise DataError(
            f"{os.fsdecode(file.filename)} has pixels of type {file.mode} (32-bit numbers), whose "
            "range is not known: expected an image of 8 or 16 bits a channel; convert it"
        )
    deep = _deep(file)
    if deep is not None:
        return _to_8_bits(deep[..., :3])
    if file.mode == "P" and "transparency" in file.info:  # of which Pillow warns
        return np.ascontiguousarray(np.array(file.convert("RGBA"), np.uint8)[..., :3])
    return np.array(file.convert("RGB"), np.uint8)


def _to_8_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Scale 16 bits to 8, to the nearest."""
    return ((values.astype(np.uint32) * 255 + _DEEP // 2) // _DEEP).astype(np.uint8)


def _deep(file: ImageFile) -> npt.NDArray[np.uint16] | None:
    """Return colours of 16 bits (H, W, 3 or 4) as they are stored; None where an image has none.

    Pillow keeps the upper byte of each and drops the other, which it takes for the upper one where
    it is told that the bytes come in the other order.
    """
    layout = _layout(file)
    match = re.fullmatch(r"(RGB|RGBA|LA);16([BLN])", layout)
    if match is None:
        return None
    with Pillow.open(file.filename) as again:
        if match[1] == "LA":  # two values of two bytes, read as four of one
            _lay_out(again, layout, "RGBA")
            parts = np.array(again).astype(np.uint16)
            grey, alpha = (parts[..., at] << 8 | parts[..., at + 1] for at in (0, 2))
            return np.stack([grey, grey, grey, alpha], -1)
        little = match[2] == "L" or (match[2] == "N" and sys.byteorder == "little")
        _lay_out(again, layout, f"{match[1]};16{'B' if little else 'L'}")
        low = np.array(again)
    with Pillow.open(file.filename) as again:
        return np.array(again).astype(np.uint16) << 8 | low


def _layout(file: ImageFile) -> str:
    """Return Pillow's name of how the bytes of an image that is not decoded yet lie in the file."""
    arguments = file.tile[0][3] if file.tile else ""
    return str(arguments if isinstance(arguments, str) else next(iter(arguments or ()), ""))


def _lay_out(file: ImageFile, old: str, new: str) -> None:
    """Let an image that is not decoded yet be read as if its bytes lay in another way."""
    file.tile = [
        tile._replace(
            args=tuple(new if each == old else each for each in tile.args)
            if isinstance(tile.args, tuple)
            else new
        )
        for tile in file.tile
    ]


def _orientation(file: ImageFile) -> int:
    """Return which way up an open image lies, by its EXIF data: 1 to 8, 1 for the right way. Pillow
    turns TIFF by itself."""
    if file.format == "TIFF" or "exif" not in file.info:
        return 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of data that are cut
        return int(file.getexif().get(_EXIF_ORIENTATION, 1))


def _upright(pixels: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn and mirror an image (H, W, ...) that lies as EXIF says."""
    if orientation in _LYING:
        pixels = pixels.swapaxes(0, 1)
    rows, columns = _FLIPS.get(orientation, (1, 1))
    return np.ascontiguousarray(pixels[::rows, ::columns])


def _pixels(
    path: Path, convert: Callable[[ImageFile], npt.NDArray[np.uint8]]
) -> npt.NDArray[np.uint8]:
    try:
        with _opened(path) as file:
            orientation = _orientation(file)
            pixels = convert(file)
            return pixels if orientation == 1 else _upright(pixels, orientation)
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
