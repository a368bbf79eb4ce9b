"""Finds plug-ins: a file of ``methods/`` or ``datasets/``, a codec of ``vssbench/codec/formats/``, or an entry point.

A plug-in's name is its file's name or its entry point's name (groups ``vssbench.methods``, ``vssbench.datasets``,
``vssbench.codecs``). Nothing is imported before :func:`load`, so that listing never loads torch. A file holds one class.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import inspect
import pkgutil
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from vssbench.errors import UsageError
from vssbench.variant import Variant

#: kind -> (package that holds the files, entry point group, base class of its plug-ins as "module:class")
KINDS: dict[str, tuple[str, str, str]] = {
    "methods": ("vssbench.methods", "vssbench.methods", "vssbench.segmenter:VideoSegmenter"),
    "datasets": ("vssbench.datasets", "vssbench.datasets", "vssbench.video:Dataset"),
    "codecs": ("vssbench.codec.formats", "vssbench.codecs", "vssbench.codec.spec:Codec"),
}


@dataclass(frozen=True)
class Plugin:
    """A plug-in that was found but not imported: its name, kind, where it comes from and its one-line summary."""

    name: str
    kind: str
    module: str
    entry_point: EntryPoint | None = None

    @property
    def summary(self) -> str:
        """First line of the module's docstring, read without importing it."""
        try:
            spec = importlib.util.find_spec(self.module)
            if spec is None or spec.origin is None:
                return ""
            with open(spec.origin, encoding="utf-8") as file:
                doc = ast.get_docstring(ast.parse(file.read())) or ""
        except (ImportError, OSError, SyntaxError, ValueError) as error:
            return f"(unreadable: {error})"
        return doc.split("\n", 1)[0].strip()


@cache
def plugins(kind: str) -> dict[str, Plugin]:
    """Every plug-in of a kind by name, in alphabetical order. Raises UsageError where a name is taken twice."""
    package, group, _ = KINDS[kind]
    found: dict[str, Plugin] = {}
    for info in pkgutil.iter_modules(importlib.util.find_spec(package).submodule_search_locations or []):  # type: ignore[union-attr]
        if not info.name.startswith("_"):
            found[info.name] = Plugin(info.name, kind, f"{package}.{info.name}")
    for point in entry_points(group=group):
        module = point.value.split(":")[0]
        if point.name in found and found[point.name].module != module:
            raise UsageError(
                f"two {kind} are named {point.name!r}: {found[point.name].module} and {module}; rename or uninstall one"
            )
        found[point.name] = Plugin(point.name, kind, module, point)
    return dict(sorted(found.items()))


def find(kind: str, name: str) -> Plugin:
    """The plug-in of that name. Raises UsageError that says what was meant and lists what there is."""
    available = plugins(kind)
    if name in available:
        return available[name]
    close = difflib.get_close_matches(name, available, n=1, cutoff=0.5)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UsageError(f"unknown {kind[:-1]} {name!r}.{hint} Available: {', '.join(available)}")


@cache
def load(kind: str, name: str) -> type[Any]:
    """Import a plug-in and return its class. Raises UsageError, with the cause, where the file does not import."""
    plugin = find(kind, name)
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
                if inspect.isclass(item) and issubclass(item, base) and item.__module__ == module.__name__
            ]
    except Exception as error:  # any plug-in may fail in any way: it breaks only itself, and says why
        raise UsageError(f"the {kind[:-1]} {name!r} ({plugin.module}) does not import: {error!r}") from error
    if len(candidates) != 1 or not issubclass(candidates[0], base):
        raise UsageError(
            f"{plugin.module} must define one class derived from {base_module}.{base_name}; found {len(candidates)}"
        )
    return candidates[0]


def create(kind: str, variant: Variant, **given: Any) -> Any:
    """Instantiate a plug-in: the variant's parameters checked against the class's, ``given`` added by the harness."""
    cls = load(kind, variant.name)
    accepted = parameters(cls)
    for key in variant.params:
        if key not in accepted:
            close = difflib.get_close_matches(key, accepted, n=1, cutoff=0.5)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            options = ", ".join(f"{name}={default}" for name, default in accepted.items()) or "none"
            raise UsageError(f"{variant.name} has no parameter {key!r}.{hint} Its parameters: {options}")
    return cls(**given, **variant.params)


def parameters(cls: type[Any]) -> dict[str, Any]:
    """A plug-in's own parameters with their defaults: the keyword-only arguments of its ``__init__``."""
    signature = inspect.signature(cls)
    return {
        name: item.default
        for name, item in signature.parameters.items()
        if item.kind is inspect.Parameter.KEYWORD_ONLY and item.default is not inspect.Parameter.empty
    }


def resolved(kind: str, variant: Variant) -> dict[str, Any]:
    """All parameters of a variant: the class's defaults overlaid with the variant's own."""
    return {**parameters(load(kind, variant.name)), **variant.params}
