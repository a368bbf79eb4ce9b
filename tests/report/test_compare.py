"""Comparisons of two methods or two stores, and what they say about more frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.report.test_scores import record, write
from vssbench.cli import bench
from vssbench.core.errors import UsageError
from vssbench.metrics.bootstrap import difference
from vssbench.metrics.draws import Interval
from vssbench.report.compare import (
    OPEN,
    comparison,
    frames_to_settle,
    pairs_of_methods,
    pairs_of_stores,
    render,
    titles,
    verdict,
)
from vssbench.report.rows import rows
from vssbench.report.scores import Rules
from vssbench.run.store import RunStore


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path / "first")
    write(made, "good", record(0.10, 1), 9.0)
    write(made, "poor", record(0.20, 2), 1.0)
    for number, method in enumerate(["like[scale=0.5]", "like[scale=0.7]"]):
        write(made, method, record(0.1, 3 + number), 1.0, run_id=f"like{number}")
    return made


def test_the_difference_is_that_of_the_bootstrap(store: RunStore) -> None:
    pairs = pairs_of_methods(rows(store.runs()), "good", "poor")
    (item,) = [comparison(pairs[0], [store, store], titles(pairs)[0], Rules())]
    assert item.whole.interval == difference(record(0.10, 1), record(0.20, 2)).miou
    assert item.verdict == "GOOD is better"
    assert item.frames_to_settle == 0
    assert [line.name for line in item.distances] == ["0", "1", "2", "3"]
    assert [line.name for line in item.classes] == ["a", "b"]
    turned = comparison(
        pairs_of_methods(rows(store.runs()), "poor", "good")[0], [store, store], "", Rules()
    )
    assert turned.whole.interval is not None
    assert turned.whole.interval.value == pytest.approx(-item.whole.interval.value)
    assert turned.verdict == "GOOD is better"


def test_more_frames_are_those_by_which_the_interval_leaves_zero() -> None:
    open_one = Interval(0.01, -0.01, 0.03)  # twice as far to the low end as to zero
    assert frames_to_settle(open_one, 100) == 300
    assert frames_to_settle(Interval(-0.01, -0.03, 0.01), 100) == 300
    assert frames_to_settle(Interval(0.01, 0.005, 0.03), 100) == 0
    assert frames_to_settle(Interval(0.0, -0.01, 0.01), 100) is None
    assert frames_to_settle(Interval(1e-7, -0.01, 0.01), 100) is None
    assert frames_to_settle(None, 100) is None
    assert verdict(open_one, ("a", "b")) == OPEN
    assert verdict(None, ("a", "b")) == OPEN


@pytest.mark.parametrize("seed", [9, 11, 13])
def test_what_the_estimate_asks_for_settles_it(seed: int) -> None:
    few = difference(record(0.10, seed, 40), record(0.106, seed + 1, 40)).miou
    more = frames_to_settle(few, 40)
    assert more
    many = 40 + 2 * more  # well beyond: other frames have another difference
    assert difference(record(0.10, seed, many), record(0.106, seed + 1, many)).miou.excludes_zero


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("good", "none", "no run of the method 'none'"),
        ("good", "like", "stands for several methods: give one of like[scale=0.5]"),
    ],
)
def test_methods_that_cannot_be_compared(
    store: RunStore, first: str, second: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said.replace("[", r"\[")):
        pairs_of_methods(rows(store.runs()), first, second)


def test_methods_that_never_met(store: RunStore) -> None:
    write(store, "alone", record(0.1, 1), 1.0, codec="hevc", codec_name="HEVC")
    with pytest.raises(UsageError, match="never measured on the same data"):
        pairs_of_methods(rows(store.runs()), "good", "alone")


def test_two_runs_of_one_method_are_not_chosen_between(store: RunStore) -> None:
    write(store, "good", record(0.1, 7), 1.0, run_id="again", precision="bf16")
    with pytest.raises(UsageError, match="differ in precision"):
        pairs_of_methods(rows(store.runs()), "good", "poor")


def test_stores_are_compared_method_by_method(store: RunStore, tmp_path: Path) -> None:
    other = RunStore(tmp_path / "second")
    write(other, "good", record(0.15, 8), 9.0)
    write(other, "new", record(0.15, 8), 9.0)
    pairs = pairs_of_stores(rows(store.runs()), rows(other.runs()), ("before", "after"))
    assert [(a["method"], b["method"]) for a, b, _ in pairs] == [("good", "good")]
    item = comparison(pairs[0], [store, other], titles(pairs)[0], Rules())
    assert item.names == ("GOOD, before", "GOOD, after")
    assert item.verdict == "GOOD, before is better"
    with pytest.raises(UsageError, match="hold no run of the same"):
        pairs_of_stores(rows(store.runs()), [pairs[0][1] | {"method": "x"}], ("a", "b"))


def test_a_method_is_the_same_however_it_was_typed(tmp_path: Path) -> None:
    typed = ("icnet[width=0.25]", "icnet[keep=0.5,width=0.25]")
    stores = [RunStore(tmp_path / name) for name in "ab"]
    for store, text in zip(stores, typed, strict=True):
        write(store, text, record(0.1, 3), 1.0, run_id="i")
        write(store, "icnet[width=0.5]", record(0.1, 4), 1.0, run_id="wide")
    pairs = pairs_of_stores(*(rows(each.runs()) for each in stores), ("a", "b"))
    met = sorted((one["run_id"], other["run_id"]) for one, other, _ in pairs)
    assert met == [("i", "i"), ("wide", "wide")]


def test_several_methods_of_two_stores_are_named(store: RunStore, tmp_path: Path) -> None:
    other = RunStore(tmp_path / "second")
    for method in ("good", "poor"):
        write(other, method, record(0.15, 8), 9.0)
    done = CliRunner().invoke(
        bench, ["compare", str(store.root), str(other.root), "--format", "md"]
    )
    headed = [line.split("|")[1] for line in done.stdout.splitlines()[2:4]]
    assert [title.split(":")[-1].strip() for title in headed] == ["GOOD", "POOR"]


def test_what_two_stores_have_not_in_common_is_said(store: RunStore, tmp_path: Path) -> None:
    other = RunStore(tmp_path / "second")
    write(other, "third", record(0.1, 1), 1.0)
    with pytest.raises(UsageError, match=r"protocol; the method of A is good or .*, the method of"):
        pairs_of_stores(rows(store.runs()), rows(other.runs()), ("A", "B"))
    write(other, "good", record(0.1, 1), 1.0, codec="vp9")
    its = rows([other.get("good")])
    with pytest.raises(UsageError, match="the codec of A is h264, the codec of B is vp9"):
        pairs_of_stores(rows(store.runs()), its, ("A", "B"))


def test_a_store_that_is_not_there_is_named(store: RunStore, tmp_path: Path) -> None:
    gone = str(tmp_path / "gone")
    done = CliRunner().invoke(bench, ["compare", str(tmp_path / "first"), gone])
    assert f"{gone} is no results store" in str(done.exception)
    done = CliRunner().invoke(bench, ["table", "--runs", gone])
    assert f"no results to show in {gone}" in str(done.exception)


def test_every_format_holds_the_same(store: RunStore) -> None:
    pairs = pairs_of_methods(rows(store.runs()), "good", "poor")
    items = [comparison(pairs[0], [store, store], titles(pairs)[0], Rules())]
    (read,) = json.loads(render(items, "json"))
    assert read["verdict"] == "GOOD is better"
    assert read["miou"]["interval"]["low"] == items[0].whole.interval.low
    assert [line["name"] for line in read["by_class"]] == ["a", "b"]
    lines = render(items, "csv").splitlines()
    assert len(lines) == 1 + 1 + 4 + 2
    text = render(items, "md")
    assert "GOOD is better" in text
    assert text.count("| distance") == 1


def test_the_command_compares_methods_and_stores(store: RunStore, tmp_path: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(
        bench, ["compare", "good", "poor", "--runs", str(store.root), "--by", "class"]
    )
    assert done.exit_code == 0, done.output
    assert "GOOD is better" in done.output
    assert "class" in done.output
    second = RunStore(tmp_path / "second")
    write(second, "good", record(0.10, 1), 9.0)
    done = runner.invoke(bench, ["compare", str(store.root), str(second.root), "--format", "json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)[0]["verdict"] == OPEN
    assert np.isclose(json.loads(done.stdout)[0]["miou"]["interval"]["value"], 0)


def test_too_few_frames_have_no_interval_and_say_so(tmp_path: Path) -> None:
    made = RunStore(tmp_path)
    write(made, "one", record(0.1, 1, 4), 1.0)
    write(made, "two", record(0.2, 2, 4), 1.0)
    pairs = pairs_of_methods(rows(made.runs()), "one", "two")
    item = comparison(pairs[0], [made, made], "t", Rules())
    assert item.verdict == OPEN
    assert item.frames_to_settle is None
    assert item.notes[0].startswith("No interval")
