"""Digests of files' contents, by which data are told apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from vssbench.core.shown import encoded
from vssbench.data.pictures import unreadable

#: bytes read at a time
_CHUNK = 1 << 20


def content_of(path: Path) -> str:
    """Return the sha256 of a file's content. Raises DataError where it cannot be read."""
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def fingerprint(paths: Iterable[Path], more: str = "") -> str:
    """Return sha256 over names and contents of files, and ``more``. Raises DataError for one that
    cannot be read."""
    digest = hashlib.sha256()
    for path in paths:
        try:
            digest.update(encoded(f"{path.name}\0{path.stat().st_size}\0"))
            with path.open("rb") as content:
                while chunk := content.read(_CHUNK):
                    digest.update(chunk)
        except OSError as error:
            raise unreadable(path, error) from error
    digest.update(more.encode())
    return digest.hexdigest()
