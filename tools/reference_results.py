"""Measure the shipped weights and write the page of results/reference, whose every sentence follows
from an interval.

    python tools/reference_results.py --data camvid360=DIR --data camvid720=DIR
    python tools/reference_results.py --page     # write the page again from the stored runs

``reference_results.toml`` says what is measured, drawn and claimed. What is measured already is not
measured again, so that a call goes on where the last one stopped; measurements whose data are not
given are left out, which is printed. All runs of a page come from one version of the code: the
page is refused otherwise.
"""

from __future__ import annotations

import argparse
import itertools
import re
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.reference_page import write_page
from tools.repack_results import main as repack
from vssbench.core import files
from vssbench.core.variant import parse_variant

ROOT = Path(__file__).resolve().parent.parent
PLAN = Path(__file__).with_suffix(".toml")
OUT = ROOT / "results" / "reference"

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


def draw(plan: dict[str, Any], out: Path) -> None:
    """Draw every figure of the plan."""
    for figure in plan["figures"]:
        command = [sys.executable, str(ROOT / "bench.py"), "plot", *figure["arguments"]]
        command += ["--runs", str(out / "runs"), "-o", str(out / figure["file"]), "--force"]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


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
    write_page(plan, measurements(plan), options.out)


if __name__ == "__main__":
    main()
