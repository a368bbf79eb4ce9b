"""Measure the shipped weights and write the page of results/reference, whose every sentence follows
from an interval.

    python tools/reference_results.py --data camvid360=DIR --data camvid720=DIR
    python tools/reference_results.py --page     # write the page again from the stored runs

``reference_results.toml`` says what is measured, drawn and claimed. What is measured already is not
measured again, so that a call goes on where the last one stopped; measurements whose data are not
given are left out, and the page says so. All runs of a page come from one version of the code: the
page is refused otherwise.
"""

from __future__ import annotations

import argparse
import itertools
import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tools.repack_results import main as repack
from vssbench.core import files
from vssbench.core.variant import parse_variant
from vssbench.metrics.bootstrap import Interval, difference
from vssbench.metrics.resampling import plural
from vssbench.protocol import POOLED
from vssbench.report.columns import percent, quantity
from vssbench.report.frames import results
from vssbench.report.markup import markdown
from vssbench.report.scores import interval_text
from vssbench.run.store import ConfusionRecord, RunStore

ROOT = Path(__file__).resolve().parent.parent
PLAN = Path(__file__).with_suffix(".toml")
OUT = ROOT / "results" / "reference"
PAGE = "README.md"

_ALTERNATIVES = re.compile(r"\{([^{}]*)\}")


def expanded(text: str) -> list[str]:
    """Return every text that alternatives in braces stand for: ``a{1,2}`` is ``a1`` and ``a2``."""
    pieces = _ALTERNATIVES.split(text)
    # every second piece stood in braces
    choices = [piece.split(",") if place % 2 else [piece] for place, piece in enumerate(pieces)]
    return ["".join(each) for each in itertools.product(*choices)]


@dataclass(frozen=True)
class Measurement:
    """One call of ``bench.py run``: methods x codecs on one dataset under one protocol; ``data``
    names the folder that it needs, empty for none."""

    name: str
    dataset: str
    data: str
    methods: tuple[str, ...]
    codecs: tuple[str, ...]
    protocol: str

    def command(self, folder: str, runs: str) -> list[str]:
        """Return the arguments of ``bench.py`` that measure it."""
        arguments = ["run", "-d", self.dataset, "--protocol", self.protocol, "--runs", runs]
        if self.data:
            arguments += ["--data-root", folder]
        for codec in self.codecs:
            arguments += ["-c", codec]
        for method in self.methods:
            arguments += ["-m", method]
        return arguments


def measurements(plan: dict[str, Any]) -> list[Measurement]:
    """Return the plan's measurements, alternatives written out."""
    return [
        Measurement(
            item["name"],
            item["dataset"],
            item.get("data", ""),
            tuple(method for name in item["methods"] for method in plan["methods"][name]),
            tuple(codec for text in item["codecs"] for codec in expanded(text)),
            item.get("protocol", "dense"),
        )
        for item in plan["measurements"]
    ]


def measure(plan: dict[str, Any], folders: dict[str, Path], out: Path) -> list[str]:
    """Make every measurement whose data are given; return the names of those left out."""
    left_out = []
    for item in measurements(plan):
        if item.data and item.data not in folders:
            left_out.append(item.name)
            continue
        print(f"{item.name}: {len(item.methods) * len(item.codecs)} experiments", flush=True)
        folder = str(folders.get(item.data, ""))
        command = [sys.executable, str(ROOT / "bench.py"), *item.command(folder, str(out / "runs"))]
        subprocess.run(command, check=False, stdout=subprocess.DEVNULL)
    return left_out


def with_width(method: str, width: float) -> str:
    """Return a method at a width: ``pspnet`` as ``pspnet[width=0.25]``."""
    inside = "" if not method.endswith("]") else method[method.index("[") + 1 : -1] + ","
    return f"{method.partition('[')[0]}[{inside}width={width:g}]"


def measure_machine(plan: dict[str, Any], folders: dict[str, Path], out: Path, times: bool) -> None:
    """Measure memory and, if ``times``, latencies, as far as they are not there; JSON files."""
    for item in plan["machine"]:
        methods = [
            option
            for name in item["methods"]
            for method in plan["methods"][name]
            for option in ("-m", with_width(method, item["width"]))
        ]
        shared = [*methods, "--size", item["size"], "--classes", str(item["classes"])]
        shared += ["--gop", str(item["gop"]), "--json"]
        commands = {out / f"cost-{item['file']}.json": ["cost", *shared, "--memory"]}
        clip = item.get("clip", "")
        if times and (not clip or clip in folders):
            for codec in item["codecs"]:
                name = f"latency-{item['file']}-{parse_variant(codec).name}.json"
                commands[out / name] = ["latency", *shared, "--codec", codec] + (
                    ["--clip", str(folders[clip])] if clip else []
                )
        for path, command in commands.items():
            if not path.is_file():
                print(path.name, flush=True)
                arguments = [sys.executable, str(ROOT / "bench.py"), *command]
                done = subprocess.run(arguments, check=True, stdout=subprocess.PIPE, text=True)
                files.write_text(path, done.stdout)


def machine_tables(plan: dict[str, Any], out: Path) -> Iterator[str]:
    """Yield a section for each size: operations, memory and, where they were measured, times."""
    for item in plan["machine"]:
        path = out / f"cost-{item['file']}.json"
        if not path.is_file():
            continue
        rows = {
            cost["method"]: {
                "method": cost["display"],
                "GMACs key": quantity(cost["gmacs_key"]),
                "GMACs other": quantity(cost["gmacs_nonkey"]),
                "GMACs a frame": quantity(cost["gmacs_gop"]),
                "MiB of a GOP": quantity(cost["memory"]["gop"] / 2**20),
            }
            for cost in json.loads(path.read_text(encoding="utf-8"))
        }
        notes = []
        for codec in item["codecs"]:
            name = parse_variant(codec).name
            timed = out / f"latency-{item['file']}-{name}.json"
            if timed.is_file():
                notes.append(_add_times(rows, json.loads(timed.read_text(encoding="utf-8")), name))
        yield f"## What a machine takes: {item['name']}\n"
        if item["classes"] != 11:
            yield "No weights are shipped for this size and these classes: there is no accuracy.\n"
        yield _table(pd.DataFrame(list(rows.values()))) + "\n"
        yield "\n".join(notes) + "\n"


def _add_times(rows: dict[str, dict[str, str]], timed: dict[str, Any], codec: str) -> str:
    """Add the times of one codec's stream to the rows; say how they were taken."""
    doubts = []
    for method in timed["methods"]:
        row = rows[method["method"]]
        for kind, said in (("key", "key"), ("nonkey", "other"), ("gop", "GOP mean")):
            its = method["times"].get(kind) if method["status"] == "done" else None
            row[f"{said} ms, {codec} [95 %]"] = (
                f"{quantity(its['median_ms'])} [{quantity(its['low_ms'])}, "
                f"{quantity(its['high_ms'])}]"
                if its
                else method["reason"] or "-"
            )
        if method["status"] == "done" and method["verdict"] != "stable":
            doubts.append(f"{method['display']}: {method['verdict']}")
    settings = timed["settings"]
    said = (
        f"* {codec}: {timed['stream']}; {settings['processes']} processes, {settings['rounds']} "
        f"rounds, {settings['threads']} threads, {settings['precision']}."
    )
    return "\n".join([said, *(f"  * {markdown(doubt)}" for doubt in doubts)])


def draw(plan: dict[str, Any], out: Path) -> None:
    """Draw every figure of the plan."""
    for figure in plan["figures"]:
        command = [sys.executable, str(ROOT / "bench.py"), "plot", *figure["arguments"]]
        command += ["--runs", str(out / "runs"), "-o", str(out / figure["file"]), "--force"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def check_one_version(runs: pd.DataFrame) -> None:
    """Exit with a message where runs of one method were made by several versions of the code."""
    for method, versions in runs.groupby("method")["version"].unique().items():
        if len(versions) > 1:
            sys.exit(
                f"the runs of {method} were made by {len(versions)} versions of the code "
                f"({', '.join(versions)}): a page holds one; measure again into an empty folder"
            )


def settled(runs: pd.DataFrame, method: str) -> str | None:
    """Return the measured variant that a method of the plan stands for: with the width of its
    weights. None where it was not measured."""
    wanted = parse_variant(method)
    for known in runs["method"].unique():
        variant = parse_variant(known)
        rest = {name: value for name, value in variant.params.items() if name != "width"}
        if variant.name == wanted.name and rest == dict(wanted.params):
            return str(known)
    return None


@dataclass(frozen=True)
class Judged:
    """A claim's difference on one stream."""

    stream: str
    interval: Interval


def judged(plan: dict[str, Any], claim: dict[str, Any], out: Path) -> list[Judged]:
    """Return the claim's difference on every stream on which both methods were measured."""
    runs, store = results(out / "runs"), RunStore(out / "runs")
    first, second = (settled(runs, claim[name]) for name in ("first", "second"))
    protocol = "every-distance" if claim.get("distances") else "dense"
    done = runs[(runs["status"] == "done") & (runs["protocol"] == protocol)]
    keys = ["dataset", "data", "codec", "gop"]
    found = []
    for _, group in done.groupby(keys, sort=False):
        both = [group[group["method"] == name] for name in (first, second)]
        if any(len(rows) != 1 for rows in both):
            continue
        records = [store.get(rows["run_id"].iloc[0]).confusion for rows in both]
        if claim.get("distances"):
            farthest = int(records[0].distances.max())
            records = [at_distance(records[0], farthest), at_distance(records[1], 0)]
        aggregate = POOLED if claim.get("distances") else both[0]["aggregate"].iloc[0]
        interval = difference(records[0], records[1], aggregate).miou
        found.append(Judged(stream(both[0].iloc[0]), interval))
    return found


def at_distance(record: ConfusionRecord, distance: int) -> ConfusionRecord:
    """Return the rows of one distance, for a comparison of distances on the same frames."""
    rows = record.distances == distance
    groups = None if record.groups is None else record.groups[rows]
    return replace(
        record,
        matrices=record.matrices[rows],
        distances=np.zeros(int(rows.sum()), np.int64),
        clips=record.clips[rows],
        frames=record.frames[rows],
        groups=groups,
    )


def stream(run: pd.Series) -> str:
    """Return a run's data and stream in words: ``CamVid 360x480, H.264 1 Mb/s, GOP 12``."""
    split = f" {run['split']}" if run["split"] not in ("", "val") else ""
    return (
        f"{run['dataset_title']} {run['height']}x{run['width']}{split}, "
        f"{run['codec_title']}, GOP {run['gop']}"
    )


def verdict(claim: dict[str, Any], found: Sequence[Judged]) -> str:
    """Say whether the intervals agree with what a claim expects of the first method.

    ``better`` and ``worse`` need an interval that excludes zero; ``no worse`` one that excludes a
    loss of ``margin`` points. A claim holds where some stream decides for it and none against it.
    """
    if not found:
        return "Not measured."
    better = sum(item.interval.low > 0 for item in found)
    worse = sum(item.interval.high < 0 for item in found)
    counts = (
        f"Of {plural(len(found), 'stream')} it is better on {better}, worse on {worse}, not told "
        f"apart on {len(found) - better - worse}"
    )
    wanted, against = {
        "better": (better, worse),
        "worse": (worse, better),
        "no worse": (
            sum(100 * item.interval.low > -claim.get("margin", 0.0) for item in found),
            worse,
        ),
    }[claim["expected"]]
    if claim["expected"] == "no worse":
        counts += f"; on {wanted} a loss of {claim['margin']:g} points or more is excluded"
    if wanted and against:
        said = "This agrees with the claim on some streams, and not on others."
    elif against:
        said = "This does not agree with the claim."
    elif wanted:
        said = "This agrees with the claim."
    else:
        said = "These frames do not decide it."
    return f"{counts}. **{said}**"


def sentence(plan: dict[str, Any], claim: dict[str, Any], out: Path) -> str:
    """Return a claim as an item of the page: what the paper says, our differences, the verdict."""
    runs = results(out / "runs")
    names = [_display(runs, claim[name]) for name in ("first", "second")]
    title = (
        f"{names[0]} at its greatest distance against its own keyframes"
        if claim.get("distances")
        else f"{names[0]} against {names[1]}"
    )
    found = judged(plan, claim, out)
    lines = [f"* **{markdown(title)}.** {claim['paper']}. {verdict(claim, found)}"]
    lines += [
        f"  * {markdown(item.stream)}: {interval_text(item.interval, sign='+')} points"
        for item in found
    ]
    cost = "" if claim.get("distances") else _cost(runs, claim)
    return "\n".join([lines[0] + cost, *lines[1:]])


def _cost(runs: pd.DataFrame, claim: dict[str, Any]) -> str:
    """Say what the first method costs of the second's multiplications, on the first data."""
    done = runs[runs["status"] == "done"]
    for _, group in done.groupby(["dataset", "data", "codec", "gop", "protocol"], sort=False):
        gmacs = [
            group.loc[group["method"] == settled(runs, claim[name]), "gmacs_gop"]
            for name in ("first", "second")
        ]
        if all(len(each) for each in gmacs):
            first, second = (float(each.iloc[0]) for each in gmacs)
            return f" It costs {quantity(first)} GMACs a frame, the other {quantity(second)}."
    return ""


def _display(runs: pd.DataFrame, method: str) -> str:
    known = runs[runs["method"] == settled(runs, method)]
    return str(known["display"].iloc[0]) if len(known) else method


def pivot(runs: pd.DataFrame, columns: str) -> str:
    """Return the mIoU of each method (a line each, the first column's best first) by a column."""
    wide = runs.pivot_table(
        index="display", columns=columns, values="miou", sort=False, aggfunc="first"
    )
    wide = wide.sort_values(wide.columns[0], ascending=False)
    texts = wide.map(lambda value: percent(None if pd.isna(value) else value))
    texts.index.name, texts.columns.name = "mIoU %", None
    return _table(texts.reset_index())


def _table(frame: pd.DataFrame) -> str:
    """Return a frame of texts as Markdown, the first column to the left."""
    plain = frame.rename(columns=lambda name: markdown(str(name)))
    plain.iloc[:, 0] = plain.iloc[:, 0].map(markdown)
    sides = ["left"] + ["right"] * (plain.shape[1] - 1)
    return str(plain.to_markdown(index=False, disable_numparse=True, colalign=sides))


def overview(runs: pd.DataFrame) -> str:
    """Return accuracy and cost of every method on one stream, best first."""
    ordered = runs.sort_values("miou", ascending=False)
    rows = {
        "method": ordered["display"],
        "mIoU %": ordered["miou"].map(percent),
        "d = 0 %": ordered["miou_0"].map(percent),
        "greatest d %": ordered["miou_last"].map(percent),
        "GMACs key": ordered["gmacs_key"].map(quantity),
        "GMACs other": ordered["gmacs_nonkey"].map(
            lambda value: quantity(None if pd.isna(value) else value)
        ),
        "GMACs a frame": ordered["gmacs_gop"].map(quantity),
        "M parameters": (ordered["params"].astype(float) / 1e6).map(quantity),
    }
    return _table(pd.DataFrame(rows))


def per_class(runs: pd.DataFrame, out: Path) -> str:
    """Return the IoU of each class (a line each) of these runs, a column each."""
    return _long(runs, results(out / "runs", by="class"), "class", "iou")


def by_distance(runs: pd.DataFrame, out: Path) -> str:
    """Return the mIoU at each distance (a line each) of these runs, a column each."""
    return _long(runs, results(out / "runs", by="distance"), "distance", "miou")


def _long(runs: pd.DataFrame, long: pd.DataFrame, line: str, value: str) -> str:
    own = long[long["run_id"].isin(runs["run_id"])]
    wide = own.pivot_table(index=line, columns="display", values=value, sort=False, aggfunc="first")
    texts = wide.map(lambda number: percent(None if pd.isna(number) else number))
    texts.index.name, texts.columns.name = f"{line}, %", None
    return _table(texts.reset_index().astype({f"{line}, %": str}))


def sections(plan: dict[str, Any], out: Path) -> Iterator[str]:
    """Yield the page, part by part."""
    runs = results(out / "runs")
    check_one_version(runs)
    done = runs[runs["status"] == "done"].copy()
    yield "# Reference results: five methods and their baselines, on compressed video\n"
    yield (
        f"{len(done)} runs with the [shipped weights](../../weights/README.md), made, drawn and "
        "written by `python tools/reference_results.py` ([plan](../../tools/"
        "reference_results.toml)); confusion matrices of every frame: `runs/`, all numbers: "
        "[table.csv](table.csv). mIoU is the mean over distances from the keyframe unless it says "
        "otherwise; rates are those asked for, measured ones are in the table. Networks have a "
        "quarter of the papers' channels and were trained by this project ([how]"
        "(../../docs/training.md)); they are not the papers' models.\n"
    )
    for figure in plan["figures"]:
        if (out / figure["file"]).is_file():
            yield f"![{figure['title']}]({figure['file']})\n"
    yield from _tables(plan, done, out)
    yield from machine_tables(plan, out)
    claims = [sentence(plan, claim, out) for claim in plan["claims"]]
    yield "## What papers claim, and what is measured here\n"
    yield (
        "Each item follows from paired 95 % intervals of the difference on the same frames, the "
        "first minus the second ([how](../../docs/scores.md)).\n"
    )
    yield "\n".join(claims) + "\n"
    failed = runs[runs["status"] != "done"]
    if len(failed):
        yield "## Not measured\n"
        yield "\n".join(
            f"* {markdown(row['display'])}, {markdown(stream(row))}: {markdown(row['reason'])}"
            for _, row in failed.iterrows()
        ) + "\n"  # fmt: skip
    yield "## Again\n"
    yield _again(plan)


def _tables(plan: dict[str, Any], done: pd.DataFrame, out: Path) -> Iterator[str]:
    """Yield a section for each measurement of which there are runs."""
    for item in measurements(plan):
        part = done[(done["dataset"] == item.dataset) & (done["protocol"] == item.protocol)]
        part = part[part["codec"].isin(item.codecs)]
        wide = part["width"] >= 960 if item.data == "camvid720" else part["width"] < 960
        part = part[wide]
        if not len(part):
            continue
        yield f"## {item.name}\n"
        first = part[part["codec"] == part["codec"].iloc[0]]
        yield f"{markdown(stream(first.iloc[0]))}, {item.protocol}:\n"
        yield overview(first) + "\n"
        if part["codec"].nunique() > 1:
            yield pivot(part, "codec") + "\n"
        yield "<details><summary>IoU of each class</summary>\n"
        yield per_class(first, out) + "\n"
        yield "</details>\n"
        if item.protocol == "every-distance":
            yield by_distance(first, out) + "\n"


def _again(plan: dict[str, Any]) -> str:
    folders = " ".join(f"--data {name}=DIR" for name in plan["data"])
    said = [f"* `{name}`: {what}" for name, what in plan["data"].items()]
    return (
        f"```\npython tools/reference_results.py {folders}\n```\n\n"
        + "\n".join(said)
        + "\n\nOn the same machine with the same libraries the confusion matrices are equal.\n"
    )


def write_page(plan: dict[str, Any], out: Path) -> str:
    """Write the page and the table of all runs; return the page."""
    text = "\n".join(sections(plan, out))
    files.write_text(out / PAGE, text)
    files.write_text(out / "table.csv", results(out / "runs").to_csv(index=False))
    return text


def main() -> None:
    """Measure, draw, and write the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--page", action="store_true", help="write the page alone")
    parser.add_argument("--times", action="store_true", help="latencies too: on an idle machine")
    options = parser.parse_args()
    plan = tomllib.loads(PLAN.read_text(encoding="utf-8"))
    folders = {}
    for text in options.data:
        name, _, folder = text.partition("=")
        if name not in plan["data"] or not Path(folder).is_dir():
            parser.error(
                f"--data {text}: expected NAME=FOLDER with a name of {', '.join(plan['data'])} "
                "and a folder that is there"
            )
        folders[name] = Path(folder)
    if not options.page:
        left_out = measure(plan, folders, options.out)
        for name in left_out:
            print(f"left out, without its data: {name}")
        measure_machine(plan, folders, options.out, options.times)
        draw(plan, options.out)
        repack(options.out)
    write_page(plan, options.out)


if __name__ == "__main__":
    main()
