"""A table of thousands of lines for a terminal, laid out once.

rich measures and wraps every cell several times over: ten thousand lines take it half a minute.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.measure import Measurement
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

#: between two columns
_GAP = "  "
_BOLD, _HEADING = Style.parse("bold green"), Style.parse("bold")


@dataclass(frozen=True)
class LongTable:
    """Lines of cells laid out as rich's table of the same: names to the left, numbers to the right.

    ``headings`` are broken into lines as they are to be shown; a cell is a text and whether it is
    bold; the first ``left`` columns hold names, those of the first are folded where they are longer
    than ``width``.
    """

    headings: Sequence[str]
    lines: Sequence[Sequence[tuple[str, bool]]]
    left: int = 1
    width: int | None = None

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        whole = sum(self._widths) + len(_GAP) * len(self._widths)
        return Measurement(whole, whole)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Segment]:
        widths = self._widths
        headings = [self._folded(console, *each) for each in enumerate(self.headings)]
        most = max(map(len, headings))
        headings = [[""] * (most - len(lines)) + lines for lines in headings]
        yield from self._line(headings, [_HEADING] * len(headings), widths)
        yield from (Segment("─" * (sum(widths) + len(_GAP) * len(widths) - 1)), Segment.line())
        for line in self.lines:
            texts = [self._folded(console, place, text) for place, (text, _) in enumerate(line)]
            yield from self._line(texts, [_BOLD if bold else None for _, bold in line], widths)

    @cached_property  # it is measured several times, and has thousands of lines
    def _widths(self) -> list[int]:
        columns = zip(*([text for text, _ in line] for line in self.lines), strict=True)
        longest = [
            max(_longest(heading.split("\n")), _longest(set(texts)))
            for heading, texts in zip(self.headings, columns, strict=True)
        ]
        return longest if self.width is None else [self.width, *longest[1:]]

    def _folded(self, console: Console, place: int, text: str) -> list[str]:
        """Return the lines of a cell: more than one where a name is longer than its column."""
        if place == 0 and self.width is not None and cell_len(text) > self.width:
            return [part.plain for part in Text(text).wrap(console, self.width, overflow="fold")]
        return text.split("\n")

    def _line(
        self, cells: list[list[str]], styles: Sequence[Style | None], widths: list[int]
    ) -> Iterator[Segment]:
        for number in range(max(map(len, cells))):
            plain = ""  # in as few segments as there are styles: rich looks at each several times
            for place, (texts, style) in enumerate(zip(cells, styles, strict=True)):
                text = texts[number] if number < len(texts) else ""
                space = " " * (widths[place] - cell_len(text))
                before, after = ("", space + _GAP) if place < self.left else (space, _GAP)
                if style is None:
                    plain += before + text + after
                    continue
                yield from (Segment(plain + before), Segment(text, style))
                plain = after
            yield from (Segment(plain), Segment.line())


def _longest(texts: Iterable[str]) -> int:
    return max(map(cell_len, texts), default=0)
