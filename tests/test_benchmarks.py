"""The benchmarks' commands: what they share, and that no figures are written over before anything
is measured."""

import importlib
import json
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def load(monkeypatch):
    """``load(name)``: a module of the benchmarks, which import each other by their bare names."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    before = set(sys.modules)
    yield importlib.import_module
    own = {path.stem for path in BENCHMARKS.glob("*.py")}
    for name in (set(sys.modules) - before) & own:
        sys.modules.pop(name, None)


@pytest.mark.parametrize("name", ["codec", "harness", "inference", "scale", "sweep", "training"])
def test_figures_that_are_there_are_kept(load, tmp_path, name):
    place = tmp_path / "figures.json"
    place.write_text("mine")
    result = CliRunner().invoke(load(name).main, ["--json", str(place), "--rounds", "1"])
    assert result.exit_code == 2
    assert "--force" in result.output
    assert place.read_text() == "mine"


def test_figures_of_a_page_are_kept(load, tmp_path):
    for name in ("figures.json", "page.html"):
        (tmp_path / name).write_text("mine")
    given = [str(tmp_path / "page.html"), "--json", str(tmp_path / "figures.json")]
    result = CliRunner().invoke(load("page").main, given)
    assert result.exit_code == 2
    assert "--force" in result.output
    assert (tmp_path / "figures.json").read_text() == "mine"


def test_rates_of_a_call_a_video_and_a_frame_are_told_apart(load):
    scale = load("scale")
    rates = scale.Rates(5.0, 0.5, 0.25)
    fitted = scale.fitted([rates.of(lengths) for lengths in scale.PROBES])
    assert vars(fitted) == pytest.approx(vars(rates))
    assert fitted.of((10, 20)) == pytest.approx(5 + 1 + 7.5)


def test_figures_are_written_at_the_end_with_machine_and_settings(load, tmp_path):
    place = tmp_path / "figures.json"
    with load("common").figures(place, False, rounds=3) as measured:
        measured["share"] = 0.5
        assert not place.exists()
    written = json.loads(place.read_text())
    assert written.keys() == {"machine", "rounds", "share"}
    assert (written["rounds"], written["share"]) == (3, 0.5)


def test_forms_take_turns_and_the_first_round_does_not_count(load):
    calls = []
    forms = {name: lambda name=name: calls.append(name) for name in ("a", "b")}

    def timed(form):
        form()
        return len(calls)

    assert load("common").in_turns(forms, 2, timed) == {"a": [3, 5], "b": [4, 6]}
    assert calls == ["a", "b"] * 3


def test_ratios_are_of_one_round(load):
    assert load("common").ratios([1.0, 3.0], [2.0, 4.0]) == [0.5, 0.75]
    assert load("common").spread([3.0, 1.0, 2.0], " s") == "   2.000 s   1.000 to 3.000"
