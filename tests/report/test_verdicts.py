"""Verdicts on published numbers: what reproduces them, and why not where nothing does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from vssbench.core.errors import DataError
from vssbench.report.paper import ours
from vssbench.report.paper.cells import cells
from vssbench.report.paper.layout import find
from vssbench.report.paper.needs import Means, needs, opened
from vssbench.report.paper.ours import Store
from vssbench.report.paper.verdicts import counts, judged, verdict

CELL: dict[str, Any] = {
    "metric": "miou", "published": 70.48, "printed": "70.48", "status": "printed",
    "published_note": "", "ours": 70.48, "low": 68.0, "high": 72.0, "same": True, "reason": "",
    "note": "",
}  # fmt: skip
GMACS = {"metric": "gmacs", "low": None, "high": None}


@pytest.mark.parametrize(
    ("given", "word"),
    [
        ({"ours": 70.4849}, "reproduced"),
        ({"ours": 70.4751}, "reproduced"),
        ({"ours": 70.49}, "within noise"),
        ({"ours": 69.0, "low": 68.0, "high": 70.48}, "within noise"),
        ({"ours": 69.0, "low": 68.0, "high": 70.47}, "not reproduced"),
        ({"ours": 69.0, "low": None, "high": None}, "not reproduced"),
        ({"ours": None, "same": False, "reason": "no run"}, "not possible here"),
        ({"same": False, "reason": "split val, not test"}, "not possible here"),
        (GMACS | {"ours": 70.50}, "reproduced"),
        (GMACS | {"ours": 70.51}, "not reproduced"),
        (GMACS | {"published": 0.67, "printed": "0.67", "ours": 0.68}, "not reproduced"),
        (GMACS | {"status": "digitised", "ours": 70.52}, "reproduced"),
        (GMACS | {"status": "misprint", "ours": 90.0}, "misprint"),
        (GMACS | {"status": "misprint"}, "reproduced"),
        ({"metric": "params", "printed": "5.8", "published": 5.8, "ours": 5.84}, "reproduced"),
    ],
)
def test_verdicts(given: dict[str, Any], word: str) -> None:
    assert verdict(CELL | given)[0] == word


def test_reasons() -> None:
    assert verdict(CELL | {"ours": None, "reason": "no run"})[1] == "no run"
    other = verdict(CELL | {"ours": 54.0, "same": False, "reason": "split val, not test"})[1]
    assert other == "a run of other conditions has 54.00 (split val, not test)"
    assert verdict(CELL | GMACS | {"ours": 9.0, "note": "why"})[1] == "why"
    assert verdict(CELL | GMACS | {"ours": 9.0, "published_note": "odd"})[1] == "odd"
    said = verdict(CELL | GMACS | {"ours": 9.0, "status": "misprint", "published_note": "133.09"})
    assert said == ("misprint", "133.09")


def test_what_is_missing_is_said_in_the_cell() -> None:
    layout = find("arseg-4")
    found = cells(layout, Store())
    needed = needs([layout], Means())
    its = judged(layout, found, needed)
    assert len(its) == 8
    assert counts(its) == {"not possible here": 8}
    assert all(text.endswith("; data and weights missing, see below") for text in its["because"])
    here = [replace(each, no_data="", no_weights="") for each in needed]
    assert judged(layout, found, here)["because"].str.endswith("; --run makes one").all()


def test_needs_are_listed_once_for_each_experiment() -> None:
    found = needs([find("arseg-1"), find("arseg-2")], Means())
    assert len(found) == len({(each.method, each.dataset) for each in found}) == 16
    assert not any(each.runs for each in found)
    camvid = next(each for each in found if each.dataset.startswith("camvid"))
    assert "pass --data-root DIR" in camvid.no_data
    assert camvid.no_weights == "none for 12 classes are shipped"
    assert camvid.missing() == "data and weights"
    assert camvid.record()["runs"] is False


def test_relative_changes_are_not_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "counted", lambda number: ours.Ours(1.0, same=True))
    layout = find("arseg-2")
    its = judged(layout, cells(layout, Store()), [])
    assert set(its["metric"]) == {"miou", "gmacs"}


def test_data_of_another_frame_size_are_not_the_paper_s() -> None:
    street = "synthetic[clips=1,frames=2,height=96,width=128]"
    assert opened(street, (96, 128), ()).scored_clips
    assert opened(street, None, ()).scored_clips
    with pytest.raises(DataError, match="here at 96x128; the paper's frames are 720x960"):
        opened(street, (720, 960), ())
