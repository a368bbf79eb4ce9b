"""The imports between the project's modules, read from the sources, and the layers that they obey.

The plug-in folders are read as the packages that they are imported as, which import-linter, that
looks for packages on the disk, does not do.
"""

from __future__ import annotations

import ast
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

#: folder of a checkout -> the package that its files are imported as
FOLDERS = {
    "vssbench": "vssbench",
    "methods": "vssbench.methods",
    "datasets": "vssbench.datasets",
}
PLUGINS = ("methods", "datasets")

Graph = Mapping[str, frozenset[str]]


def modules(root: Path, folders: Mapping[str, str] = FOLDERS) -> dict[str, Path]:
    """Return the files of a checkout by the names under which they are imported."""
    found: dict[str, Path] = {}
    for folder, package in folders.items():
        for path in sorted((root / folder).rglob("*.py")):
            parts = path.relative_to(root / folder).with_suffix("").parts
            name = ".".join([package, *parts]).removesuffix(".__init__")
            found[name] = path
    return found


def import_graph(root: Path, folders: Mapping[str, str] = FOLDERS) -> Graph:
    """Return the modules that each module imports, in functions and for type checkers too."""
    files = modules(root, folders)
    return {
        name: frozenset(_imported(ast.parse(path.read_text(encoding="utf-8")), files) - {name})
        for name, path in files.items()
    }


def _imported(tree: ast.AST, files: Mapping[str, Path]) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            assert node.level == 0, "imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= names & files.keys()
            # what is no module of its own is a name within the module
            found |= set() if names <= files.keys() else {node.module}
    return {name for name in found if name in files}


def circles(graph: Graph) -> list[list[str]]:
    """Return the sets of modules that import each other in a ring, by Tarjan's algorithm."""
    number: dict[str, int] = {}
    lowest: dict[str, int] = {}
    stack: list[str] = []
    rings: list[list[str]] = []

    def visit(module: str) -> None:
        number[module] = lowest[module] = len(number)
        stack.append(module)
        for other in sorted(graph[module]):
            if other not in number:
                visit(other)
            if other in stack:
                lowest[module] = min(lowest[module], lowest[other])
        if lowest[module] == number[module]:
            place = stack.index(module)
            ring = stack[place:]
            del stack[place:]
            if len(ring) > 1:
                rings.append(sorted(ring))

    for module in sorted(graph):
        if module not in number:
            visit(module)
    return rings


def layers(root: Path) -> list[set[str]]:
    """Return the packages of each layer, from the top, as pyproject.toml declares them."""
    settings = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        each for each in settings["tool"]["importlinter"]["contracts"] if each["type"] == "layers"
    )
    return [{name.strip() for name in layer.split("|")} for layer in contract["layers"]]


def wrong_arrows(graph: Graph, order: list[set[str]]) -> Iterator[tuple[str, str]]:
    """Yield the imports that lead up, beside, or from the core to a plug-in."""
    rank = {name: place for place, names in enumerate(order) for name in names}
    for module, imported in sorted(graph.items()):
        own = package_of(module)
        for other in sorted(imported):
            its = package_of(other)
            if own in PLUGINS or own == its or not own:
                continue
            if its not in rank or rank[its] <= rank[own]:
                yield module, other


def package_of(module: str) -> str:
    """Return the package of vssbench that a module belongs to; empty for vssbench itself."""
    return module.partition(".")[2].partition(".")[0]


def plugin_of(module: str) -> str:
    """Return the plug-in that a module belongs to, as ``methods.copy``; its package otherwise."""
    parts = module.split(".")[1:]
    return ".".join(parts[:2]) if parts and parts[0] in PLUGINS else ".".join(parts[:1])


def package_graph(graph: Graph) -> Graph:
    """Return the packages that each package imports; vssbench itself, which offers all, left
    out."""
    packages: dict[str, set[str]] = {}
    for module, imported in graph.items():
        own = package_of(module)
        packages.setdefault(own, set()).update({package_of(other) for other in imported} - {own})
    return {own: frozenset(its - {""}) for own, its in packages.items() if own}


def picture(graph: Graph) -> str:
    """The packages' imports as a Mermaid diagram, without the arrows that others imply. A ring has
    no such form: ValueError."""
    below: dict[str, frozenset[str]] = {}

    def reached(name: str, above: tuple[str, ...] = ()) -> frozenset[str]:
        if name in above:
            raise ValueError(f"a ring of imports: {' -> '.join([*above, name])}")
        if name not in below:
            deeper = (reached(other, (*above, name)) for other in graph[name])
            below[name] = graph[name].union(*deeper)
        return below[name]

    for name in graph:
        reached(name)
    arrows = [
        f"    {own} --> {other}"
        for own in sorted(graph)
        for other in sorted(graph[own])
        if not any(other in below[between] for between in graph[own] - {other})
    ]
    return "\n".join(["```mermaid", "graph TD", *arrows, "```"])
