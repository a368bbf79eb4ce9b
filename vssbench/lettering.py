"""Matplotlib as this project draws with it, whatever the user's own figures have; and fonts for
names in any script: which installed ones have the letters, and what is written where none has."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

#: the font of figures and legends; it comes with matplotlib, and has Latin, Greek and Cyrillic
FAMILY = "DejaVu Sans"
#: fonts that draw a box for every letter
_NO_LETTERS = ("Last Resort", "LastResort", "Adobe Blank")


def matplotlib_ready() -> None:
    """Import matplotlib, whatever ``MPLBACKEND`` says: a notebook sets one that another process may
    not have, and one that is unknown makes the import fail. For the user's own figures it stays."""
    if "matplotlib" in sys.modules:
        return
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import matplotlib
    finally:
        if backend is not None:
            os.environ["MPLBACKEND"] = backend
    if backend:
        try:
            matplotlib.rcParams["backend"] = backend
        except ValueError:
            return  # there is no such backend, which is the user's own affair


@contextmanager
def style(settings: Mapping[Any, Any]) -> Iterator[None]:
    """Draw by matplotlib's own defaults and these settings, whatever the user's matplotlibrc and
    styles say; theirs are back afterwards."""
    matplotlib_ready()
    from matplotlib import rc_context, rcParams, rcParamsDefault

    with rc_context():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parameters that a later version will not have
            rcParams.update({k: v for k, v in rcParamsDefault.items() if "backend" not in k})
        rcParams.update(settings)
        yield


def families(texts: Iterable[str]) -> tuple[list[str], set[str]]:
    """Return the fonts that have the letters of some texts, the usual one first, and the letters
    that no installed font has."""
    lacking = {letter for text in texts for letter in text if not letter.isspace()}
    found, names = [FAMILY], {FAMILY}
    lacking = {letter for letter in lacking if ord(letter) not in _letters(_usual())}
    for name, path in _installed() if lacking else ():
        if not lacking:
            break
        there = {letter for letter in lacking if ord(letter) in _letters(path)}
        if there and name not in names:
            found.append(name)
            names.add(name)
            lacking -= there
    return found, lacking


def font_file(texts: Iterable[str]) -> Path:
    """Return the file of the one font that has most of the letters of some texts."""
    letters = {ord(letter) for text in texts for letter in text if not letter.isspace()}
    if letters <= _letters(_usual()):
        return Path(_usual())
    paths = [_usual(), *(path for _, path in _installed())]
    return Path(max(paths, key=lambda path: len(letters & _letters(path))))


def has_all(path: Path, text: str) -> bool:
    """Return whether a font has every letter of a text."""
    return all(ord(letter) in _letters(str(path)) for letter in text if not letter.isspace())


def written(texts: Sequence[str]) -> tuple[tuple[str, ...], str]:
    """Return texts as the one font of :func:`font_file` can write them, and what is to be said of
    letters that it lacks: they are written as their numbers."""
    if all(map(str.isascii, texts)):
        return tuple(texts), ""
    path = font_file(texts)
    lacking = {letter for letter in "".join(texts) if not has_all(path, letter)}
    return tuple(spelt(text, lacking) for text in texts), complaint(lacking) if lacking else ""


def spelt(text: str, lacking: Iterable[str]) -> str:
    """Return a text in which letters that no font has are written as their numbers, as
    ``<U+8857>``.

    Names stay different, and can be looked up.
    """
    letters, words = set(lacking), list[str]()
    for missing, group in groupby(text, lambda letter: letter in letters):
        part = list(group)
        numbers = " ".join(f"U+{ord(each):04X}" for each in part)
        words.append(f"<{numbers}>" if missing else "".join(part))
    return "".join(words)


def complaint(lacking: Iterable[str]) -> str:
    """Return the line that says which letters no installed font has."""
    letters = sorted(lacking)
    shown = "".join(letters[:12]) + ("..." if len(letters) > 12 else "")
    return (
        f"no installed font has the letters {shown}: they are written as their numbers "
        f"({spelt(letters[0], letters)}); install a font that has them, such as Noto Sans"
    )


@cache
def _usual() -> str:
    matplotlib_ready()
    from matplotlib.font_manager import FontProperties, fontManager

    return str(fontManager.findfont(FontProperties(family=FAMILY)))


@cache
def _installed() -> list[tuple[str, str]]:
    """Return the names and files of all fonts but the usual one, sans serif and regular ones
    first."""
    matplotlib_ready()
    from matplotlib.font_manager import fontManager

    fonts = [
        font
        for font in fontManager.ttflist
        if font.name != FAMILY and not font.name.startswith(_NO_LETTERS)
    ]
    fonts.sort(
        key=lambda font: (
            font.style != "normal", str(font.weight) not in ("400", "normal", "regular"),
            "Sans" not in font.name, font.name, font.fname,
        )
    )  # fmt: skip
    return [(font.name, font.fname) for font in fonts]


@cache
def _letters(path: str) -> frozenset[int]:
    """Return the code points that a font has, none where its file does not read."""
    from matplotlib.ft2font import FT2Font

    try:
        return frozenset(FT2Font(path).get_charmap())
    except (OSError, RuntimeError):
        return frozenset()
