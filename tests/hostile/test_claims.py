"""The claims of SECURITY.md on connections and stores, held to the code."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest

from tests.hostile.test_stores import OTHER, SOUND, read, write

ROOT = Path(__file__).parents[2]
#: modules by which Python and its packages open connections
CONNECTING = frozenset(
    (
        "socket", "ssl", "http", "urllib", "urllib3", "requests", "httpx", "aiohttp", "ftplib",
        "smtplib", "telnetlib", "xmlrpc", "socketserver", "websockets", "huggingface_hub",
    )
)  # fmt: skip
#: files that import one of them, and for what: the name of the machine, to leave it out of a report
ALLOWED = {"vssbench/cli/installation.py": {"socket"}}
#: functions that fetch
FETCHING = frozenset(("load_state_dict_from_url", "load_url", "download_url", "urlopen"))


def connecting(source: str) -> set[str]:
    """Return what a source imports or calls to connect."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names} & CONNECTING
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {(node.module or "").split(".")[0]} & CONNECTING
        elif isinstance(node, ast.Name | ast.Attribute):
            found |= {node.id if isinstance(node, ast.Name) else node.attr} & FETCHING
    return found


def test_no_command_opens_a_connection() -> None:
    sources = [ROOT / "bench.py"]
    for folder in ("vssbench", "methods", "datasets"):
        sources += sorted((ROOT / folder).rglob("*.py"))
    assert len(sources) > 300
    found = {
        path.relative_to(ROOT).as_posix(): names
        for path in sources
        if (names := connecting(path.read_text(encoding="utf-8")))
    }
    assert found == ALLOWED
    asked = (ROOT / "vssbench/cli/installation.py").read_text(encoding="utf-8")
    assert set(_attributes(asked, "socket")) == {"gethostname"}


def _attributes(source: str, module: str) -> list[str]:
    return [
        node.attr
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == module
    ]


@pytest.mark.parametrize(
    "planted", ["import urllib.request", "from requests import get", "torch.hub.load_url('x')"]
)
def test_a_planted_connection_is_seen(planted: str) -> None:
    assert connecting(planted)


class Planted:
    """An object whose unpickling writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("file", ["confusion", "stream", "boundary"])
def test_objects_in_a_store_are_not_unpickled(file: str, tmp_path: Path) -> None:
    for name in (SOUND, OTHER):
        write(tmp_path / "runs", name)
    place = tmp_path / "runs" / OTHER / f"{file}.npz"
    with np.load(place) as sound:
        arrays = dict(sound)
    arrays[min(arrays)] = np.array([Planted(tmp_path / "executed")], object)
    np.savez(place, **arrays)

    shown = read(tmp_path / "runs")

    assert shown[SOUND]["status"] == "done"
    assert not (tmp_path / "executed").exists()
    json.dumps(shown, default=str)
    with np.load(place, allow_pickle=True) as unsafe:
        _ = unsafe[min(arrays)]
    assert (tmp_path / "executed").exists(), "the plant works where objects are unpickled"
