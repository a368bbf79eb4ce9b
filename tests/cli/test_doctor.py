"""``bench.py doctor``: a sound installation, each kind of fault, and a report that names nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from vssbench.cli import bench, installation
from vssbench.cli.installation import Finding, bug_report, findings, masked
from vssbench.core import registry
from vssbench.core.errors import UsageError, WeightsError
from vssbench.native import compiler
from vssbench.weights import file, shipped


def states(check) -> dict[str, str]:
    return {each.subject: each.state for each in check}


def test_a_sound_installation(tmp_path: Path) -> None:
    report = tmp_path / "report.md"
    arguments = ["doctor", "--runs", str(tmp_path), "-o", str(report)]
    result = CliRunner().invoke(bench, arguments)
    assert result.exit_code == 0, result.output
    assert "shipped weights" in result.stdout
    text = report.read_text(encoding="utf-8")
    assert "| torch | ok |" in text
    assert all(f"| codec {name} |" in text for name in registry.plugins("codecs"))
    again = CliRunner().invoke(bench, arguments)
    assert isinstance(again.exception, UsageError)


def test_a_fault_is_named_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken():
        raise RuntimeError("torn in two")
        yield

    monkeypatch.setattr(installation, "_torch", broken)
    for name in ("_codecs", "_plugins"):
        monkeypatch.setattr(installation, name, lambda *given: iter(()))
    result = CliRunner().invoke(bench, ["doctor", "--runs", str(tmp_path), "--json"])
    assert result.exit_code == 1
    found = {each["subject"]: each for each in json.loads(result.stdout)}
    assert found["torch"]["state"] == "fault"
    assert "torn in two" in found["torch"]["found"]
    assert found["folder: results"]["state"] == "ok"
    assert "checks fail: torch" in result.stderr


def test_weights_that_do_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"no weights at all")
    monkeypatch.setattr(shipped, "shipped_folder", lambda: tmp_path)
    assert states(installation._weights())["bad.safetensors"] == "fault"
    with pytest.raises(WeightsError):
        file.open_weights(tmp_path / "bad.safetensors")


def test_no_compiler_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise compiler.BuildError("no C compiler was found")

    monkeypatch.setattr(compiler, "build", none)
    assert states(installation._compiler()) == {"compiled kernels": "missing"}


def test_a_plug_in_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(kind: str, name: str) -> type:
        if name == "pspnet":
            raise UsageError("torn in two")
        return object

    monkeypatch.setattr(registry, "load", load)
    assert states(installation._plugins())["method pspnet"] == "fault"


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        installation, "_version", lambda name: "" if name in ("av", "pyarrow") else "1"
    )
    found = states(installation._packages())
    assert (found["av"], found["pyarrow"], found["torch"]) == ("fault", "missing", "ok")


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    found = states(installation._folders(tmp_path / "file"))
    assert found["folder: results"] == "fault"
    assert not (tmp_path / "absent").exists()
    assert states(installation._folders(tmp_path / "absent"))["folder: results"] == "ok"
    assert not (tmp_path / "absent").exists()


def test_a_report_names_nobody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", "/home/jane")
    monkeypatch.setattr(installation, "_user", lambda: "jane")
    monkeypatch.setattr(installation.socket, "gethostname", lambda: "annie-3")
    monkeypatch.chdir(tmp_path)
    text = bug_report(
        [
            Finding("a|b", "fault", f"jane on annie-3: /home/jane/x, {tmp_path}/y\nHF_TOKEN=abc1"),
            Finding("index", "ok", "https://jane:pw@example.org/simple, api_key: 123"),
        ]
    )
    for word in ("jane", "annie", "abc1", "pw@", "123", str(tmp_path)):
        assert word not in text
    assert "USER on HOST: ~/x, ./y" in text
    assert masked("janet and /home/janet") == "janet and /home/janet"


def test_nothing_is_written_by_the_checks(tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    assert states(findings(tmp_path / "runs"))["vssbench"] == "ok"
    assert sorted(tmp_path.rglob("*")) == before
