"""The release script: a dry run changes nothing; a release says one version everywhere."""

from __future__ import annotations

import datetime
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.release import PLACES, current_version, dated, main
from vssbench.core.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
CHANGELOG = (
    "# Changelog\n\n## 9.9.0 (unreleased)\n\n* Something.\n\n## 0.0.1 (2026-01-01)\n\n* Old.\n"
)
PROJECT = """
[build-system]
requires = ["setuptools>=77"]
build-backend = "setuptools.build_meta"
[project]
name = "vssbench"
dynamic = ["version"]
[tool.setuptools]
packages = ["vssbench", "vssbench.core"]
[tool.setuptools.dynamic]
version = { attr = "vssbench.core.version.__version__" }
"""


def git(root: Path, *arguments: str) -> str:
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small project with the files that say the version, committed."""
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "A Developer")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "developer@example.org")
    monkeypatch.setenv("PIP_NO_BUILD_ISOLATION", "0")
    for place in PLACES:
        (tmp_path / place.path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / place.path, tmp_path / place.path)
    for package in ("vssbench", "vssbench/core"):
        (tmp_path / package / "__init__.py").write_text("")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / "pyproject.toml").write_text(PROJECT)
    (tmp_path / ".gitignore").write_text("build/\ndist/\n*.egg-info/\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "Begin")
    return tmp_path


def test_every_place_says_this_version_once() -> None:
    version = current_version(ROOT)
    for place in PLACES:
        text = (ROOT / place.path).read_text(encoding="utf-8")
        assert text.count(f"{place.before}{version}{place.behind}") == 1, place.path


def test_without_go_nothing_changes(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = git(checkout, "rev-parse", "HEAD")
    assert main(["9.9.0"], checkout) == 0
    assert "nothing was changed" in capsys.readouterr().out
    assert git(checkout, "rev-parse", "HEAD") == before
    assert git(checkout, "status", "--porcelain") == ""
    assert git(checkout, "tag") == ""


def test_a_release(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["9.9.0", "--go"], checkout) == 0, capsys.readouterr().err
    assert git(checkout, "tag").split() == ["v9.9.0"]
    assert git(checkout, "log", "-1", "--format=%s").strip() == "Release 9.9.0"
    assert git(checkout, "status", "--porcelain") == ""
    assert current_version(checkout) == "9.9.0"
    assert "\nversion: 9.9.0\n" in (checkout / "CITATION.cff").read_text(encoding="utf-8")
    changelog = (checkout / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"## 9.9.0 ({datetime.date.today()})\n\n* Something.\n" in changelog
    assert [path.name for path in (checkout / "dist").iterdir()] == [
        "vssbench-9.9.0-py3-none-any.whl"
    ]
    assert main(["9.9.0", "--go"], checkout) == 2
    assert "the tag v9.9.0 is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("version", "words"),
    [("0.0.0", "is older than"), ("newest", "is no version"), ("1.0", "is no version")],
)
def test_a_version_that_cannot_be_is_refused(
    version: str, words: str, checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([version, "--go"], checkout) == 2
    assert words in capsys.readouterr().err
    assert git(checkout, "tag") == ""


def test_changes_that_are_not_committed_are_refused(
    checkout: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (checkout / "CHANGELOG.md").write_text(CHANGELOG + "\n")
    assert main(["9.9.0", "--go"], checkout) == 2
    assert "not committed" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text", ["# Changelog\n", "# Changelog\n\n## 9.9.0 (unreleased)\n\n## 0.0.1 (2026-01-01)\n"]
)
def test_a_changelog_that_says_nothing_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"CHANGELOG\.md"):
        dated(text, "9.9.0", datetime.date(2026, 1, 2))
