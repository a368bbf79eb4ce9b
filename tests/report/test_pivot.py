"""The table by codec, compared with numbers taken from the rows by hand."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from vssbench.core.errors import UsageError
from vssbench.report.pivot import pivots, render_pivot, terminal_pivot
from vssbench.report.rows import Row
from vssbench.report.table import FORMATS

MakeRow = Callable[..., Row]
Sweep = Callable[..., list[Row]]


def read(text: str) -> list[dict[str, str]]:
    """The lines of the first Markdown table by heading, the second heading of a name with its
    predecessor's: `gain B`."""
    lines = [line for line in text.split("\n\n")[1].splitlines() if line.startswith("|")]
    split = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    headings = [
        f"gain {split[0][place - 1]}" if name == "gain" else name
        for place, name in enumerate(split[0])
    ]
    return [dict(zip(headings, line, strict=True)) for line in split[2:]]


def shown(rows: list[Row], base: str | None = None) -> str:
    console = Console(width=100, file=io.StringIO(), force_terminal=False)
    console.print(terminal_pivot(rows, base))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_line_a_stream_with_its_measured_rate_and_a_column_a_method(sweep: Sweep) -> None:
    rows = sweep(3)
    table = read(render_pivot(rows, "md"))
    assert len(table) == 13
    for line in table:
        members = [
            row
            for row in rows
            if (row["codec_name"], row["codec_rate"] or "-") == (line["Codec"], line["Asked"])
        ]
        accuracy = {row["display"]: 100 * row["miou"] for row in members}
        assert line["kbit/s measured"] == f"{members[0]['bitrate_kbps']:.0f}"
        psnr = members[0]["psnr_db"]
        assert line["PSNR dB"] == ("lossless" if members[0]["codec"] == "raw" else f"{psnr:.2f}")
        assert line["SSIM"] == f"{members[0]['ssim']:.4f}"
        best = max(accuracy.values())
        for name, value in accuracy.items():
            assert line[name] == (f"**{value:.2f}**" if value == best else f"{value:.2f}")
            if name != "PSPNet18":
                assert line[f"gain {name}"] == f"{value - accuracy['PSPNet18']:+.2f}"


def test_methods_stand_by_falling_cost_after_the_base(sweep: Sweep) -> None:
    (table,) = pivots(sweep(4))
    assert table.methods == ("PSPNet18", "AR0.5-PSP18", "BiSeNet18", "Warp PSPNet18")
    assert pivots(sweep(4), "bisenet")[0].methods == (
        "BiSeNet18",
        "PSPNet18",
        "AR0.5-PSP18",
        "Warp PSPNet18",
    )
    assert table.heading == "CamVid 720x960 / dense / GOP 12"
    assert (
        "GMACs/frame: PSPNet18 309.0; AR0.5-PSP18 102.0; BiSeNet18 58.83; Warp PSPNet18 25.75."
        in table.remarks()
    )


@pytest.mark.parametrize("base", ["pspnet[scale=0.5]", "PSPNet18 0.5x", "pspnet[sc"])
def test_the_base_may_be_a_variant_a_beginning_or_a_name(sweep: Sweep, base: str) -> None:
    assert pivots(sweep(6), base)[0].base == "PSPNet18 0.5x"


def test_an_exact_variant_is_not_taken_for_the_beginning_of_others(sweep: Sweep) -> None:
    assert pivots(sweep(6), "pspnet")[0].base == "PSPNet18"


@pytest.mark.parametrize(
    ("base", "words"),
    [("psp", "several methods .* PSPNet18, PSPNet18 0.5x"), ("icnet", "no method")],
)
def test_a_base_that_is_not_one_method_is_refused(sweep: Sweep, base: str, words: str) -> None:
    with pytest.raises(UsageError, match=f"--base {base} names {words}"):
        pivots(sweep(6), base)


def test_what_was_not_measured_is_a_dash_and_refusals_say_why(make_row: MakeRow) -> None:
    stream = {"codec": "raw", "codec_name": "uncompressed", "codec_rate": ""}
    missing = {"miou": None, "gmacs_gop": None, "bitrate_kbps": None, "psnr_db": None, "ssim": None}
    rows = [
        make_row("A", gmacs_gop=9, miou=0.5),
        make_row("B", gmacs_gop=5, miou=0.6),
        make_row(
            "A", gmacs_gop=9, miou=0.7, bitrate_kbps=62208.0, psnr_db=None, ssim=None, **stream
        ),
        make_row("B", status="refused", reason="no vectors", **stream, **missing),
        make_row("C", gmacs_gop=1, miou=0.1),
    ]
    text = render_pivot(rows, "md")
    first, second = read(text)
    assert (first["A"], first["B"], first["gain B"], first["gain C"]) == (
        "50.00",
        "**60.00**",
        "+10.00",
        "-40.00",
    )
    assert (second["A"], second["B"], second["gain B"], second["C"], second["gain C"]) == (
        "70.00",
        "refused",
        "-",
        "-",
        "-",
    )
    assert (second["kbit/s measured"], second["PSNR dB"]) == ("62208", "-")
    assert "- B under uncompressed, refused: no vectors" in text


def test_a_table_for_each_dataset_size_and_protocol(make_row: MakeRow) -> None:
    rows = [
        make_row("A"),
        make_row("A", dataset="b", dataset_title="B"),
        make_row("A", height=360),
        make_row("A", protocol="p"),
    ]
    assert [table.heading for table in pivots(rows)] == [
        "B 720x960 / dense / GOP 12",
        "CamVid 360x960 / dense / GOP 12",
        "CamVid 720x960 / dense / GOP 12",
        "CamVid 720x960 / p / GOP 12",
    ]


def test_gops_that_differ_stand_in_the_lines(make_row: MakeRow) -> None:
    (table,) = pivots([make_row("A"), make_row("A", gop=4, gmacs_gop=7.0)])
    assert table.heading == "CamVid 720x960 / dense"
    assert sorted(line[0].text for line in table.grid(table.methods).lines) == [
        "HEVC, GOP 12",
        "HEVC, GOP 4",
    ]
    assert not any("GMACs" in remark for remark in table.remarks())


def test_weights_trained_for_a_codec_stay_in_one_column_and_are_named(make_row: MakeRow) -> None:
    rows = [
        make_row("A", codec=codec, codec_name=codec, weights=f"{codec}.safetensors")
        for codec in ("h264", "hevc")
    ]
    (table,) = pivots(rows)
    assert table.methods == ("A",)
    assert (
        "A has other weights under other codecs: h264.safetensors, hevc.safetensors."
        in table.remarks()
    )
    again = [*rows, make_row("A", codec="hevc", codec_name="hevc", weights="h264.safetensors")]
    assert len(pivots(again)[0].methods) == 3


def test_csv_and_json_hold_fractions(sweep: Sweep) -> None:
    rows = sweep(2)
    records = json.loads(render_pivot(rows, "json"))
    listed = list(csv.DictReader(io.StringIO(render_pivot(rows, "csv"))))
    assert len(records) == len(listed) == 13
    h264 = next(record for record in records if record["codec"] == "h264[bitrate=300k,gop=12]")
    base, other = (row for row in rows if row["codec"] == "h264[bitrate=300k,gop=12]")
    assert h264["bitrate_kbps"] == base["bitrate_kbps"]
    assert h264["miou"] == {"PSPNet18": base["miou"], "AR0.5-PSP18": other["miou"]}
    assert h264["gain"] == {"AR0.5-PSP18": other["miou"] - base["miou"]}
    line = listed[records.index(h264)]
    assert float(line["gain AR0.5-PSP18"]) == other["miou"] - base["miou"]
    assert (line["base"], line["codec_rate"]) == ("PSPNet18", "300 kb/s")
    assert (records[-1]["psnr_db"], listed[-1]["psnr_db"]) == (None, "inf")


def test_latex_has_as_many_cells_as_columns(sweep: Sweep) -> None:
    text = render_pivot(sweep(3), "latex")
    assert r"\begin{tabular}{llrrrrrrrr}" in text
    lines = [line for line in text.splitlines() if re.search(r"(?<!\\)&", line)]
    assert len(lines) == 14
    assert {len(re.split(r"(?<!\\)&", line)) for line in lines} == {10}
    assert text.count(r"\textbf{") == 13


@pytest.mark.parametrize("format", list(FORMATS))
def test_the_order_of_rows_does_not_matter(sweep: Sweep, format: str) -> None:
    rows = sweep(3)
    assert (
        render_pivot(rows, format)
        == render_pivot(rows[::-1], format)
        == render_pivot(rows[7:] + rows[:7], format)
    )


def test_the_terminal_table_fits_100_columns_and_loses_no_number(sweep: Sweep) -> None:
    rows = [row | {"display": f"{row['display']} (width 0.5)"} for row in sweep(6)]
    text = shown(rows)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 100
    assert "…" not in text
    numbers = text.split()
    assert all(f"{100 * row['miou']:.2f}" in numbers for row in rows)
    assert "300 kb/s" in text
    assert "gain: points of mIoU of the method to its left over PSPNet18 (width 0.5)." in text


def test_what_cannot_be_rendered_is_refused_in_words(make_row: MakeRow) -> None:
    with pytest.raises(UsageError, match="'xml': expected md, csv, latex, html, json"):
        render_pivot([make_row()], "xml")
    with pytest.raises(UsageError, match="no results to show"):
        render_pivot([], "md")
