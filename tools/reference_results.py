"""Measure the shipped weights and write the page of results/reference/camvid360, whose every
sentence follows from an interval.

    python -m tools.reference_results --data camvid360=DIR --data camvid720=DIR
    python -m tools.reference_results --page     # draw and write the page again from stored runs
    python -m tools.reference_results --data camvid360=DIR --out again    # compare with the stored

``reference_results.toml`` says what is measured, drawn, tabled and claimed. What is measured
already is not measured again, so that a call goes on where the last one stopped: while it works,
the runs lie in the folder ``runs`` beside the page, at its end in ``runs.tar.xz``. Measurements
whose data are not given, and methods without shipped weights, are left out, which is printed. All
runs of a page come from one version of the code: the page is refused otherwise.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tools.reference_page import FOLDER, SEEDS, placed, write_page
from tools.reference_plan import Measurement, measurements
from tools.reference_store import ARCHIVE, compare, put_away, take_out
from tools.repack_results import main as repack
from vssbench.core import files
from vssbench.core.errors import WeightsError
from vssbench.core.opening import open_dataset
from vssbench.core.variant import parse_variant
from vssbench.report.choose import matches
from vssbench.run.archive import unpacked
from vssbench.run.store import RunStore
from vssbench.run.stored import LATENCY
from vssbench.weights.shipped import choose_shipped

ROOT = Path(__file__).resolve().parent.parent
PLAN = Path(__file__).with_suffix(".toml")
OUT = ROOT / FOLDER
#: long columns of a table that a reader of it looks up in a run
IN_THE_RUNS = ("protocol_details", "sources", "energy")
#: a fraction, and its digits that are kept in what is published
_FRACTION, _DIGITS = re.compile(r"-?\d+\.\d+(e-?\d+)?"), 6


def call(arguments: Sequence[str]) -> tuple[int, str]:
    """Run ``bench.py`` in a process of its own; return its exit status and what it wrote to stdout.

    Its messages go where this program's go.
    """
    command = [sys.executable, str(ROOT / "bench.py"), *arguments]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, text=True)
    return done.returncode, done.stdout


def with_weights(item: Measurement, folder: Path | None) -> tuple[Measurement, list[str]]:
    """Return the measurement with those methods for which weights are shipped, and of the others
    the reasons."""
    variant, known, reasons = parse_variant(item.dataset), [], []
    dataset = open_dataset(variant, folder)
    for method in item.methods:
        try:
            choose_shipped(parse_variant(method), variant.name, dataset.classes)
            known.append(method)
        except WeightsError as error:
            reasons.append(f"{item.name}: {method} is left out: {error}")
    return replace(item, methods=tuple(known)), reasons


def measure(plan: dict[str, Any], folders: dict[str, Path], out: Path) -> list[str]:
    """Make every measurement whose data and weights are there; return what was left out and why."""
    left_out = []
    for whole in measurements(plan):
        if whole.data and whole.data not in folders:
            left_out.append(f"{whole.name}: no --data {whole.data}=DIR")
            continue
        folder = folders.get(whole.data)
        item, reasons = with_weights(whole, folder)
        left_out += reasons
        if not item.methods:
            continue
        print(f"{item.name}: {len(item.methods) * len(item.codecs)} experiments", flush=True)
        status, _ = call(item.command(str(folder or ""), str(out / "runs")))
        # 1: some are rows with their reason
        if status not in (0, 1):
            left_out.append(f"{item.name}: bench.py run ended with status {status}")
    # the times of a machine that had other work are nobody's; those of `bench.py latency` count
    for times in (out / "runs").glob(f"*/{LATENCY}"):
        times.unlink()
    return left_out


def with_width(method: str, width: float) -> str:
    """Return a method at a width: ``pspnet`` as ``pspnet[width=0.25]``."""
    inside = "" if not method.endswith("]") else method[method.index("[") + 1 : -1] + ","
    return f"{method.partition('[')[0]}[{inside}width={width:g}]"


def measure_machine(
    plan: dict[str, Any], folders: dict[str, Path], out: Path, times: bool
) -> list[str]:
    """Measure memory and, if ``times``, latencies, as far as they are not there, into JSON files.

    Returns what could not be measured.
    """
    failed: list[str] = []
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
                commands[out / name] = (
                    ["latency", *shared, "--rounds", str(item["rounds"]), "--codec", codec]
                ) + (["--clip", str(folders[clip])] if clip else [])
        for path, command in commands.items():
            if not path.is_file():
                print(path.name, flush=True)
                status, text = call(command)
                if status:
                    failed.append(f"{path.name}: bench.py {command[0]} ended with status {status}")
                else:
                    files.write_text(path, rounded(text))
    return failed


def rounded(text: str) -> str:
    """Return JSON with its fractions rounded to the digits that mean something, in one line."""
    content = json.loads(text, parse_float=lambda number: float(_short(number)))
    return json.dumps(content, separators=(",", ":")) + "\n"


def narrowed(plan: dict[str, Any], codecs: Sequence[str]) -> dict[str, Any]:
    """Return the plan with tables and figures of those codecs alone that were measured.

    A table of six codecs of which two were measured is one of these two; where none was, it stays
    and is left out.
    """
    figures = [
        item | {"arguments": _narrowed(item["arguments"], codecs)} for item in plan["figures"]
    ]
    sections = [
        item
        | {
            "arguments": [
                shlex.join(_narrowed(shlex.split(text), codecs)) for text in item["arguments"]
            ]
        }
        for item in plan["tables"]
    ]
    return plan | {"figures": figures, "tables": sections}


def _narrowed(arguments: Sequence[str], codecs: Sequence[str]) -> list[str]:
    """Return arguments without the codecs that fit none of these, all where that leaves none."""
    pairs = list(zip(arguments, [*arguments[1:], ""], strict=True))
    unknown = {
        place
        for place, (option, value) in enumerate(pairs)
        if option == "-c" and not any(matches(value, codec) for codec in codecs)
    }
    if len(unknown) == list(arguments).count("-c"):
        return list(arguments)
    dropped = unknown | {place + 1 for place in unknown}
    return [text for place, text in enumerate(arguments) if place not in dropped]


def draw(plan: dict[str, Any], out: Path) -> list[str]:
    """Draw every figure of the plan; return those that could not be drawn."""
    failed = []
    for figure in plan["figures"]:
        arguments = placed(figure["arguments"], out, out)
        command = ["plot", *arguments, "--strict", "--runs", str(out / "runs")]
        status, _ = call([*command, "-o", str(out / figure["file"]), "--force"])
        if status:
            failed.append(f"{figure['file']}: bench.py plot ended with status {status}")
    return failed


def tabled(plan: dict[str, Any], out: Path) -> dict[str, str]:
    """Make every table of the plan; return each as Markdown by its arguments, empty where nothing
    of it was measured. All numbers go into table.csv."""
    made = {}
    for text in (text for section in plan["tables"] for text in section["arguments"]):
        arguments = placed(shlex.split(text), out, out)
        command = ["table", *arguments, "--strict", "--format", "md"]
        status, made[text] = call([*command, "--runs", str(out / "runs")])
        if status:
            print(f"left out: table {text}: bench.py table ended with status {status}")
    status, numbers = call(["table", "--format", "csv", "--runs", str(out / "runs")])
    if not status:
        files.write_text(out / "table.csv", without(numbers, IN_THE_RUNS))
    return made


def without(table: str, columns: Sequence[str]) -> str:
    """Return a CSV without some of its columns, its fractions rounded."""
    lines = list(csv.reader(io.StringIO(table)))
    left = [place for place, name in enumerate(lines[0]) if name not in columns]
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(
        [[_short(line[place]) for place in left] for line in lines]
    )
    return text.getvalue()


def _short(value: str) -> str:
    """Round a long fraction to the digits that mean something: the runs have them all."""
    return f"{float(value):.{_DIGITS}g}" if _FRACTION.fullmatch(value) else value


def measured_codecs(out: Path) -> list[str]:
    """Return the codecs under which runs are stored, as typed."""
    return sorted({run.measurement.codec for run in RunStore(out / "runs").runs()})


def make(plan: dict[str, Any], folders: dict[str, Path], out: Path, times: bool = False) -> None:
    """Measure, draw, and write the page; say what was left out, and why."""
    out.mkdir(parents=True, exist_ok=True)
    left_out = measure(plan, folders, out)
    left_out += measure_machine(plan, folders, out, times)
    plan = narrowed(plan, measured_codecs(out))
    left_out += draw(plan, out)
    repack(out)
    for line in left_out:
        print(f"left out: {line}")
    write_page(plan, measurements(plan), out, tabled(plan, out))


def main() -> None:
    """Read the command line and make the page."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--data", action="append", default=[], metavar="NAME=FOLDER")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument(
        "--page", action="store_true", help="measure nothing: draw and write the page"
    )
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
    own = options.out.resolve() == OUT
    pages = [options.out, *(OUT.parent / name for name in SEEDS if own)]
    for each in pages:
        take_out(each)
    if options.page:
        plan = narrowed(plan, measured_codecs(options.out))
        for line in draw(plan, options.out):
            print(f"left out: {line}")
        repack(options.out)
        write_page(plan, measurements(plan), options.out, tabled(plan, options.out))
    else:
        make(plan, folders, options.out, options.times)
        if not own:
            with unpacked(OUT / ARCHIVE) as stored:
                print(*compare(RunStore(options.out / "runs"), RunStore(stored)), sep="\n")
    for each in pages:
        put_away(each)


if __name__ == "__main__":
    main()
