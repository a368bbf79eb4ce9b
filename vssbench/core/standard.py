"""The standard streams as a program finds them: closed, full, or with nobody who reads them."""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO, cast


def mend() -> None:
    """Make the standard streams fit to work with.

    In the place of one that is closed stands a device: a file that is opened later would take its
    number, and what libraries print would go into that file. Writing to a closed stdout is an
    error, since it is the result that is lost; messages to stderr that cannot be written are.
    """
    for number, way in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        if not _is_open(number):
            _open(number, way)
    if sys.stdout is None:
        sys.stdout = os.fdopen(1, "w", encoding="utf-8", closefd=False)
    if sys.stderr is None:
        sys.stderr = os.fdopen(2, "w", encoding="utf-8", closefd=False)


def _is_open(number: int) -> bool:
    try:
        os.fstat(number)
    except OSError:
        return False
    return True


def _open(number: int, way: int) -> None:
    made = os.open(os.devnull, way)
    os.dup2(made, number)  # other processes get it too
    if made != number:
        os.close(made)


class Unfailing:
    """A text stream whose text is lost where it cannot be written, as on a full disk: no work is
    stopped for want of a message. All else is the stream's own."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write a text; returns its length."""
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def writelines(self, lines: list[str]) -> None:
        """Write texts one after the other."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Write what is held back."""
        try:
            self._stream.flush()
        except OSError:
            return

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def unfailing(stream: TextIO) -> TextIO:
    """Return a stream whose messages may be lost, and stop no work."""
    return cast(TextIO, Unfailing(stream))
