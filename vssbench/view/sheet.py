"""The sheet around a drawn frame: what it is above, a legend in words and the bits of every frame
below."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from PIL import Image as Pillow
from PIL import ImageDraw

from vssbench.codec.rate import format_rate
from vssbench.codec.spec import Codec
from vssbench.core.video import Clip, Frame
from vssbench.lettering import written
from vssbench.view.overlay import INTRA, REFERENCES, Colour, Overlay
from vssbench.view.page import FAINT, INK, RULE, UNITS, WHITE, Page, key_arrow

#: picture type -> colour: intra amber as on the frame, predicted from the past blue, from both
#: sides green
TYPES: dict[str, Colour] = {"I": INTRA, "P": (0, 90, 200), "B": (0, 135, 95)}
#: units: margin, height of the title, the legend and the strip
MARGIN, TITLE, LEGEND, STRIP = 16, 52, 40, 146
#: units: left end of the bars, their top and bottom below the strip's top; least width of a bar
#: with its gap
_BARS_LEFT, _BARS_TOP, _BARS_BOTTOM, _LEAST_BAR = 310, 30, 116, 3.2
#: how far the bars of frames that are not shown fade into white
_FADE = 0.55
_Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class Coded:
    """A frame as the strip shows it: picture type, distance to its keyframe, bits, PSNR in dB."""

    picture_type: str
    distance: int
    bits: int
    psnr_db: float


@dataclass
class Sheet:
    """Draws the frames of one stream. ``coded`` is all of it, ``kinds`` the REFERENCES that occur,
    None without vectors."""

    clip: Clip
    codec: Codec
    coded: Sequence[Coded]
    overlay: Overlay
    kinds: Collection[str] | None = None
    _ground: tuple[tuple[int, int], Pillow.Image] | None = field(default=None, init=False)

    def draw(self, frame: Frame) -> Pillow.Image:
        """Return the sheet of one frame, of even height."""
        picture = self.overlay.draw(frame)
        page = Page(picture.width + picture.width % 2)
        window = self._window(page, frame.index)
        if self._ground is None or self._ground[0] != window:
            self._ground = window, self._without_frame(page, picture.height, window)
        canvas = self._ground[1].copy()
        canvas.paste(picture, (0, page.px(TITLE)))
        top, draw = page.px(TITLE) + picture.height + page.px(LEGEND), ImageDraw.Draw(canvas)
        self._facts(page, draw, frame, top)
        self._bars(page, draw, top, window, [frame.index], shown=True)
        return canvas

    def contact(self, frames: Sequence[Frame]) -> Pillow.Image:
        """Return several frames on one sheet, each with its type, number and bits; the bars of all
        of them stand out."""
        tiles = [self.overlay.draw(frame) for frame in frames]
        columns = len(tiles) if len(tiles) <= 3 else math.ceil(math.sqrt(len(tiles)))
        width, height = tiles[0].size
        gap, small = width // 60, Page(width)
        caption = small.px(74)
        page = Page(columns * (width + gap) - gap + (columns * (width + gap) - gap) % 2)
        below = math.ceil(len(tiles) / columns) * (caption + height + gap)
        first = frames[0].index - frames[0].distance
        window = (
            first,
            min(len(self.coded), first + max(self._most_bars(page), frames[-1].index + 1 - first)),
        )
        canvas = self._without_frame(page, below, window)
        draw = ImageDraw.Draw(canvas)
        for place, (frame, tile) in enumerate(zip(frames, tiles, strict=True)):
            x, y = (
                place % columns * (width + gap),
                page.px(TITLE) + place // columns * (caption + height + gap),
            )
            canvas.paste(tile, (x, y + caption))
            _caption(small, draw, frame, x, y, caption)
        top = page.px(TITLE) + below + page.px(LEGEND)
        draw.text((page.px(MARGIN), top + page.px(40)),
        f"frames {frames[0].index} to {frames[-1].index}", INK,
                  page.font(19, bold=True), anchor="lm")  # fmt: skip
        bits = sum(frame.bits for frame in frames)
        draw.text(
            (page.px(MARGIN), top + page.px(66)),
            f"{kilobits(bits)} kbit together",
            INK,
            page.font(14),
            anchor="lm",
        )
        self._bars(page, draw, top, window, [frame.index for frame in frames], shown=True)
        return canvas

    def _without_frame(self, page: Page, height: int, window: tuple[int, int]) -> Pillow.Image:
        """Draw all that several frames share.

        It leaves room ``height`` pixels high for what is shown.
        """
        legend = page.px(TITLE) + height
        total = legend + page.px(LEGEND) + page.px(STRIP)
        canvas = Pillow.new("RGB", (page.width, total + total % 2), WHITE)
        draw = ImageDraw.Draw(canvas)
        self._title(page, draw)
        self._legend(page, canvas, legend + page.px(LEGEND) // 2)
        top = legend + page.px(LEGEND)
        self._axes(page, draw, top, window)
        self._bars(page, draw, top, window, range(*window), shown=False)
        return canvas

    def _title(self, page: Page, draw: ImageDraw.ImageDraw) -> None:
        """Draw codec and clip on the left, measured rate and quality on the right."""
        middle, margin, font = page.px(TITLE) // 2, page.px(MARGIN), page.font(14)
        codec = self.codec.describe()
        draw.text((margin, middle), codec, INK, page.font(20, bold=True), anchor="lm")
        measured = self._measured()
        draw.text((page.width - margin, middle + page.px(2)), measured, INK, font, anchor="rm")
        left = 2 * margin + page.font(20, bold=True).getlength(codec)
        room = page.width - 2 * margin - font.getlength(measured) - left
        (name,), _ = written([self.clip.name])
        clip = f"{name}, {self.clip.width}x{self.clip.height}, GOP {self.codec.gop}"
        text, own = page.fitted(clip, 14, room), page.font_of(clip, 14)
        draw.text((left, middle + page.px(2)), text, FAINT, own, anchor="lm")

    def _measured(self) -> str:
        fps = float(getattr(self.codec, "fps", 0) or self.clip.fps)
        rate = sum(each.bits for each in self.coded) * fps / len(self.coded)
        words = f"measured {format_rate(int(float(f'{rate:.3g}')))}"
        quality = sum(each.psnr_db for each in self.coded) / len(self.coded)
        return f"{words}, {quality:.1f} dB" if math.isfinite(quality) else words

    def _legend(self, page: Page, canvas: Pillow.Image, middle: int) -> None:
        """Draw the meaning of arrows and colours: one line, in letters as small as it needs."""
        lead, keys = self._words()
        room = page.width - 2 * page.px(MARGIN)
        for size in (13.0, 12.0, 11.0, 10.0, 9.0, 8.0):
            font, key, gap = page.font(size), page.px(2 * size), page.px(1.5 * size)
            if (
                font.getlength(lead)
                + sum(gap + 1.3 * key + font.getlength(words) for words, _ in keys)
                < room
            ):
                break
        draw, x = ImageDraw.Draw(canvas), float(page.px(MARGIN))
        draw.text((x, middle), lead, FAINT, font, anchor="lm")
        x += font.getlength(lead) + gap
        for words, colour in keys:
            if colour is INTRA:
                half = page.px(size / 2)
                draw.rectangle((x, middle - half, x + 0.9 * key, middle + half), _faded(INTRA, 0.4))
            else:
                key_arrow(canvas, x, middle, key, size / 7 * page.width / UNITS, colour)
            draw.text((x + 1.3 * key, middle), words, INK, font, anchor="lm")
            x += 1.3 * key + font.getlength(words) + gap

    def _words(self) -> tuple[str, list[tuple[str, Colour]]]:
        """Return the legend's opening, and its keys."""
        if self.kinds is None:
            return "no motion vectors", []
        if not self.kinds:
            return "no vectors: every block is intra", []
        times = self.overlay.exaggeration
        long = (
            ""
            if times == 1
            else f", {times:g}x as long"
            if times > 1
            else f", 1/{1 / times:g} as long"
        )
        if self.overlay.field == "keyframe":
            keys = [("intra, filled in", INTRA)] if self.overlay.largest else []
            return f"arrows lead to the same place in the keyframe{long}{':' * bool(keys)}", keys
        references = [
            (REFERENCES[kind][1], REFERENCES[kind][0]) for kind in REFERENCES if kind in self.kinds
        ]
        if not self.overlay.largest:
            return f"arrows lead to the same place, by estimated motion{long}:", references
        return f"arrows lead to where a block comes from{long}:", [
            *references,
            ("intra, no vector", INTRA),
        ]

    def _facts(self, page: Page, draw: ImageDraw.ImageDraw, frame: Frame, top: int) -> None:
        """Draw the frame in figures, on the left of the strip."""
        left, side = page.px(MARGIN), page.px(66)
        _badge(page, draw, frame.picture_type, left, top + page.px(8), side)
        text = left + side + page.px(14)
        bits = f"{kilobits(frame.bits)} kbit"
        since = f"{frame.distance} after its keyframe" if frame.distance else "keyframe"
        draw.text(
            (text, top + page.px(20)),
            f"frame {frame.index}",
            INK,
            page.font(20, bold=True),
            anchor="lm",
        )
        draw.text((text, top + page.px(44)), since, INK, page.font(14), anchor="lm")
        draw.text((text, top + page.px(65)), bits, INK, page.font(14), anchor="lm")
        below = (
            [f"PSNR {frame.psnr_db:.1f} dB, SSIM {frame.ssim:.3f}"]
            if math.isfinite(frame.psnr_db)
            else []
        )
        if frame.motion is not None and frame.distance:
            below.append(f"intra: {frame.motion.intra_share:.1%} of the frame")
        for line, words in enumerate(below):
            draw.text(
                (left, top + page.px(95 + 20 * line)), words, FAINT, page.font(13), anchor="lm"
            )

    def _axes(
        self, page: Page, draw: ImageDraw.ImageDraw, top: int, window: tuple[int, int]
    ) -> None:
        """Draw the scale of the bars, the keyframes' numbers, and which colour is which type."""
        left, upper, right, lower = _bars_box(page, top)
        most = max(each.bits for each in self.coded[slice(*window)]) or 1
        for value in _ticks(most):
            y = lower - (lower - upper) * value / most
            draw.line((left, y, right, y), RULE if value else FAINT, page.px(1))
            draw.text((left - page.px(6), y), kilobits(value), FAINT, page.font(11), anchor="rm")
        draw.text((left, upper - page.px(14)), "kbit a frame", FAINT, page.font(12), anchor="lm")
        x, middle, half = right, upper - page.px(14), page.px(5)
        for letter in reversed(
            [name for name in TYPES if any(each.picture_type == name for each in self.coded)]
        ):
            draw.text((x, middle), letter, INK, page.font(12), anchor="rm")
            x -= page.px(13)
            draw.rectangle((x - 2 * half, middle - half, x, middle + half), TYPES[letter])
            x -= page.px(26)
        keyframes = [index for index in range(*window) if self.coded[index].distance == 0]
        for index in keyframes[:: math.ceil(len(keyframes) / 12)]:
            start, end = _bar_sides(index, window, left, right)
            # the mark of the frame that is shown has its place just below the bars
            draw.text(
                ((start + end) / 2, lower + page.px(19)),
                str(index),
                FAINT,
                page.font(11),
                anchor="mm",
            )

    def _bars(
        self,
        page: Page,
        draw: ImageDraw.ImageDraw,
        top: int,
        window: tuple[int, int],
        indices: Sequence[int],
        shown: bool,
    ) -> None:
        """Draw bars of the frames ``indices``: in full colour where they are shown, one alone with
        a mark, else faded."""
        left, upper, right, lower = _bars_box(page, top)
        most = max(each.bits for each in self.coded[slice(*window)]) or 1
        for index in indices:
            colour = TYPES.get(self.coded[index].picture_type, FAINT)
            start, end = _bar_sides(index, window, left, right)
            height = (lower - upper) * self.coded[index].bits / most
            draw.rectangle(
                (start, lower - height, max(start, end - 1), lower),
                colour if shown else _faded(colour, _FADE),
            )
            if shown and len(indices) == 1:
                middle, tip = (start + end) / 2, lower + page.px(3)
                draw.polygon(
                    (
                        middle,
                        tip,
                        middle - page.px(5),
                        tip + page.px(8),
                        middle + page.px(5),
                        tip + page.px(8),
                    ),
                    INK,
                )

    def _window(self, page: Page, index: int) -> tuple[int, int]:
        """Return the frames whose bars fit: all, or as many whole GOPs around this frame."""
        most = self._most_bars(page)
        if len(self.coded) <= most:
            return 0, len(self.coded)
        span = max(1, most // self.codec.gop) * self.codec.gop
        return index // span * span, min(index // span * span + span, len(self.coded))

    def _most_bars(self, page: Page) -> int:
        left, _, right, _ = _bars_box(page, 0)
        return int((right - left) / (_LEAST_BAR * page.width / UNITS))


def kilobits(bits: float) -> str:
    """Format bits in kbit, with a decimal where it counts."""
    return f"{bits / 1000:.1f}" if 0 < bits < 100_000 and bits % 1000 else f"{bits / 1000:,.0f}"


def _caption(
    page: Page, draw: ImageDraw.ImageDraw, frame: Frame, x: int, y: int, height: int
) -> None:
    side = height - page.px(18)
    _badge(page, draw, frame.picture_type, x, y + page.px(9), side)
    middle, text = y + height // 2, x + side + page.px(16)
    draw.text((text, middle), f"frame {frame.index}", INK, page.font(32, bold=True), anchor="lm")
    draw.text(
        (x + page.width - page.px(6), middle),
        f"{kilobits(frame.bits)} kbit",
        FAINT,
        page.font(30),
        anchor="rm",
    )


def _badge(
    page: Page, draw: ImageDraw.ImageDraw, letter: str, left: int, top: int, side: int
) -> None:
    draw.rounded_rectangle(
        (left, top, left + side, top + side), side // 7, TYPES.get(letter, FAINT)
    )
    font = page.font(0.62 * side * UNITS / page.width, bold=True)
    draw.text((left + side / 2, top + side / 2), letter, WHITE, font, anchor="mm")


def _bars_box(page: Page, top: int) -> _Box:
    return (
        page.px(_BARS_LEFT),
        top + page.px(_BARS_TOP),
        page.width - page.px(MARGIN),
        top + page.px(_BARS_BOTTOM),
    )


def _bar_sides(index: int, window: tuple[int, int], left: int, right: int) -> tuple[float, float]:
    """Return the left and right end of a bar, in whole pixels.

    They are apart where there is room for a gap.
    """
    pitch = min((right - left) / (window[1] - window[0]), (right - left) / 12)
    start = left + pitch * (index - window[0])
    return round(start), round(start + pitch * 0.8)


def _ticks(most: int) -> list[int]:
    """Return 0 and up to three round values below ``most``."""
    step = 10 ** math.floor(math.log10(most)) if most > 0 else 1
    for times in (0.1, 0.2, 0.5, 1, 2, 5):
        if most // (step * times) <= 3:
            return [round(step * times * count) for count in range(int(most // (step * times)) + 1)]
    return [0]


def _faded(colour: Colour, share: float) -> Colour:
    red, green, blue = (round(value + (255 - value) * share) for value in colour)
    return red, green, blue
