"""A paper's table: published numbers and ours side by side, what differs and what is missing said,
sound markup in every format."""

from __future__ import annotations

import pandas as pd
import pytest

from tests.report.papers import EXACT, LAYOUTS, MakeRow, cell, table1
from vssbench.report.paper.cells import FIELDS, cells, shown
from vssbench.report.paper.layout import Layout, find
from vssbench.report.paper.ours import Store
from vssbench.report.paper.sheet import (
    Notes,
    sheet,
)

pytestmark = pytest.mark.usefixtures("no_counting")


def test_a_run_under_the_paper_s_conditions_has_a_difference(make_row: MakeRow) -> None:
    row = make_row(method="arseg[scale=0.7]", miou=0.70, **EXACT)
    frame = table1(row)
    its = cell(frame, "AR0.7-PSP18", "mIoU %")
    assert (its["published"], its["ours"], its["same"]) == (71.23, 70.0, True)
    assert its["difference"] == pytest.approx(-1.23)
    assert its["reason"] == ""
    assert its["run_id"] == row["run_id"]
    other = cell(frame, "AR0.6-PSP18", "mIoU %")
    assert pd.isna(other["ours"])
    assert other["reason"] == (
        "no run of this method on CamVid under HEVC@3Mbps is in the store; those of arseg there "
        "are arseg[scale=0.7]"
    )
    none = cell(frame, "BiseNet18", "mIoU %")
    assert none["reason"] == "no run of this method on CamVid under HEVC@3Mbps is in the store"


def test_parameters_may_be_typed_in_any_way_and_the_paper_s_warp_is_its_own(
    make_row: MakeRow,
) -> None:
    typed = "arseg[warp=paper,backbone=psp18,scale=0.5]"
    assert cell(table1(make_row(method=typed, **EXACT)), "AR0.5-PSP18", "mIoU %")["same"]
    moved = table1(make_row(method="arseg[warp=off]", **EXACT))
    assert moved.loc[moved["metric"] == "miou", "ours"].isna().all()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"method": "arseg[width=0.5]"}, "width=0.5"),
        ({"split": "val"}, "split val, not test"),
        ({"classes": 11}, "11 classes, not 12"),
        ({"height": 360, "width": 480}, "360x480, not 720x960"),
        ({"codec": "h264[bitrate=1M]"}, "h264[bitrate=1M], not HEVC@3Mbps"),
        ({"protocol": "dense"}, "protocol dense, not every-distance"),
    ],
)
def test_what_differs_is_said_and_takes_the_difference_away(
    given: dict[str, object], reason: str, make_row: MakeRow
) -> None:
    row = make_row(**{"method": "arseg", "miou": 0.6} | EXACT | given)
    its = cell(table1(row), "AR0.5-PSP18", "mIoU %")
    assert (its["ours"], its["reason"], its["same"]) == (60.0, reason, False)
    assert pd.isna(its["difference"])
    assert pd.isna(cell(table1(row, exact=True), "AR0.5-PSP18", "mIoU %")["ours"])


@pytest.mark.parametrize("given", [{"gop": 15}, {"dataset": "cityscapes"}, {"method": "pspnet"}])
def test_another_gop_dataset_or_method_does_not_stand_there(
    given: dict[str, object], make_row: MakeRow
) -> None:
    row = make_row(**{"method": "arseg"} | EXACT | given)
    assert pd.isna(cell(table1(row), "AR0.5-PSP18", "mIoU %")["ours"])


def test_the_run_that_differs_least_is_taken_then_the_newest(make_row: MakeRow) -> None:
    far = make_row("far", method="arseg", miou=0.5, **EXACT | {"split": "val", "classes": 11})
    near = make_row("near", method="arseg", miou=0.6, **EXACT | {"split": "val"})
    new = make_row(
        "new", method="arseg", miou=0.7, created="2027-01-01", **EXACT | {"split": "val"}
    )
    for rows in ((far, near, new), (new, near, far)):
        assert cell(table1(*rows), "AR0.5-PSP18", "mIoU %")["run_id"] == "id-new"
    assert cell(table1(far, near), "AR0.5-PSP18", "mIoU %")["run_id"] == "id-near"


def test_a_table_of_codecs_takes_no_run_of_another_codec(make_row: MakeRow) -> None:
    row = make_row(method="pspnet", **EXACT)
    frame = cells(find("arseg-4"), Store([row]))
    its = frame[frame["column"] == "PSPNet18 1.0x"].set_index("line")["ours"]
    assert its.notna().to_dict() == {
        "HEVC@3Mbps": True, "HEVC@1Mbps": False, "x265-medium@3Mbps": False,
        "x265-ultrafast@3Mbps": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"gop": 6}, "have a GOP of 6"),
        (
            {"codec": "hevc[bitrate=1M]"},
            "are under hevc[bitrate=1M], not hevc[paper=arseg-camvid,bitrate=1M,fill=zero,"
            "whole_pixels=true,cell=4]",
        ),
        ({"miou": None, "status": "done"}, "have no such number"),
        ({"method": "pspnet[scale=0.5]"}, "those of pspnet there are pspnet[scale=0.5]"),
    ],
)
def test_a_run_that_does_not_stand_there_is_told_from_none(
    given: dict[str, object], said: str, make_row: MakeRow
) -> None:
    frame = cells(find("arseg-4"), Store([make_row(**{"method": "pspnet"} | EXACT | given)]))
    its = frame[(frame["line"] == "HEVC@1Mbps") & (frame["column"] == "PSPNet18 1.0x")].iloc[0]
    assert pd.isna(its["ours"])
    assert its["reason"].startswith("no run of this method on CamVid under HEVC@1Mbps is in the")
    assert its["reason"].endswith(said)


def test_the_paper_s_codec_is_what_runs_are_told_from(make_row: MakeRow) -> None:
    rows = [
        make_row(codec, method="pspnet", **EXACT | {"codec": codec})
        for codec in ("h264[bitrate=3M]", "hevc[bitrate=1M]", "hevc[bitrate=300k]")
    ]
    for its, listed in (
        (rows, "hevc[bitrate=1M], hevc[bitrate=300k], not hevc[paper"),
        (rows[:1], "h264[bitrate=3M], not hevc[paper"),
    ):
        frame = cells(find("arseg-4"), Store(its))
        assert f"those there are under {listed}" in frame["reason"].iloc[0]


def test_times_on_one_dataset_are_not_those_of_another(make_row: MakeRow) -> None:
    here = {"method": "icnet", "machine": "TitanX Maxwell, Caffe", "latency_key_ms": 20.0}
    frames = [
        cells(find("icnet-4"), Store([make_row(dataset=name, **here)]))
        for name in ("camvid", "cityscapes[split=val]")
    ]
    known = [frame.loc[frame["metric"] == "ms", "ours"].notna().sum() for frame in frames]
    assert known == [0, 2]
    none = frames[0][(frames[0]["metric"] == "ms") & frames[0]["variant"].ne("")]
    assert set(none["reason"]) == {
        "no run of this method on Cityscapes is in the store; the paper timed on TitanX Maxwell, "
        "Caffe"
    }


def test_ours_has_two_digits_where_the_paper_prints_none() -> None:
    assert [shown(value, "32") for value in (1.14, 68.4, 0.0123, 0.0)] == [
        "1.1", "68", "0.012", "0",
    ]  # fmt: skip
    assert shown(1.14, "3.500") == "1.140"


def test_a_misprint_is_called_so_once() -> None:
    shown_as = sheet(find("arseg-2"), cells(find("arseg-2"), Store()))
    assert [text for _, text in shown_as.notes if "isprint" in text] == [
        "A misprint: Table 1 has 133.09 for this row, and the reduction of 57.0 % printed beside "
        "it agrees with 133."
    ]


def test_distances_classes_and_times_come_from_the_run(make_row: MakeRow) -> None:
    curve = [0.7, 0.71, None, 0.73]
    row = make_row(method="arseg", miou_by_distance=curve, **EXACT)
    frame = cells(find("arseg-fig4b"), Store([row])).set_index(["line", "column"])
    assert frame.loc[("AR0.5-PSP18", "d=1"), "ours"] == pytest.approx(71.0)
    assert frame.loc["AR0.5-PSP18"]["ours"].notna().sum() == 3

    timed = cells(find("arseg-5"), Store([make_row(method="arseg", **EXACT)]))
    its = timed[(timed["line"] == "AR0.5-PSP18") & (timed["group"] == "CamVid")]
    mean = (812.3 + 11 * 301.9) / 12
    assert its["ours"].tolist() == pytest.approx([mean, 1000 / mean])
    assert its["reason"].iloc[0].startswith("timed on Xeon, 2 threads, not RTX 3090")

    classes = {"Pavement": 0.8, "SignSymbol": 0.4, "Building": 0.9}
    data = {"dataset": "camvid[split=test]", "codec": "raw", "split": "test", "classes": 11}
    row = make_row(method="bisenet[form=torchseg]", per_class=classes, **EXACT | data)
    frame = cells(find("bisenet-8"), Store([row]))
    shown = frame[frame["ours"].notna() & (frame["metric"] == "iou")]
    assert shown.set_index("column")["ours"].to_dict() == pytest.approx(
        {"Building": 90.0, "Sign": 40.0, "Sidewalk": 80.0}
    )


def test_the_best_and_the_second_of_a_column() -> None:
    frame = table1()
    camvid = frame[frame["group"] == "CamVid"]
    best = camvid[camvid["rank_published"] == 1].set_index("column")["line"].to_dict()
    second = camvid[camvid["rank_published"] == 2].set_index("column")["line"].to_dict()
    assert best == {"mIoU %": "AR0.7-Bise18", "GFLOPs": "AR0.5-Bise18"}
    assert second == {"mIoU %": "AR0.6-Bise18", "GFLOPs": "AR0.6-Bise18"}
    counted = camvid[camvid["metric"] == "gmacs"]
    assert counted["rank_ours"].equals(counted["rank_published"].rename("rank_ours"))


def test_a_misprint_is_never_the_best() -> None:
    frame = cells(find("arseg-2"), Store())
    its = frame[(frame["group"] == "CamVid") & (frame["metric"] == "gmacs")].set_index("line")
    assert its.loc["AR0.6-PSP18", "status"] == "misprint"
    assert pd.isna(its.loc["AR0.6-PSP18", "rank_published"])
    assert its.loc["BlockCopy", "rank_published"] == 2


def test_ours_are_ranked_among_numbers_of_the_same_conditions(make_row: MakeRow) -> None:
    exact = make_row("a", method="arseg", miou=0.5, **EXACT)
    other = make_row("b", method="pspnet", miou=0.9, **EXACT | {"split": "val"})
    alike = make_row("c", method="bisenet", miou=0.4, **EXACT)
    frame = table1(exact, other, alike)
    its = frame[(frame["group"] == "CamVid") & (frame["metric"] == "miou")].set_index("line")
    ranks = its["rank_ours"]
    assert (ranks["AR0.5-PSP18"], ranks["BiseNet18"]) == (1, 2)
    assert pd.isna(ranks["PSPNet18"])


def test_a_line_is_ranked_where_columns_are_methods() -> None:
    frame = cells(find("icnet-2"), Store())
    time = frame[frame["line"] == "Time (ms)"].set_index("group")
    assert frame.loc[
        (frame["line"] == "Time (ms)") & (frame["rank_published"] == 1), "column"
    ].tolist() == ["sub4"]
    assert len(time) == 4


def test_the_frame_has_the_declared_columns_and_dtypes() -> None:
    for layout in LAYOUTS:
        frame = cells(layout, Store())
        assert [(name, str(dtype)) for name, dtype in frame.dtypes.items()] == [
            (field.name, field.dtype) for field in FIELDS
        ]
        assert len(frame) == len(layout.lines) * len(layout.columns)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_empty_cells_have_a_reason(layout: Layout) -> None:
    frame = cells(layout, Store())
    asked = frame[(frame["metric"] != "") & frame["same"].notna()]
    assert (asked["reason"] != "")[asked["ours"].isna()].all()
    shown = sheet(layout, frame)
    dashes = [entry for line in shown.lines for entry in line.entries if entry.text == "-"]
    assert len(dashes) == asked["ours"].isna().sum()
    assert all(entry.marks for entry in dashes)
    letters = {mark for mark, _ in shown.notes}
    used = {mark for line in shown.lines for e in line.entries for mark in e.marks.split(",")}
    assert used - {""} == letters


def test_what_holds_for_every_published_number_is_said_once() -> None:
    shown = sheet(find("bisenet-8"), cells(find("bisenet-8"), Store()))
    assert "Trained on train and val." in shown.remarks
    assert not any("Trained" in note for _, note in shown.notes)


def test_letters_go_on_after_z() -> None:
    notes = Notes(["left out"])
    marks = [notes.mark(f"note {number}") for number in range(28)]
    assert (marks[0], marks[25], marks[26], marks[27]) == ("a", "z", "aa", "ab")
    assert notes.mark("note 0", "", "left out", "note 1") == "a,b"
    assert len(notes.all()) == 28


def test_the_authors_own_files_are_the_paper_s_conditions_too(make_row: MakeRow) -> None:
    given = {"dataset": "arsegdata", "codec": "raw[motion=given]", "protocol": "dense"}
    row = make_row(method="arseg[warp=paper]", miou=0.7048, **EXACT | given)
    its = cell(table1(row, exact=True), "AR0.5-PSP18", "mIoU %")
    assert (its["same"], its["difference"]) == (True, pytest.approx(0.0))
    coded = make_row(method="arseg[warp=paper]", **EXACT | given | {"codec": "h264[bitrate=1M]"})
    assert not cell(table1(coded), "AR0.5-PSP18", "mIoU %")["same"]
