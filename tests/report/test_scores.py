"""Scores with their intervals, and differences of methods on the same frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from vssbench.core.errors import UsageError
from vssbench.metrics.bootstrap import difference, intervals
from vssbench.report.counted import unscored_of
from vssbench.report.markup import DASH
from vssbench.report.rows import rows
from vssbench.report.scores import Rules, blocks, grid, remarks, render
from vssbench.run.measurement import Measurement
from vssbench.run.records import ConfusionRecord
from vssbench.run.store import RunStore

FRAMES, GOP = 48, 4


def record(wrong: float, seed: int, frames: int = FRAMES) -> ConfusionRecord:
    """Two classes of 1,000 pixels a frame, of which a share near ``wrong`` is taken for the
    other."""
    random = np.random.default_rng(seed)
    errors = random.binomial(
        1000, np.clip(wrong + 0.02 * random.standard_normal((frames, 2)), 0, 1)
    )
    matrices = np.array([[[1000 - a, a], [b, 1000 - b]] for a, b in errors])
    index = np.arange(frames)
    return ConfusionRecord(matrices, index % GOP, np.zeros(frames, np.int64), index)


def write(
    store: RunStore, method: str, matrices: ConfusionRecord | None, gmacs: float, **given: object
) -> None:
    fields: dict[str, object] = {
        "run_id": method, "created": "2026-01-01", "status": "done", "method": method,
        "display": method.upper(),
        "dataset": "d", "codec": "h264", "codec_name": "H.264", "protocol": "dense",
        "classes": ["a", "b"], "gop": GOP,
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
    (block,) = blocks(store, rows(store.runs()), None, Rules())
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
    (block,) = blocks(store, rows(store.runs()), None, Rules())
    said = " ".join(remarks(block))
    assert "Over DEAR" in said
    assert "blocks of" in said
    assert "1 of 49 labelled frames was left out" in said


@pytest.mark.parametrize("base", ["cheap", "CHEAP", "che"])
def test_another_base(store: RunStore, base: str) -> None:
    (block,) = blocks(store, rows(store.runs()), base, Rules())
    assert block.base == "CHEAP"
    assert block.lines[0].gain is not None


def test_other_frames_are_not_compared(store: RunStore) -> None:
    write(store, "cheap", record(0.2, 2, FRAMES - 4), 1.0)
    (block,) = blocks(store, rows(store.runs()), None, Rules())
    assert block.lines[1].gain is None
    assert any("scored on different frames" in note for note in block.notes)


def test_too_few_frames_have_scores_but_no_interval(tmp_path: Path) -> None:
    store = RunStore(tmp_path)
    write(store, "short", record(0.1, 1, 5), 1.0)
    (block,) = blocks(store, rows(store.runs()), None, Rules())
    assert block.lines[0].interval is None
    assert "[" not in grid(block).lines[0][1].text
    assert any("no interval of 5 labelled frames" in note for note in block.notes)


def test_formats(store: RunStore) -> None:
    found = blocks(store, rows(store.runs()), None, Rules())
    records = json.loads(render(found, "json"))
    assert [item["method"] for item in records] == ["dear", "cheap"]
    assert records[1]["miou_low"] < records[1]["miou"] < records[1]["miou_high"]
    assert records[1]["gain_high"] < 0
    header, *lines = render(found, "csv").splitlines()
    assert len(lines) == 2
    assert header.startswith("run_id,method")
    assert "| DEAR " in render(found, "md")


def test_a_class_that_is_left_out(store: RunStore) -> None:
    (block,) = blocks(store, rows(store.runs()), None, Rules(left_out=("b",)))
    matrices = record(0.10, 1).matrices
    assert block.lines[0].scores.pooled_miou == matrices[:, 0, 0].sum() / matrices[:, 0].sum()
    assert any("Pixels of b are not scored" in note for note in block.notes)
    with pytest.raises(
        UsageError, match="--without 'void' is none of the classes that were scored: a, b"
    ):
        blocks(store, rows(store.runs()), None, Rules(left_out=("void",)))


def test_what_meters_counted(store: RunStore) -> None:
    """Columns only where a run has them; a run without them shows a dash."""
    outlines = {
        "counts": np.array([[[3, 8], [4, 8], [3, 0], [6, 8]]]), "clips": np.zeros(1),
        "frames": np.zeros(1),
        "distances": np.zeros(1, np.int64), "tolerance": np.array(0.0075),
    }  # fmt: skip
    steadiness = {
        "tc_matrices": np.array([[[6, 2], [0, 8]]]), "tc_distances": np.ones(1, np.int64),
        "tc_exact": np.ones(1, bool),
        "vc_lengths": np.full(2, 8), "vc_episodes": np.zeros(2), "vc_steady": np.full(2, 10),
        "vc_kept": np.array([9, 1]),
        "vc_unscored": np.zeros(2), "vc_unscored_kept": np.zeros(2),
    }  # fmt: skip
    fields = {
        "run_id": "seen",
        "created": "2026-01-01",
        "status": "done",
        "method": "seen",
        "display": "SEEN",
    }
    same = {
        "dataset": "d",
        "codec": "h264",
        "codec_name": "H.264",
        "protocol": "dense",
        "classes": ["a", "b"],
        "gop": GOP,
    }
    made = Measurement(**(fields | same | {"bitrate_kbps": 987.0, "gmacs_gop": 2.0}))
    store.write(
        made, record(0.3, 3), None, {}, "", meters={"boundary": outlines, "consistency": steadiness}
    )
    (block,) = blocks(store, rows(store.runs()), None, Rules())
    table = grid(block)
    shown = {line[0].text: dict(zip(table.headings, line, strict=True)) for line in table.lines}
    texts = {name: cell.text for name, cell in shown["SEEN"].items()}
    # class a: precision 3/4, recall 3/6; class b: 8/8 and 0/8
    assert (texts["boundary F %"], texts["image boundary F %"]) == ("30.00", "30.00")
    assert (texts["TC %"], texts["VC8 %"], texts["VC16 %"]) == (
        f"{50 * (6 / 8 + 8 / 10):.2f}",
        "90.00",
        DASH,
    )
    assert {shown["DEAR"][name].text for name in ("boundary F %", "TC %", "VC8 %")} == {DASH}
    said = " ".join(remarks(block))
    assert "within 0.75 % of the diagonal" in said
    assert "the dataset's exact one. VC" in said
    found = {item["method"]: item for item in json.loads(render([block], "json"))}
    assert (found["seen"]["tc_pairs"], found["seen"]["vc8"]) == (1, 0.9)
    assert len({line.count(",") for line in render([block], "csv").splitlines()}) == 1


def test_a_damaged_meter_is_a_note(store: RunStore) -> None:
    fields = {
        "run_id": "odd",
        "created": "2026-01-01",
        "status": "done",
        "method": "odd",
        "display": "ODD",
        "gmacs_gop": 2.0,
    }
    same = {
        "dataset": "d",
        "codec": "h264",
        "codec_name": "H.264",
        "protocol": "dense",
        "classes": ["a", "b"],
        "gop": GOP,
    }
    place = store.write(
        Measurement(**(fields | same | {"bitrate_kbps": 987.0})), record(0.3, 3), None, {}, ""
    )
    np.savez(place / "boundary.npz", counts=np.ones((50, 4, 2), np.int64))
    content = bytearray((place / "boundary.npz").read_bytes())
    content[1000:1040] = bytes(40)  # the checksum of the entry tells
    (place / "boundary.npz").write_bytes(content)
    (block,) = blocks(store, rows(store.runs()), None, Rules())
    assert len(block.lines) == 3
    assert any("boundary.npz does not read" in note for note in block.notes)


def test_nothing_to_score(store: RunStore) -> None:
    with pytest.raises(UsageError, match="no measured run"):
        blocks(store, [], None, Rules())
    with pytest.raises(UsageError, match="'icnet' is none of the methods measured: cheap, dear"):
        blocks(store, rows(store.runs()), "icnet", Rules())


def test_an_output_of_no_class_is_in_no_mean(tmp_path: Path) -> None:
    """Its column behind the classes makes errors, and no class of IoU 0."""
    store = RunStore(tmp_path)
    plain = record(0.10, 1)
    wider = np.zeros((FRAMES, 3, 3), np.int64)
    wider[:, :2, :2] = plain.matrices
    wider[:, 0, 0] -= 100
    wider[:, 0, 2] += 100
    other = ConfusionRecord(wider, plain.distances, plain.clips, plain.frames)
    write(store, "plain", plain, 9.0)
    write(store, "void", other, 1.0, void="error")
    shown = {row["run_id"]: row for row in rows(store.runs())}
    run = store.get("void")
    assert unscored_of(run, shown["void"]) == [2]
    assert unscored_of(run, shown["void"] | {"without": "b"}) == [1, 2]
    own = intervals(other, left_out=unscored_of(run, shown["void"])).miou
    assert own.value == shown["void"]["miou"]
    assert 0.7 < own.value < shown["plain"]["miou"]
    (block,) = blocks(store, list(shown.values()), "plain", Rules())
    (line,) = [line for line in block.lines if line.row["run_id"] == "void"]
    assert line.interval is not None
    assert line.interval.miou == own
    assert line.gain is not None
    assert line.gain.miou.high < 0
