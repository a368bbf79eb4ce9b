"""Names by which messages and pages call a folder that stands for something else for a while."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: how the name of a results store in one file ends (vssbench.run.archive)
ARCHIVED = ".tar.xz"

_names: dict[Path, Path] = {}


def is_archive(path: Path) -> bool:
    """Return whether a path stands for a results store in one file, which need not be there."""
    return path.name.endswith(ARCHIVED) and not path.is_dir()


@contextmanager
def named(folder: Path, name: Path) -> Iterator[None]:
    """Call a folder by another name, and what lies in it by that name and its own."""
    _names[folder] = name
    try:
        yield
    finally:
        _names.pop(folder, None)


def called(path: Path) -> Path:
    """Return a path as the user knows it."""
    for folder, name in _names.items():
        if path.is_relative_to(folder):
            return name / path.relative_to(folder)
    return path
