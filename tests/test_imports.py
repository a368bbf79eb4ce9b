"""Which module may import which: no ring, no arrow up or beside, no plug-in named by the core."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.graph import (
    FOLDERS,
    Graph,
    circles,
    import_graph,
    layers,
    modules,
    package_graph,
    package_of,
    picture,
    plugin_of,
    wrong_arrows,
)

ROOT = Path(__file__).parent.parent

#: packages that a plug-in may build on
FOUNDATIONS = {
    "methods": {"core", "native", "nets", "fast", "weights", "cost"},
    "datasets": {"core", "data"},
}
#: plug-ins that build on others, by what they are
RELATED = {
    ("datasets.arsegdata", "datasets.camvid"),  # the frames of both, as AR-Seg's authors coded them
    ("datasets.arsegdata", "datasets.cityscapes"),
    ("methods.bisenet", "methods.arseg"),  # the files that AR-Seg's authors published hold these
    ("methods.icnet", "methods.arseg"),
    ("methods.pspnet", "methods.arseg"),
}

#: names of plug-ins, and of their papers and data where these are written otherwise; ``copy``,
#: ``warp`` and ``folder`` are words of the language, and are left out
NAMED = (
    "arseg", "ar-seg", "bisenet", "dff", "dsrl", "icnet", "pspnet",
    "arsegdata", "camvid", "cityscapes", "synthetic", "vspw",
)  # fmt: skip
#: files that name some all the same, and why
MAY_NAME = {
    "nets/pspnet.py": "a network that several methods run",
    "nets/bisenet.py": "a network that several methods run",
    "nets/keyframe_baseline.py": "a choice of one of these networks",
    "sweep/defaults.py": "what runs when nothing is asked for",
    "codec/formats/hevc.py": "encodings that are known by a paper and its data",
    "report/further.py": "a measure over time, counted as the script of its paper does",
}
#: files whose sentences may show a variant as one that a user can type
EXAMPLES = ("cli/", "core/variant.py", "library.py", "segment/weights.py")

_NAMES = re.compile(rf"(?<![a-z])(?:{'|'.join(NAMED)})(?![a-z])", re.IGNORECASE)


@cache
def graph() -> Graph:
    return import_graph(ROOT)


def test_no_module_imports_itself_in_a_ring() -> None:
    assert circles(graph()) == []


@pytest.mark.parametrize("folder", ["tools", "tests"])
def test_nor_does_one_that_is_not_installed(folder: str) -> None:
    found = import_graph(ROOT, {folder: folder})
    assert any(found.values())
    assert circles(found) == []


def test_a_ring_is_seen() -> None:
    ring = {"a": {"b"}, "b": {"c", "d"}, "c": {"a"}, "d": set(), "e": {"a"}}
    assert circles({name: frozenset(others) for name, others in ring.items()}) == [["a", "b", "c"]]


def test_no_arrow_leads_up_or_beside() -> None:
    order = layers(ROOT)
    packages = {package_of(module) for module in graph()} - {"", *FOUNDATIONS}
    assert packages == set().union(*order), "every package stands in one layer"
    assert list(wrong_arrows(graph(), order)) == []


@pytest.mark.parametrize("kind", FOUNDATIONS)
def test_plug_ins_build_on_the_foundations_alone(kind: str) -> None:
    for module, imported in graph().items():
        if package_of(module) != kind:
            continue
        for other in imported - {"vssbench"}:
            own, its = plugin_of(module), plugin_of(other)
            fits = own == its or (own, its) in RELATED or package_of(other) in FOUNDATIONS[kind]
            assert fits, f"{module} imports {other}"


def test_the_picture_of_the_imports_is_true() -> None:
    drawn = picture(package_graph(graph()))
    assert f"\n{drawn}\n" in (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def test_a_picture_leaves_out_what_other_arrows_imply() -> None:
    names = {"a": {"b", "c"}, "b": {"c"}, "c": set()}
    drawn = picture({name: frozenset(others) for name, others in names.items()})
    assert drawn == "```mermaid\ngraph TD\n    a --> b\n    b --> c\n```"
    with pytest.raises(ValueError, match="a -> b -> a"):
        picture({"a": frozenset({"b"}), "b": frozenset({"a"})})


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_installed_imports_nothing_that_is_not(folder: str) -> None:
    for path in sorted((ROOT / folder).rglob("*.py")):
        names = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module is not None:
                names.add(node.module.split(".")[0])
        assert not names & {"tools", "tests", "benchmarks", "bench"}, path


def copied(folder: Path) -> Path:
    """Return a copy of the sources that the linter and the graph read."""
    for name in FOLDERS:
        shutil.copytree(
            ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so")
        )
    for name in ("pyproject.toml", "bench.py"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def lint(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run ``lint-imports`` on a copy, which must not meet the checkout on its path."""
    command = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache"],
        cwd=folder, env={**environment, "COLUMNS": "200"},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_make_lint_runs_the_linter() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nlint:")[2]
    assert "lint-imports" in recipe.partition("\n\n")[0]


def test_the_linter_accepts_the_sources_and_refuses_planted_arrows(tmp_path: Path) -> None:
    """Each hidden in a function: up, beside, to a plug-in, to a codec by name, and up to all."""
    pytest.importorskip("importlinter")
    folder = copied(tmp_path)
    assert lint(folder).returncode == 0, lint(folder).stdout
    planted = {
        "core/errors.py": "vssbench.report.table",
        "view/page.py": "vssbench.segment.drawing",
        "run/store.py": "vssbench.methods.copy",
        "cost/shapes.py": "vssbench.codec.formats.h264",
        "weights/original.py": "vssbench",
    }
    for file, module in planted.items():
        with (folder / "vssbench" / file).open("a", encoding="utf-8") as source:
            source.write(f"\n\ndef _planted():\n    import {module}\n")
    result = lint(folder)
    assert result.returncode == 1, result.stdout
    for file, module in planted.items():
        importer = f"vssbench.{file.removesuffix('.py').replace('/', '.')}"
        shown = module.partition(".methods")[0]
        assert re.search(rf"{importer} -> {shown} \(l\.\d+\)", result.stdout), importer


def test_the_graph_sees_planted_arrows(tmp_path: Path) -> None:
    folder = copied(tmp_path)
    planted = {
        "vssbench.core.errors": "from vssbench.report import table",
        "vssbench.view.page": "import vssbench.segment.drawing",
        "vssbench.run.store": "from vssbench.methods.copy import Copy",
        "vssbench.weights.original": "if TYPE_CHECKING:\n    from vssbench.cli import main",
    }
    files = modules(folder)
    for module, line in planted.items():
        with files[module].open("a", encoding="utf-8") as source:
            source.write(f"\n\n{line}\n")
    seen = import_graph(folder)
    assert {module for module, _ in wrong_arrows(seen, layers(folder))} == planted.keys()
    assert circles(seen), "the core now leads to what is built on it"


def words(path: Path) -> Iterator[tuple[int, str]]:
    """Yield identifiers and strings of a file, with their lines; docstrings are prose."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=str() as text) if id(node) not in prose:
                yield node.lineno, text
            case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.alias(name=name, asname=other):
                yield node.lineno, f"{name} {other or ''}"


def naming(path: Path, file: str) -> list[str]:
    """Return the places of a file that name a plug-in."""
    example = file.startswith(EXAMPLES)
    return [
        f"{file}:{line}: {text!r}"
        for line, text in words(path)
        if _NAMES.search(text) and not (example and " " in text.strip())
    ]


def test_the_core_names_no_method_and_no_dataset() -> None:
    found: dict[str, list[str]] = {}
    for path in sorted((ROOT / "vssbench").rglob("*.py")):
        file = path.relative_to(ROOT / "vssbench").as_posix()
        if places := naming(path, file):
            found[file] = places
    assert {file: places for file, places in found.items() if file not in MAY_NAME} == {}
    assert MAY_NAME.keys() <= found.keys(), "what names none any more is taken off the list"


def test_every_plug_in_is_looked_for() -> None:
    plugins = {
        path.stem for kind in FOUNDATIONS for path in (ROOT / kind).iterdir() if path.stem[0] != "_"
    }
    assert plugins - {"copy", "warp", "folder"} <= set(NAMED)


@pytest.mark.parametrize(
    ("line", "named"),
    [
        ("CAMVID_CLASSES = ()", True),
        ("name = 'arseg[scale=0.5]'", True),
        ("def f(BiSeNet18): ...", True),
        ("raise ValueError('give AR-Seg two files')", True),
        ("from vssbench.nets import pspnet as network", True),
        ("# as CamVid has it\nsize = 3", False),
        ('"""Read CamVid."""', False),
        ("differs = 'a copy in a folder'", False),
    ],
)
def test_names_are_seen_in_identifiers_and_strings(tmp_path: Path, line: str, named: bool) -> None:
    path = tmp_path / "module.py"
    path.write_text(line)
    assert bool(naming(path, "run/module.py")) == named
