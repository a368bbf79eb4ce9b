"""The program's name as it was called: in messages, help texts and records of commands."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from vssbench.cli import bench
from vssbench.core import program as named
from vssbench.core.errors import DataError
from vssbench.core.machine import typed_command
from vssbench.core.program import as_called, program
from vssbench.report.frames import results

ROOT = Path(__file__).parents[2]
#: where the script is named for what it is, a file
NAMING = {"vssbench/__init__.py", "vssbench/core/program.py"}
#: what is called, and the name that is shown then
NAMES = [("bench.py", "python bench.py"), ("vssbench", "vssbench")]
MAIN = "import sys; sys.argv = sys.argv[1:]; from vssbench.cli import main; main()"


@pytest.mark.parametrize(
    ("called", "expected"),
    [
        (["bench.py", "run"], "python bench.py"),
        (["/some/where/bench.py"], "python bench.py"),
        (["/usr/local/bin/vssbench", "run"], "vssbench"),
        ([r"vssbench.EXE"], "vssbench"),
        (["-c"], "python bench.py"),
        (["/usr/lib/python3/site-packages/pytest/__main__.py"], "python bench.py"),
        ([], "python bench.py"),
    ],
)
def test_the_name_is_that_which_was_called(
    called: list[str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", called)
    assert program() == expected


def test_without_a_checkout_the_command_is_what_there_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(named, "__file__", str(tmp_path / "vssbench" / "core" / "program.py"))
    monkeypatch.setattr(sys, "argv", ["-c"])
    assert program() == "vssbench"


@pytest.mark.parametrize(
    ("called", "expected"), [("bench.py", "python bench.py"), ("vssbench", "vssbench")]
)
def test_messages_and_records_have_the_name(
    called: str, expected: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "argv", [called, "table", "--data-root", "/home/me"])
    assert typed_command() == f"{expected} table --data-root DIR"
    with pytest.raises(DataError, match=f"as `{expected} run` writes"):
        results(tmp_path / "none")


def test_a_record_names_no_folder_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    given = [
        "--runs", "/home/me/runs", "--clip", "/data/city/", "--weights=/home/me/a.safetensors",
        "-d", "folder[root=/home/me/film,split=val]", "--out", "results/a.json", "-m", "a[b=1]",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", ["vssbench", "run", *given])
    assert typed_command() == (
        "vssbench run --runs runs --clip city --weights=DIR -d 'folder[root=DIR,split=val]' "
        "--out results/a.json -m 'a[b=1]'"
    )


def texts(tree: ast.Module) -> Iterator[ast.Constant]:
    """The texts of a source that are no docstrings."""
    said = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in said:
            yield node


def test_no_message_has_a_name_of_its_own() -> None:
    found = {}
    for folder in ("vssbench", "methods", "datasets"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            source, place = path.read_text(encoding="utf-8"), path.relative_to(ROOT).as_posix()
            if "bench.py" not in source or place in NAMING:
                continue
            lines = [text.lineno for text in texts(ast.parse(source)) if "bench.py" in text.value]
            if lines:
                found[place] = lines
    assert found == {}
    assert [text.value for text in texts(ast.parse("'''bench.py'''\nsay(f'{a} bench.py b')"))] == [
        " bench.py b"
    ]


def commands(command: click.Command) -> Iterator[click.Command]:
    """A command and all below it."""
    yield command
    for each in getattr(command, "commands", {}).values():
        yield from commands(each)


def test_help_texts_have_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    every = list(commands(bench))
    assert len(every) > 30
    assert as_called(bench.help or "") == bench.help
    monkeypatch.setattr(sys, "argv", ["vssbench"])
    for command in every:
        assert "bench.py" not in as_called(command.help or ""), command.name
        for parameter in command.params:
            assert "bench.py" not in (getattr(parameter, "help", None) or ""), parameter.name


@pytest.mark.parametrize(
    ("called", "expected"), [("bench.py", "python bench.py"), ("vssbench", "vssbench")]
)
def test_usage_and_examples_are_shown_by_the_name(called: str, expected: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", MAIN, called, "train", "--help"], cwd=ROOT, text=True, check=True,
        capture_output=True, env={**os.environ, "COLUMNS": "200"},
    ).stdout  # fmt: skip
    assert f"Usage: {expected} train" in shown
    assert f"{expected} train arseg -d camvid" in shown
    start = "bench.py" if called == "bench.py" else "--no-python vssbench"
    assert f"torchrun --nproc-per-node 4 {start} train" in shown
