"""``bench.py new``: what it writes passes its own tests and the suite of conformance as it is."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from vssbench.cli import bench
from vssbench.cli.scaffold import scaffold
from vssbench.core.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]


def python(
    *arguments: str, cwd: Path = ROOT, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=cwd, env=env, capture_output=True, text=True, check=False
    )


def installed(package: Path, folder: Path) -> dict[str, str]:
    """Install a package as its wheel into a folder; returns the environment that sees it."""
    wheel = python(
        "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(package)
    )
    assert wheel.returncode == 0, wheel.stdout + wheel.stderr
    (built,) = folder.glob("*.whl")
    with zipfile.ZipFile(built) as archive:
        archive.extractall(folder / "site")
    path = [str(folder / "site"), str(ROOT), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


@pytest.mark.parametrize("kind", ["method", "dataset"])
def test_a_package_passes_its_tests_and_the_suite_as_generated(kind: str, tmp_path: Path) -> None:
    package = tmp_path / "package"
    name = f"begun_{kind}"
    result = CliRunner().invoke(bench, ["new", kind, name, "-o", str(package)])
    assert result.exit_code == 0, result.output
    assert len(result.stdout.split()) == 4
    (tmp_path / "wheel").mkdir()
    environment = installed(package, tmp_path / "wheel")
    quiet = ("-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib")
    own = python(*quiet, "tests", cwd=package, env=environment)
    assert own.returncode == 0, own.stdout[-3000:]
    assert "3 passed" in own.stdout
    suite = f"tests/{kind}s/test_conformance.py"
    # pytest is what the page has its reader install, without the plug-ins that are used here
    bare = (*quiet, "-p", "no:timeout", "-p", "no:xdist")
    whole = python(*bare, suite, "-k", f"{name} or every_dataset", env=environment)
    assert whole.returncode == 0, whole.stdout[-3000:]
    assert " passed" in whole.stdout


@pytest.mark.parametrize("kind", ["method", "dataset"])
def test_files_of_a_checkout_keep_the_houses_form(kind: str, tmp_path: Path) -> None:
    """They are written beside the others, and ruff finds nothing in them."""
    made = scaffold(kind, "begun", None, tmp_path)  # type: ignore[arg-type]
    assert [path.relative_to(tmp_path).as_posix() for path in made] == [
        f"{kind}s/begun.py",
        f"tests/{kind}s/test_begun.py",
    ]
    for check in (("check",), ("format", "--check")):
        command = ("-m", "ruff", *check, "--no-cache", "--config", str(ROOT / "pyproject.toml"))
        done = python(*command, *map(str, made))
        assert done.returncode == 0, done.stdout + done.stderr


def test_without_a_folder_or_a_checkout_it_is_a_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(bench, ["new", "method", "begun"])
    assert result.exit_code == 0, result.output
    assert (tmp_path / "vssbench-begun" / "vssbench_begun.py").is_file()
    assert not (ROOT / "methods" / "begun.py").exists()
    text = (tmp_path / "vssbench-begun" / "vssbench_begun.py").read_text(encoding="utf-8")
    again = CliRunner().invoke(bench, ["new", "method", "begun"])
    assert isinstance(again.exception, UsageError)
    assert "is there already" in str(again.exception)
    assert (tmp_path / "vssbench-begun" / "vssbench_begun.py").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("My-Net", "expected at most 40 small letters"),
        ("../up", "expected at most 40 small letters"),
        ("class", "expected at most 40 small letters"),
        ("n" * 200, "expected at most 40 small letters"),
        ("arseg", "is one of the methods already"),
        ("h264", "is one of the codecs already"),
    ],
)
def test_a_name_that_cannot_be_taken_is_refused(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=words):
        scaffold("method", name, tmp_path / "made", None)
    assert not (tmp_path / "made").exists()


def test_the_page_on_methods_shows_what_is_written(tmp_path: Path) -> None:
    scaffold("method", "my_net", tmp_path, None)
    page = (ROOT / "docs" / "adding-a-method.md").read_text(encoding="utf-8")
    code = (tmp_path / "vssbench_my_net.py").read_text(encoding="utf-8")
    assert f"```python\n{code}```\n" in page
