"""The page of results: what it says, and that texts of files stay texts in it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import subprocess
from datetime import datetime
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from tests.report.test_scores import record, write
from vssbench.cli import bench
from vssbench.core.errors import UsageError
from vssbench.report.columns import groups, told_apart
from vssbench.report.page.content import Content, content, plotted
from vssbench.report.page.document import embedded, render
from vssbench.report.page.verdicts import overall, verdict
from vssbench.report.rows import rows
from vssbench.run.records import ConfusionRecord
from vssbench.run.store import RunStore

ROOT = Path(__file__).resolve().parents[2]
EVIL = "<script>alert(1)</script>"
MADE = datetime(2026, 1, 2, 3, 4)
MOST_BYTES = 12_000_000


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    made = RunStore(tmp_path / "runs")
    for codec, more in (("h264[bitrate=1M]", 0.0), ("h264[bitrate=300k]", 0.05)):
        rate = {"codec": codec, "codec_rate": codec[-3:-1], "bitrate_kbps": 900 - 9000 * more}
        write(made, "good", record(0.10 + more, 1), 9.0, run_id=f"good{more}", **rate)
        write(made, "like", record(0.10 + more, 7), 5.0, run_id=f"like{more}", **rate)
        write(made, "poor", record(0.20 + more, 2), 1.0, run_id=f"poor{more}", **rate)
    return made


def page_of(store: RunStore) -> Content:
    return content(store, rows(store.runs()))


def html_of(store: RunStore) -> str:
    return render(page_of(store), "A title", MADE)


class Reader(HTMLParser):
    """The tags of a page with their attributes, and the text of each script."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "script" and self.cdata_elem == "script":
            self.scripts[-1] += data


def test_verdicts_come_from_paired_intervals(store: RunStore) -> None:
    page = page_of(store)
    first = page.verdicts[0]
    assert first is not None
    names = [row["display"] for row in first.rows]
    assert names[2] == "POOR"
    said = first.sentences
    assert "has the greatest mIoU" in said[0]
    assert "is not told apart from 1 of 2 others" in said[0]
    assert [item.names[1] for item in first.worse] == ["POOR"]
    interval = first.worse[0].whole.interval
    assert interval is not None
    assert f"POOR by {100 * interval.value:+.2f} [{100 * interval.low:+.2f}" in said[1]
    assert said[2].startswith(f"It is not told apart from {names[1]} (")
    assert any("The cheapest is POOR: 1.00 GMACs a frame" in each for each in said)
    assert any(each.startswith("POOR: worse than the greatest under 2 of 2") for each in
               page.overall)  # fmt: skip


def test_a_decided_verdict_and_one_without_others(tmp_path: Path) -> None:
    made = RunStore(tmp_path)
    write(made, "good", record(0.10, 1), 1.0)
    write(made, "poor", record(0.20, 2), 9.0)
    (part,) = map(told_apart, groups(rows(made.runs())))
    both = verdict(made, part)
    assert both is not None
    assert both.sentences[0].endswith("better than the other method.")
    assert "It is the cheapest, too: 1.00 GMACs a frame." in both.sentences
    (alone,) = map(told_apart, groups(rows([made.get("good")])))
    one = verdict(made, alone)
    assert one is not None
    assert one.sentences == [
        "GOOD has a mIoU of "
        f"{100 * rows([made.get('good')])[0]['miou']:.2f} %. It was measured alone here: there is "
        "nothing to compare it with."
    ]
    assert overall([both, one]) == []


def test_methods_that_are_the_same_on_every_frame_are_the_best_together(tmp_path: Path) -> None:
    made = RunStore(tmp_path)
    for method, rate in (("copy", 1.0), ("net", 1.0), ("poor", 0.5)):
        matrices = record(0.20, 2) if method == "poor" else record(0.10, 1)
        write(made, method, matrices, 5.0 * rate)
    both, two = (
        verdict(made, told_apart(group))
        for names in (("copy", "net", "poor"), ("copy", "net"))
        for group in groups(rows([made.get(name) for name in names]))
    )
    assert both is not None
    assert two is not None
    score = f"{100 * both.best['miou']:.2f} %"
    assert both.headline == (
        f"COPY and NET have the same mIoU, {score}, and are better than all others."
    )
    assert not any("not told apart" in each for each in both.sentences)
    assert two.headline == f"COPY and NET have the same mIoU, {score}: the same on every frame."
    assert overall([both, two]) == [
        "COPY: the greatest mIoU under 2 of 2 sets of conditions.",
        "NET: the greatest mIoU under 2 of 2 sets of conditions.",
        "POOR: worse than the greatest under 1 of 1 set of conditions.",
    ]


def falling(loss: float, frames: int = 96) -> ConfusionRecord:
    """A method that at each distance takes so many pixels more for the other class."""
    distances = np.arange(frames) % 4
    errors = (100 + loss * distances).astype(np.int64)
    matrices = np.array([[[1000 - wrong, wrong], [wrong, 1000 - wrong]] for wrong in errors])
    return ConfusionRecord(matrices, distances, np.zeros(frames, np.int64), np.arange(frames))


def test_what_the_distance_costs_is_told_on_the_same_frames(tmp_path: Path) -> None:
    made = RunStore(tmp_path)
    for method, loss in (("steady", 0), ("warp", 20), ("copy", 60)):
        write(made, method, falling(loss), 1.0, gop=4)
    (part,) = map(told_apart, groups(rows(made.runs())))
    found = verdict(made, part)
    assert found is not None
    (said,) = [each for each in found.sentences if each.startswith("With the distance")]
    last = next(item for item in found.comparisons if item.names[1] == "COPY").distances[3]
    assert last.interval is not None
    assert said == (
        "With the distance the lead over COPY grows most: from +0.00 points at the keyframe to "
        f"{100 * last.interval.value:+.2f} [{100 * last.interval.low:+.2f}, "
        f"{100 * last.interval.high:+.2f}] points 3 frames after it."
    )


def test_estimates_are_rounded_and_the_score_stands_beside_the_name(store: RunStore) -> None:
    page = page_of(store)
    assert [heading for heading, _ in page.table.headings][:2] == ["Method", "mIoU % [95 %]"]
    assert page.table.lines[0].cells[1].text.endswith("]")
    numbers = re.findall(r"about ([0-9,]+) for", " ".join(
        each for item in page.verdicts if item is not None for each in item.sentences
    ))  # fmt: skip
    assert numbers
    assert all(len(text.replace(",", "").strip("0")) <= 2 for text in numbers)


def test_methods_that_cannot_be_compared_are_said(tmp_path: Path) -> None:
    made = RunStore(tmp_path)
    write(made, "good", record(0.10, 1), 1.0)
    write(made, "other", record(0.20, 2, frames=24), 9.0)
    page = page_of(made)
    assert page.verdicts[0] is not None
    assert any("OTHER" in each and "different frames" in each for each in
               page.verdicts[0].sentences)  # fmt: skip


def test_facets_are_what_runs_differ_in(store: RunStore) -> None:
    page = page_of(store)
    facets = {facet.name: facet.values for facet in page.facets}
    assert facets["Method"] == ("GOOD", "LIKE", "POOR")
    assert set(facets["Rate asked"]) == {"1M", "0k"}
    assert "Dataset" not in facets
    assert "Dataset: d." in page.table.notes
    rate = next(facet for facet in page.facets if facet.name == "Rate asked")
    for each in page.shown:
        assert rate.values[rate.places[each.number]] == each.row["codec_rate"]


def test_plots_hold_the_numbers_of_the_frames(store: RunStore) -> None:
    page = page_of(store)
    data = plotted(page, ["first", "second"])
    assert [item["run"] for item in data["runs"]] == list(range(6))
    for item, each in zip(data["runs"], page.shown, strict=True):
        assert item["miou"] == pytest.approx(100 * each.row["miou"])
        assert item["gmacs"] == each.row["gmacs_gop"]
        assert each.interval is not None
        assert item["bounds"] == pytest.approx(
            [100 * each.interval.miou.low, 100 * each.interval.miou.high], abs=1e-4
        )
        assert data["names"][item["look"]] == each.name
        assert len(item["curve"]) == len(each.row["miou_by_distance"]) == 4


def test_times_that_were_typed_in_stand_in_the_plot(store: RunStore) -> None:
    times = {"latency_key_ms": 40.0, "latency_nonkey_ms": 10.0}
    write(store, "elsewhere", record(0.1, 3), 1.0, typed=times)
    page = page_of(store)
    (each,) = [each for each in page.shown if each.row["method"] == "elsewhere"]
    assert each.latency == pytest.approx((40 + 3 * 10) / 4)
    assert dict(page.facts[each.number].entries)["typed"] == "latency_key_ms, latency_nonkey_ms"
    assert all(other.latency is None for other in page.shown if other is not each)


def test_energy_is_an_axis_where_it_was_measured(store: RunStore) -> None:
    page, html = page_of(store), html_of(store)
    assert "energy" not in page.axes
    assert "J/frame" not in [name for name, _ in page.table.headings]
    assert '<option value="energy">' not in html
    assert "Energy was not measured." in html
    nothing = "not measured: no counter of a processor in /sys/class/powercap"
    write(store, "without", record(0.1, 4), 1.0, energy=nothing)
    write(store, "counted", record(0.1, 3), 1.0, joules_gop=2.25, energy="packages (RAPL)")
    page, html = page_of(store), html_of(store)
    data = plotted(page, ["first", "second", "third"])
    assert data["axes"]["energy"] == "energy of a frame, J"
    assert {item["energy"] for item in data["runs"]} == {None, 2.25}
    assert '<option value="energy">energy of a frame, J</option>' in html
    assert (
        "Energy was counted by: packages (RAPL). Energy was not measured of 7 of 8 runs: "
        "no counter of a processor in /sys/class/powercap."
    ) in html
    at = [name for name, _ in page.table.headings].index("J/frame")
    cells = {line.cells[0].text: line.cells[at].text for line in page.table.lines}
    assert (cells["COUNTED"], cells["WITHOUT"]) == ("2.25", "-")
    facts = {item.title.split()[0]: dict(item.entries) for item in page.facts}
    assert (facts["COUNTED"]["energy"], facts["WITHOUT"]["energy"]) == ("packages (RAPL)", nothing)


def test_runs_without_numbers_are_lines_with_their_reason(store: RunStore) -> None:
    write(store, "lost", None, 1.0, status="refused", reason="no vectors")
    html = html_of(store)
    page = page_of(store)
    (lost,) = [each for each in page.shown if each.row["method"] == "lost"]
    line = next(line for line in page.table.lines if line.run == lost.number)
    assert "refused" in [cell.text for cell in line.cells]
    assert "no vectors" in html
    assert lost.number not in [item["run"] for item in plotted(page, [""] * 9)["runs"]]


def test_texts_of_files_stay_texts(tmp_path: Path) -> None:
    made = RunStore(tmp_path)
    for number, method in enumerate(("good", "poor")):
        write(
            made, method, record(0.1 + 0.1 * number, number), 2.0, classes=[EVIL, 'b"\u2028</th>'],
            display=f"{EVIL}{method}", dataset_title=f'"{EVIL}', remarks=[f"'{EVIL}"],
            command=f"bench {EVIL} --x", codec_rate=EVIL, protocol_details={EVIL: EVIL},
        )  # fmt: skip
    html = render(page_of(made), EVIL, MADE)
    assert html.count("<script>alert") == 0
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    reader = Reader(html)
    assert sum(tag == "script" for tag, _ in reader.tags) == 3
    assert not [name for _, its in reader.tags for name in its if name.startswith("on")]
    data = json.loads(reader.scripts[0])
    assert data["names"] == [f"{EVIL}good", f"{EVIL}poor"]


def test_embedded_json_reads_as_what_it_was() -> None:
    value = {"a": [f"{EVIL}\u2028&'", None, 1.5], "<!--": float("nan")}
    text = embedded(value)
    assert not set("<>&'\u2028") & set(text)
    assert json.loads(text) == value | {"<!--": None}


def test_nothing_is_asked_of_anywhere_and_no_other_script_runs(store: RunStore) -> None:
    html = html_of(store)
    reader = Reader(html)
    policy = next(its["content"] for tag, its in reader.tags if its.get("http-equiv"))
    assert policy is not None
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-inline" not in policy.split("style-src")[0]
    for script in reader.scripts[1:]:
        digest = hashlib.sha256(script.encode()).digest()
        assert base64.b64encode(digest).decode() in policy
    for tag, its in reader.tags:
        for name in ("src", "href", "srcset", "action", "data"):
            value = its.get(name)
            assert value is None or value.startswith(("#", "data:")), (tag, name, value)
    assert len(html.encode()) < MOST_BYTES
    assert html.count("plotly.js v") <= 2  # inlined once


def test_every_run_has_its_origin(store: RunStore) -> None:
    write(
        store, "known", record(0.1, 3), 1.0, command="bench.py run -m known", seed=7,
        weights={"file": "w.safetensors", "sha256": "abc", "trained": {"command": "train it"}},
    )  # fmt: skip
    facts = {item.run: item for item in page_of(store).facts}
    assert len(facts) == 7
    known = next(item for item in facts.values() if item.command)
    assert known.command == "bench.py run -m known"
    entries = dict(known.entries)
    assert (entries["seed"], entries["weights"]) == ("7", "w.safetensors")
    assert entries["weights trained by"] == "train it"
    assert entries["protocol"] == "dense"


def test_absent_classes_and_few_frames_are_no_fault(tmp_path: Path) -> None:
    made = RunStore(tmp_path)
    matrices = np.zeros((2, 2, 2), np.int64)
    matrices[:, 0, 0] = 5
    at = np.arange(2)
    write(made, "one", ConfusionRecord(matrices, at, at * 0, at), 1.0)
    page = page_of(made)
    (sheet,) = page.classes
    assert [cell.text for cell in sheet.lines[0].cells] == ["ONE", "100.00", "-"]
    assert sheet.lines[0].cells[2].order == sheet.lines[0].cells[2].share == ""
    assert any(note.startswith("ONE: ") for note in page.notes)


def test_runs_of_several_versions_of_the_code_are_said(store: RunStore) -> None:
    assert not any("versions of the code" in note for note in page_of(store).notes)
    write(store, "newer", record(0.1, 3), 1.0, version="0.2.0+abc")
    assert any("2 versions of the code" in note for note in page_of(store).notes)


def test_the_command_leaves_classes_out_everywhere(store: RunStore, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    arguments = ["report", "--runs", str(store.root), "-o", str(out), "--without", "A"]
    done = CliRunner().invoke(bench, arguments)
    assert done.exit_code == 0, done.output
    html = out.read_text(encoding="utf-8")
    kept = rows(store.runs(), ["a"])
    data = json.loads(Reader(html).scripts[0])
    assert sorted(item["miou"] for item in data["runs"]) == pytest.approx(
        sorted(100 * row["miou"] for row in kept)
    )
    for item in data["runs"]:
        assert item["bounds"][0] < item["miou"] < item["bounds"][1]
    best = max(kept, key=lambda row: row["miou"])
    assert f"{100 * best['miou']:.2f} %" in html
    assert "without a" in html


def test_no_rows_no_page(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no results to show"):
        content(RunStore(tmp_path), [])


def test_the_command_writes_the_page(store: RunStore, tmp_path: Path) -> None:
    out = tmp_path / "report.html"
    arguments = ["report", "--runs", str(store.root), "-o", str(out)]
    done = CliRunner().invoke(bench, [*arguments, "-m", "good", "--title", "Two & more"])
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1] == str(out)
    html = out.read_text(encoding="utf-8")
    assert "<title>Two &amp; more</title>" in html
    assert "bench.py report --pictures 2" in html
    assert len(re.findall(r'<tr data-run="', html)) == 2 * 2  # results and classes
    again = CliRunner().invoke(bench, arguments)
    assert isinstance(again.exception, UsageError)
    assert "is there already" in str(again.exception)
    drawn = CliRunner().invoke(bench, [*arguments, "--force", "--pictures", "1"])
    assert "No pictures of " in drawn.stderr
    lone = CliRunner().invoke(bench, [*arguments, "--force", "--distance", "3"])
    assert isinstance(lone.exception, UsageError)
    assert "--pictures" in str(lone.exception)


def test_the_page_is_not_written_into_what_is_read(store: RunStore) -> None:
    target = store.root / "good0.0" / "result.json"
    arguments = ["report", "--runs", str(store.root), "-o", str(target), "--force"]
    done = CliRunner().invoke(bench, arguments)
    assert isinstance(done.exception, UsageError)
    assert "never written over" in str(done.exception)
    assert json.loads(target.read_text())["method"] == "good"


def test_make_run_ends_by_saying_where_the_report_lies() -> None:
    # the flags of a make above this test would have it print the folders that it enters
    apart = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    planned = subprocess.run(
        ["make", "-n", "run"], cwd=ROOT, env=apart, capture_output=True, text=True, check=True
    )
    lines = planned.stdout.splitlines()
    assert "bench.py report" in lines[-2]
    assert lines[-1].startswith("echo ")
    (written,) = re.findall(r"-o (\S+)", lines[-2])
    assert f"{ROOT}/{written}" in lines[-1]
