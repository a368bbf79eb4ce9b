"""Writes the first files of a plug-in: a small package of its own, or files of a checkout."""

from __future__ import annotations

import importlib.util
import keyword
import re
from collections.abc import Mapping
from pathlib import Path
from string import Template
from typing import Literal

from vssbench.core import files, outputs, registry
from vssbench.core.errors import UsageError

Kind = Literal["method", "dataset"]

HERE = Path(__file__).resolve().parent
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_LONGEST = 40


def scaffold(kind: Kind, name: str, folder: Path | None, checkout: Path | None) -> list[Path]:
    """Write a plug-in's first files and return their paths.

    They are a package in ``folder``; without one, files of the ``checkout``, or where there is none
    either a package in ``vssbench-NAME``. Raises UsageError for a name that cannot be taken or a
    file that is there already.
    """
    check_name(kind, name)
    if folder is None and checkout is not None:
        made = _in_checkout(kind, name, checkout)
    else:
        made = _package(kind, name, folder or Path(f"vssbench-{name}"))
    for path in made:
        outputs.check_output(path)
    for path, text in made.items():
        files.write_text(path, text)
    return list(made)


def check_name(kind: Kind, name: str) -> None:
    """Check that a plug-in can have this name: a word of small letters, which no other takes.

    Raises UsageError.
    """
    if not _NAME.fullmatch(name) or keyword.iskeyword(name) or len(name) > _LONGEST:
        raise UsageError(
            f"{name[:80]!r} cannot be the name of a {kind}: expected at most {_LONGEST} small "
            "letters, digits and underscores, a letter first, as in my_net"
        )
    for plural in registry.KINDS:
        if name in registry.plugins(plural):
            raise UsageError(f"{name!r} is one of the {plural} already: choose another name")
    if importlib.util.find_spec(f"vssbench_{name}") is not None:
        raise UsageError(f"a module vssbench_{name} is installed already: choose another name")


def checkout_here() -> Path | None:
    """Return the root of the checkout that is running, where this is the current folder."""
    root = HERE.parents[2]
    inside = (root / "methods").is_dir() and (root / "tests").is_dir()
    return root if inside and Path.cwd().resolve() == root else None


def _in_checkout(kind: Kind, name: str, root: Path) -> dict[Path, str]:
    words = _words(kind, name)
    return {
        root / f"{kind}s" / f"{name}.py": _filled(f"{kind}.py", words),
        root / "tests" / f"{kind}s" / f"test_{name}.py": _filled(f"test_{kind}.py", words),
    }


def _package(kind: Kind, name: str, folder: Path) -> dict[Path, str]:
    words = _words(kind, name)
    return {
        folder / "pyproject.toml": _filled("pyproject.toml", words),
        folder / "README.md": _filled("README.md", words),
        folder / f"vssbench_{name}.py": _filled(f"{kind}.py", words),
        folder / "tests" / f"test_{name}.py": _filled(f"test_{kind}.py", words),
    }


def _words(kind: Kind, name: str) -> dict[str, str]:
    parts = [part for part in name.split("_") if part]
    return {"kind": kind, "name": name, "Class": "".join(part.capitalize() for part in parts)}


def _filled(template: str, words: Mapping[str, str]) -> str:
    text = (HERE / f"{template}.in").read_text(encoding="utf-8")
    return Template(text).substitute(words)
