"""The reference page: what is measured, and sentences that follow from intervals."""

from __future__ import annotations

import json
import re
import shlex
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from tests.report.test_scores import record, write
from tools import reference_machine as machine
from tools import reference_page as page
from tools import reference_plan as planned
from tools import reference_results as tool
from tools.reference_seeds import seeds
from vssbench.cli import bench
from vssbench.core.registry import create
from vssbench.core.variant import parse_variant
from vssbench.metrics.bootstrap import difference
from vssbench.metrics.draws import Interval
from vssbench.protocol import protocol
from vssbench.run.store import RunStore

PLAN: dict[str, Any] = tomllib.loads(tool.PLAN.read_text(encoding="utf-8"))

PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")
REFERENCE = tool.OUT.parent

SMALL: dict[str, Any] = {
    "methods": {"main": ["good", "poor"]},
    "data": {"here": "a folder"},
    "measurements": [
        {"name": "Everything", "dataset": "d", "methods": ["main"], "codecs": ["h264"]},
        {"name": "Never made", "dataset": "e", "methods": ["main"], "codecs": ["h264"]},
    ],
    "figures": [],
    "tables": [{"title": "Everything", "arguments": ["-d d", "-d e"]}],
    "machine": [],
    "claims": [
        {"first": "good", "second": "poor", "paper": "Theirs, Table 1", "expected": "better"},
        {"first": "good", "second": "none", "paper": "Theirs, Table 2", "expected": "better"},
    ],
}


def test_alternatives_are_written_out() -> None:
    assert planned.expanded("raw") == ["raw"]
    assert planned.expanded("{a,b}[rate={1M,3k}]") == [
        "a[rate=1M]", "a[rate=3k]", "b[rate=1M]", "b[rate=3k]",
    ]  # fmt: skip


def test_everything_that_the_plan_measures_exists() -> None:
    measurements = planned.measurements(PLAN)
    assert len({item.name for item in measurements}) == len(measurements)
    for item in measurements:
        assert item.data in {*PLAN["data"], ""}
        protocol(item.protocol)
        for codec in item.codecs:
            create("codecs", parse_variant(codec))
    methods = {method for names in PLAN["methods"].values() for method in names}
    for method in methods:
        create("methods", parse_variant(method), classes=11)
    assert {claim[name] for claim in PLAN["claims"] for name in ("first", "second")} <= methods


def test_a_measurement_is_a_call_of_run() -> None:
    item = planned.Measurement("x", "camvid", "here", ("m",), ("h264",), "dense")
    command = item.command("DIR", "runs")
    assert command[:2] == ["run", "-d"]
    assert command[command.index("--data-root") :][:2] == ["--data-root", "DIR"]
    assert "--data-root" not in planned.Measurement("x", "s", "", ("m",), ("c",), "dense").command(
        "", "runs"
    )


ABOVE, OPEN, BELOW = (
    Interval(0.02, 0.01, 0.03), Interval(0.0, -0.02, 0.02), Interval(-0.02, -0.03, -0.01),
)  # fmt: skip
NEAR = Interval(0.0, -0.004, 0.004)


@pytest.mark.parametrize(
    ("expected", "intervals", "said"),
    [
        ("better", [ABOVE, ABOVE], "This agrees with the claim.**"),
        ("better", [ABOVE, OPEN], "agrees with the claim on 1 of 2 streams; the other does not"),
        ("better", [ABOVE, OPEN, OPEN], "on 1 of 3 streams; the others do not decide it."),
        ("better", [OPEN, OPEN], "These frames do not decide it."),
        ("better", [BELOW, OPEN], "does not agree with the claim on 1 of 2 streams; the other"),
        ("better", [BELOW], "This does not agree with the claim.**"),
        ("better", [BELOW, ABOVE], "agrees with the claim on some streams"),
        ("worse", [BELOW], "This agrees with the claim."),
        ("worse", [ABOVE], "This does not agree with the claim."),
        ("no worse", [NEAR, ABOVE], "on 2 a loss of 1 point or more is excluded"),
        ("no worse", [NEAR, OPEN], "agrees with the claim on 1 of 2 streams; the other does not"),
        ("no worse", [OPEN], "These frames do not decide it."),
        ("no worse", [BELOW], "This does not agree with the claim."),
        ("better", [], "Not measured."),
    ],
)
def test_the_verdict_follows_from_the_intervals(
    expected: str, intervals: list[Interval], said: str
) -> None:
    found = [page.Judged("s", interval) for interval in intervals]
    assert said in page.verdict({"expected": expected, "margin": 1.0}, found)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    store = RunStore(tmp_path / "runs")
    write(store, "good[width=0.5]", record(0.10, 1), 9.0, run_id="good", gmacs_key=9.0, params=1)
    write(store, "poor[width=0.5]", record(0.20, 2), 1.0, run_id="poor", gmacs_key=9.0, params=1)
    return tmp_path


MADE = {"-d d": "### A table\n", "-d e": ""}


def test_the_page_is_made_of_the_stored_runs(out: Path) -> None:
    text = page.write_page(SMALL, planned.measurements(SMALL), out, MADE)
    assert (out / page.PAGE).read_text(encoding="utf-8") == text
    assert "## Everything" in text
    assert f"table -d d --strict --runs {page.FOLDER}/runs.tar.xz`:\n\n### A table" in text
    assert "table -d e" not in text
    assert "Networks have 0.5 of the papers' channels" in text
    assert "Theirs, Table 1. Of 1 stream it is better on 1, worse on 0" in text
    assert "It costs 9.00 GMACs a frame, the other 1.00." in text
    assert "Theirs, Table 2. Not measured." in text
    assert "* Never made: no run is stored." in text
    assert "* Everything:" not in text
    assert text == page.write_page(SMALL, planned.measurements(SMALL), out, MADE)


def test_what_of_a_measurement_was_not_run_is_said(out: Path) -> None:
    methods, codecs = ("good", "poor", "new"), ("h264", "vp9", "av1")
    item = planned.Measurement("All", "d", "", methods, codecs, "dense")
    runs = page.Reference.read(out).runs
    assert page.not_run([item], runs) == [
        "* All: no run of new under h264.", "* All: no run under vp9, av1.",
    ]  # fmt: skip
    other = planned.Measurement("Far", "d", "", ("good",), ("h264",), "pairs")
    assert page.not_run([other], runs) == ["* Far: no run is stored."]


def test_a_table_of_codecs_is_one_of_those_that_were_measured() -> None:
    plan = {
        "figures": [{"file": "a.png", "arguments": ["rate", "-c", "h264[bitrate=1", "-c", "vp9"]}],
        "tables": [
            {"title": "t", "arguments": ["-d d -c h264 -c av1 --by codec", "-c vp9", "-d e"]},
        ],
    }
    its = tool.narrowed(plan, ["h264[bitrate=1M]", "raw"])
    assert its["figures"][0]["arguments"] == ["rate", "-c", "h264[bitrate=1"]
    assert its["tables"][0]["arguments"] == ["-d d -c h264 --by codec", "-c vp9", "-d e"]


TABLE = re.compile(r"`python bench\.py (table [^`]*)`:\n\n(.*?)\n\n(?=`|##? )", re.DOTALL)


def test_the_stored_page_s_tables_are_what_its_commands_print(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tool.ROOT)
    found = TABLE.findall((tool.OUT / page.PAGE).read_text(encoding="utf-8"))
    assert len(found) > 3
    for command, text in found:
        status, printed = in_this_process([*shlex.split(command), "--format", "md"])
        assert status == 0
        assert printed.strip() == text.strip(), command


def test_the_stored_scores_have_the_headings_of_today(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tool.ROOT)
    stored = REFERENCE / "protocols"
    options = ["-m", "pspnet", "--protocol", "dense", "--base", "pspnet"]
    for ending in ("md", "csv"):
        where = ["--runs", f"{stored}/runs.tar.xz", "--strict", "--format", ending]
        status, printed = in_this_process(["scores", *options, *where])
        assert status == 0
        lines = (stored / f"scores.{ending}").read_text(encoding="utf-8").splitlines()
        place = 2 if ending == "md" else 0
        head, *_ = ("".join(text.split()) for text in printed.splitlines()[place:])
        assert head in {"".join(line.split()) for line in lines}


def test_a_claim_is_judged_at_the_width_of_each_dataset(out: Path) -> None:
    store = RunStore(out / "runs")
    for name, wrong in (("good", 0.1), ("poor", 0.2)):
        given: dict[str, Any] = {"run_id": f"{name}-e", "dataset": "e", "data": "e"}
        write(store, f"{name}[width=0.25]", record(wrong, 5), 1.0, **given)
    found = page.judged(page.Reference.read(out), SMALL["claims"][0])
    assert len(found) == 2
    assert all(item.interval.low > 0 for item in found)


def in_this_process(arguments: Sequence[str]) -> tuple[int, str]:
    """``tool.call``, without the seconds that a process takes to begin."""
    result = CliRunner().invoke(bench, list(arguments))
    return result.exit_code, result.stdout


STREET = "synthetic[clips=1,frames=24,height=64,width=96]"
RAW = "raw[gop=4]"


def test_everything_is_made_by_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = "dsrl[base=bisenet,width=0.75]"
    plan: dict[str, Any] = {
        "methods": {"main": ["copy", "icnet", "warp", unknown]},
        "data": {"far": "a folder"},
        "measurements": [
            {"name": "Street", "dataset": STREET, "methods": ["main"], "codecs": [RAW]},
            {"name": "Far", "dataset": "camvid", "data": "far", "methods": ["main"], "codecs": []},
        ],
        "machine": [],
        "figures": [
            {"file": "pareto.png", "title": "Costs", "arguments": ["pareto", "-c", RAW]},
            {"file": "none.png", "title": "None", "arguments": ["rate", "-c", "vp9"]},
        ],
        "tables": [
            {"title": "Street", "arguments": [f"-c '{RAW}' --per-class", "--by distance"]},
            {"title": "Far", "arguments": ["-d camvid"]},
        ],
        "claims": [{"first": "icnet", "second": "copy", "paper": "P", "expected": "better"}],
    }
    monkeypatch.setattr(tool, "call", in_this_process)
    tool.make(plan, {}, tmp_path)
    said = capsys.readouterr().out
    assert f"left out: Street: {unknown} is left out: no weights of" in said
    assert "left out: Far: no --data far=DIR" in said
    assert "left out: none.png: bench.py plot ended with status" in said
    assert "left out: table -d camvid" in said
    text = (tmp_path / page.PAGE).read_text(encoding="utf-8")
    assert "![Costs](pareto.png)" in text
    assert (tmp_path / "pareto.png").is_file()
    assert "none.png" not in text
    assert "| ICNet (width 0.25)" in text
    assert "IoU of each class:" in text
    assert "mIoU % by distance" in text
    assert "**ICNet against Copy PSPNet18.** P. Of 1 stream" in text
    assert "Warp PSPNet18 (width 0.25)" in text.partition("## Not measured")[2]
    assert "## Far" not in text
    assert len((tmp_path / "table.csv").read_text(encoding="utf-8").splitlines()) == 4
    # again: nothing is measured a second time
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").glob("*/result.json")}
    monkeypatch.setattr(tool, "draw", lambda plan, out: [])
    tool.make(plan, {}, tmp_path)
    assert (tmp_path / page.PAGE).read_text(encoding="utf-8") == text
    done = [path for path in before if json.loads(path.read_text())["status"] == "done"]
    assert len(done) == 2
    assert all(path.stat().st_mtime_ns == before[path] for path in done)


@pytest.mark.parametrize(
    "name", [path.parent.name for path in sorted(REFERENCE.rglob("README.md"))]
)
def test_every_picture_and_table_has_the_command_that_makes_it(name: str) -> None:
    folder = REFERENCE if name == REFERENCE.name else REFERENCE / name
    text = (folder / "README.md").read_text(encoding="utf-8")
    script = folder / "commands.sh"
    commands = script.read_text(encoding="utf-8") if script.is_file() else text
    pictures = PICTURE.findall(text)
    assert pictures
    assert sorted(pictures) == sorted(path.name for path in folder.glob("*.png"))
    for picture in pictures:
        assert re.search(rf"bench\.py plot .*{re.escape(picture)}", commands), picture
    for table in [*folder.glob("*.csv"), *folder.glob("table.md"), *folder.glob("scores.md")]:
        if script.is_file():
            made = table.name in commands or f"{table.stem}.$format" in commands
        else:
            made = f"[{table.name}]({table.name})" in commands
        assert made, table


def test_a_width_is_added_to_a_method() -> None:
    assert tool.with_width("pspnet", 0.25) == "pspnet[width=0.25]"
    assert tool.with_width("dff[motion=codec]", 0.5) == "dff[motion=codec,width=0.5]"
    for item in PLAN["machine"]:
        for name in item["methods"]:
            for method in PLAN["methods"][name]:
                create("methods", parse_variant(tool.with_width(method, item["width"])), classes=11)


def test_times_stand_beside_the_costs(tmp_path: Path) -> None:
    item = {"name": "small", "file": "s", "classes": 19, "codecs": ["h264"]}
    plan = {"machine": [item | {"width": 0.25, "size": "96x128", "gop": 3}]}
    cost = {"method": "m", "display": "M", "gmacs_key": 2.0, "gmacs_nonkey": 1.0, "gmacs_gop": 1.5}
    (tmp_path / "cost-s.json").write_text(json.dumps([cost | {"memory": {"gop": 3 << 20}}]))
    (text,) = ["\n".join(machine.machine_tables(plan, tmp_path))]
    assert "there is no accuracy" in text
    assert "3.00" in text
    time = {"median_ms": 5.0, "low_ms": 4.0, "high_ms": 6.0}
    timed = {
        "stream": "two GOPs",
        "settings": {"processes": 3, "rounds": 4, "threads": None, "precision": "fp32"},
        "methods": [
            {
                "method": "m", "display": "M", "status": "done", "reason": "",
                "verdict": "unstable: others", "threads": 2,
                "times": {"key": time, "nonkey": time, "gop": time},
            }
        ],
    }  # fmt: skip
    (tmp_path / "latency-s-h264.json").write_text(json.dumps(timed))
    text = "\n".join(machine.machine_tables(plan, tmp_path))
    assert r"5.00 \[4.00, 6.00\]" in text
    assert "M: unstable: others" in text
    assert "two GOPs; 3 processes, 4 rounds, 2 threads, fp32" in text


def test_a_plans_files_are_named_where_they_are_there(tmp_path: Path) -> None:
    arguments = ["-d", "a", "--times", "{folder}/times.json", "--strict"]
    assert page.placed(arguments, tmp_path, "shown") == ["-d", "a", "--strict"]
    (tmp_path / "times.json").touch()
    assert page.placed(arguments, tmp_path, "shown")[2:4] == ["--times", "shown/times.json"]


def test_another_seed_stands_beside_the_first(out: Path, tmp_path: Path) -> None:
    first = page.Reference.read(out)
    other = RunStore(tmp_path / "seed1" / "runs")
    write(other, "good[width=0.5]", record(0.13, 7), 9.0, run_id="again")
    write(other, "new[width=0.5]", record(0.13, 7), 9.0, run_id="new")
    second = page.Reference.read(tmp_path / "seed1")
    pairs = [(each.done, each.confusion) for each in (first, second)]
    text = "\n".join(seeds(*pairs, ["here", "there"]))
    apart = difference(record(0.13, 7), record(0.10, 1)).miou
    assert f"{100 * apart.value:+.2f}" in text
    assert f"at most {abs(100 * apart.value):.2f} points apart" in text
    assert "for 1 of 1" in text
    assert apart.high < 0
    assert text.count("GOOD") == 1
    assert "NEW" not in text
    assert list(seeds(pairs[0], (second.done.iloc[:0], {}), ["here"])) == []


def test_a_distance_is_compared_with_keyframes_of_the_same_frames(tmp_path: Path) -> None:
    every = record(0.1, 1)
    rows = list(range(len(every.frames)))
    again = page.replace(every, **{
        name: getattr(every, name)[rows * 2] for name in ("matrices", "clips", "frames")
    }, distances=page.np.array([0] * len(rows) + [3] * len(rows)))  # fmt: skip
    store = RunStore(tmp_path / "runs")
    write(store, "m[width=0.5]", again, 1.0, run_id="m", protocol="every-distance")
    (item,) = page.judged(
        page.Reference.read(tmp_path), {"first": "m", "second": "m", "distances": True}
    )
    assert item.interval.value == 0.0  # each distance saw the same frames, and made the same of it


def test_runs_of_two_versions_are_refused(out: Path) -> None:
    store = RunStore(out / "runs")
    write(store, "good[width=0.5]", record(0.1, 3), 9.0, run_id="new", version="2", codec="hevc")
    with pytest.raises(SystemExit, match="measured by 2 versions of the code"):
        page.write_page(SMALL, planned.measurements(SMALL), out, MADE)


def test_a_table_loses_columns_by_name() -> None:
    assert tool.without('a,b,c\n1,"x,\ny",3\n', ("b", "z")) == "a,c\n1,3\n"
    assert tool.without('a,b\n1,"x,y"\n', ("a",)) == 'b\n"x,y"\n'
    assert tool.rounded('{"ms": [0.6526760338, 12], "n": 123456789}') == (
        '{"ms":[0.652676,12],"n":123456789}\n'
    )
    assert tool.without("a,b,c,d\n0.6526760338,3.50,7e1,2.5e-05\n", ()) == (
        "a,b,c,d\n0.652676,3.5,7e1,2.5e-05\n"
    )
