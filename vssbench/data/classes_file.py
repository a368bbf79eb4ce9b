"""The file that says what the values of one's own masks mean: names, colours, values to ignore."""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image as Pillow

from vssbench.core import reading
from vssbench.core.errors import DataError
from vssbench.core.shown import plain
from vssbench.core.video import IGNORE, LabelMap
from vssbench.data.pictures import read_ids

Colour = tuple[int, int, int]
#: words before the values to ignore
_IGNORE = "ignore:"
#: in place of a name: the value stands for no class
_NO_CLASS = "-"
#: values of a mask of 8 bits
_MOST_VALUES = 256


@dataclass(frozen=True)
class ClassList:
    """Classes with a colour and the value in masks each, and the values that masks may hold beside
    them."""

    names: tuple[str, ...]
    palette: tuple[Colour, ...]
    values: tuple[int, ...]
    ignored: tuple[int, ...]
    coloured: bool

    def reader(self) -> partial[LabelMap]:
        """Return a function that reads a mask: class indices, ignored values as 255."""
        return partial(read_mask, classes=self)


def read_classes(path: Path) -> ClassList:
    """Return a classes file: a class a line, ``NAME`` or ``NAME, RED, GREEN, BLUE``, in the order
    of the masks' values from 0.

    ``-`` in place of a name stands for a value that does not count, ``ignore: VALUE, ...`` for
    more; ``#`` begins a remark. Raises DataError that names the line.
    """
    if not path.is_file():
        raise DataError(
            f"{path} is missing: expected a text file with a class a line in the order of the "
            "masks' values, as 'road' or 'road, 128, 64, 128', and 'ignore: 255' for values that "
            "do not count"
        )
    names: list[str] = []
    values: list[int] = []
    colours: list[Colour | None] = []
    ignored: list[int] = []
    value = 0
    for number, line in enumerate(reading.read_lines(path), start=1):
        if value > _MOST_VALUES:
            raise DataError(
                f"{path} names more than {_MOST_VALUES} values: masks of 8 bits hold {IGNORE} "
                "classes at most"
            )
        text = line.partition("#")[0].strip()
        if text.lower().startswith(_IGNORE):
            ignored += [_byte(entry, path, number) for entry in text[len(_IGNORE) :].split(",")]
        elif text:
            name, colour = _entry(text, path, number)
            if name in names and name != _NO_CLASS:
                raise DataError(
                    f"{path} line {number}: the class {name!r} is named twice; give each class a "
                    "name of its own"
                )
            if name == _NO_CLASS:
                ignored.append(value)
            else:
                names.append(name)
                values.append(value)
                colours.append(colour)
            value += 1
    _check(path, names, values, ignored)
    palette = tuple(colour or _colour(place, len(names)) for place, colour in enumerate(colours))
    return ClassList(
        tuple(names), palette, tuple(values), tuple(dict.fromkeys([*ignored, IGNORE])), all(colours)
    )


def _entry(text: str, path: Path, number: int) -> tuple[str, Colour | None]:
    name, *values = (piece.strip() for piece in text.split(","))
    if not name or len(values) not in (0, 3) or name != plain(name):
        raise DataError(
            f"{path} line {number} reads {text[:80]!r}: expected NAME or NAME, RED, GREEN, BLUE"
        )
    if not values:
        return name, None
    red, green, blue = (_byte(value, path, number) for value in values)
    return name, (red, green, blue)


def _byte(text: str, path: Path, number: int) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()) or int(text) > 255:
        raise DataError(
            f"{path} line {number} has {text.strip()[:80]!r}: expected a whole number from 0 to 255"
        )
    return int(text)


def _check(path: Path, names: list[str], values: list[int], ignored: list[int]) -> None:
    if len(names) < 2 or (values and values[-1] >= IGNORE):
        raise DataError(
            f"{path} names {len(names)} classes: expected from 2 to {IGNORE}, one a line"
        )
    for name, value in zip(names, values, strict=True):
        if value in ignored:
            raise DataError(
                f"{path} ignores the value {value}, which is the class {name!r} (line by line, "
                "from 0): write - in place of a name for a value that does not count"
            )


def _colour(place: int, count: int) -> Colour:
    """Return a colour for a class that was given none."""
    red, green, blue = (
        round(255 * value) for value in colorsys.hsv_to_rgb(place / count, 0.65, 0.9)
    )
    return red, green, blue


def read_mask(path: Path, classes: ClassList) -> LabelMap:
    """Return class indices of a grey or palette PNG. Raises DataError for a value that is no class,
    or a palette that contradicts.

    A palette contradicts where the colour of one index is that of another class: the file was saved
    with its indices in another order.
    """
    values = read_ids(path, {*classes.values, *classes.ignored})
    if classes.coloured:
        _check_palette(path, classes, np.unique(values).tolist())
    table = np.full(256, IGNORE, np.uint8)
    table[list(classes.values)] = np.arange(len(classes.values), dtype=np.uint8)
    return np.take(table, values)


def _check_palette(path: Path, classes: ClassList, used: list[int]) -> None:
    with Pillow.open(path) as file:
        palette = file.getpalette("RGB") if file.mode == "P" else None
    for place, value in enumerate(classes.values):
        if palette is None or value not in used or 3 * value + 3 > len(palette):
            continue
        red, green, blue = palette[3 * value : 3 * value + 3]
        shown = (red, green, blue)
        if shown != classes.palette[place] and shown in classes.palette:
            other = classes.names[classes.palette.index(shown)]
            raise DataError(
                f"{path} shows the value {value} ({classes.names[place]!r}) in the colour of "
                f"{other!r}: its indices are in another order than the classes file; save it with "
                "the classes' own indices"
            )
