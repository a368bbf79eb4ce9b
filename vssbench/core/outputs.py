"""Checks that a place may be written, before any work is done for it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from vssbench.core.errors import UsageError
from vssbench.core.files import drafts, told
from vssbench.core.special import is_special


def check_output(
    path: Path, inputs: Iterable[Path] = (), force: bool = False, option: str = "-o"
) -> None:
    """Raise UsageError for a file that is read, a folder, or one that is there already without
    ``force``; DataError where the folder cannot be written. To be asked before any work is done."""
    for given in inputs:
        if _is_within(path, given):
            raise UsageError(
                f"{option} {path} is read by this command: give another name, an input is never "
                "written over"
            )
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder: give the name of a file")
    if is_special(path):
        return
    if path.exists() and not force:
        raise UsageError(
            f"{option} {path} is there already: give another name, or --force to replace it"
        )
    check_folder(Path(os.path.realpath(path)).parent)


def check_folder(folder: Path) -> None:
    """Make a folder, and try to write into it. Raises DataError where that fails."""
    with told(folder), drafts(folder):
        pass


def check_regular(path: Path, option: str = "-o") -> None:
    """Raise UsageError for a device, a pipe or an open descriptor."""
    if is_special(path):
        raise UsageError(
            f"{option} {path} is a device or a pipe: this command needs a file, give the name of "
            "one"
        )


def overlap(path: Path, given: Path) -> bool:
    """Return whether an output that is there lies within an input folder, is it, or holds it."""
    if not path.exists() or not given.exists():
        return False
    out, root = (Path(os.path.realpath(each)) for each in (path, given))
    return out == root or root in out.parents or out in root.parents


def _is_within(path: Path, given: Path) -> bool:
    """Return whether a file is an input, under whatever name, or a file that lies in an input
    folder."""
    if not path.exists() or not given.exists():
        return False
    if given.is_dir():
        return (
            path.is_file() and Path(os.path.realpath(given)) in Path(os.path.realpath(path)).parents
        )
    return os.path.samefile(path, given)
