"""The user's home folder, which not every user has: in containers a user may be a number without a
name."""

from __future__ import annotations

from pathlib import Path

from vssbench.core.errors import UsageError


def home() -> Path | None:
    """Return the user's home folder, None where the system knows none."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def expanded(path: str | Path) -> Path:
    """Return a path whose ``~`` or ``~name`` is that home folder.

    Raises UsageError where there is no such home.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(
            f"{path}: the system knows no home folder {Path(path).parts[0]!r}; write the path out, "
            "or set HOME"
        ) from error
