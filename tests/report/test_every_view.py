"""Every table, figure and page, by the commands' own lists: each says which rows differ in their
conditions, and which are marked."""

from __future__ import annotations

import csv
import html
import io
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from matplotlib.text import Text

from tests.sweep.stored import write
from vssbench.cli import bench
from vssbench.run.measurement import NON_DETERMINISTIC

RATES = {"300k": 310.0, "1M": 1040.0, "2M": 2060.0, "4M": 4100.0}
#: dataset as typed, split, classes; their headings must say in what they differ
STREETS = (
    ("synthetic[seed=0]", "val", ["road", "sky"]),
    ("synthetic[seed=1]", "val", ["road", "sky"]),
    ("synthetic[split=test,classes=3]", "test", ["road", "sky", "void"]),
)
HEADINGS = (
    "Street 64x96, val, 2 classes, seed=0", "Street 64x96, val, 2 classes, seed=1",
    "Street 64x96, test, 3 classes",
)  # fmt: skip
#: weights that saw what is scored; of which nothing is known, of a network that varies
MARKS = {
    "PSPNet18 \u2020": "\u2020 its weights were trained",
    "DFF \u2021\u2260": "\u2021 it is not recorded on what its weights were trained",
}
SEEN = dict(zip(MARKS, ("training", "unknown"), strict=True))
LATEX = {r"\textdagger{}": "\u2020", r"\textdaggerdbl{}": "\u2021", r"$\neq$": "\u2260"}
VARIES = "non-deterministic: passes over the same frame gave different logits"


def choices(command: str, parameter: str) -> tuple[str, ...]:
    """Return what an option or an argument of a command takes."""
    (found,) = (each for each in bench.commands[command].params if each.name == parameter)
    assert isinstance(found.type, click.Choice)
    return tuple(found.type.choices)


TEXTS = [
    *(("table", "--by", by, "--format", fmt) for by, fmt in
      product(choices("table", "by"), choices("table", "fmt")) if fmt != "parquet"),
    *(("table", "--by", by) for by in choices("table", "by")),
    ("table", "--per-class"),
    *(("scores", "--format", fmt) for fmt in choices("scores", "fmt")),
    ("scores",),
    *(("compare", "pspnet", "dff", *bd, "--format", fmt)
      for bd, fmt in product(((), ("--bd",)), choices("compare", "fmt"))),
    ("compare", "pspnet", "dff", "--by", "distance", "--by", "class"),
    ("compare", "pspnet", "dff", "--bd"),
    ("report",),
]  # fmt: skip
FIGURES = [*((kind,) for kind in choices("plot", "kind")), ("rate", "--quality", "psnr")]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three methods on three streets at four rates and two GOPs."""
    root = tmp_path_factory.mktemp("views") / "runs"
    for number, (dataset, split, classes) in enumerate(STREETS):
        lines = [("pspnet", rate, 12) for rate in RATES] + [("dff", rate, 12) for rate in RATES]
        lines += [("pspnet[scale=0.5]", "1M", 12), ("pspnet", "1M", 6), ("dff", "1M", 6)]
        for place, (method, rate, gop) in enumerate(lines):
            psp = method.startswith("pspnet")
            write(
                root, f"r{number}-{place}", value=list(RATES).index(rate) + psp, method=method,
                display={"pspnet": "PSPNet18", "dff": "DFF"}.get(method, "PSPNet18 0.5x"),
                dataset=dataset, dataset_title="Street", split=split, classes=classes,
                codec=f"h264[bitrate={rate},gop={gop}]", codec_name="H.264", codec_rate=rate,
                codec_title=f"H.264 {rate}", gop=gop, height=64, width=96, psnr_db=30.0 + number,
                bitrate_kbps=RATES[rate], gmacs_gop=9.0 if psp else 3.0, params=1000, ssim=0.9,
                gmacs_key=9.0, gmacs_nonkey=3.0,
                seen={"training": int(psp), "selection": 0, "known": int(psp)},
                remarks=[] if psp else [NON_DETERMINISTIC],
            )  # fmt: skip
    return root


def call(store: Path, *arguments: str) -> str:
    given = [*arguments, "--runs", str(store)]
    result = CliRunner().invoke(bench, given, env={"COLUMNS": "400"})
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


def plain(text: str) -> str:
    """Return a text without the signs of its format: LaTeX, HTML, JSON or CSV."""
    if text.lstrip().startswith(("[", "{")):
        return " ".join(words_of(json.loads(text)))
    if text.startswith(("run_id,", "dataset,", "condition,")):
        lines = csv.DictReader(io.StringIO(text))
        return " ".join(word for line in lines for word in words_of(line))
    for sign, letter in LATEX.items():
        text = text.replace(sign, letter)
    return " ".join(html.unescape(text).split())


def words_of(value: Any) -> Iterator[str]:
    """Yield the names and values of a record, of whatever depth."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield f"{name} {item}"
            yield from words_of(item)
    elif isinstance(value, list):
        for item in value:
            yield from words_of(item)
    else:
        yield str(value)


@pytest.mark.parametrize("view", TEXTS, ids="-".join)
def test_tables_and_pages_say_what_differs_and_what_is_marked(
    store: Path, view: tuple[str, ...], tmp_path: Path
) -> None:
    if "--bd" in view:
        pytest.importorskip("scipy", reason="SciPy is not installed")
    if view == ("report",):
        call(store, "report", "-o", str(tmp_path / "a.html"))
        text = (tmp_path / "a.html").read_text(encoding="utf-8")
    else:
        text = call(store, *view)
    said = plain(text)
    machine = view[-1] in ("csv", "json")
    for heading, (typed, *_) in zip(HEADINGS, STREETS, strict=True):
        assert heading in said or (machine and typed in said), heading
    for name, note in MARKS.items():
        # a terminal breaks headings at their spaces
        letters = [name] if "--format" in view or view == ("report",) else name.split()
        assert all(each in said for each in letters) or (
            machine and f"seen {SEEN[name]}" in said
        ), name
        assert note in said or machine, note
    assert VARIES in said or "\u2260" in said


@pytest.mark.parametrize("view", FIGURES, ids="-".join)
def test_figures_say_what_differs_and_what_is_marked(
    store: Path, view: tuple[str, ...], tmp_path: Path, figures: list[Figure]
) -> None:
    call(store, "plot", *view, "-c", "h264[bitrate=1M]", "-o", str(tmp_path / "a.svg"))
    (figure,) = figures
    said = " ".join(
        text.get_text().replace("\n", " ")
        for text in figure.findobj(Text)
        if isinstance(text, Text)
    )
    for heading in HEADINGS:
        assert heading in said, said
    if "--quality" in view:  # which draws streams, not methods
        return
    for name, note in MARKS.items():
        if view != ("scale",) or name.startswith("PSP"):  # one has no scales
            assert name in said, said
            assert note in said
    assert VARIES in said or view == ("scale",)
