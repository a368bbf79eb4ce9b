"""The written parts of the pages on methods: ``python -m tools.method_pages --write`` puts options,
checks, departures and results into ``docs/methods/NAME.md``."""

from __future__ import annotations

import argparse
import csv
import sys
import tomllib
from pathlib import Path
from typing import Any

from vssbench.core import files, registry
from vssbench.core.parameters import choices, either
from vssbench.core.variant import format_value, parse_variant
from vssbench.report.columns import quantity

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "methods"
RESULTS = ROOT / "results" / "reference" / "camvid360" / "table.csv"
#: the runs of the reference table that a page shows
SHOWN = {"split": "val", "protocol": "dense", "gop": "12", "width": "480"}
COSTS = ROOT / "results" / "published" / "costs.csv"
BEGIN = "<!-- facts: written by python -m tools.method_pages --write -->"
END = "<!-- facts end -->"


def block(name: str) -> str:
    """Return the written part of a method's page."""
    parts = [_options(name), _checked(name), _departures(name), _results(name)]
    return "\n\n".join([BEGIN, *filter(None, parts), END])


def filled(text: str, name: str) -> str:
    """Return a page with its written part anew. Raises ValueError where the page has no place for
    it."""
    head, tail = text.split(BEGIN)[0], text.split(END)[1]
    return head + block(name) + tail


def names() -> list[str]:
    """Return the methods that have a page: all of this project's own."""
    return [name for name, each in registry.plugins("methods").items() if not each.entry_point]


def _options(name: str) -> str:
    cls = registry.load("methods", name)
    allowed = choices(cls)
    lines = ["## Options", "", "| option | default | choices |", "|---|---|---|"]
    for key, default in registry.parameters(cls).items():
        words = (
            either(f"`{format_value(value)}`" for value in allowed[key]) if key in allowed else ""
        )
        lines.append(f"| `{key}` | `{format_value(default)}` | {words} |")
    return "\n".join([*lines, "", f"`python bench.py info {name}` says what each means."])


def _checked(name: str) -> str:
    rows = [row for row in _rows(COSTS) if parse_variant(row["variant"]).name == name]
    originals = registry.load("methods", name).originals
    if not rows and not originals:
        return ""
    lines = ["## Checked", ""]
    if rows:
        sources = sorted({row["source"].split(", Table")[0].split(", Figure")[0] for row in rows})
        lines += [
            f"* {len(rows)} published numbers of its parameters and cost, each beside ours in "
            f"[fidelity](../fidelity.md): {'; '.join(sources)}."
        ]
    if originals:
        sources = list(dict.fromkeys(each.source for each in originals))
        lines += [
            f"* `weights import` knows {len(originals)} networks of {', '.join(sources)} by their "
            "checkpoints; with the same weights ours give the outputs that "
            "[fidelity](../fidelity.md) lists."
        ]
    return "\n".join(lines)


def _departures(name: str) -> str:
    path = ROOT / "methods" / name / "recipe.toml"
    if not path.is_file():
        return ""
    recipes: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    lines = ["## Known deviations of the training", ""]
    for title, recipe in recipes.items():
        departures = recipe.get("departures", [])
        if departures:
            lines += [f"`--recipe {title}`:", "", *(f"* {each}" for each in departures), ""]
    return "\n".join(lines).rstrip() if len(lines) > 2 else ""


def _results(name: str) -> str:
    rows = [
        row
        for row in _rows(RESULTS)
        if row["status"] == "done"
        and parse_variant(row["method"]).name == name
        and all(row[key] == value for key, value in SHOWN.items())
    ]
    if not rows:
        return ""
    lines = [
        "## Results here",
        "",
        "CamVid's validation clip at 480x360, GOP 12, the shipped weights that this project "
        "trained; not the papers' models. Intervals and comparisons: "
        "[results/reference/camvid360](../../results/reference/camvid360/README.md).",
        "",
        "| | codec | mIoU % | GMACs a frame |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {row['display']} | {row['codec_title']} | {100 * float(row['miou']):.1f} | "
        f"{quantity(float(row['gmacs_gop']))} |"
        for row in rows
    ]
    return "\n".join(lines)


def _rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def main() -> None:
    """Print the written parts, or put them into the pages."""
    parser = argparse.ArgumentParser(description="Facts of the pages on methods.")
    parser.add_argument("--write", action="store_true", help="write them into docs/methods")
    write = parser.parse_args().write
    for name in names():
        path = PAGES / f"{name}.md"
        if not write:
            print(block(name))
        elif path.is_file():
            files.write_text(path, filled(path.read_text(encoding="utf-8"), name))
        else:
            sys.exit(f"{path} is missing: write the page, with the marks {BEGIN} and {END}")


if __name__ == "__main__":
    main()
