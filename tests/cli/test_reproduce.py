"""``bench.py reproduce`` and ``table --like`` as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from vssbench.cli import bench
from vssbench.core.errors import UsageError
from vssbench.report.paper import numbers
from vssbench.report.paper.numbers import OWN, SHARED


def call(*arguments: object) -> Result:
    return CliRunner().invoke(bench, [str(each) for each in arguments])


def cells(*arguments: object) -> list[dict[str, Any]]:
    result = call("reproduce", *arguments, "--format", "json", "--runs", "none")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)["cells"]
    return found


def test_the_operations_of_table_1_are_reproduced_with_the_true_count_beside_them() -> None:
    its = [cell for cell in cells("arseg", "--table", "1") if cell["metric"] == "gmacs"]
    assert len(its) == 16
    assert {cell["group"] for cell in its} == {"CamVid", "Cityscapes"}
    assert {cell["verdict"] for cell in its} == {"reproduced"}
    assert all(abs(cell["ours"] - cell["published"]) <= 0.02 for cell in its)
    true = {(cell["group"], cell["line"]): cell["counted"] for cell in its}
    assert true["CamVid", "AR0.5-PSP18"] == pytest.approx(102.06, abs=0.005)
    assert true["CamVid", "BiseNet18"] == pytest.approx(39.12, abs=0.005)
    assert true["Cityscapes", "PSPNet18"] == pytest.approx(539.98, abs=0.005)


def test_the_misprint_of_table_2_is_called_one() -> None:
    its = [cell for cell in cells("arseg", "--table", "2") if cell["verdict"] == "misprint"]
    assert [(cell["group"], cell["line"], cell["printed"]) for cell in its] == [
        ("CamVid", "AR0.6-PSP18", "101.98")
    ]
    assert its[0]["ours"] == pytest.approx(133.09, abs=0.005)
    assert "Table 1 has 133.09" in its[0]["because"]


def test_the_report_for_people_says_what_is_needed() -> None:
    result = call("reproduce", "icnet", "--table", "3", "--runs", "none", "--format", "md")
    assert result.exit_code == 0
    assert "not possible here a" in result.stdout
    assert "### Needed" in result.stdout
    assert "pass --data-root DIR" in result.stdout
    assert "`python bench.py train`" in result.stdout
    assert result.stderr.strip() == "10 cells: 10 not possible here"
    plain = call("reproduce", "icnet", "--table", "3", "--runs", "none")
    assert "data of cityscapes[split=val,sequence=off]" in plain.stdout
    table = call("reproduce", "icnet", "--table", "3", "--runs", "none", "--format", "csv")
    assert table.stdout.splitlines()[0].endswith("verdict,because")
    assert len(table.stdout.splitlines()) == 11


def test_nothing_to_run_is_said() -> None:
    result = call("reproduce", "icnet", "--table", "3", "--runs", "none", "--run")
    assert "nothing can be run: the list below says what is missing" in result.stderr


def test_unknown_papers_and_tables_are_refused_in_words() -> None:
    for arguments, message in (
        (("segnet",), "no tables of 'segnet'"),
        (("arseg", "--table", "9"), "no table '9' of arseg: there are 1, 2"),
    ):
        result = call("reproduce", *arguments)
        assert isinstance(result.exception, UsageError)
        assert message in str(result.exception)


STREET = "synthetic[clips=1,frames=8,height=96,width=128]"


@pytest.fixture
def a_paper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A paper of two rows that can be measured here: one that it has right, one that it has not."""
    lines = [",".join(("measurement", *OWN))]
    for row, variant, value in (
        ("Small", "pspnet[width=0.25]", "99.99"),
        ("Large", "pspnet", "50.00"),
    ):
        line = dict.fromkeys(OWN, "") | {
            "row": row, "variant": f'"{variant}"', "gop": "4", "metric": "miou", "value": value,
            "unit": "%", "status": "printed",
        }  # fmt: skip
        lines.append(",".join(["m", *line.values()]))
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "numbers.csv").write_text("\n".join(lines) + "\n")
    (folder / "measurements.csv").write_text(
        f"measurement,{','.join(SHARED)}\nm,p,Table 1,Street,,11,,,,s\n"
    )
    (folder / "sources.csv").write_text("source,text\ns,A paper of this test\n")
    (folder / "p.toml").write_text(
        f"""
title = "P"
[[setting]]
dataset = "Street"
as = {{ dataset = "{STREET}", codec = "h264[bitrate=300k,gop=4]", protocol = "dense" }}
[[table]]
name = "1"
table = "Table 1"
title = "T"
columns = [{{ heading = "mIoU %", metric = "miou" }}]
lines = ["Small", "Large"]
"""
    )
    monkeypatch.setattr(numbers, "folder", lambda: folder)
    return tmp_path / "runs"


def test_run_measures_what_is_here_and_judges_it(a_paper: Path) -> None:
    result = call("reproduce", "p", "--run", "--runs", a_paper, "--format", "json")
    assert result.exit_code == 0, result.output
    whole = json.loads(result.stdout)
    small, large = whole["cells"]
    assert small["same"]
    assert 5 < small["ours"] < 99
    assert small["difference"] == pytest.approx(small["ours"] - 99.99)
    assert small["verdict"] in ("within noise", "not reproduced")
    assert large["ours"] == small["ours"]
    assert large["verdict"] == "not possible here"
    assert large["because"].endswith("(width=0.25); weights missing, see below")
    assert [need["runs"] for need in whole["needs"]] == [True, False]
    assert "shipped are those of pspnet[width=0.25]" in whole["needs"][1]["no_weights"]
    assert len([each for each in a_paper.iterdir() if not each.name.startswith(".")]) == 1

    shown = call("table", "--like", "p-1", "--runs", a_paper, "--intervals", "--format", "md")
    assert shown.exit_code == 0, shown.output
    assert f"{small['ours']:.2f}" in shown.stdout
    assert "Other conditions: width=0.25." in shown.stdout


def test_like_without_runs_shows_costs_alone() -> None:
    result = call("table", "--like", "bisenet-4", "--runs", "none")
    assert result.exit_code == 0
    assert "no runs in none: costs alone" in result.stderr
    assert "10.8" in result.stdout
    assert "published" in result.stdout


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--exact",), "--exact is of a table --like a paper's"),
        (("--intervals",), "--intervals is of a table --like a paper's"),
        (("--like", "arseg-1", "--by", "codec"), "--like is a layout of its own"),
        (("--like", "arseg-1", "--per-class"), "--like is a layout of its own"),
        (("--by", "distance", "--per-class"), "--by distance has a column a distance"),
        (("--by", "distance", "--base", "x"), "--base is the method"),
        (("--like", "arseg-77"), "no layout 'arseg-77'"),
    ],
)
def test_options_that_contradict_each_other_are_refused(
    options: tuple[str, ...], message: str
) -> None:
    result = call("table", *options, "--runs", "none")
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)
