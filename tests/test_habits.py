"""Habits of the code and of its tests.

The fast tests stay apart from the slow ones; a test that hangs fails and ends nothing else. A
docstring begins with a sentence, and lists of parameters are short.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest

from tests.marks import CODEC, LONGEST, SLOW, TRAINING

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"
#: first words after which a docstring is a clause that is understood only beside the code
CLAUSES = ("What ", "Of ", "As ", "In ", "That ", "How ")
#: and the one that only a property or a value may begin with; a function returns whether it is so
ANSWER = "Whether "
MOST_PARAMETERS = 7
#: functions with more parameters than that; their arguments are the brackets of `arseg[scale=0.5]`
BRACKETS = {
    "methods/arseg/__init__.py:ARSeg",
    "methods/dff/__init__.py:DFF",
    "methods/dsrl/__init__.py:DSRL",
    "methods/icnet/__init__.py:ICNet",
    "vssbench/codec/encoded.py:EncodedCodec",
}
Function = ast.FunctionDef | ast.AsyncFunctionDef
ARTICLES = ("A", "All", "An", "Each", "Every", "One", "The", "Two")


def parsed(*folders: str) -> list[tuple[str, ast.Module]]:
    """Return the Python files of the project's folders, by their paths, as trees."""
    paths = (path for folder in folders for path in sorted((ROOT / folder).rglob("*.py")))
    return [(path.relative_to(ROOT).as_posix(), tree_of(path)) for path in paths]


@cache
def tree_of(path: Path) -> ast.Module:
    """Return a file as a tree, read once for all tests."""
    return ast.parse(path.read_text(encoding="utf-8"))


def documented(tree: ast.Module) -> list[str]:
    """Return the docstrings of a module."""
    kinds = (ast.Module, ast.ClassDef, Function)
    found = (ast.get_docstring(node) for node in ast.walk(tree) if isinstance(node, kinds))
    return [text for text in found if text]


def answers(tree: ast.Module) -> list[str]:
    """Return the docstrings of a module's functions, and its own, that name an answer alone."""
    return [
        text
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | Function)
        and not any("property" in ast.unparse(each) for each in getattr(node, "decorator_list", ()))
        and (text := ast.get_docstring(node) or "").startswith(ANSWER)
    ]


def verbless(tree: ast.Module) -> list[str]:
    """Return the docstrings of a module's functions that name a thing and not what is done; those
    of properties, and of commands, which name what they print, may."""
    nouns = ("property", "command", "group", "fixture")
    return [
        text
        for node in ast.walk(tree)
        if isinstance(node, Function)
        and not any(noun in ast.unparse(each) for each in node.decorator_list for noun in nouns)
        and (text := ast.get_docstring(node) or "").split(" ")[0] in ARTICLES
    ]


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count the parameters of a function, without the instance or class that it is called on."""
    given = function.args
    names = [each.arg for each in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return len(names) - (names[:1] in (["self"], ["cls"]))


def long_lists(tree: ast.Module) -> list[str]:
    """Return the functions with too many parameters; a constructor goes by its class's name."""
    owners = {
        method: node.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for method in node.body
        if isinstance(method, Function) and method.name == "__init__"
    }
    return [
        owners.get(node, node.name)
        for node in ast.walk(tree)
        if isinstance(node, Function) and parameters(node) > MOST_PARAMETERS
    ]


def test_docstrings_begin_with_a_sentence() -> None:
    trees = [
        ("bench.py", ast.parse((ROOT / "bench.py").read_text(encoding="utf-8"))),
        *parsed("benchmarks", "datasets", "methods", "tests", "tools", "vssbench"),
    ]
    texts = [(path, text) for path, tree in trees for text in documented(tree)]
    assert len(texts) > 1000
    assert [found for found in texts if found[1].startswith(CLAUSES)] == []
    assert [(path, answers(tree)) for path, tree in trees if answers(tree)] == []


def test_functions_begin_with_their_verb() -> None:
    trees = parsed("benchmarks", "datasets", "methods", "tools", "vssbench")
    assert [(path, verbless(tree)) for path, tree in trees if verbless(tree)] == []


def test_lists_of_parameters_are_short() -> None:
    trees = parsed("datasets", "methods", "tools", "vssbench")
    found = {f"{path}:{name}" for path, tree in trees for name in long_lists(tree)}
    assert found == BRACKETS
    assert len(found) < 8


def test_a_long_list_and_a_clause_are_seen() -> None:
    """The count leaves out ``self`` alone, and takes in arguments that are given by name."""
    tree = ast.parse(
        "class Long:\n"
        "    def __init__(self, a, b, c, d, *, e, f, g, h): 'What it is.'\n"
        "    def short(self, a, b, c, d, *, e, f, g): 'Short.'\n"
        "def loose(a, b, c, d, e, f, g, h): 'As long.'\n"
        "@property\n"
        "def even(a): 'Whether it is even.'\n"
        "def odd(a): 'Whether it is odd.'\n"
        "def half(a): 'The half of it.'\n"
        "@property\n"
        "def whole(a): 'The whole of it.'\n"
    )
    assert sorted(long_lists(tree)) == ["Long", "loose"]
    assert [text for text in documented(tree) if text.startswith(CLAUSES)] == [
        "As long.",
        "What it is.",
    ]
    assert answers(tree) == ["Whether it is odd."]
    assert verbless(tree) == ["The half of it."]


def options() -> dict[str, object]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return project["tool"]["pytest"]["ini_options"]


@pytest.mark.parametrize("place", [*CODEC, *LONGEST, *TRAINING, *SLOW])
def test_marked_places_are_there(place: str) -> None:
    assert (TESTS / place).exists()


@pytest.mark.parametrize(("place", "names"), [item for item in SLOW.items() if item[1]])
def test_marked_tests_are_there(place: str, names: tuple[str, ...]) -> None:
    tree = ast.parse((TESTS / place).read_text(encoding="utf-8"))
    defined = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert set(names) - defined == set()


def test_marks_are_set_and_known(pytestconfig: pytest.Config) -> None:
    known = {line.split(":")[0] for line in pytestconfig.getini("markers")}
    assert {"slow", "codec", "training"} <= known
    assert "--strict-markers" in str(options()["addopts"])


HANGING = """
import ctypes
import pytest

def test_before():
    assert True

@pytest.mark.timeout(1)
def test_hangs_in_compiled_code():
    getattr(ctypes, {library!r})(None).sleep(60)

def test_after():
    assert True
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no sleep() in the C library")
def test_a_test_that_hangs_in_compiled_code_fails_alone(tmp_path: Path) -> None:
    (tmp_path / "test_hanging.py").write_text(HANGING.format(library="CDLL"), encoding="utf-8")
    done = run_pytest(tmp_path, f"timeout_method={options()['timeout_method']}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "test_hangs_in_compiled_code" in done.stdout
    assert "1 failed, 2 passed" in done.stdout


@pytest.mark.skipif(sys.platform == "win32", reason="no sleep() in the C library")
def test_one_that_holds_pythons_lock_fails_alone_too(tmp_path: Path) -> None:
    assert options()["faulthandler_exit_on_timeout"] is True
    (tmp_path / "test_hanging.py").write_text(HANGING.format(library="PyDLL"), encoding="utf-8")
    done = run_pytest(tmp_path, "faulthandler_timeout=2", "faulthandler_exit_on_timeout=true")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed, 2 passed" in done.stdout


def run_pytest(folder: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder in one worker process."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-n",
        "1",
        "-p",
        "no:cacheprovider",
        "test_hanging.py",
    ]
    for setting in settings:
        command += ["-o", setting]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=50, check=False
    )


#: texts that name a removal which the user asks for by an option of its own
ASKED_FOR = {"Remove them; without it they are listed alone."}


def messages(tree: ast.Module) -> list[str]:
    """Return the texts of a module that are no docstrings, values in them as ``{}``."""
    own = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | Function)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    joined = [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]
    parts = {id(part) for node in joined for part in ast.walk(node)}
    plain = [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        and id(node) not in own | parts
    ]  # fmt: skip
    whole = [
        "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        for node in joined
    ]
    return [*plain, *whole]


def test_no_message_advises_to_remove_what_may_be_sound() -> None:
    """A file that does not read may be sound, and only its reader at fault."""
    found = {
        f"{path}: {text}"
        for path, tree in parsed("datasets", "methods", "vssbench")
        for text in messages(tree)
        if re.search(r"\b(remove|delete|erase|discard)\b|\brm -", text, re.IGNORECASE)
        and text not in ASKED_FOR
    }
    assert found == set()
