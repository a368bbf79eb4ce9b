"""The commands by which tools are called, in documents and in the tools themselves, find what the
tools import."""

from __future__ import annotations

import re

import pytest

from tests.tracked import ROOT, tracked_files

#: a tool that is run as a file does not see the package `tools`; one that is run as a module does
AS_A_FILE = re.compile(r"python3? tools/(\w+)\.py")
AS_A_MODULE = re.compile(r"python3? -m tools\.(\w+)")
OF_THE_PACKAGE = re.compile(r"^\s*(from|import) tools\b", re.MULTILINE)


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    endings = {".md", ".py", ".toml", ".sh", ".yml", ""}
    return {
        path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
        for path in tracked_files()
        if path.suffix in endings
    }


@pytest.mark.timeout(60)
def test_a_tool_that_is_called_as_a_file_imports_none_of_its_package(
    texts: dict[str, str],
) -> None:
    called = {(name, place) for place, text in texts.items() for name in AS_A_FILE.findall(text)}
    assert called
    wrong = {
        f"{place}: python -m tools.{name}"
        for name, place in called
        if OF_THE_PACKAGE.search((ROOT / "tools" / f"{name}.py").read_text(encoding="utf-8"))
    }
    assert wrong == set()


@pytest.mark.timeout(60)
def test_a_tool_that_is_called_as_a_module_is_there(texts: dict[str, str]) -> None:
    called = {name for text in texts.values() for name in AS_A_MODULE.findall(text)}
    assert len(called) > 5
    assert [name for name in sorted(called) if not (ROOT / "tools" / f"{name}.py").is_file()] == []
