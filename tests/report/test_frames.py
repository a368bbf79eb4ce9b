"""Frames of results: documented columns and dtypes, numbers derived again by hand, old stores."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from vssbench.cli import bench
from vssbench.core.errors import DataError, UsageError, VssbenchError
from vssbench.report.fields import FIELDS, JSON_COLUMNS, LINE_COLUMNS
from vssbench.report.frames import By, parquet, results, tables
from vssbench.report.rows import rows
from vssbench.run.archive import unpacked
from vssbench.run.measurement import Measurement
from vssbench.run.records import ConfusionRecord, LatencyRecord, StreamRecord
from vssbench.run.store import RunStore

ROOT = Path(__file__).resolve().parents[2]
FORMS: tuple[By, ...] = ("run", "distance", "class", "frame")
#: one clip of three frames, one labelled at distance 0 and one at distance 2
MATRICES = np.array([[[3, 1], [0, 4]], [[4, 4], [0, 8]]])
SCORED = ConfusionRecord(MATRICES, np.array([0, 2]), np.zeros(2, np.int64), np.array([0, 2]))
TIMES = LatencyRecord(
    distances=np.array([0, 1, 2]),
    key=np.array([True, False, False]),
    decode_ms=np.array([9.0, 1.0, 2.0]),
    motion_ms=np.array([0.0, 4.0, 6.0]),
    model_ms=np.array([100.0, 10.0, 20.0]),
)
CODED = StreamRecord(
    clips=np.zeros(3, np.int64),
    frames=np.arange(3),
    types=np.frombuffer(b"IPB", np.uint8),
    bits=np.array([800, 80, 8]),
    psnr_db=np.array([np.inf, 40.0, 39.0]),
    ssim=np.array([1.0, 0.9, 0.8]),
    **{
        name: np.array([0.0, 1.0, 2.0])
        for name in ("intra_share", "mean_vector", "p95_vector", "warp_error")
    },
)


def store(folder: Path, **given: Any) -> Path:
    """A store of a run that is done and one that was refused; keywords replace arrays."""
    arrays: dict[str, Any] = {"confusion": SCORED, "latency": TIMES, "stream": CODED} | given
    fields: dict[str, Any] = {
        "created": "2026-01-02T03:04:05+00:00", "method": "m[a=1]", "display": "M",
        "dataset": "d", "codec": "c", "protocol": "dense", "protocol_details": {"scored": "all"},
        "remarks": ["one", "two"], "classes": ["road", "sky"], "machine": {"cpu": "Xeon"},
        "params": 7, "gop": 3, "height": 64, "width": 96,
    }  # fmt: skip
    made = RunStore(folder)
    done = Measurement(run_id="a1", status="done", psnr_db=None, ssim=1.0, **fields)
    made.write(done, arrays["confusion"], arrays["latency"], {}, "", arrays["stream"])
    fields |= {"method": "z", "params": None}
    made.write(
        Measurement(run_id="b2", status="refused", reason="no motion", **fields), None, None, {}, ""
    )
    return folder


def documented() -> list[list[tuple[str, ...]]]:
    """The tables of docs/results.md."""
    text = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    found = []
    for block in re.split(r"\n\n+", text):
        if block.startswith("| column |"):
            lines = [line[2:-2].split(" | ") for line in block.strip().splitlines()[2:]]
            found.append([(name.strip("`"), *rest) for name, *rest in lines])
    return found


def test_the_documented_columns_are_those_of_the_code() -> None:
    declared = [
        [(field.name, field.dtype, field.unit, field.meaning) for field in FIELDS[by]]
        for by in FORMS
    ]
    assert documented() == declared


@pytest.mark.parametrize("by", FORMS)
@pytest.mark.parametrize("stored", [True, False])
def test_frames_have_the_declared_columns_and_dtypes(tmp_path: Path, by: By, stored: bool) -> None:
    made = results(store(tmp_path) if stored else tmp_path, by)
    assert [(name, str(dtype)) for name, dtype in made.dtypes.items()] == [
        (field.name, field.dtype) for field in FIELDS[by]
    ]
    assert made.empty is not stored


def test_a_row_a_run(tmp_path: Path) -> None:
    done, refused = results(store(tmp_path)).to_dict("records")
    first, second = (3 / 4 + 4 / 5) / 2, (4 / 8 + 8 / 12) / 2
    assert (done["run_id"], done["status"], done["params"]) == ("a1", "done", 7)
    assert done["miou"] == pytest.approx((first + second) / 2)
    assert (done["miou_0"], done["miou_last"]) == pytest.approx((first, second))
    assert (done["latency_key_ms"], done["latency_nonkey_ms"]) == (100.0, 15.0)
    assert done["psnr_db"] == np.inf
    assert (done["remarks"], done["protocol_details"]) == ("one\ntwo", '{"scored": "all"}')
    assert done["created"] == pd.Timestamp("2026-01-02T03:04:05", tz="UTC")
    assert (refused["status"], refused["reason"]) == ("refused", "no motion")
    assert pd.isna(refused["params"])
    assert pd.isna(refused["miou"])


def test_by_distance(tmp_path: Path) -> None:
    made = results(store(tmp_path), "distance")
    assert made["run_id"].tolist() == ["a1"] * 3
    assert made["distance"].tolist() == [0, 1, 2]
    assert made["frames"].tolist() == [1, 0, 1]
    expected = [(3 / 4 + 4 / 5) / 2, np.nan, (4 / 8 + 8 / 12) / 2]
    assert made["miou"].tolist() == pytest.approx(expected, nan_ok=True)
    assert made["latency_ms"].tolist() == [100.0, 10.0, 20.0]


def test_by_class(tmp_path: Path) -> None:
    made = results(store(tmp_path), "class")
    assert dict(zip(made["class"], made["iou"], strict=True)) == pytest.approx(
        {"road": (3 / 4 + 4 / 8) / 2, "sky": (4 / 5 + 8 / 12) / 2}
    )


def test_by_frame_joins_accuracy_stream_and_times(tmp_path: Path) -> None:
    made = results(store(tmp_path), "frame")
    assert made[["clip", "frame", "distance"]].to_numpy().tolist() == [
        [0, 0, 0], [0, 1, 1], [0, 2, 2],
    ]  # fmt: skip
    assert made["scored"].tolist() == [True, False, True]
    assert made["miou"].tolist() == pytest.approx(
        [(3 / 4 + 4 / 5) / 2, np.nan, (4 / 8 + 8 / 12) / 2], nan_ok=True
    )
    assert made["pixel_accuracy"].tolist() == pytest.approx([7 / 8, np.nan, 12 / 16], nan_ok=True)
    assert made["picture_type"].tolist() == ["I", "P", "B"]
    assert made["bits"].tolist() == [800, 80, 8]
    assert made["model_ms"].tolist() == [100.0, 10.0, 20.0]


def test_times_that_carry_no_frames_number_are_attributed_to_none(tmp_path: Path) -> None:
    """A frame that is decoded twice at one distance has two times, and nobody knows whose score."""
    twice = StreamRecord(**{name: np.repeat(array, 2) for name, array in vars(CODED).items()})
    times = LatencyRecord(**{name: np.repeat(array, 2) for name, array in vars(TIMES).items()})
    made = results(store(tmp_path / "twice", stream=twice, latency=times), "frame")
    assert made["frame"].tolist() == [0, 2]
    assert made[["model_ms", "bits"]].isna().all(axis=None)
    # fewer frames were timed than decoded: the codec's numbers alone are known
    some = LatencyRecord(**{name: array[::2] for name, array in vars(TIMES).items()})
    made = results(store(tmp_path / "some", latency=some), "frame")
    assert made["bits"].tolist() == [800, 8]
    assert made["model_ms"].isna().all()
    made = results(store(tmp_path / "old", stream=None), "frame")
    assert (made["frame"].tolist(), made["scored"].all()) == ([0, 2], True)


def test_a_damaged_run_has_a_row_and_no_long_ones(tmp_path: Path) -> None:
    store(tmp_path)
    file = tmp_path / "a1" / "confusion.npz"
    content = bytearray(file.read_bytes())
    content[45:70] = bytes(25)
    file.write_bytes(content)
    assert results(tmp_path)["status"].tolist() == ["damaged", "refused"]
    assert all(results(tmp_path, by).empty for by in FORMS[1:])


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no folder .*nowhere: expected a results store"):
        results(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="'month' is unknown: expected run, distance, class"):
        results(tmp_path, "month")  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["camvid360", "protocols", "seed0", "seed1"])
def test_the_reference_results_are_read(name: str) -> None:
    store = ROOT / "results" / "reference" / name / "runs.tar.xz"
    runs = results(store)
    with unpacked(store) as folder:
        assert len(runs) == len(list(folder.iterdir()))
    assert set(runs["status"]) <= {"done", "refused"}
    done = runs[runs["status"] == "done"]
    assert len(done) >= 6
    assert done["miou"].between(0, 1).all()
    assert (runs["reason"][runs["status"] == "refused"] != "").all()
    last = results(store, "distance").groupby("run_id")["distance"].max()
    # CamVid's test split is stills, which are all keyframes; that of the drawn street is video
    stills = (done["split"] == "test") & done["dataset"].str.startswith("camvid")
    furthest = (done["gop"] - 1).mask(stills, 0)
    assert (last.loc[done["run_id"]].to_numpy() == furthest).all()


@pytest.mark.parametrize("name", ["camvid360", "protocols"])
def test_rows_hold_what_frames_do(name: str) -> None:
    with unpacked(ROOT / "results" / "reference" / name / "runs.tar.xz") as folder:
        made = RunStore(folder).runs()
    its, found = tables(made), rows(made)
    assert len(found) >= 6
    for place, row in enumerate(found):
        assert {column: _as_a_frame_has_it(column, row[column]) for column in its.runs} == {
            column: None if pd.isna(value) else value
            for column, value in its.runs.iloc[place].items()
        }
        curve = its.distances["miou"][its.distances.index == place].tolist()
        assert row["miou_by_distance"] == [None if np.isnan(each) else each for each in curve]
        classes = its.classes[its.classes.index == place]
        ious = [None if np.isnan(each) else each for each in classes["iou"]]
        assert row["per_class"] == dict(zip(classes["class"], ious, strict=True))


def _as_a_frame_has_it(column: str, value: Any) -> Any:
    if column in JSON_COLUMNS:
        return json.dumps(value)  # its names are in order
    if column in LINE_COLUMNS:
        return "\n".join(value)
    return pd.Timestamp(value) if column == "created" else value


@pytest.mark.parametrize(
    ("created", "shown"),
    [
        ("2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05+00:00"),
        ("2026-01-02T03:04:05+02:00", "2026-01-02T01:04:05+00:00"),
        ("2026-01-02", "2026-01-02T00:00:00+00:00"),
        ("soon", None),
        ("2026-13-45T03:04:05+00:00", None),
        ("1677-12-31T23:59:59+00:00", None),
        ("1678-01-01T00:00:00+00:00", "1678-01-01T00:00:00+00:00"),
        ("2261-12-31T23:59:59+00:00", "2261-12-31T23:59:59+00:00"),
        ("2262-01-01T01:00:00+02:00", "2261-12-31T23:00:00+00:00"),
        ("2262-06-01T00:00:00+00:00", None),
        ("9999-12-31T23:59:59+00:00", None),
    ],
)
def test_rows_and_frames_have_one_notion_of_a_time(
    tmp_path: Path, created: str, shown: str | None
) -> None:
    folder = store(tmp_path)
    row = json.loads((folder / "a1" / "result.json").read_text(encoding="utf-8"))
    text = json.dumps(row | {"created": created})
    (folder / "a1" / "result.json").write_text(text, encoding="utf-8")
    made = RunStore(folder).get("a1")
    (when,) = tables([made]).runs["created"]
    assert rows([made])[0]["created"] == shown == (None if pd.isna(when) else when.isoformat())


def test_a_parquet_file_holds_the_table(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    done = CliRunner().invoke(
        bench, ["table", "--runs", str(store(tmp_path)), "--format", "parquet", "--per-class"]
    )
    read = pd.read_parquet(io.BytesIO(done.stdout_bytes))
    assert read["run_id"].tolist() == ["a1", "b2"]
    assert read["miou"].equals(results(tmp_path)["miou"])
    assert read["iou_road"].iloc[0] == pytest.approx((3 / 4 + 4 / 8) / 2)
    assert read["params"].isna().tolist() == [False, True]


def test_parquet_without_pyarrow_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(UsageError, match=r"pip install 'vssbench\[parquet\]'"):
        parquet(results(store(tmp_path)))


def test_parquet_by_codec_is_refused(tmp_path: Path) -> None:
    given = ["table", "--runs", str(store(tmp_path)), "--format", "parquet", "--by", "codec"]
    done = CliRunner().invoke(bench, given)
    assert isinstance(done.exception, VssbenchError)
    assert "leave --by codec out" in str(done.exception)
