"""The published numbers: one tidy schema, every row of it with a source, and what a broken row
says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import vssbench
from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import parse_variant
from vssbench.cost import published as costs
from vssbench.report.paper import cells, numbers
from vssbench.report.paper.numbers import FIELDS, METRICS, OWN, SHARED, STATUS, read

ROOT = Path(__file__).resolve().parent.parent.parent
#: what tells two numbers apart
KEY = [
    "paper", "table", "row", "setting", "variant", "dataset", "split", "codec", "gop", "distance",
    "class", "metric", "hardware", "height",
]  # fmt: skip


def test_the_frame_has_the_declared_columns_and_dtypes() -> None:
    found = vssbench.published()
    assert [(name, str(dtype)) for name, dtype in found.dtypes.items()] == [
        (field.name, field.dtype) for field in FIELDS
    ]
    assert len(found) == 924
    assert found["value"].notna().all()
    assert (found["printed"].astype(float) == found["value"]).all()


def test_every_number_is_there_once_and_has_a_source() -> None:
    found = vssbench.published()
    assert not found.duplicated(KEY).any()
    assert (found["source_text"].str.len() > 10).all()
    listed = (numbers.folder() / "sources.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert {line.partition(",")[0] for line in listed} == set(found["source"])
    shared, own = (
        (numbers.folder() / name).read_text(encoding="utf-8").splitlines()[1:]
        for name in ("measurements.csv", "numbers.csv")
    )
    keys = [line.partition(",")[0] for line in shared]
    assert len(keys) == len(set(keys))
    assert set(keys) == {line.partition(",")[0] for line in own}
    assert set(found["status"]) == set(STATUS)
    assert set(found["metric"]) == set(METRICS)


def test_units_and_ranges_are_those_of_the_metric() -> None:
    found = vssbench.published()
    for metric, (units, _) in METRICS.items():
        assert set(found.loc[found["metric"] == metric, "unit"]) <= set(units), metric
    accuracies = found[found["metric"].isin(["miou", "miou_d", "iou", "map"])]
    assert accuracies["value"].between(20, 100).all()
    timed = found[found["metric"].isin(["ms", "fps"]) & found["paper"].isin(["arseg", "dff"])]
    assert (timed["hardware"] != "").all()
    assert not found["source_text"].str.contains(r"/work|/home|/tmp").any()


def test_variants_are_methods_with_parameters_that_they_have() -> None:
    variants = {text for text in vssbench.published()["variant"] if text}
    assert len(variants) > 50
    for text in variants:
        assert registry.resolved("methods", parse_variant(text)), text


def test_misprints_and_contradictions_say_by_what() -> None:
    found = vssbench.published()
    wrong = found[found["status"].isin(["misprint", "contradicted"])]
    assert (wrong["note"] != "").all()
    misprint = found[found["status"] == "misprint"]
    assert misprint[["table", "row", "printed"]].to_numpy().tolist() == [
        ["Table 2", "AR0.6-PSP18", "101.98"]
    ]
    assert "133.09" in misprint["note"].iloc[0]
    curves = found[found["table"].str.fullmatch("Figure 4[ab]")]
    assert set(curves["status"]) == {"digitised"}


def test_the_table_of_costs_and_the_numbers_agree() -> None:
    """Every cost of AR-Seg's Table 1 stands in both, with the same digits."""
    found = vssbench.published("arseg")
    its = found[(found["table"] == "Table 1") & (found["metric"] == "gmacs")]
    printed = {
        (row.classes, row.printed)
        for row in costs.read()
        if "AR-Seg (CVPR 2023), Table 1" in row.source
    }
    assert set(zip(its["classes"], its["printed"], strict=True)) == printed
    assert len(its) == 16


def test_one_paper_and_an_unknown_one() -> None:
    its = vssbench.published("icnet")
    assert set(its["paper"]) == {"icnet"}
    assert its.index[0] == 0
    with pytest.raises(UsageError, match=r"no published numbers of 'segnet'.*arseg.*icnet"):
        vssbench.published("segnet")


def test_the_frame_is_the_readers_own() -> None:
    its = vssbench.published()
    its.loc[0, "value"] = -1.0
    assert vssbench.published()["value"].iloc[0] == 69.43


SOUND = {
    "paper": "p", "table": "Table 1", "row": "r", "metric": "miou", "value": "70.1", "unit": "%",
    "status": "printed", "source": "s",
}  # fmt: skip


def written(folder: Path, **given: str) -> Path:
    folder.mkdir(exist_ok=True)
    line = dict.fromkeys((*OWN, *SHARED), "") | SOUND | given
    key = line.get("measurement", "m")
    for name, columns, its in (("numbers", OWN, key), ("measurements", SHARED, "m")):
        texts = ",".join(["measurement", *columns]), ",".join([its, *(line[c] for c in columns)])
        (folder / f"{name}.csv").write_text("\n".join(texts) + "\n")
    (folder / "sources.csv").write_text("source,text\ns,A paper\n")
    return folder


def test_a_sound_row_reads(tmp_path: Path) -> None:
    found = read(written(tmp_path / "sound")).iloc[0]
    assert (found["value"], found["printed"], found["source_text"]) == (70.1, "70.1", "A paper")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"metric": "accuracy"}, "line 2: metric='accuracy'; expected one of miou"),
        ({"unit": "G"}, "line 2: unit='G'; expected one of %"),
        ({"status": "sure"}, "line 2: status='sure'; expected one of printed"),
        ({"source": "t"}, "line 2: source='t'; expected one of s"),
        ({"value": "70,1"}, "line 2: expected 14 cells, as there are columns"),
        ({"value": "160+"}, "line 2: value='160\\+'; expected a number"),
        ({"gop": "twelve"}, "line 2: gop='twelve'; expected a number"),
        ({"metric": "miou_d"}, "line 2: distance is empty, and miou_d needs it"),
        ({"metric": "iou"}, "line 2: class is empty, and iou needs it"),
        ({"metric": "gmacs", "unit": "G"}, "line 2: convention is empty"),
        ({"status": "misprint"}, "line 2: a number that is misprint needs a note"),
        ({"row": ""}, "line 2: row is empty"),
        ({"measurement": "n"}, "line 2: measurement='n'; expected one of m"),
    ],
)
def test_a_broken_row_is_named(given: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read(written(tmp_path / "broken", **given))


def test_missing_files_and_columns_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"come with a checkout.*: run `python bench\.py`"):
        read(tmp_path / "none")
    folder = written(tmp_path / "columns")
    (folder / "numbers.csv").write_text("paper,table\n")
    with pytest.raises(DataError, match="has the columns paper, table; expected measurement, row"):
        read(folder)


def test_the_documented_columns_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "published.md").read_text(encoding="utf-8")
    found = []
    for block in re.split(r"\n\n+", text):
        if block.startswith("| column |"):
            lines = [line[2:-2].split(" | ") for line in block.strip().splitlines()[2:]]
            found.append([(name.strip("`"), *rest) for name, *rest in lines])
    assert found == [
        [(field.name, field.dtype, field.unit, field.meaning) for field in fields]
        for fields in (cells.FIELDS, FIELDS)
    ]
    assert all(f"| {name} | {meaning} |" in text for name, meaning in STATUS.items())


def test_the_documented_snippet_runs_as_written(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "published.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(snippets) == 1
    exec(compile(snippets[0], "docs/published.md", "exec"), {})
    shown = capsys.readouterr().out
    assert "70.48" in shown
    assert "A misprint" in shown
