"""`bench.py table` and `plot` on a store with old and new runs: what they choose, and what they say
of the rest."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from vssbench.cli import bench
from vssbench.core.errors import VssbenchError
from vssbench.run.measurement import Measurement
from vssbench.run.records import ConfusionRecord
from vssbench.run.store import RunStore

#: method, display, codec, name, asked, kbit/s, day, correct pixels of 10
RUNS = (
    ("pspnet", "PSPNet18", "h264[bitrate=1M]", "H.264", "1 Mb/s", 1111.7, 2, 8),
    ("pspnet", "PSPNet18", "h264[bitrate=1M]", "H.264", "1 Mb/s", 1111.7, 1, 2),
    ("arseg", "AR0.5-PSP18", "h264[bitrate=1M]", "H.264", "1 Mb/s", 1111.7, 1, 9),
    ("pspnet", "PSPNet18", "av1[crf=40]", "AV1", "CRF 40", 432.1, 1, 7),
    ("arseg", "AR0.5-PSP18", "av1[crf=40]", "AV1", "CRF 40", 432.1, 1, 6),
)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    store = RunStore(tmp_path / "runs")
    for place, (method, display, codec, name, asked, kbps, day, right) in enumerate(RUNS):
        matrix = np.array([[[right, 10 - right], [10 - right, right]]])
        item = Measurement(
            run_id=f"r{place}", created=f"2026-01-0{day}T00:00:00+00:00", status="done",
            method=method, display=display,
            dataset="camvid", dataset_title="CamVid", codec=codec, codec_name=name,
            codec_rate=asked, protocol="dense", gop=12,
            classes=["a", "b"], height=720, width=960, bitrate_kbps=kbps, psnr_db=38.0, ssim=0.96,
            gmacs_gop=9.0,
            version=str(day),
        )  # fmt: skip
        zero = np.zeros(1, np.int64)
        store.write(item, ConfusionRecord(matrix, zero, zero, zero), None, {}, "")
    return store.root


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(bench, [str(argument) for argument in arguments])


def test_the_newest_run_of_a_experiment_is_shown_and_the_others_are_counted(runs: Path) -> None:
    newest = call("table", "--runs", runs, "--format", "json")
    assert sorted(row["run_id"] for row in json.loads(newest.stdout)) == ["r0", "r2", "r3", "r4"]
    assert "left out 1 older run of the same experiments: --all shows them too" in newest.stderr
    everything = call("table", "--runs", runs, "--format", "json", "--all")
    assert len(json.loads(everything.stdout)) == 5
    assert "left out" not in everything.stderr
    assert "PSPNet18 (version 2)" in call("table", "--runs", runs, "--all", "--format", "md").stdout


def test_filters(runs: Path) -> None:
    found = call(
        "table", "--runs", runs, "--format", "json", "-c", "av1", "-m", "arseg", "-d", "camvid"
    )
    assert [row["run_id"] for row in json.loads(found.stdout)] == ["r4"]
    wrong = call("table", "--runs", runs, "-c", "vp9")
    assert isinstance(wrong.exception, VssbenchError)
    assert "there are av1[crf=40], h264[bitrate=1M]" in str(wrong.exception)


def test_the_table_by_codec(runs: Path) -> None:
    given = ("table", "--runs", runs, "--by", "codec", "--base", "pspnet")
    lines = list(csv.DictReader(io.StringIO(call(*given, "--format", "csv").stdout)))
    assert [(line["codec_name"], line["codec_rate"], line["bitrate_kbps"]) for line in lines] == [
        ("AV1", "CRF 40", "432.1"),
        ("H.264", "1 Mb/s", "1111.7"),
    ]
    expected = [right / (20 - right) for right in (7, 8)]
    assert [float(line["miou PSPNet18"]) for line in lines] == pytest.approx(expected)
    gains = [6 / 14 - 7 / 13, 9 / 11 - 8 / 12]
    assert [float(line["gain AR0.5-PSP18"]) for line in lines] == pytest.approx(gains)
    shown = call(*given).stdout
    assert "CamVid 720x960 / dense / GOP 12" in shown
    assert f"{100 * gains[1]:+.2f}" in shown


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("table", "--base", "pspnet"), "--by codec"),
        (("table", "--by", "codec", "--per-class"), "leave --per-class out"),
        (
            ("plot", "pareto", "-o", "a.png", "--quality", "psnr"),
            "plot rate in place of plot pareto",
        ),
    ],
)
def test_options_that_do_not_belong_together(
    runs: Path, given: tuple[str, ...], words: str
) -> None:
    result = call(*given, "--runs", runs)
    assert isinstance(result.exception, VssbenchError)
    assert words in str(result.exception)


@pytest.mark.parametrize(
    "given",
    [("rate",), ("rate", "--quality", "psnr"), ("rate", "--quality", "ssim"), ("distance",)],
)
def test_plots_are_written_of_the_newest_runs(
    runs: Path, tmp_path: Path, given: tuple[str, ...]
) -> None:
    result = call(
        "plot", *given, "--runs", runs, "-o", tmp_path / "a.svg", "-c", "h264", "-c", "av1[crf=40]"
    )
    assert result.exit_code == 0
    assert str(tmp_path / "a.svg") in result.stdout
    assert "left out 1 older run" in result.stderr
    assert (tmp_path / "a.svg").read_text().startswith("<?xml")


@pytest.fixture
def with_void(runs: Path) -> Path:
    """The store with a run that scores Void, which the others lack."""
    matrix = np.array([[[8, 1, 1], [2, 7, 1], [3, 3, 4]]])
    item = Measurement(
        run_id="v", created="2026-01-03T00:00:00+00:00", status="done", method="pspnet",
        display="PSPNet18", dataset="camvid[classes=12]", dataset_title="CamVid",
        codec="h264[bitrate=1M]", codec_name="H.264", codec_rate="1 Mb/s", protocol="dense", gop=12,
        classes=["a", "b", "Void"], height=720, width=960, bitrate_kbps=1111.7, gmacs_gop=9.0,
        version="2",
    )  # fmt: skip
    zero = np.zeros(1, np.int64)
    store = RunStore(runs)
    store.write(item, ConfusionRecord(matrix, zero, zero, zero), None, {}, "")
    return store.root


def test_a_class_is_left_out_in_letters_of_either_case_by_every_command(
    with_void: Path, tmp_path: Path
) -> None:
    """Runs that lack the class are shown as they are; what is predicted as it stays an error."""
    expected = (8 / 12 + 7 / 11) / 2
    given = ("--runs", with_void, "--without", "void")
    for command in ("table", "scores"):
        done = call(command, *given, "--format", "json")
        assert done.exit_code == 0, done.output
        rows = {row["run_id"]: row for row in json.loads(done.stdout)}
        assert rows["v"]["miou"] == pytest.approx(expected)
        assert (rows["v"]["classes"], rows["v"]["without"]) == (2, "Void")
        assert (rows["r0"]["classes"], rows["r0"]["without"]) == (2, "")
        text = call(command, *given, "--format", "md").stdout
        assert "without Void" in text
        wrong = call(command, "--runs", with_void, "--without", "sky")
        assert "--without 'sky' is none of the classes" in str(wrong.exception)
    for kind in ("pareto", "distance", "rate"):
        done = call("plot", kind, *given, "-o", tmp_path / f"{kind}.png")
        assert done.exit_code == 0, done.output
    whole = {row["run_id"]: row for row in json.loads(
        call("table", "--runs", with_void, "--format", "json").stdout)}  # fmt: skip
    assert whole["v"]["miou"] == pytest.approx((8 / 15 + 7 / 14 + 4 / 12) / 3)
    assert whole["v"]["classes"] == 3


def test_a_published_page_refuses_several_versions_of_the_code(runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    for words in (("table",), ("scores",), ("plot", "pareto", "-o", out)):
        wrong = call(*words, "--runs", runs, "--strict")
        assert "2 versions of the code (1, 2)" in str(wrong.exception)
        sound = call(*words, "--runs", runs, "--strict", "-c", "av1")
        assert sound.exit_code == 0, sound.output
    text = call("table", "--runs", runs, "--format", "md").stdout
    assert text.count("Measured by 2 versions of the code, whose numbers may differ: 1, 2.") == 1
