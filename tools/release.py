"""Make a release: ``python -m tools.release 0.2.0`` says what it would do, ``--go`` does it.

The version is written where it stands, the changelog's open section gets it with the date, one
commit and one tag are made, and the wheel is built into ``dist/``. Nothing is sent anywhere.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from vssbench.core import files
from vssbench.core.errors import UsageError, VssbenchError

ROOT = Path(__file__).resolve().parents[1]
OPEN = re.compile(r"^## (\S+) \(unreleased\)$", re.MULTILINE)
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)(?:(a|b|rc)(\d+))?")
_CURRENT = re.compile(r'__version__ = "([^"]+)"')


@dataclass(frozen=True)
class Place:
    """A file where the version stands: text before it, and behind it."""

    path: str
    before: str
    behind: str


PLACES = (
    Place("vssbench/core/version.py", '__version__ = "', '"'),
    Place("CITATION.cff", "\nversion: ", "\n"),
    Place("docs/cite.md", "version = {", "}"),
)


@dataclass(frozen=True)
class Plan:
    """A release that can be made: its version, and the new content of each file."""

    version: str
    contents: dict[str, str]

    @property
    def tag(self) -> str:
        """The name of its tag."""
        return f"v{self.version}"


def plan(root: Path, version: str, date: datetime.date) -> Plan:
    """Return what a release changes. Raises UsageError where it cannot be made of this checkout."""
    current = current_version(root)
    if _order(version) < _order(current):
        raise UsageError(f"{version} is older than {current}, the version of this checkout")
    if _git(root, "status", "--porcelain"):
        raise UsageError(
            "there are changes that are not committed: commit or set them aside, a release is of a "
            "commit"
        )
    if _git(root, "tag", "--list", f"v{version}"):
        raise UsageError(f"the tag v{version} is there already: expected a version that is new")
    contents = {each.path: _replaced(root, each, current, version) for each in PLACES}
    contents["CHANGELOG.md"] = dated(
        (root / "CHANGELOG.md").read_text(encoding="utf-8"), version, date
    )
    return Plan(version, contents)


def current_version(root: Path) -> str:
    """Return the version of a checkout. Raises UsageError where none is found."""
    path = root / PLACES[0].path
    match = _CURRENT.search(path.read_text(encoding="utf-8"))
    if match is None:
        raise UsageError(f'{path} has no version: expected __version__ = "0.1.0"')
    return match[1]


def dated(changelog: str, version: str, date: datetime.date) -> str:
    """Return the changelog with its open section as that of the release.

    Raises UsageError where there is none, or it says nothing.
    """
    match = OPEN.search(changelog)
    if match is None:
        raise UsageError(
            "CHANGELOG.md has no open section: expected a heading as '## 0.2.0 (unreleased)'"
        )
    section = changelog[match.end() :].split("\n## ")[0]
    if not section.strip():
        raise UsageError("the open section of CHANGELOG.md is empty: say what has changed")
    return f"{changelog[: match.start()]}## {version} ({date})\n{changelog[match.end() + 1 :]}"


def carry_out(root: Path, made: Plan) -> Path:
    """Write the files, commit, tag and build; returns the wheel. Raises UsageError."""
    for path, text in made.contents.items():
        files.write_text(root / path, text)
    _git(root, "add", "--", *made.contents)
    _git(root, "commit", "--quiet", "-m", f"Release {made.version}")
    _git(root, "tag", "-a", made.tag, "-m", f"vssbench {made.version}")
    wheel = [sys.executable, "-m", "pip", "wheel", "--no-deps", "-w", str(root / "dist"), str(root)]
    done = subprocess.run(wheel, capture_output=True, text=True, check=False)
    if done.returncode:
        raise UsageError(f"the wheel cannot be built: {done.stderr.strip()[-500:]}")
    return next((root / "dist").glob(f"vssbench-{made.version}-*.whl"))


def _replaced(root: Path, place: Place, current: str, version: str) -> str:
    text = (root / place.path).read_text(encoding="utf-8")
    old = f"{place.before}{current}{place.behind}"
    if text.count(old) != 1:
        raise UsageError(f"{place.path} does not say the version {current} once: mend it first")
    return text.replace(old, f"{place.before}{version}{place.behind}")


def _order(version: str) -> tuple[int, int, int, str, int]:
    """Return a version as it is sorted: candidates come before their release. Raises UsageError."""
    match = _VERSION.fullmatch(version)
    if match is None:
        raise UsageError(f"{version!r} is no version: expected one as 0.2.0 or 0.2.0rc1")
    major, minor, patch, kind, number = match.groups()
    return int(major), int(minor), int(patch), kind or "z", int(number or 0)


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise UsageError(f"git {arguments[0]} fails: {done.stderr.strip()}")
    return done.stdout.strip()


def main(arguments: list[str] | None = None, root: Path = ROOT) -> int:
    """Say what a release would do, or do it."""
    parser = argparse.ArgumentParser(description="Make a release of this checkout.")
    parser.add_argument("version", help="as 0.2.0")
    parser.add_argument("--go", action="store_true", help="do it; without this it is only said")
    given = parser.parse_args(arguments)
    try:
        made = plan(root, given.version, datetime.date.today())
        print(f"{current_version(root)} -> {made.version}: {', '.join(made.contents)}")
        print(f"commit 'Release {made.version}', tag {made.tag}, wheel in dist/")
        if not given.go:
            print("nothing was changed; --go does it")
            return 0
        print(carry_out(root, made))
        print(f"next: push the commit and {made.tag}, upload the wheel, open the next section of "
              "CHANGELOG.md")  # fmt: skip
    except VssbenchError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
