"""Foreign text in messages: a name of a file or a class may hold what steers a terminal, and be of
any length."""

from __future__ import annotations

import re
from typing import Any, TextIO

#: characters of a message; what is longer loses its middle
LONGEST = 4000
#: controls but for tab and new line, what turns the direction of writing, halves of pairs
_CONTROLS = re.compile(
    "[\0-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
#: what sets colours and weights of letters alone, as tables on a terminal do
_COLOURS = re.compile("(\x1b\\[[0-9;]*m)")


def plain(text: str) -> str:
    """Return a text whose controls are written as escapes, as ``\\x1b``."""
    return _CONTROLS.sub(lambda match: ascii(match[0])[1:-1], text)


def message(text: str) -> str:
    """Return a text as a message shows it: no controls, at most LONGEST characters."""
    if len(text) > LONGEST:
        half = LONGEST // 2
        left = len(text) - 2 * half
        text = f"{text[:half]} [... {left} characters left out ...] {text[-half:]}"
    return plain(text)


class Guarded:
    """A text stream to a terminal that lets no controls through but colours; all else is the
    stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text; returns its length."""
        parts = _COLOURS.split(text)
        self._stream.write(
            "".join(part if at % 2 else plain(part) for at, part in enumerate(parts))
        )
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write texts one after the other."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
