"""Compiles this folder's C files with the system's compiler into the user's cache, once per source,
compiler and processor."""

from __future__ import annotations

import hashlib
import os
import platform
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

from vssbench.core import files, reading
from vssbench.core.errors import DataError
from vssbench.core.home import home
from vssbench.core.shown import encoded

SOURCES = ("colour.c", "creff.c", "motion.c", "upsampled_conv.c")
HEADERS = ("attention.h", "vectors.h")
#: no -ffast-math: infinities, NaN and the order of sums stay as written
FLAGS = ("-O3", "-std=gnu11", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math")
#: how compilers are told to use all of this processor's instructions, most usual first
NATIVE = (("-march=native",), ("-mcpu=native",), ())
TIMEOUT = 120  # seconds
#: how what a compiler prints is read, whatever the locale: it may name folders in any script
_TEXT: Any = {"encoding": "utf-8", "errors": "replace"}
#: characters of the digest behind a library
_DIGEST = 64


class BuildError(Exception):
    """No compiler, or one that does not compile the kernels; the message is its own."""


def build() -> Path:
    """Return the path of the shared library, compiled now if it is not in the cache. Raises
    BuildError."""
    compiler = _compiler()
    folder, cache = Path(__file__).parent, cache_folder()
    if cache is None:
        raise BuildError(
            "this user has no home folder to keep them in; set XDG_CACHE_HOME to a folder of "
            "their own"
        )
    target = cache / f"native-{_fingerprint(folder, compiler)}.so"
    if _is_whole(target):
        return target
    try:
        # a process that compiles at the same time replaces the file by an equal one
        with files.draft(target) as made:
            _compile(compiler, folder, made)
            with made.open("r+b") as library:
                library.write(_digest(library.read()))
    except DataError as error:
        raise BuildError(
            f"cannot write to {target.parent} ({error.__cause__}); set XDG_CACHE_HOME to a folder "
            "that can be written"
        ) from error
    return target


def _is_whole(target: Path) -> bool:
    """Return whether a compiled library is as it was written: one that is cut short kills the
    process which loads it. Behind it in its file stands its digest, which the loader passes
    over."""
    try:
        reading.check_readable(target)
        content = target.read_bytes()
    except (OSError, DataError):
        return False
    return content[-_DIGEST:] == _digest(content[:-_DIGEST])


def _digest(library: bytes) -> bytes:
    return hashlib.sha256(library).hexdigest().encode()


def cache_folder() -> Path | None:
    """Return ``$XDG_CACHE_HOME/vssbench``, or ``~/.cache/vssbench``; None where the user has no
    home.

    No other folder will do: what is loaded from it is executed, and others may write elsewhere.
    """
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "vssbench"
    folder = home()
    return None if folder is None else folder / ".cache" / "vssbench"


def _compiler() -> list[str]:
    for candidate in (os.environ.get("CC", ""), "cc", "gcc", "clang"):
        try:
            command = shlex.split(candidate)
        except ValueError as error:
            raise BuildError(f"CC={candidate!r} is no command: {error}") from error
        if command and shutil.which(command[0]):
            return command
    raise BuildError(
        "no C compiler was found ($CC, cc, gcc, clang); install one, as gcc, for the faster forms"
    )


def _fingerprint(folder: Path, compiler: list[str]) -> str:
    digest = hashlib.sha256()
    for name in SOURCES + HEADERS:
        digest.update((folder / name).read_bytes())
    for text in (*compiler, _version(compiler), *FLAGS, platform.machine(), _processor()):
        digest.update(encoded(text) + b"\0")
    return digest.hexdigest()[:16]


def _version(compiler: list[str]) -> str:
    try:
        return subprocess.run(
            [*compiler, "--version"], capture_output=True, timeout=TIMEOUT, **_TEXT
        ).stdout
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{shlex.join(compiler)} --version does not run: {error}") from error


def _processor() -> str:
    """Return the processor's instruction sets: unlike machines may share a home folder."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next(
        (line for line in lines if line.startswith(("flags", "Features"))), platform.processor()
    )


def _compile(compiler: list[str], folder: Path, target: Path) -> None:
    message = ""
    for native in NATIVE:
        command = [
            *compiler,
            *FLAGS,
            *native,
            *(str(folder / name) for name in SOURCES),
            "-o",
            str(target),
            "-lm",
        ]
        try:
            result = subprocess.run(command, capture_output=True, timeout=TIMEOUT, **_TEXT)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BuildError(f"{shlex.join(command)} does not run: {error}") from error
        if result.returncode == 0:
            return
        message = message or result.stderr.strip() or f"it ends with status {result.returncode}"
    raise BuildError(f"{shlex.join(compiler)} does not compile the kernels: {message[:500]}")
