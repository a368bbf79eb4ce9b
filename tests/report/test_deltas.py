"""Bjontegaard deltas of stored rows: which make a curve, and what is said where there is none."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.report.test_scores import record, write
from vssbench.cli import bench
from vssbench.core.errors import UsageError
from vssbench.report.deltas import grid, of_methods, of_stores, remarks, render
from vssbench.report.families import family_name, family_of, scale_of
from vssbench.report.rows import Row
from vssbench.run.store import RunStore

MakeRow = Callable[..., Row]


@pytest.fixture(autouse=True)
def scipy() -> None:
    pytest.importorskip("scipy", reason="SciPy is not installed")


def rate_rows(make_row: MakeRow, method: str, gain: float, count: int = 4) -> list[Row]:
    """A row at each of some rates of one codec; ten points of mIoU a doubling."""
    return [
        make_row(
            method.upper(), method=method, codec=f"hevc[bitrate={step}M]",
            bitrate_kbps=100.0 * 2**step, miou=0.1 + 0.1 * step + gain, gmacs_gop=9.0,
        )
        for step in range(count)
    ]  # fmt: skip


def scale_rows(make_row: MakeRow, family: str, factor: float, count: int = 4) -> list[Row]:
    """A row at each of some scales under one codec."""
    name, _, rest = family.partition("[")
    params = [rest.rstrip("]")] if rest else []
    return [
        make_row(
            f"{name.upper()} {scale / 10:g}x",
            method=f"{name}[{','.join([*params, f'scale={scale / 10:g}'])}]",
            gmacs_gop=factor * scale**2, miou=0.5 + 0.1 * math.log2(scale),
        )
        for scale in range(3, 3 + count)
    ]  # fmt: skip


def test_over_the_rates_of_one_codec(make_row: MakeRow) -> None:
    rows = [*rate_rows(make_row, "a", 0.1), *rate_rows(make_row, "b", 0.0)]
    raw = make_row("A", method="a", codec="raw", codec_name="uncompressed", bitrate_kbps=9e9)
    (line,) = of_methods([*rows, raw], "a", "b")
    assert (line.over, line.names, line.points) == ("rates", ("A", "B"), (4, 4))
    assert line.quality == pytest.approx(10)
    assert line.cost == pytest.approx(-0.5)
    assert "CamVid 720x960 / HEVC" in line.title
    (turned,) = of_methods(rows, "b", "a")
    assert turned.cost == pytest.approx(1.0)
    assert grid([line]).lines[0][6].text == "BD-rate -50.00"


def test_over_the_scales_of_two_families(make_row: MakeRow) -> None:
    rows = [
        *scale_rows(make_row, "pspnet[backbone=psp18]", 2.0),
        *scale_rows(make_row, "arseg", 1.0),
        *scale_rows(make_row, "arseg[backbone=bise18]", 4.0),
    ]
    (line,) = of_methods(rows, "arseg", "pspnet")
    assert (line.over, line.names) == ("scales", ("ARSEG", "PSPNET"))
    assert line.cost == pytest.approx(-0.5)
    assert line.quality == pytest.approx(5)
    (other,) = of_methods(rows, "arseg[scale=0.4,backbone=bise18]", "pspnet")
    assert other.cost == pytest.approx(1.0)
    assert any("% of the curves' span" in note for note in other.notes)


def test_too_few_points_and_no_overlap_are_said(make_row: MakeRow) -> None:
    few = [*rate_rows(make_row, "a", 0.1, 3), *rate_rows(make_row, "b", 0.0)]
    with pytest.raises(UsageError, match=r"of a and b: rates: No BD-mIoU: .* there are 3") as error:
        of_methods(few, "a", "b")
    assert len(str(error.value).splitlines()) == 1
    apart = [*rate_rows(make_row, "a", 0.5), *rate_rows(make_row, "b", 0.0)]
    (line,) = of_methods(apart, "a", "b")
    assert line.quality == pytest.approx(50)
    assert line.cost is None
    assert "no qualities in common" in " ".join(remarks([line]))
    with pytest.raises(UsageError, match="neither has 4 rates of one codec or 4 scales"):
        of_methods([make_row("A", method="a"), make_row("B", method="b")], "a", "b")
    with pytest.raises(UsageError, match="no run of the method 'c': there are runs of a, b"):
        of_methods(apart, "a", "c")


def test_a_curve_that_falls_and_one_measured_twice_are_said(make_row: MakeRow) -> None:
    rows = [*rate_rows(make_row, "a", 0.0), *rate_rows(make_row, "b", 0.0, 5)]
    rows[5] |= {"miou": 0.05}
    (line,) = of_methods([*rows, rows[1] | {"seed": 1, "miou": 0.15}], "a", "b")
    assert any(note.startswith("mIoU of B does not rise") for note in line.notes)
    assert any(note.startswith("A was measured more than once") for note in line.notes)


def test_stores_are_compared_curve_by_curve(make_row: MakeRow) -> None:
    first = [*rate_rows(make_row, "a", 0.1), *rate_rows(make_row, "b", 0.0)]
    (line,) = of_stores(first, rate_rows(make_row, "a", 0.0), ("new", "old"))
    assert line.names == ("A, new", "A, old")
    assert line.cost == pytest.approx(-0.5)


def test_every_format(make_row: MakeRow) -> None:
    rows = [*rate_rows(make_row, "a", 0.1), *rate_rows(make_row, "b", 0.0)]
    lines = of_methods(rows, "a", "b")
    (read,) = json.loads(render(lines, "json"))
    assert read["cost"] == pytest.approx(-0.5)
    header, line = render(lines, "csv").splitlines()
    assert header.startswith("condition,over,first,second")
    assert ",A,B,4,4," in line
    assert "+10.00" in render(lines, "md")


def test_families_are_named_without_their_scale(make_row: MakeRow) -> None:
    names = [("AR0.5-PSP18", "arseg[scale=0.5]"), ("AR1.0-PSP18", "arseg[scale=1]")]
    assert family_name([make_row(name, method=method) for name, method in names]) == "AR-PSP18"
    names = [("PSPNet18 0.5x", "pspnet[scale=0.5]"), ("PSPNet18", "pspnet")]
    assert family_name([make_row(name, method=method) for name, method in names]) == "PSPNet18"
    assert family_name([make_row("A", method="a"), make_row("B", method="a")]) == "a"
    assert scale_of("arseg") == 0.5
    assert scale_of("pspnet") == 1
    assert scale_of("elsewhere") is None
    assert family_of("arseg[width=0.5,scale=0.3]") == family_of("arseg[scale=0.4,width=0.5]")


def test_the_command(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    for method, wrong in (("good", 0.10), ("poor", 0.20)):
        for step in range(4):
            matrices = record(wrong - 0.02 * step, step)
            codec = f"h264[bitrate={step + 1}M]"
            write(
                store, method, matrices, 1.0, run_id=f"{method}{step}", codec=codec,
                bitrate_kbps=1000.0 * (step + 1),
            )  # fmt: skip
    runner = CliRunner()
    given = ["compare", "good", "poor", "--bd", "--runs", str(tmp_path)]
    done = runner.invoke(bench, given)
    assert done.exit_code == 0, done.output
    assert "BD-rate" in done.output
    done = runner.invoke(bench, [*given, "--format", "json"])
    assert json.loads(done.stdout)[0]["quality"] > 0
    done = runner.invoke(bench, [*given, "--by", "class"])
    assert "leave --by and --absent out" in str(done.exception)
