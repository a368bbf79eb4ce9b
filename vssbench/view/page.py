"""A page to draw on: lengths in units of its width, fonts, and arrows as keys of a legend."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

from vssbench.lettering import font_file
from vssbench.view.overlay import Colour, outlines

#: units across a page
UNITS = 960
WHITE: Colour = (255, 255, 255)
INK: Colour = (34, 34, 34)
FAINT: Colour = (115, 115, 115)
RULE: Colour = (224, 224, 224)
_SMOOTH = 4


@dataclass(frozen=True)
class Page:
    """Measures of a page ``width`` pixels wide; a unit is 1/960 of that."""

    width: int

    def px(self, units: float) -> int:
        """Convert a length to whole pixels, at least 1."""
        return max(1, round(units * self.width / UNITS))

    def font(self, units: float, bold: bool = False) -> ImageFont.FreeTypeFont:
        """Return the font of the other figures, so many units high."""
        return _font(self.px(units), bold)

    def font_of(self, text: str, units: float) -> ImageFont.FreeTypeFont:
        """Return a font that has the letters of a text, so many units high."""
        return ImageFont.truetype(font_file([text]), self.px(units))

    def fitted(self, text: str, units: float, room: float) -> str:
        """Return the text, cut with dots where it is longer than ``room`` pixels."""
        font = self.font_of(text, units)
        if font.getlength(text) <= room:
            return text
        while text and font.getlength(text + "...") > room:
            text = text[:-1]
        return text + "..." if text else ""


@cache
def _font(size: int, bold: bool) -> ImageFont.FreeTypeFont:
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def key_arrow(
    canvas: Pillow.Image, x: float, middle: float, length: int, thickness: float, colour: Colour
) -> None:
    """Draw an arrow to the right, as those on the frame."""
    height = max(8, round(6 * thickness))
    mask = Pillow.new("L", ((length + height) * _SMOOTH, height * _SMOOTH), 0)
    tail = np.array([[height / 2, height / 2]]) * _SMOOTH
    shape = outlines(tail, np.array([[length * _SMOOTH, 0.0]]), thickness * _SMOOTH)
    ImageDraw.Draw(mask).polygon(shape.ravel().tolist(), fill=255)
    mask = mask.reduce(_SMOOTH)
    canvas.paste(colour, (round(x - height / 2), round(middle - height / 2)), mask)
