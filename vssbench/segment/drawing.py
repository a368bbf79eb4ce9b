"""Labels as pictures: an overlay on the frame, colours alone, and a legend of the classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from vssbench.core.classes import known_colours
from vssbench.core.dataset import Colour
from vssbench.core.video import Image, LabelMap
from vssbench.lettering import font_file

Palette = npt.NDArray[np.uint8]

#: the legend: grounds, letters, and its letters' height as a share of the picture's width, in
#: pixels no less than LEAST
GROUND, LETTERS, SHARE, LEAST = (28, 28, 28), (235, 235, 235), 1 / 68, 10
#: share of white on the outlines of regions, and the width of a picture from which on they are two
#: pixels wide
OUTLINE, WIDE = 0.65, 1000


def palette_of(classes: Sequence[str], own: Sequence[Colour] = ()) -> Palette:
    """Return the colours of the classes, uint8 (256, 3): their ``own`` where they are known.

    Else they are those of the datasets that name the classes, PASCAL VOC's colour map for others.

    A colour that is taken already is passed over; values that stand for no class are black.
    """
    if own:
        return np.pad(np.array(own, np.uint8), ((0, 256 - len(own)), (0, 0)))
    known = known_colours()
    colours = [known.get(name) for name in classes]
    spare = (colour for colour in map(_spread_bits, range(1, 256)) if colour not in colours)
    palette = np.zeros((256, 3), np.uint8)
    for index, colour in enumerate(colours):
        palette[index] = colour if colour is not None else next(spare)
    return palette


def _spread_bits(index: int) -> Colour:
    """Return PASCAL VOC's colour of a class.

    Its bits are dealt out to red, green and blue, the highest first.
    """
    red = green = blue = 0
    for place in range(7, -1, -1):
        red, green, blue = (
            red | (index & 1) << place,
            green | (index >> 1 & 1) << place,
            blue | (index >> 2 & 1) << place,
        )
        index >>= 3
    return red, green, blue


@dataclass(frozen=True)
class Painter:
    """Draws labels in ``palette``; an overlay lets ``1 - alpha`` of the picture through. ``legend``
    names the classes below."""

    classes: tuple[str, ...]
    palette: Palette
    alpha: float = 0.5
    legend: bool = False

    def overlay(self, image: Image, labels: LabelMap) -> Image:
        """Return the frame (H, W, 3), tinted by its labels (H, W); regions are outlined."""
        weight = round(256 * self.alpha)
        tint = self.palette.astype(np.uint16)
        blended = image.astype(np.uint16)
        blended *= np.uint16(256 - weight)
        blended += np.take(tint * np.uint16(weight), labels, axis=0)
        blended >>= 8
        result = blended.astype(np.uint8)
        if 0 < self.alpha < 1:
            edge = outline(labels, image.shape[1] >= WIDE)
            result[edge] = (255 * OUTLINE + (1 - OUTLINE) * result[edge]).astype(np.uint8)
        return self._with_legend(result)

    def colours(self, labels: LabelMap) -> Image:
        """Return the labels in their colours alone."""
        return self._with_legend(np.take(self.palette, labels, axis=0))

    def indexed(self, labels: LabelMap) -> Pillow.Image:
        """Return the labels as an indexed picture: a pixel's value is its class."""
        picture = Pillow.fromarray(labels, "L")
        picture.putpalette(self.palette[: len(self.classes)].tobytes())
        return picture

    def _with_legend(self, image: Image) -> Image:
        return np.concatenate([image, self._strip(image.shape[1])]) if self.legend else image

    def _strip(self, width: int) -> Image:
        if width not in self._strips:
            self._strips[width] = legend(self.classes, self.palette, width)
        return self._strips[width]

    @cached_property
    def _strips(self) -> dict[int, Image]:
        return {}


def outline(labels: LabelMap, wide: bool = False) -> npt.NDArray[np.bool_]:
    """Return the pixels whose right or lower neighbour is of another class; where ``wide``, whose
    left or upper one is, too."""
    edge = np.zeros(labels.shape, np.bool_)
    across, down = labels[:, 1:] != labels[:, :-1], labels[1:] != labels[:-1]
    edge[:, :-1] |= across
    edge[:-1] |= down
    if wide:
        edge[:, 1:] |= across
        edge[1:] |= down
    return edge


def _font(classes: Sequence[str], size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's own font, or one that has the letters of the names beyond ASCII."""
    if all(map(str.isascii, classes)):
        return ImageFont.load_default(size)
    return ImageFont.truetype(font_file(classes), size)


def legend(classes: Sequence[str], palette: Palette, width: int) -> Image:
    """Return a strip (h, width, 3): a patch of colour and the name of each class, in columns of
    equal width."""
    size = max(LEAST, round(width * SHARE))
    font = _font(classes, size)
    patch, gap = size, round(0.6 * size)
    longest = max(font.getlength(name) for name in classes)
    cell = int(patch + gap + longest + 2 * gap)
    columns = max(1, min(len(classes), (width - gap) // cell))
    rows = -(-len(classes) // columns)
    # no row much shorter than the others
    columns = -(-len(classes) // rows)
    cell = max(cell, (width - gap) // columns) if rows > 1 else cell
    line = round(1.7 * size)
    strip = Pillow.new("RGB", (width, rows * line + 2 * (gap // 2)), GROUND)
    draw = ImageDraw.Draw(strip)
    for index, name in enumerate(classes):
        left, middle = gap + index % columns * cell, gap // 2 + index // columns * line + line // 2
        draw.rectangle(
            (left, middle - patch // 2, left + patch, middle + patch // 2),
            tuple(palette[index].tolist()),
            LETTERS,
        )
        draw.text((left + patch + gap, middle), name, LETTERS, font, anchor="lm")
    return np.asarray(strip)
