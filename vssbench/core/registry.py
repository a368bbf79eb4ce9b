"""Finds plug-ins: a file of ``methods/`` or ``datasets/``, a codec of ``vssbench/codec/formats/``,
an executor of ``vssbench/sweep/executors/``, or an entry point.

A plug-in's name is its file's name or its entry point's name (groups ``vssbench.methods``,
``vssbench.datasets``, ``vssbench.codecs``, ``vssbench.executors``). Nothing is imported before
:func:`load`, so that listing never loads torch. A file holds one class.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import inspect
import itertools
import pkgutil
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from vssbench.core.errors import UsageError, VssbenchError
from vssbench.core.parameters import converted, signature
from vssbench.core.place import staying
from vssbench.core.shortage import shortage
from vssbench.core.variant import Value, Variant, format_value, parse_variant

#: kind -> (package that holds the files, entry point group, base class of its plug-ins as
#: "module:class")
KINDS: dict[str, tuple[str, str, str]] = {
    "methods": ("vssbench.methods", "vssbench.methods", "vssbench.core.segmenter:VideoSegmenter"),
    "datasets": ("vssbench.datasets", "vssbench.datasets", "vssbench.core.dataset:Dataset"),
    "codecs": ("vssbench.codec.formats", "vssbench.codecs", "vssbench.codec.spec:Codec"),
    "executors": (
        "vssbench.sweep.executors",
        "vssbench.executors",
        "vssbench.sweep.executor:Executor",
    ),
}


Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Plugin:
    """A plug-in that was found but not imported: its name, kind, where it comes from and its
    summary."""

    name: str
    kind: str
    module: str
    entry_point: EntryPoint | None = None
    #: why it cannot be loaded, where that is known already: its name is taken twice
    fault: str = ""

    @property
    def target(self) -> str:
        """The object that is loaded: ``module:class`` of an entry point, else the module."""
        return self.entry_point.value if self.entry_point is not None else self.module

    @property
    def summary(self) -> str:
        """First paragraph of the module's docstring on one line, read without importing it."""
        try:
            spec = find_spec(self.module)
            if spec is None or spec.origin is None:
                return ""
            with open(spec.origin, encoding="utf-8") as file:
                doc = ast.get_docstring(ast.parse(file.read())) or ""
        except (ImportError, OSError, SyntaxError, ValueError) as error:
            return f"(unreadable: {error})"
        return " ".join(re.split(r"\n\s*\n", doc, maxsplit=1)[0].split())


@cache
def plugins(kind: str) -> dict[str, Plugin]:
    """Return every plug-in of a kind by name, in alphabetical order.

    A name that two installed packages take is neither's: :func:`load` refuses it. One of this
    project's own stays that, and a line on stderr says so.
    """
    package, group, _ = KINDS[kind]
    known: dict[str, Plugin] = {}
    spec = importlib.util.find_spec(package)
    for info in pkgutil.iter_modules(spec.submodule_search_locations if spec else []):
        if not info.name.startswith("_"):
            known[info.name] = Plugin(info.name, kind, f"{package}.{info.name}")
    for point in entry_points(group=group):
        module = point.value.split(":")[0]
        other = known.get(point.name)
        # a plug-in file may name itself as an entry point, and a distribution may be found twice on
        # the path
        if other is not None and other.target not in (point.value, module):
            fault = (
                f"two {kind} are named {point.name!r}: {other.target} and {point.value}; rename or "
                "uninstall one"
            )
            if other.entry_point is None:
                leave_out(kind, f"{point.name!r} of an installed package", fault)
            else:
                known[point.name] = replace(other, fault=fault)
            continue
        known[point.name] = Plugin(point.name, kind, module, point)
    return dict(sorted(known.items()))


def find(kind: str, name: str) -> Plugin:
    """Return the plug-in of that name. Raises UsageError that says what was meant and lists what
    there is."""
    available = plugins(kind)
    if name in available:
        return available[name]
    hint = _hint(name, available)
    raise UsageError(
        f"unknown {kind[:-1]} {name!r}.{hint} Available: {', '.join(available) or 'none'}"
    )


@cache
def load(kind: str, name: str) -> type[Any]:
    """Import a plug-in and return its class. Raises UsageError, with the cause, where the file does
    not import."""
    plugin = find(kind, name)
    if plugin.fault:
        raise UsageError(plugin.fault)
    base_module, base_name = KINDS[kind][2].split(":")
    base = getattr(importlib.import_module(base_module), base_name)
    try:
        if plugin.entry_point is not None:
            loaded = plugin.entry_point.load()
            candidates = [loaded] if inspect.isclass(loaded) else []
        else:
            module = importlib.import_module(plugin.module)
            candidates = [
                item
                for item in vars(module).values()
                if inspect.isclass(item)
                and issubclass(item, base)
                and item.__module__ == module.__name__
            ]
    except (
        Exception,
        SystemExit,
    ) as error:  # a plug-in may fail in any way: it breaks only itself, and says why
        raise UsageError(
            f"the {kind[:-1]} {name!r} ({plugin.module}) does not import: {error!r}"
        ) from error
    if len(candidates) != 1 or not issubclass(candidates[0], base):
        names = ", ".join(candidate.__name__ for candidate in candidates) or "none"
        raise UsageError(
            f"{plugin.target} must define one class derived from {base_module}.{base_name}; found "
            f"{names}"
        )
    return candidates[0]


def classes(kind: str) -> dict[str, type[Any]]:
    """Return every plug-in's class by name; one that does not load is left out, and a line on
    stderr says why, once."""
    loaded = {}
    for name in plugins(kind):
        try:
            loaded[name] = load(kind, name)
        except UsageError as error:
            leave_out(kind, name, str(error))
    return loaded


def answers(kind: str, attribute: str, check: Callable[[Any], Answer]) -> dict[str, Answer]:
    """Return every plug-in's ``attribute``, as ``check`` returns it; left out where that raises
    anything, as in :func:`classes`."""
    answered = {}
    for name, cls in classes(kind).items():
        try:
            answered[name] = check(getattr(cls, attribute))
        except Exception as error:  # whatever a plug-in declares, the others stay in use
            leave_out(kind, name, f"its {attribute} cannot be used: {error}")
    return answered


@cache
def leave_out(kind: str, name: str, reason: str) -> None:
    """Say on stderr, once, that a plug-in is left out."""
    print(f"The {kind[:-1]} {name} is left out: {reason}", file=sys.stderr)


def create(kind: str, variant: Variant, **given: Any) -> Any:
    """Instantiate a plug-in: the variant's parameters checked against the class's, ``given`` added
    by the harness.

    Raises UsageError for a parameter that the class does not have, of another type, none of its
    choices, or given by the harness too.
    """
    cls = load(kind, variant.name)
    params = _typed(cls, variant)
    for key in given:
        if key in params:
            raise UsageError(
                f"{key!r} of {variant.name} is given twice: take {key}={params[key]} out of "
                f"{str(variant)!r}"
            )
    with guarded(f"the {kind[:-1]} {str(variant)!r} cannot be made"):
        return cls(**given, **params)


def made(kind: str, names: Iterable[str]) -> Iterator[Any]:
    """Yield plug-ins of those names, as they are by default; one that cannot be made is left out,
    and a line on stderr says why, once."""
    for name in names:
        try:
            plugin = create(kind, Variant(name))
        except UsageError as error:  # it breaks only itself
            leave_out(kind, name, str(error))
        else:
            yield plugin


@contextmanager
def guarded(fault: str) -> Iterator[None]:
    """Run code of a plug-in, which may fail in any way: it breaks only itself and leads the process
    nowhere. Raises UsageError that begins with ``fault`` and says why; the harness's own errors and
    a shortage of memory stay as they are."""
    try:
        with staying():
            yield
    except VssbenchError:
        raise
    except (Exception, SystemExit) as error:
        if shortage(error):
            raise
        raise UsageError(f"{fault}: {error!r}") from error


def parameters(cls: type[Any]) -> dict[str, Any]:
    """Return a plug-in's parameters with their defaults: the keyword-only arguments of its
    ``__init__``.

    Where that takes ``**options`` too, the parameters of the class that it derives from are its own
    as well: these stand first, in their order, with the plug-in's defaults where it repeats one.
    """
    return {name: item.default for name, item in signature(cls).items()}


def resolved(kind: str, variant: Variant) -> dict[str, Any]:
    """Return all parameters of a variant: the class's defaults overlaid with the variant's own, in
    the declared types."""
    cls = load(kind, variant.name)
    return {**parameters(cls), **_typed(cls, variant)}


@cache
def settled(kind: str, text: str) -> str:
    """Return a plug-in with all of its parameters in an order of their own, however it was typed;
    as typed where the plug-in is not here or does not have them."""
    try:
        variant = parse_variant(text)
        return repr((variant.name, sorted(resolved(kind, variant).items())))
    except VssbenchError:
        return text


def _typed(cls: type[Any], variant: Variant) -> dict[str, Value]:
    """Return the variant's own parameters in the types that the class declares."""
    accepted = signature(cls)
    for key in variant.params:
        if key not in accepted:
            options = (
                ", ".join(f"{name}={format_value(item.default)}" for name, item in accepted.items())
                or "none"
            )
            raise UsageError(
                f"{variant.name} has no parameter {key!r}.{_hint(key, accepted)} Its parameters: "
                f"{options}"
            )
    return converted(cls, variant.params, variant.name)


def _hint(name: str, available: Iterable[str]) -> str:
    close = difflib.get_close_matches(name.lower(), list(available), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def find_spec(module: str) -> ModuleSpec | None:
    """Find a module's spec without importing the packages that hold it.

    ``importlib.util.find_spec`` imports them.
    """
    spec: ModuleSpec | None = None
    for name in itertools.accumulate(module.split("."), "{}.{}".format):
        parent = name.rpartition(".")[0]
        if not parent:
            spec = importlib.util.find_spec(name)
        elif parent in sys.modules:
            spec = PathFinder.find_spec(name, getattr(sys.modules[parent], "__path__", []))
        else:
            spec = PathFinder.find_spec(name, spec.submodule_search_locations if spec else [])
    return spec
