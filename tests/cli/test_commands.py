"""The command line as a user meets it: results on stdout, messages on stderr, exit statuses, errors
in words."""

import csv
import gc
import io
import json
import shutil

import pytest
import torch
from click.testing import CliRunner

from vssbench import cli
from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.errors import DataError, VssbenchError
from vssbench.core.variant import parse_variant
from vssbench.run.store import RunStore
from vssbench.weights import network, shipped
from vssbench.weights.writing import save_weights


def call(*arguments: str):
    return CliRunner().invoke(bench, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A store with two methods under two codecs and raw, measured on a small street with weights
    that nobody trained."""
    folder = tmp_path_factory.mktemp("cli")
    street = parse_variant("synthetic[height=64,width=96,clips=1,frames=6]")
    classes = registry.create("datasets", street).classes
    files = []
    for text in ("bisenet[width=0.125]", "arseg[backbone=bise18,width=0.125]"):
        torch.manual_seed(0)
        variant, path = parse_variant(text), folder / f"{len(files)}.safetensors"
        model = registry.create("methods", variant, classes=len(classes))
        save_weights(path, model, variant, classes, "synthetic", {})
        files.append(path)
    command = ["run", "-d", str(street), "--runs", folder / "runs", "--gop", "4"]
    for file in files:
        command += ["--weights", file]
    result = call(*command, "-c", "h264[bitrate=400k]", "-c", "raw")
    return folder, command, files, result


def test_list_and_info():
    methods = json.loads(call("list", "methods", "--json").stdout)
    assert {"pspnet", "bisenet", "arseg"} <= {entry["name"] for entry in methods}
    assert "synthetic" in call("list").stdout
    described = call("info", "arseg")
    assert described.exit_code == 0
    assert "scale=0.5" in described.stdout
    assert "\n  warp=exact (exact, paper or off)\n" in described.stdout
    assert "--data-root" in call("info", "camvid").stdout


def test_every_summary_is_whole():
    """Its docstring's first paragraph may have two lines: none ends within a sentence."""
    summaries = {
        item["name"]: item["summary"] for item in json.loads(call("list", "--json").stdout)
    }
    assert all(text.endswith(".") and text.isprintable() for text in summaries.values()), summaries
    assert f"camvid (dataset): {summaries['camvid']}\n\n" in call("info", "camvid").stdout
    assert f"  dff          {summaries['dff']}\n" in call("list", "methods").stdout


def test_an_installation_without_weights_does_not_say_that_none_are_shipped(tmp_path, monkeypatch):
    monkeypatch.setenv(shipped.VARIABLE, str(tmp_path))
    told = call("info", "pspnet").stdout
    assert told.endswith("give --weights FILE, or train some\n")
    assert f"\nVSSBENCH_WEIGHTS names {tmp_path}, which holds no weight files: set it" in told


def test_cost_as_json():
    result = call(
        "cost",
        "-m",
        "pspnet",
        "-m",
        "arseg[scale=0.5]",
        "--size",
        "720x960",
        "--classes",
        "12",
        "--json",
    )
    rows = json.loads(result.stdout)
    assert [row["method"] for row in rows] == ["pspnet", "arseg[scale=0.5]"]
    assert rows[0]["gmacs_gop"] == pytest.approx(309.02, rel=0.01)
    assert rows[1]["gmacs_gop"] == pytest.approx(101.98, rel=0.01)
    assert {"display", "params", "gmacs_key", "gmacs_nonkey"} <= set(rows[0])


def test_run_measures_and_refuses_in_words(measured):
    folder, _, _, result = measured
    assert result.exit_code == 1  # arseg under raw is refused, the other three experiments are kept
    rows = json.loads(call("table", "--runs", folder / "runs", "--format", "json").stdout)
    assert sorted(row["status"] for row in rows) == ["done", "done", "done", "refused"]
    refused = next(row for row in rows if row["status"] == "refused")
    assert "needs motion vectors" in refused["reason"]
    for row in rows:
        if row["status"] == "done":
            assert row["frames"] == 6
            assert len(row["miou_by_distance"]) == 4
            assert 0 <= row["miou"] <= 1
            assert row["gmacs_key"] > 0
            assert row["latency_key_ms"] > 0
            assert row["latency_nonkey_ms"] > 0
            parse_variant(row["method"])


def test_done_experiments_are_not_measured_again(measured):
    _, command, _, _ = measured
    result = call(*command, "-c", "h264[bitrate=400k]")
    assert result.exit_code == 0
    assert "2 of 2 experiments are done already" in result.stderr
    assert "holds 2 of 2 experiments" in result.stderr
    assert "wrote" not in result.stderr


def test_experiments_that_cannot_be_stored_are_said_and_end_in_status_1(
    measured, tmp_path, monkeypatch
):
    def full(store, *given):
        raise DataError(
            "cannot write the run: No space left on device; make room, or write elsewhere"
        )

    _, command, _, _ = measured
    monkeypatch.setattr(RunStore, "write", full)
    result = call(*command, "-c", "raw", "--runs", tmp_path)
    assert result.exit_code == 1
    assert "No space left on device" in result.stderr
    assert "2 of 2 experiments could not be stored: look at the free space" in result.stderr


def test_a_run_that_does_not_read_is_measured_again(measured, tmp_path, monkeypatch):
    folder, command, _, _ = measured
    store = tmp_path / "runs"
    shutil.copytree(folder / "runs", store)
    given = (*command, "-c", "h264[bitrate=400k]", "--runs", store)
    assert call(*given).exit_code == 0
    run = next(run for run in RunStore(store).runs() if run.measurement.status == "done"
               and "h264" in run.measurement.codec)  # fmt: skip
    (run.path / "confusion.npz").unlink()
    result = call(*given)
    assert result.exit_code == 0
    assert "1 of 2 experiments are done already" in result.stderr
    assert RunStore(store).has(run.measurement.run_id)
    # one that is damaged after it was looked at is said
    monkeypatch.setattr(RunStore, "has", lambda *_: True)
    (run.path / "confusion.npz").unlink()
    result = call(*given)
    assert result.exit_code == 1
    assert "damaged" in result.stdout
    assert "1 of 2 runs do not read: --force measures and replaces them" in result.stderr


def test_a_plot_that_is_there_is_drawn_again_with_force_alone(measured, tmp_path):
    folder, *_ = measured
    out = tmp_path / "p.png"
    for force, status in (((), 0), ((), 1), (("--force",), 0)):
        before = out.read_bytes() if out.exists() else None
        if force:
            out.write_bytes(b"another plot")
        result = call("plot", "pareto", "--runs", folder / "runs", "-o", out, *force)
        assert result.exit_code == status
    assert out.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p.png"]


@pytest.mark.parametrize("command", ["run", "sweep", "plan", "table", "latency"])
def test_an_empty_name_is_no_folder(command):
    result = call(command, "-m", "bisenet", "--runs", "")
    assert result.exit_code == 2
    assert "'' names no folder" in result.stderr


def test_table_formats(measured):
    folder, *_ = measured
    listed = list(
        csv.DictReader(
            io.StringIO(call("table", "--runs", folder / "runs", "--format", "csv").stdout)
        )
    )
    assert len(listed) == 4
    assert "|" in call("table", "--runs", folder / "runs", "--format", "md").stdout
    assert "\\toprule" in call("table", "--runs", folder / "runs", "--format", "latex").stdout


@pytest.mark.parametrize(
    ("kind", "name"), [("pareto", "p.png"), ("distance", "d.pdf"), ("distance", "d.svg")]
)
def test_plots_are_written(measured, kind, name):
    folder, *_ = measured
    result = call("plot", kind, "--runs", folder / "runs", "-o", folder / name)
    assert result.exit_code == 0
    assert (folder / name).stat().st_size > 1000
    assert str(folder / name) in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "-m", "arsge"], "Did you mean 'arseg'"),
        (["run", "-m", "arseg[scael=0.5]"], "Did you mean 'scale'"),
        (["run", "-m", "arseg[scale"], "cannot read the variant"),
        (["run", "-d", "camvid"], "pass --data-root"),
        (["run", "-d", "camvid", "--data-root", "no/such/folder"], "no/such/folder"),
        (["run", "-c", "h265"], "unknown codec"),
        (["run", "--protocol", "sparse"], "unknown protocol"),
        (["run", "-m", "pspnet[width=3]"], "random weights are never scored"),
        (["run", "--weights", "no.safetensors"], "no weight file"),
        (["run", "--device", "tpu9"], "unknown device"),
        (["cost", "-m", "pspnett", "--size", "64x64"], "Did you mean 'pspnet'"),
        (["info", "nothing"], "nothing is named"),
    ],
)
def test_bad_input_is_one_message(arguments, message, tmp_path):
    if arguments[0] == "run":
        arguments = [*arguments, "--runs", tmp_path / "runs"]
    result = call(*arguments)
    assert isinstance(result.exception, VssbenchError)
    assert message in str(result.exception)


def test_a_command_looks_for_cycles_rarely_and_not_at_its_end(monkeypatch):
    usual, seen = gc.get_threshold(), []
    monkeypatch.setattr(cli, "_main", lambda: seen.append(gc.get_threshold()[0]))
    try:
        cli.main()
        assert seen[0] > usual[0]
        assert gc.get_freeze_count()
    finally:
        gc.unfreeze()
        gc.set_threshold(*usual)


def test_errors_leave_the_process_with_status_2(monkeypatch, capsys):
    from vssbench.cli import main

    monkeypatch.setattr("sys.argv", ["bench.py", "info", "nothing"])
    with pytest.raises(SystemExit) as stop:
        main()
    assert stop.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("Error: nothing is named")


def test_a_size_that_is_none(tmp_path):
    result = call("cost", "--size", "720")
    assert result.exit_code == 2
    assert "expected HEIGHTxWIDTH" in result.stderr


def test_weights_of_another_width(measured, tmp_path):
    _, _, files, _ = measured
    result = call(
        "run", "-m", "bisenet[width=0.25]", "--weights", files[0], "--runs", tmp_path / "runs"
    )
    assert isinstance(result.exception, VssbenchError)
    assert "width=0.125" in str(result.exception)


def test_every_command_has_a_worked_example():
    for name in bench.commands:
        result = call(name, "--help")
        assert result.exit_code == 0
        assert "python bench.py" in result.stdout, name
    assert "arseg[scale=0.5]" in call("run", "--help").stdout  # brackets are not taken for markup


def test_shipped_weights_cover_the_default_run():
    from vssbench.sweep.defaults import DEFAULT_METHODS

    classes = registry.create("datasets", parse_variant("synthetic[clips=1,frames=1]")).classes
    for text in DEFAULT_METHODS:
        variant, file = shipped.choose_shipped(parse_variant(text), "synthetic", classes)
        own = network.lender(variant)
        assert registry.resolved("methods", own) == registry.resolved("methods", file.variant)
