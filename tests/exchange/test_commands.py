"""`export` and `score` as a user meets them."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from vssbench.cli import bench
from vssbench.core.errors import DataError, UsageError

STREET = "synthetic[height=64,width=96,clips=1,frames=5]"


def call(*arguments: object) -> Result:
    return CliRunner().invoke(bench, [str(each) for each in arguments])


@pytest.fixture
def exported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An export, and the labels in it as predictions; returns the options of the input."""
    monkeypatch.chdir(tmp_path)
    source = ["-c", "raw", "--gop", "2", "--runs", "runs"]
    result = call("export", STREET, *source, "-o", "frames")
    assert result.exit_code == 0, result.output
    assert result.stdout == "wrote frames: frames.csv lists the frames\n"
    assert "frames: about " in result.stderr
    with open("frames/frames.csv", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            path = Path("predictions") / line["prediction"]
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(f"frames/{line['label']}", path)
    return source


def test_labels_score_100(exported: list[str]) -> None:
    command = ["score", "predictions", "-d", STREET, *exported]
    result = call(*command, "--gmacs-key", "3", "--display", "Truth")
    assert result.exit_code == 0, result.output
    assert "Truth *" in result.stdout
    assert "its cost was typed in" in result.stdout
    again = call(*command, "--gmacs-key", "3", "--display", "Truth")
    assert "scored already" in again.stderr
    (row,) = json.loads(call("table", "--runs", "runs", "--format", "json").stdout)
    assert (row["method"], row["miou"], row["gop"]) == ("predictions", 1.0, 2)
    assert (row["gmacs_gop"], row["typed"]) == (3.0, "gmacs_key, gmacs_nonkey, gmacs_gop")


def test_bad_predictions_are_one_message_and_leave_nothing(exported: list[str]) -> None:
    Path("predictions/test-00/000003.png").unlink()
    result = call("score", "predictions", "-d", STREET, *exported)
    assert isinstance(result.exception, DataError)
    assert "1 of 5 predictions are missing" in str(result.exception)
    assert not list(Path("runs").glob("[!.]*"))


def test_a_dry_run_writes_nothing(tmp_path: Path) -> None:
    result = call("export", STREET, "-o", tmp_path / "out", "--dry-run", "--runs", tmp_path / "r")
    assert result.exit_code == 0
    assert "5 images, 0 motion fields, 5 labels" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "out").exists()


def test_an_export_is_not_written_over_unasked(exported: list[str]) -> None:
    result = call("export", STREET, *exported, "-o", "frames")
    assert isinstance(result.exception, UsageError)
    assert "--force" in str(result.exception)
    assert call("export", STREET, *exported, "-o", "frames", "--force").exit_code == 0
