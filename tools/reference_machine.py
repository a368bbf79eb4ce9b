"""The sections of the reference page on what a machine takes: operations, memory, times."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from vssbench.core.variant import parse_variant
from vssbench.report.columns import quantity
from vssbench.report.markup import Cell, Grid, markdown, markdown_grid


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
        yield (
            f"Operations and memory are those of `python bench.py cost --memory`, times those of "
            f"`python bench.py latency`, of each method with width={item['width']:g}, `--size "
            f"{item['size']} --classes {item['classes']} --gop {item['gop']}`:\n"
        )
        if item["classes"] != 11:
            yield "No weights are shipped for this size and these classes: there is no accuracy.\n"
        yield markdown_table(pd.DataFrame(list(rows.values())).fillna("-")) + "\n"
        if "remark" in item:
            yield f"{item['remark']}\n"
        if notes:
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
    used = sorted({method["threads"] for method in timed["methods"] if method["threads"]})
    threads = " or ".join(map(str, used)) or "no"
    said = (
        f"* {codec}: {timed['stream']}; {settings['processes']} processes, {settings['rounds']} "
        f"rounds, {threads} threads, {settings['precision']}."
    )
    return "\n".join([said, *(f"  * {markdown(doubt)}" for doubt in doubts)])


def markdown_table(frame: pd.DataFrame) -> str:
    """Return a frame of texts as Markdown, the first column to the left."""
    lines = [tuple(Cell(str(text)) for text in line) for line in frame.itertuples(index=False)]
    return markdown_grid(Grid(tuple(map(str, frame.columns)), tuple(lines)))
