"""Damaged result stores: a run that does not read is a row that says so, and the others stay."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from tests.hostile.conftest import Campaign
from tests.hostile.mutators import of_arrays, of_json
from vssbench.cli import bench
from vssbench.core.errors import DataError
from vssbench.metrics.meters import BOUNDARY, CONSISTENCY, METERS
from vssbench.report.frames import frame
from vssbench.report.rows import rows, stored_rows
from vssbench.report.scores import Rules, blocks
from vssbench.report.table import render
from vssbench.run.measurement import Measurement
from vssbench.run.records import ConfusionRecord, LatencyRecord, StreamRecord
from vssbench.run.store import RunStore

SOUND, OTHER = "sound", "other"


def write(root: Path, name: str) -> Path:
    """Store a run with all that a run may have."""
    frames = 4
    order = np.arange(frames)
    reals = np.linspace(0.1, 0.9, frames)
    item = Measurement(
        run_id=name, created="2026-01-01T00:00:00+00:00", status="done", method="pspnet",
        display=name, dataset="camvid", codec="h264[gop=2]", codec_name="H.264", protocol="dense",
        classes=["road", "sky"], frames=frames, gop=2, width=8, height=8, gmacs_gop=1.0, params=10,
        weights={"file": "w", "trained": {"dataset": "camvid"}}, protocol_details={"scored": "all"},
        seen={"training": 0, "selection": 0, "frames": 4, "known": True}, machine={"threads": 2},
        bitrate_kbps=100.0, ssim=0.9, psnr_db=30.0, sources={"common": "a"}, remarks=["one"],
    )  # fmt: skip
    matrices = np.arange(frames * 4).reshape(frames, 2, 2)
    meters = {each: METERS[each](2).arrays() for each in (BOUNDARY, CONSISTENCY)}
    meters[BOUNDARY]["counts"] = np.ones((2, 4, 2), np.int64)
    for each in ("clips", "frames", "distances"):
        meters[BOUNDARY][each] = np.arange(2)
    return RunStore(root).write(
        item,
        ConfusionRecord(matrices, order % 2, order // 2, order, order // 2),
        LatencyRecord(order % 2, order % 2 == 0, reals, reals, reals),
        {"python": "3"},
        "log\n",
        StreamRecord(order // 2, order, np.full(frames, ord("P"), np.uint8), order, *([reals] * 6)),
        meters,
    )


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    for name in (SOUND, OTHER):
        write(root, name)
    return root


def read(root: Path) -> dict[str, dict]:
    """Return what tables and scores make of a store, by the run's name."""
    there = RunStore(root)
    runs = there.runs()
    shown = rows(runs)
    render(shown, "json", per_class=True)
    render(shown, "md")
    frame(runs, "frame")
    blocks(there, shown, None, Rules())
    return {row["run_id"]: row for row in shown}


def test_mutated_runs_leave_the_others(store: Path, campaign: Campaign, tmp_path: Path) -> None:
    expected = read(store)[SOUND]
    shutil.copytree(store, tmp_path / "runs")
    names = sorted(path.name for path in (store / OTHER).iterdir() if path.suffix != ".txt")

    def take(rng: random.Random) -> None:
        name = rng.choice(names)
        sound = (store / OTHER / name).read_bytes()
        place = tmp_path / "runs" / OTHER / name
        place.write_bytes((of_json if name.endswith(".json") else of_arrays)(sound, rng))
        try:
            found = read(tmp_path / "runs")
        finally:
            place.write_bytes(sound)
        assert found[SOUND] == expected

    for seed in campaign.seeds(0.2):
        campaign.attempt(seed, take)
    campaign.check()
    assert campaign.refused == 0, "a damaged run takes the whole store down"


@pytest.fixture
def damaged(store: Path, tmp_path: Path) -> Path:
    shutil.copytree(store, tmp_path / "runs")
    return tmp_path / "runs"


@pytest.mark.parametrize(
    "command", [["table"], ["table", "--format", "csv"], ["scores"], ["plot", "pareto"]]
)
@pytest.mark.parametrize("file", ["result.json", "confusion.npz"])
def test_commands_name_a_damaged_run_and_end_in_status_1(
    command: list[str], file: str, damaged: Path, tmp_path: Path
) -> None:
    given = [*command, "--runs", str(damaged)]
    given += ["-o", str(tmp_path / "plot.png"), "--no-intervals"] if "plot" in command else []
    sound = CliRunner().invoke(bench, [*given, *(["--force"] if "plot" in command else [])])
    assert sound.exit_code == 0, sound.output
    (damaged / OTHER / file).write_text('{"run_id": ')

    found = CliRunner().invoke(bench, [*given, *(["--force"] if "plot" in command else [])])

    assert found.exit_code == 1, found.output
    assert f"damaged: {damaged / OTHER}" in found.stderr
    assert "1 run does not read, and the numbers are without them" in found.stderr
    assert found.stdout, "the sound run is shown"


def test_a_newer_run_is_not_called_damaged(damaged: Path) -> None:
    """None is told to measure it again, which would be refused."""
    result = damaged / OTHER / "result.json"
    row = json.loads(result.read_text()) | {"version": "99.0", "watts": 3}
    result.write_text(json.dumps(row))

    found = CliRunner().invoke(bench, ["table", "--runs", str(damaged)])

    assert found.exit_code == 1, found.output
    assert f"newer: {damaged / OTHER}" in found.stderr
    assert "1 run does not read, and the numbers are without them: a newer" in found.stderr
    assert "update this one" in found.stderr
    assert "--force" not in found.stderr
    assert "damaged" not in found.stderr
    assert found.stdout, "the sound run is shown"


def test_a_run_that_comes_while_others_are_read_is_not_called_damaged(
    damaged: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = (damaged / OTHER).rename(tmp_path / OTHER)

    def read_and_wait(*given: Any) -> Any:
        rows = stored_rows(*given)
        late.rename(damaged / OTHER)
        return rows

    monkeypatch.setattr("vssbench.report.rows.stored_rows", read_and_wait)
    found = CliRunner().invoke(bench, ["table", "--runs", str(damaged)])
    assert found.exit_code == 0, found.output
    assert (damaged / OTHER).is_dir()


def archive(path: Path, **arrays: np.ndarray) -> None:
    with np.load(path) as file:
        kept = dict(file)
    np.savez_compressed(path, **(kept | arrays))


@pytest.mark.parametrize(
    ("file", "name", "values", "message"),
    [
        ("confusion", "distances", np.full(4, 10**12), "distances holds 1000000000000"),
        ("confusion", "matrices", np.full((4, 2, 2), -1), "matrices holds -1"),
        ("confusion", "matrices", np.ones((4, 2, 2)), "matrices has the type float64"),
        ("confusion", "matrices", np.ones((4, 3, 3), int), "for 2 classes"),
        ("confusion", "matrices", np.ones((9, 2, 2), int), "for 4 scored frames"),
        ("confusion", "clips", np.zeros(3, int), "clips has the shape"),
        ("confusion", "frames", np.zeros(4, "U3"), "expected numbers"),
        ("latency", "model_ms", np.full(4, np.nan), "model_ms holds NaN"),
        ("latency", "key", np.ones(4), "key has the type"),
        ("stream", "types", np.zeros(4, np.uint8), "types holds 0"),
    ],
)
def test_arrays_that_do_not_fit_are_a_damaged_row(
    file: str, name: str, values: np.ndarray, message: str, damaged: Path
) -> None:
    archive(damaged / OTHER / f"{file}.npz", **{name: values})
    found = read(damaged)

    assert found[SOUND]["status"] == "done"
    assert found[OTHER]["status"] == "damaged"
    assert message in found[OTHER]["reason"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("gop", 10**30), ("width", -1), ("params", 2**63), ("codec", "h264[gop"), ("method", ""),
        ("seen", {"known": True}), ("weights", {"trained": 3}), ("aggregate", "most"),
        ("seed", 10**40), ("classes", ["c"] * 300),
    ],
)  # fmt: skip
def test_a_record_that_does_not_fit_is_said_and_left_out(
    key: str, value: object, damaged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = damaged / OTHER / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))

    assert list(read(damaged)) == [SOUND]
    assert key in caplog.text


@pytest.mark.parametrize("name", ["result.json", "confusion.npz", "stream.npz", "boundary.npz"])
@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_a_pipe_or_a_device_in_a_store_does_not_hang(name: str, kind: str, damaged: Path) -> None:
    path = damaged / OTHER / name
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")

    assert read(damaged)[SOUND]["status"] == "done"
    with pytest.raises(DataError, match=r"complete|device or a pipe"):
        RunStore(damaged).get(OTHER)


def test_arrays_that_expand_are_refused_before_memory_is_taken(
    damaged: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<i8", "fortran_order": False, "shape": (1 << 21,)}
    )
    path = damaged / OTHER / "confusion.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as made:
        for name in ("matrices", "distances", "clips", "frames"):
            made.writestr(f"{name}.npy", header.getvalue() + bytes(8 << 21))
    monkeypatch.setenv("VSSBENCH_MAX_ARRAYS_MIB", "8")

    assert path.stat().st_size < 100_000
    row = read(damaged)[OTHER]
    assert row["status"] == "damaged"
    assert "64 MiB of arrays, and at most 8" in row["reason"]
    assert "VSSBENCH_MAX_ARRAYS_MIB=65" in row["reason"]
    monkeypatch.delenv("VSSBENCH_MAX_ARRAYS_MIB")
    assert "matrices has the shape (2097152,): expected 3 axes" in read(damaged)[OTHER]["reason"]


def test_arrays_that_are_packed_otherwise_are_read(damaged: Path) -> None:
    """Published results are, since they are smaller so."""
    path = damaged / OTHER / "confusion.npz"
    with zipfile.ZipFile(path) as archive:
        content = {info.filename: archive.read(info) for info in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as made:
        for name, each in content.items():
            made.writestr(name, each)
    assert read(damaged)[OTHER]["status"] == "done"
    path.write_bytes(path.read_bytes()[:60] + bytes(40) + path.read_bytes()[100:])
    assert read(damaged)[OTHER]["status"] == "damaged"


def test_a_planted_traceback_is_caught(
    store: Path, campaign: Campaign, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(rng: random.Random) -> None:
        if rng.random() < 0.5:
            raise IndexError("planted")
        read(store)

    for seed in range(8):
        campaign.attempt(seed, planted)

    with pytest.raises(pytest.fail.Exception, match="IndexError: planted"):
        campaign.check()


@pytest.mark.parametrize("file", ["result.json", "confusion.npz"])
def test_collect_ends_with_status_1_where_a_run_does_not_read(
    damaged: Path, tmp_path: Path, file: str
) -> None:
    pytest.importorskip("pyarrow")
    out = tmp_path / "all.parquet"
    assert CliRunner().invoke(bench, ["collect", str(damaged), "-o", str(out)]).exit_code == 0
    (damaged / OTHER / file).write_bytes(b"{")
    result = CliRunner().invoke(bench, ["collect", str(damaged), "-o", str(out), "--force"])
    assert result.exit_code == 1
    assert "1 of 2 runs do not read" in result.stderr
    assert out.stat().st_size > 0
