"""The wheel holds what the checkout holds, under one top-level name; the pins cover what is asked
for."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

import vssbench

ROOT = Path(__file__).resolve().parent.parent
#: folder of the checkout -> its folder in the wheel
FOLDERS = {"vssbench": "vssbench", "methods": "vssbench/methods", "datasets": "vssbench/datasets"}

requirement_name = re.compile(r"[A-Za-z0-9._-]+")


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def normalised(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def pins() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines if line and not line.startswith("#"))
    return {normalised(name): version for name, version in pairs}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy so that no build folder is left in the checkout."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in FOLDERS:
        shutil.copytree(
            ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE", "bench.py"):
        shutil.copy(ROOT / name, source)
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "-w",
        str(target),
        str(source),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = target.glob("*.whl")
    return built


def test_wheel_has_one_top_level_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    assert tops == {"vssbench", f"vssbench-{vssbench.__version__}.dist-info"}


def test_wheel_holds_every_file_of_the_checkout(wheel: Path) -> None:
    expected = {
        f"{inside}/{path.relative_to(ROOT / folder).as_posix()}"
        for folder, inside in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if name.startswith("vssbench/")}
    assert {"vssbench/methods/arseg/__init__.py", "vssbench/datasets/camvid/__init__.py"} <= held
    assert "vssbench/py.typed" in held
    assert held == expected


def test_wheel_finds_the_same_plugins(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = (
        "import vssbench\nfrom vssbench.core import registry\n"
        "print(vssbench.__file__)\nprint({kind: list(registry.plugins(kind)) for kind in "
        "registry.KINDS})\n"
    )
    printed = {}
    for place in (tmp_path, ROOT):
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=place, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        file, printed[place] = done.stdout.splitlines()
        assert Path(file).is_relative_to(place)
    assert printed[tmp_path] == printed[ROOT]


def test_plugin_folders_are_no_packages() -> None:
    for folder in ("methods", "datasets"):
        assert (ROOT / folder).is_dir()
        assert not (ROOT / folder / "__init__.py").exists()


def test_every_package_on_disk_is_listed() -> None:
    on_disk = {
        ".".join(path.parent.relative_to(ROOT).parts) for path in (ROOT / "vssbench").rglob("*.py")
    }
    listed = project()["tool"]["setuptools"]["packages"]
    for folder in ("methods", "datasets"):
        on_disk.add(f"vssbench.{folder}")
        on_disk |= {
            f"vssbench.{folder}.{path.parent.name}"
            for path in (ROOT / folder).glob("*/__init__.py")
        }
    assert sorted(listed) == sorted(on_disk)


def test_every_dependency_is_pinned_exactly() -> None:
    metadata = project()["project"]
    wanted = [
        *metadata["dependencies"],
        *(name for extra in metadata["optional-dependencies"].values() for name in extra),
    ]
    names = [requirement_name.match(requirement) for requirement in wanted]
    # an extra may name the project's own other extras
    assert {normalised(name[0]) for name in names if name} - {"vssbench"} - set(pins()) == set()


def test_pins_are_of_the_registry() -> None:
    assert not [name for name in pins() if name.startswith("nvidia-")]
    assert not [
        version for version in pins().values() if not re.fullmatch(r"[0-9]+(\.[0-9a-z]+)*", version)
    ]


def test_citation_names_this_version() -> None:
    assert f"\nversion: {vssbench.__version__}\n" in (ROOT / "CITATION.cff").read_text(
        encoding="utf-8"
    )
