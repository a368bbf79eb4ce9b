"""Foreign text in messages: a name of a file or a class may hold what steers a terminal, and be of
any length."""

from __future__ import annotations

import codecs
import json
import re
from typing import TYPE_CHECKING, Any, TextIO

from vssbench.core.shortage import check_memory

if TYPE_CHECKING:
    from pydantic import BaseModel

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
    return plain(legible(text))


def plural(count: int, noun: str) -> str:
    """Return a number of things in words: a noun that stands for one, with an s for others."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


#: the name by which Python finds `_escaped`
_ESCAPED = "vssbench.escaped"


def settle(stream: Any) -> None:
    """Let a text stream take letters of any script, whatever the locale says.

    ASCII is what a system says that was told nothing of letters (``LC_ALL=C``): it gets UTF-8, as
    Python itself has it there. In other encodings, letters that they lack are written as JSON
    does, ``\\u8857``. Bytes of file names that are no text come out as they went in.
    """
    if stream is None or not hasattr(stream, "reconfigure"):
        return  # replaced by a test, a notebook
    bare = codecs.lookup(stream.encoding).name == "ascii"
    stream.reconfigure(encoding="utf-8" if bare else None, errors=_ESCAPED)


def _escaped(error: UnicodeError) -> tuple[bytes, int]:
    """Write letters that an encoding lacks, for Python's encoders."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    made = bytearray()
    for letter in error.object[error.start : error.end]:
        number = ord(letter)
        if 0xDC80 <= number <= 0xDCFF:
            made.append(number - 0xDC00)
        else:
            pair = letter.encode("utf-16-be", "surrogatepass").hex()
            made += "".join(f"\\u{pair[at : at + 4]}" for at in range(0, len(pair), 4)).encode()
    return bytes(made), error.end


codecs.register_error(_ESCAPED, _escaped)


def encoded(text: str) -> bytes:
    """Return a text in UTF-8; a file name that is no text as its own bytes."""
    return text.encode("utf-8", _ESCAPED)


def legible(value: Any) -> Any:
    """Return a text, or all texts of a structure, as UTF-8 can hold them: bytes of file names that
    are no text are written as ``\\xe9``."""
    if isinstance(value, str):
        return encoded(value).decode("utf-8", "backslashreplace")
    if isinstance(value, dict):
        return {legible(key): legible(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [legible(each) for each in value]
    return value


def json_of(model: BaseModel) -> str:
    """Return a record as JSON in lines; see :func:`legible`. Raises MemoryError."""
    check_memory()
    try:
        return model.model_dump_json(indent=1)
    except ValueError:  # pydantic's own of text that is none
        return json.dumps(legible(model.model_dump()), indent=1, ensure_ascii=False)


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
