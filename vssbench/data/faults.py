"""Checks that read everything: each fault in words, none hides the next."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import ParamSpec

from vssbench.core.errors import DataError
from vssbench.data.pictures import LabelReader, check_size, image_size, read_image
from vssbench.data.stills import Still

P = ParamSpec("P")
Pair = tuple[Path, Path]


def missing_files(pairs: Iterable[Pair]) -> Iterator[str]:
    """Yield every image or annotation of a list that is not there."""
    for image, label in pairs:
        for path, other in ((image, label), (label, image)):
            if not path.is_file():
                yield (
                    f"{path} is missing: expected beside {other}; complete the folder, or take "
                    "the entry out of the list"
                )


def wrong_count(what: str, found: int, expected: int) -> Iterator[str]:
    """Yield a fault where there are not as many files as were published."""
    if found != expected:
        yield (
            f"{what}: found {found} labelled frames, expected {expected} as published; complete "
            "the folder"
        )


def wrong_files(stills: Sequence[Still], read_label: LabelReader) -> Iterator[str]:
    """Yield every file of stills of one size that does not read, is of another size than the first,
    or has labels without meaning."""
    size: tuple[int, int] | None = None
    for still in stills:
        unread = list(complaint(read_image, still.image))
        yield from unread
        if not unread:
            size = size or image_size(still.image)
            yield from complaint(check_size, still.image, size, stills[0].image)
        if still.label is not None:
            unread = list(complaint(read_label, still.label))
            yield from unread
            if size is not None and not unread:
                yield from complaint(check_size, still.label, size, still.image)


def repeated_images(images: Iterable[Path]) -> Iterator[str]:
    """Yield every image whose file is, byte for byte, that of an image before it."""
    seen: dict[bytes, Path] = {}
    for path in dict.fromkeys(images):
        if not path.is_file():
            continue
        first = seen.setdefault(_digest(path), path)
        if first != path:
            yield (
                f"{path} is the same image as {first}: expected each frame once; copy one of "
                "them again from the source"
            )


def shared_images(
    first: Iterable[Path], second: Iterable[Path], names: tuple[str, str]
) -> Iterator[str]:
    """Yield every image of one split whose file name is in the other as well."""
    others = {path.name: path for path in second}
    for path in first:
        if path.name in others:
            yield (
                f"{path} of {names[0]} is in {names[1]} too ({others[path.name]}): a test on it "
                "would not be one"
            )


def complaint(check: Callable[P, object], *arguments: P.args, **named: P.kwargs) -> Iterator[str]:
    """Return the message of a check that fails, nothing where it passes."""
    try:
        check(*arguments, **named)
    except DataError as error:
        yield str(error)


def _digest(path: Path) -> bytes:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").digest()
