"""The identity of a run: all that changes its numbers, and nothing else.

It holds the resolved parameters, the data's and the weights' content, the settings, the machine,
the libraries that decode and compute, and a hash of the source that makes the numbers: the packages
of :data:`PACKAGES`, the files of the plug-ins in use, and the plug-ins that those import. What is
drawn, printed or estimated of stored numbers afterwards is no part of it.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from importlib.metadata import Distribution, PackageNotFoundError, version
from itertools import accumulate
from pathlib import Path
from typing import Any

from vssbench import native
from vssbench.core.registry import Plugin, find_spec, plugins
from vssbench.core.version import __version__

#: packages, and modules beside them, whose source makes a run's numbers
PACKAGES = (
    "codec", "core", "cost", "data", "fast", "metrics", "native", "nets", "protocol.py", "run",
    "weights",
)  # fmt: skip
#: modules of these that work on stored numbers alone: intervals
AFTERWARDS = tuple(
    f"metrics/{name}.py" for name in ("bootstrap", "draws", "resampling", "statistic")
)
#: what changes no number of a run: the interpreter's cache, texts, recipes of trainings
_NO_SOURCE = re.compile(r"(^|/)(__pycache__/.*|\..*|[^/]*\.(md|rst|pyc)|recipe\.toml)$")
#: imports of plug-ins that come with the project
_OF_PLUGINS = re.compile(
    r"^\s*(?:from|import)\s+vssbench\.(methods|datasets)(?:\.(\w+)|\s+import\s+(.+))", re.MULTILINE
)
#: imports of any module by its first name
_IMPORTED = re.compile(r"^\s*(?:from|import)\s+(\w+)", re.MULTILINE)
#: hexadecimal digits of a run id: 64 bits, no collision to be feared below a hundred million runs
ID_DIGITS = 16
_REQUIREMENT = re.compile(r"[\w.-]+")
#: bytes of the largest file of a plug-in whose content counts; of larger ones, which are data such
#: as weights, the size does
_LARGEST = 64 << 20
#: files and packages whose content is kept in mind
_KEPT = 4096


def run_id(identity: dict[str, Any]) -> str:
    """Return a short sha256 of all that changes a run's numbers; neither the order of keys nor
    tuple or list matters."""
    text = json.dumps(
        identity, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
    )
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]


def plugin_of(kind: str, name: str, made: object) -> Plugin:
    """Return the plug-in of that name, or, where a program gave an object of a class of its own,
    its module."""
    known = plugins(kind).get(name)
    return known or Plugin(name, kind, type(made).__module__)


def code_version(used: Iterable[Plugin] = (), packages: tuple[str, ...] = PACKAGES) -> str:
    """Return the project's version with a hash of the source that makes numbers with plug-ins.

    It is as ``0.1.0+0123456789ab``.
    """
    # not imported, since it offers what stands above this
    roots = tuple(map(Path, sys.modules["vssbench"].__path__))
    digest = source_digest(tuple(used), packages, roots)
    return f"{__version__}+{digest[:12]}"


def digests(used: Iterable[Plugin] = (), packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Return a digest of the source that makes numbers whatever the plug-ins, and of each plug-in
    beside it, by kind and name: what two runs must share to be made by one version of the code."""
    roots = tuple(map(Path, sys.modules["vssbench"].__path__))
    common = {"vssbench": source_digest((), packages, roots)[:12]}
    of_plugins = {
        f"{plugin.kind}/{plugin.name}": source_digest((plugin,), (), roots)[:12] for plugin in used
    }
    return common | of_plugins


@lru_cache
def source_digest(
    used: tuple[Plugin, ...], packages: tuple[str, ...], roots: tuple[Path, ...]
) -> str:
    """Return the sha256 of the names and contents of :func:`sources`."""
    digest = hashlib.sha256()
    for name, path in sorted(sources(used, packages, roots).items()):
        digest.update(f"{name}\0{_content(path)}\0".encode())
    return digest.hexdigest()


@lru_cache(_KEPT)  # most plug-ins are counted with the same packages
def _content(path: Path) -> str:
    """Return a file's size, and the sha256 of its content where that counts."""
    size = path.stat().st_size
    if size > _LARGEST:
        return f"{size}"
    with path.open("rb") as file:
        return f"{size} {hashlib.file_digest(file, 'sha256').hexdigest()}"


def sources(
    used: Iterable[Plugin], packages: tuple[str, ...], roots: tuple[Path, ...]
) -> dict[str, Path]:
    """Return the files that make numbers, by names that do not depend on where they lie.

    ``roots`` are the folders in which vssbench's packages are looked for.
    """
    files: dict[str, Path] = {}
    waiting = [each for part in packages for each in _under(part, roots)]
    imported: set[str] = set()
    for plugin in used:
        waiting += _of(plugin, roots)
    while waiting:
        name, path = waiting.pop()
        if name in files or name in AFTERWARDS:
            continue
        files[name] = path
        if path.suffix == ".py":
            for part in _plugins_imported(path) - imported:
                imported.add(part)
                waiting += _under(part, roots)
    return files


@lru_cache(_KEPT)
def _plugins_imported(path: Path) -> frozenset[str]:
    """Return the plug-ins of the project that a module imports: ``methods/copy``."""
    parts = set()
    for kind, module, modules in _OF_PLUGINS.findall(_text(path)):
        names = [module] if module else re.findall(r"\w+", modules)
        parts |= {f"{kind}/{each}" for each in names}
    return frozenset(parts)


@lru_cache(_KEPT)
def _under(part: str, roots: tuple[Path, ...]) -> tuple[tuple[str, Path], ...]:
    """Return the files of one of vssbench's packages or modules: ``codec``, ``methods/copy``."""
    for root in roots:
        for path in (root / part, root / f"{part}.py"):
            if path.exists():
                name = path.relative_to(root)
                return tuple((f"{name}{rest}", file) for rest, file in _files(path))
    return ()


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield a module's file, or those of a package, by their names under it."""
    if path.is_file():
        yield "", path
        return
    for file in path.rglob("*"):
        name = f"/{file.relative_to(path).as_posix()}"
        if file.is_file() and not _NO_SOURCE.search(name):
            yield name, file


def _of(plugin: Plugin, roots: tuple[Path, ...]) -> Iterator[tuple[str, Path]]:
    """Yield the files of a plug-in: its own file or folder, or what its distribution brings."""
    first, _, rest = plugin.module.partition(".")
    if first == "vssbench":
        kind, *names = rest.split(".")
        # a codec's file lies in a package that is there anyhow
        yield from _under("/".join([kind, *names[:1]]), roots)
        return
    place = _outermost(plugin.module)
    if place is None:
        return
    yield from ((f"{plugin.module}{rest}", file) for rest, file in _files(place))
    for name in _beside(place, distribution(plugin)):
        yield from ((f"{name}{rest}", file) for rest, file in _files(_outermost(name) or place))


def _outermost(module: str) -> Path | None:
    """Return the folder of the outermost package that holds a module, or the module's file.

    A file inside an archive stands for the whole archive. None where there is no such module.
    """
    for name in accumulate(module.split("."), "{}.{}".format):
        try:
            spec = find_spec(name)
        except (ImportError, ValueError):  # ValueError: the module that a program began with
            spec = None
        if spec is None:
            return None
        if spec.origin is not None and spec.has_location:
            path = Path(spec.origin)
            path = path.parent if spec.submodule_search_locations is not None else path
            return next((each for each in (path, *path.parents) if each.exists()), None)
    return None


def _beside(place: Path, owner: Distribution | None) -> set[str]:
    """Return modules of a plug-in's own distribution that its source imports, and those import, by
    their first names."""
    listed = {path.parts[0].removesuffix(".py") for path in (owner and owner.files) or ()}
    listed |= set(((owner and owner.read_text("top_level.txt")) or "").split())
    shared = place.parent.name in ("site-packages", "dist-packages")
    beside: set[str] = set()
    waiting = [place]
    while waiting:
        texts = (path for _, path in _files(waiting.pop()) if path.suffix == ".py")
        for name in {name for text in texts for name in _IMPORTED.findall(_text(text))}:
            if name in beside or name in sys.stdlib_module_names or name == "vssbench":
                continue
            other = _outermost(name) if name in listed or not shared else None
            if other is not None and (name in listed or other.parent == place.parent):
                beside.add(name)
                waiting.append(other)
    return beside


def distribution(plugin: Plugin) -> Distribution | None:
    """Return the installed distribution that brought a plug-in; None for vssbench's own."""
    return None if plugin.entry_point is None else plugin.entry_point.dist


def requirements(used: Iterable[Plugin]) -> dict[str, str]:
    """Return the versions of what the plug-ins' distributions require, such as a library of
    networks."""
    versions = {}
    for owner in filter(None, map(distribution, used)):
        for text in owner.requires or ():
            match = _REQUIREMENT.match(text)
            if match is not None and match[0].lower() != "vssbench":
                versions[match[0].lower()] = _version(match[0])
    return versions


def origins(used: Iterable[Plugin]) -> list[dict[str, str]]:
    """Describe where plug-ins come from: kind, name, module, and the distribution with its
    version."""
    records = []
    for plugin in used:
        owner = distribution(plugin)
        brought = ("vssbench", __version__) if owner is None else (owner.name, owner.version)
        described = {"kind": plugin.kind, "name": plugin.name, "module": plugin.target}
        records.append(described | {"distribution": brought[0], "version": brought[1]})
    return records


def kernels() -> dict[str, Any]:
    """Return whether the compiled kernels of networks and of video are in use."""
    return {"networks": native.available(), "video": native.video_kernels() is not None}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""
