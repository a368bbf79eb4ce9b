"""Checks of an installation, one function a check, and the report of a fault that they are part
of."""

from __future__ import annotations

import getpass
import importlib
import os
import platform
import re
import shutil
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from vssbench.core import files, outputs, registry
from vssbench.core.errors import VssbenchError
from vssbench.core.home import home
from vssbench.core.machine import git_revision
from vssbench.core.version import __version__

State = Literal["ok", "missing", "fault"]

#: packages without which nothing is measured, and those of the extras
NEEDED = ("torch", "torchvision", "av", "numpy", "pandas", "pillow", "click", "safetensors")
OPTIONAL = {
    "pillow-heif": "HEVC's motion vectors: pip install 'vssbench[hevc]'",
    "opencv-python-headless": "motion=estimated: pip install 'vssbench[flow]'",
    "pyarrow": "table --format parquet: pip install 'vssbench[parquet]'",
}
#: bytes below which a disk is said to be short
ROOM = 2 << 30
OLDEST_PYTHON = (3, 11)
#: a word that is a secret by its name, with what stands behind it
_SECRET = re.compile(
    r"(?i)([\w-]*(?:token|secret|passw(?:or)?d|api[_-]?key|credential)[\w-]*\s*[=:]\s*)\S+"
)
_USER_IN_ADDRESS = re.compile(r"(\w+://)[^/\s@]+@")


@dataclass(frozen=True)
class Finding:
    """The result of a check: ``missing`` where something optional is not there, ``fault`` where
    something needed fails. ``remedy`` says what to do."""

    subject: str
    state: State
    found: str
    remedy: str = ""


def findings(runs: Path, probe: bool = False) -> Iterator[Finding]:
    """Check everything; ``probe`` proves each codec's vectors on a known pan too.

    A check that fails in an unexpected way is a finding itself, and the others go on.
    """
    checks: list[tuple[str, Callable[[], Iterator[Finding]]]] = [
        ("vssbench", _project),
        ("Python", _python),
        ("packages", _packages),
        ("torch", _torch),
        ("compiler", _compiler),
        ("plug-ins", _plugins),
        ("codecs", lambda: _codecs(probe)),
        ("weights", _weights),
        ("folders", lambda: _folders(runs)),
    ]
    for subject, check in checks:
        try:
            yield from check()
        except Exception as error:  # whatever is broken here is what is looked for
            words = f"the check fails: {type(error).__name__}: {error}"
            yield Finding(subject, "fault", words, "report it with this page")


def _project() -> Iterator[Finding]:
    revision = git_revision()
    yield Finding("vssbench", "ok", __version__ + (f", checkout {revision}" if revision else ""))


def _python() -> Iterator[Finding]:
    words = f"{platform.python_version()} on {platform.platform(terse=True)}, {platform.machine()}"
    yield Finding("Python", "ok" if sys.version_info >= OLDEST_PYTHON else "fault", words)
    encoding = sys.getfilesystemencoding()
    if encoding.lower() != "utf-8":
        yield Finding("file names", "missing", encoding, "set PYTHONUTF8=1")


def _packages() -> Iterator[Finding]:
    for name in NEEDED:
        found = _version(name)
        remedy = "" if found else f"pip install {name}"
        yield Finding(name, "ok" if found else "fault", found or "not installed", remedy)
    for name, use in OPTIONAL.items():
        found = _version(name)
        state: State = "ok" if found else "missing"
        yield Finding(name, state, found or "not installed", "" if found else use)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _torch() -> Iterator[Finding]:
    import torch

    image = torch.rand(1, 3, 16, 16)
    kernel = torch.rand(4, 3, 3, 3)
    if not torch.nn.functional.conv2d(image, kernel).isfinite().all():
        yield Finding("a convolution", "fault", "gives values that are not finite")
    if torch.cuda.is_available():
        yield Finding("CUDA", "ok", f"{torch.cuda.get_device_name()}, CUDA {torch.version.cuda}")
    else:
        yield Finding("CUDA", "ok", "no device; --device cpu is the default")
    yield Finding("threads", "ok", f"{torch.get_num_threads()} of {os.cpu_count()} cores")


def _compiler() -> Iterator[Finding]:
    from vssbench import native
    from vssbench.native.compiler import BuildError, build

    if os.environ.get("VSSBENCH_NATIVE") == "0":
        yield Finding("compiled kernels", "missing", "turned off", "unset VSSBENCH_NATIVE")
        return
    try:
        build()
    except BuildError as error:
        yield Finding("compiled kernels", "missing", str(error), "the torch forms run in place")
        return
    used = native.available()
    words = "compiled, and in use" if used else "compiled, but not used"
    yield Finding("compiled kernels", "ok" if used else "missing", words)


def _plugins() -> Iterator[Finding]:
    for kind in registry.KINDS:
        names = registry.plugins(kind)
        broken = 0
        for name in names:
            try:
                registry.load(kind, name)
            except VssbenchError as error:
                broken += 1
                yield Finding(f"{kind[:-1]} {name}", "fault", str(error), "mend or uninstall it")
        yield Finding(kind, "ok", f"{len(names) - broken} of {len(names)} load")


def _codecs(probe: bool) -> Iterator[Finding]:
    from vssbench.core.variant import Variant
    from vssbench.view import inspect

    for name in inspect.ordered(registry.plugins("codecs")):
        ability = inspect.ability(name)
        words = ", ".join(filter(None, (ability.encoder, ability.decoder, ability.vectors)))
        if ability.missing:
            yield Finding(f"codec {name}", "missing", words or "nothing", ability.missing)
            continue
        if probe and ability.vectors:
            trial = inspect.probe(Variant(name))
            if trial.reason:
                yield Finding(f"codec {name}", "fault", words, trial.reason)
                continue
            words += "; proved on a known pan"
        yield Finding(f"codec {name}", "ok", words or "no codec library is needed")


def _weights() -> Iterator[Finding]:
    from vssbench.weights.file import open_weights
    from vssbench.weights.shipped import VARIABLE, shipped_folder

    paths = sorted(shipped_folder().glob("*.safetensors"))
    broken = 0
    for path in paths:
        try:
            open_weights(path).tensors()
        except (VssbenchError, OSError) as error:
            broken += 1
            yield Finding(path.name, "fault", str(error), "get the file again")
    if paths:
        yield Finding("shipped weights", "ok", f"{len(paths) - broken} of {len(paths)} read")
    else:
        words = f"set {VARIABLE} to the folder weights/ of a checkout, or give --weights FILE"
        yield Finding("shipped weights", "missing", "none here", words)


def _folders(runs: Path) -> Iterator[Finding]:
    from vssbench.native.compiler import cache_folder

    cache = cache_folder()
    if cache is None:
        words = "this user has no home folder, so that compiled kernels are kept nowhere"
        yield Finding("folder: cache", "missing", words, "set XDG_CACHE_HOME to a folder")
    places = {"results": runs, "cache": cache, "temporary": Path(tempfile.gettempdir())}
    for name, folder in places.items():
        if folder is None:
            continue
        standing = next(each for each in (folder, *folder.absolute().parents) if each.exists())
        try:
            if folder.exists():
                outputs.check_folder(folder)
            elif not os.access(standing, os.W_OK):
                raise files.NotWritten(f"cannot make {folder} in {standing}")
            free = shutil.disk_usage(standing).free
        except (VssbenchError, OSError) as error:
            yield Finding(f"folder: {name}", "fault", str(error), "give another, or write access")
            continue
        words = f"{folder}: can be written, {free / 2**30:.1f} GiB free"
        state: State = "ok" if free >= ROOM else "missing"
        yield Finding(f"folder: {name}", state, words, "" if state == "ok" else "make room")


def bug_report(found: Sequence[Finding], more: Sequence[str] = ()) -> str:
    """Return the report of a fault as Markdown, without names of people, machines and folders."""
    lines = [
        "## What happened",
        "",
        "<!-- the command as typed, its output, and what you expected instead -->",
        "",
        "## Installation",
        "",
        "| | | |",
        "|---|---|---|",
    ]
    for each in found:
        words = each.found + (f" ({each.remedy})" if each.remedy else "")
        cell = " ".join(masked(words).replace("|", r"\|").split())
        lines.append(f"| {each.subject} | {each.state} | {cell} |")
    return "\n".join([*lines, *more]) + "\n"


def masked(text: str) -> str:
    """Return a text without secrets and without the names of the user, the machine and the folders
    above the home and the current one."""
    text = _SECRET.sub(r"\1...", text)
    text = _USER_IN_ADDRESS.sub(r"\1...@", text)
    package = Path(importlib.import_module("vssbench").__file__ or "").parents[1]
    places = [(Path.cwd(), "."), (Path(tempfile.gettempdir()), "TMP")]
    places += [(Path(sys.prefix), "PYTHON"), (package, "VSSBENCH")]
    if (own := home()) is not None:
        places.append((own, "~"))
    for place, word in sorted(places, key=lambda pair: -len(str(pair[0]))):
        if len(place.parts) > 1:
            text = re.sub(re.escape(str(place)) + r"(?=$|[^\w.-])", word, text)
    for name, word in ((_user(), "USER"), (socket.gethostname(), "HOST")):
        if name and name != "root":
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", word, text)
    return text


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):  # a number without a name, as in containers
        return ""
