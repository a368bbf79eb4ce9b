"""The fast tests stay apart from the slow ones; a test that hangs fails and ends nothing else."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.marks import CODEC, SLOW, TRAINING

ROOT = Path(__file__).resolve().parent.parent
TESTS = ROOT / "tests"


def options() -> dict[str, object]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return project["tool"]["pytest"]["ini_options"]


@pytest.mark.parametrize("place", [*CODEC, *TRAINING, *SLOW])
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
