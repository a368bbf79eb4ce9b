"""Tables: every format parses back, says why a row has no numbers, and never ranks what cannot be
compared."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Callable
from itertools import permutations

import pytest
from rich.console import Console

from vssbench.cli.run import print_table
from vssbench.core.errors import UsageError
from vssbench.report import markup
from vssbench.report.columns import groups, letter, quantity
from vssbench.report.long_table import LongTable
from vssbench.report.markup import Cell, Grid, terminal_grid
from vssbench.report.rows import Row
from vssbench.report.table import FORMATS, render, terminal

MakeRow = Callable[..., Row]


@pytest.fixture
def mixed(make_row: MakeRow, failed: Row) -> list[Row]:
    """Three rows of CamVid, one failed, and one of another dataset."""
    return [
        make_row("PSPNet18", miou=0.69),
        failed,
        make_row("AR0.5_x", method="arseg", miou=0.7148),
        make_row("BiSeNet18", dataset="cityscapes", dataset_title="Cityscapes", miou=0.7),
    ]


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def shown(rows: list[Row], width: int) -> str:
    console = Console(width=width, file=io.StringIO(), force_terminal=False)
    console.print(terminal(rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_markdown_has_a_line_a_row_and_equal_columns(mixed: list[Row]) -> None:
    text = render(mixed, "md")
    tables = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert [len(table) - 2 for table in tables] == [3, 1]
    for table in tables:
        assert len({len(cells(line)) for line in table}) == 1
        assert len({len(line) for line in table}) == 1
    assert text.index("### CamVid") < text.index("### Cityscapes")


def test_markdown_prints_percent_and_units_and_the_best_in_bold(mixed: list[Row]) -> None:
    heading, _, best, second, _ = render(mixed, "md").split("\n\n")[1].splitlines()
    named = dict(zip(cells(heading), cells(best), strict=True))
    assert named["Method"] == r"AR0.5\_x"
    assert named["mIoU %"] == "**71.48**"
    assert named["mIoU d=0 %"] == "70.39"
    assert named["mIoU d=last %"] == "69.57"
    assert named["GMACs/frame"] == "102.0"
    assert named["Params M"] == "11.70"
    assert named["Key ms (p90)"] == "812.3 (840.1)"
    assert named["kbit/s measured"] == "3012"
    assert (named["PSNR dB"], named["SSIM"]) == ("38.25", "0.9604")
    assert cells(second)[1] == "69.00"


def test_a_failed_row_is_shown_with_its_reason(mixed: list[Row]) -> None:
    text = render(mixed, "md")
    line = next(line for line in text.splitlines() if line.startswith("| DFF"))
    assert cells(line)[1] == "failed"
    assert r"- DFF failed: no \| motion\_vectors in clip 7" in text


def test_per_class_adds_a_table(mixed: list[Row]) -> None:
    text = render(mixed, "md", per_class=True)
    assert r" sky\_blue % |" in text
    assert "90.00" in text
    assert "sky" not in render(mixed, "md")


def test_json_holds_every_field_and_no_nan(mixed: list[Row]) -> None:
    mixed[0]["per_class"] = {"road": math.nan}
    read = json.loads(
        render(mixed, "json"), parse_constant=lambda name: pytest.fail(f"{name} is not JSON")
    )
    assert [row["display"] for row in read] == ["AR0.5_x", "PSPNet18", "DFF", "BiSeNet18"]
    assert read[0] == mixed[2]
    assert read[1]["per_class"] == {"road": None}


def test_csv_reads_back(mixed: list[Row]) -> None:
    read = list(csv.DictReader(io.StringIO(render(mixed, "csv", per_class=True))))
    assert [row["display"] for row in read] == ["AR0.5_x", "PSPNet18", "DFF", "BiSeNet18"]
    assert float(read[0]["miou"]) == 0.7148
    assert [read[0][f"miou_d{distance}"] for distance in range(4)] == [
        "0.7039",
        "0.7029",
        "",
        "0.6957",
    ]
    assert (read[0]["iou_road"], read[0]["iou_sky_blue"]) == ("0.9", "")
    assert read[2]["reason"] == "no | motion_vectors\nin clip 7"
    assert read[2]["miou"] == ""
    assert None not in {name for row in read for name in row}


def test_latex_escapes_and_sets_the_best_in_bold(make_row: MakeRow) -> None:
    text = render([make_row(r"A_1 & 50% #{x}~^\ $<|>", miou=0.8), make_row("B", miou=0.7)], "latex")
    name = (
        r"A\_1 \& 50\% \#\{x\}\textasciitilde{}\textasciicircum{}\textbackslash{} "
        r"\$\textless{}\textbar{}\textgreater{}"
    )
    assert f"{name} & \\textbf{{80.00}} &" in text
    assert "B & 70.00 &" in text


def test_latex_is_a_balanced_booktabs_table(mixed: list[Row]) -> None:
    text = render(mixed, "latex", per_class=True)
    assert (
        text.count(r"\begin{tabular}")
        == text.count(r"\end{tabular}")
        == text.count(r"\toprule")
        == 4
    )
    for table in re.findall(r"\\begin\{tabular\}.*?\\end\{tabular\}", text, re.DOTALL):
        columns = len(re.search(r"\{(l?r+)\}|\{(lr*)\}", table)[0]) - 2  # type: ignore[index]
        body = [
            line
            for line in table.splitlines()
            if line.endswith(r" \\") and "multicolumn" not in line
        ]
        assert {len(re.split(r"(?<!\\)&", line)) for line in body} == {columns}
    assert r"DFF failed: no \textbar{} motion\_vectors in clip 7" in text


@pytest.mark.parametrize("format", list(FORMATS))
def test_the_order_of_rows_does_not_matter(mixed: list[Row], format: str) -> None:
    texts = {render(list(order), format, per_class=True) for order in permutations(mixed)}
    assert len(texts) == 1


def test_a_single_row_is_not_bold(make_row: MakeRow) -> None:
    assert "**" not in render([make_row()], "md")


def test_equal_best_rows_are_both_bold(make_row: MakeRow) -> None:
    assert (
        render([make_row("A"), make_row("B"), make_row("C", miou=0.1)], "md").count("**70.08**")
        == 2
    )


def test_machines_are_named_and_different_ones_flagged(make_row: MakeRow) -> None:
    same = render([make_row("A"), make_row("B")], "md")
    assert "- Machine: Xeon, 2 threads." in same
    assert "must not be compared" not in same

    text = render([make_row("A"), make_row("B", machine="H200")], "md")
    assert (
        "Machines: A = H200; B = Xeon, 2 threads. Latencies of different machines must not be "
        "compared." in text
    )
    letters = {
        cells(line)[0]: cells(line)[-1] for line in text.splitlines() if line.startswith("|")
    }
    assert (letters["A"], letters["B"]) == ("B", "A")
    assert letters["Method"] == "Machine"


def test_rows_of_different_protocols_are_never_ranked_together(make_row: MakeRow) -> None:
    parts = groups([make_row("A", protocol="dense"), make_row("B", protocol="pairs")])
    assert [part.title for part in parts] == [
        "CamVid 720x960 / HEVC, 3012 kbit/s measured (3 Mb/s asked), GOP 12 / dense",
        "CamVid 720x960 / HEVC, 3012 kbit/s measured (3 Mb/s asked), GOP 12 / pairs",
    ]


@pytest.mark.parametrize(
    "other",
    [{"gop": 4}, {"height": 360}, {"protocol_details": {"scored": "some"}}, {"codec": "raw"}],
)
def test_rows_of_different_conditions_are_never_ranked_together(
    make_row: MakeRow, other: dict
) -> None:
    assert len(groups([make_row("A"), make_row("B", **other)])) == 2


def test_the_gop_and_its_place_among_the_parameters_make_no_other_codec(make_row: MakeRow) -> None:
    typed = ("hevc[bitrate=1M]", "hevc[bitrate=1M,gop=12]", "hevc[gop=12,bitrate=1M]")
    assert len(groups([make_row(codec, codec=codec) for codec in typed])) == 1


def test_codecs_stand_by_name_and_falling_measured_rate(sweep: Callable[..., list[Row]]) -> None:
    streams = [part.title.split(" / ")[1] for part in groups(sweep(1)[::-1])]
    assert streams[:4] == [
        "AV1, 960 kbit/s measured (1 Mb/s asked), GOP 12",
        "AV1, 288 kbit/s measured (300 kb/s asked), GOP 12",
        "H.264, 1110 kbit/s measured (1 Mb/s asked), GOP 12",
        "H.264, 333 kbit/s measured (300 kb/s asked), GOP 12",
    ]
    assert streams[-1] == "uncompressed, 62208 kbit/s measured, GOP 12"


def test_no_psnr_is_a_dash_and_an_infinite_one_says_lossless(make_row: MakeRow) -> None:
    rows = [make_row("A", psnr_db=None, ssim=None), make_row("B", psnr_db=math.inf, ssim=1.0)]
    table = [cells(line) for line in render(rows, "md").splitlines() if line.startswith("|")]
    named = {line[0]: dict(zip(table[0], line, strict=True)) for line in table[2:]}
    assert (named["A"]["PSNR dB"], named["A"]["SSIM"]) == ("-", "-")
    assert (named["B"]["PSNR dB"], named["B"]["SSIM"]) == ("lossless", "1.0000")
    assert [row["psnr_db"] for row in json.loads(render(rows, "json"))] == [None, None]


def test_rows_of_the_same_name_are_told_apart(make_row: MakeRow) -> None:
    rows = [
        make_row("A", run_id="1"),
        make_row("A", run_id="2", seed=7),
        make_row("A", run_id="3", seed=7, precision="bf16"),
        make_row("B"),
    ]
    names = [cells(line)[0] for line in render(rows, "md").splitlines() if line.startswith("|")][2:]
    assert sorted(names) == ["A (bf16)", "A (fp32, seed 0)", "A (fp32, seed 7)", "B"]
    assert "A (fp32, seed 7)" in shown(rows, 100)
    assert {row["display"] for row in json.loads(render(rows, "json"))} == {"A", "B"}


def test_the_terminal_table_fits_100_columns_and_folds_no_name(
    mixed: list[Row], make_row: MakeRow
) -> None:
    long = "AR0.5-BiSeNet18 (width 0.25)"
    text = shown([*mixed, make_row(long, machine="H200")], 100)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    line = next(line for line in text.splitlines() if line.startswith(long))
    assert line.split()[-1] == "A"
    assert "70.08" in line
    assert "DFF failed: no | motion_vectors" in text
    assert text.index("CamVid 720x960 / HEVC") < text.index("Cityscapes 720x960 / HEVC")


def test_neither_a_short_nor_a_wide_name_folds_its_column(make_row: MakeRow) -> None:
    assert "Method " in shown([make_row("T")], 100)
    wide = "\u65e5\u672c\u8a9e *"
    assert wide in shown([make_row(wide)], 100)


def test_a_name_in_brackets_is_not_taken_for_markup(make_row: MakeRow) -> None:
    assert "AR[bold]" in shown([make_row("AR[bold]")], 100)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.4123, "0.412"),
        (0, "0.000"),
        (18.956, "18.96"),
        (309.02, "309.0"),
        (1011.7, "1012"),
    ],
)
def test_quantities_keep_three_digits(value: float | None, text: str) -> None:
    assert quantity(value) == text


def test_letters_go_on_after_z() -> None:
    names = [f"{place:02}" for place in range(30)]
    assert [letter(names, name) for name in ("00", "25", "26", "absent")] == ["A", "Z", "A2", "-"]


def test_what_cannot_be_rendered_is_refused_in_words(make_row: MakeRow) -> None:
    with pytest.raises(UsageError, match="'xml': expected md, csv, latex, html, json"):
        render([make_row()], "xml")
    for format in FORMATS:
        with pytest.raises(UsageError, match="no results to show"):
            render([], format)
    with pytest.raises(UsageError, match="no results to show"):
        terminal([])


def test_a_table_of_many_columns_loses_neither_names_nor_numbers(
    capsys: pytest.CaptureFixture[str],
) -> None:
    headings = ("Method", *(f"score {number} % [95 %]" for number in range(14)))
    numbers = tuple(f"{number}.25 [{number}.00, {number}.50]" for number in range(10, 24))
    print_table(
        terminal_grid(Grid(headings, (tuple(map(Cell, ("AR0.5-PSP18", *numbers))),)), fold=True)
    )
    shown = capsys.readouterr().out
    assert "AR0.5-PSP18" in shown
    assert all(number in shown for number in numbers)
    assert "…" not in shown


NAMES = (
    "AR0.5-PSP18",
    "分割 \u2260 網路",
    "A name that is longer than its column, by far",
    "x" * 40,
)


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("width", [None, 20])
def test_a_long_table_looks_as_a_short_one(monkeypatch, width, fold):
    names = NAMES if width else NAMES[:2]
    lines = tuple(
        (Cell(name), Cell(f"{number:.2f}", bold=number > 99), Cell("-"))
        for name, number in zip(names, (1.5, 100.0, 22.25, 3.0), strict=False)
    )
    grid = Grid(("Method", "mIoU (all distances) %", "GMACs"), lines)
    looks = []
    for most in (300, 0):
        monkeypatch.setattr(markup, "LONG", most)
        console = Console(width=100, record=True, file=io.StringIO(), force_terminal=True)
        console.print(terminal_grid(grid, width, fold))
        looks.append([line.rstrip() for line in console.export_text().splitlines()])
    assert isinstance(terminal_grid(grid), LongTable)
    assert looks[0] == looks[1]
    assert len(looks[0]) > len(lines) + 1
