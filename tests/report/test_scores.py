"""Scores with their intervals, and differences of methods on the same frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vssbench.errors import UsageError
from vssbench.metrics.bootstrap import difference, intervals
from vssbench.report.rows import rows
from vssbench.report.scores import blocks, grid, remarks, render
from vssbench.store import ConfusionRecord, Measurement, RunStore

FRAMES, GOP = 48, 4


def record(wrong: float, seed: int, frames: int = FRAMES) -> ConfusionRecord:
    """Two classes of 1,000 pixels a frame, of which a share near ``wrong`` is taken for the other."""
    random = np.random.default_rng(seed)
    errors = random.binomial(1000, np.clip(wrong + 0.02 * random.standard_normal((frames, 2)), 0, 1))
    matrices = np.array([[[1000 - a, a], [b, 1000 - b]] for a, b in errors])
    index = np.arange(frames)
    return ConfusionRecord(matrices, index % GOP, np.zeros(frames, np.int64), index)


def write(store: RunStore, method: str, matrices: ConfusionRecord | None, gmacs: float, **given: object) -> None:
    fields: dict[str, object] = {
        "run_id": method, "created": "2026-01-01", "status": "done", "method": method, "display": method.upper(),
        "dataset": "d", "codec": "h264", "codec_name": "H.264", "protocol": "dense", "classes": ["a", "b"], "gop": GOP,
        "gmacs_gop": gmacs, "bitrate_kbps": 987.0,
    }  # fmt: skip
    store.write(Measurement(**(fields | given)), matrices, None, {}, "")


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path)
    write(made, "dear", record(0.10, 1), 9.0)
    write(made, "cheap", record(0.20, 2), 1.0, remarks=["1 of 49 labelled frames was left out"])
    return made


def test_every_score_and_the_difference_to_the_dearest(store: RunStore) -> None:
    (block,) = blocks(store, rows(store.runs()), None, "skip")
    assert (block.base, [line.row["method"] for line in block.lines]) == ("DEAR", ["dear", "cheap"])
    dear, cheap = block.lines
    assert dear.gain is None
    assert cheap.interval == intervals(record(0.20, 2))
    assert cheap.gain == difference(record(0.20, 2), record(0.10, 1))
    assert cheap.gain.miou.excludes_zero
    text = grid(block).lines[1]
    its = cheap.interval.miou
    assert text[1].text == f"{100 * its.value:.2f} [{100 * its.low:.2f}, {100 * its.high:.2f}]"
    assert (text[2].text.startswith("-"), text[2].bold, text[-1].text) == (True, True, str(FRAMES))


def test_what_must_be_said(store: RunStore) -> None:
    (block,) = blocks(store, rows(store.runs()), None, "skip")
    said = " ".join(remarks(block))
    assert "Over DEAR" in said
    assert "blocks of" in said
    assert "1 of 49 labelled frames was left out" in said


@pytest.mark.parametrize("base", ["cheap", "CHEAP", "che"])
def test_another_base(store: RunStore, base: str) -> None:
    (block,) = blocks(store, rows(store.runs()), base, "skip")
    assert block.base == "CHEAP"
    assert block.lines[0].gain is not None


def test_other_frames_are_not_compared(store: RunStore) -> None:
    write(store, "cheap", record(0.2, 2, FRAMES - 4), 1.0)
    (block,) = blocks(store, rows(store.runs()), None, "skip")
    assert block.lines[1].gain is None
    assert any("scored on different frames" in note for note in block.notes)


def test_too_few_frames_have_scores_but_no_interval(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    write(store, "short", record(0.1, 1, 5), 1.0)
    (block,) = blocks(store, rows(store.runs()), None, "skip")
    assert block.lines[0].interval is None
    assert "[" not in grid(block).lines[0][1].text
    assert any("no interval of 5 labelled frames" in note for note in block.notes)


def test_formats(store: RunStore) -> None:
    found = blocks(store, rows(store.runs()), None, "skip")
    records = json.loads(render(found, "json"))
    assert [item["method"] for item in records] == ["dear", "cheap"]
    assert records[1]["miou_low"] < records[1]["miou"] < records[1]["miou_high"]
    assert records[1]["gain_high"] < 0
    header, *lines = render(found, "csv").splitlines()
    assert len(lines) == 2
    assert header.startswith("run_id,method")
    assert "| DEAR " in render(found, "md")


def test_nothing_to_score(store: RunStore) -> None:
    with pytest.raises(UsageError, match="no measured run"):
        blocks(store, [], None, "skip")
    with pytest.raises(UsageError, match="'icnet' is none of the methods measured: cheap, dear"):
        blocks(store, rows(store.runs()), "icnet", "skip")
