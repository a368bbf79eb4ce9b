"""Filters and the newest run of an experiment."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from vssbench.core.errors import UsageError
from vssbench.report.choose import chosen, matches, newest
from vssbench.report.rows import Row

MakeRow = Callable[..., Row]
Sweep = Callable[..., list[Row]]


@pytest.mark.parametrize(
    ("text", "variant", "expected"),
    [
        ("h264", "h264[bitrate=1M,gop=12]", True),
        ("h2", "h264[bitrate=1M,gop=12]", True),
        ("h264[bitrate=1M]", "h264[bitrate=1M,gop=12]", True),
        ("h264[gop=12]", "h264[bitrate=1M,gop=12]", True),
        ("h264[gop=12,bitrate=1M]", "h264[bitrate=1M,gop=12]", True),
        ("h264[bitrate=1", "h264[bitrate=1M,gop=12]", True),
        ("h264[bitrate=300k]", "h264[bitrate=1M,gop=12]", False),
        ("h264[preset=fast]", "h264", False),
        ("hevc", "h264", False),
        ("264", "h264", False),
        ("", "h264", True),
    ],
)
def test_a_filter_is_a_beginning_or_some_of_the_parameters(
    text: str, variant: str, expected: bool
) -> None:
    assert matches(text, variant) is expected


def test_filters_of_one_kind_add_and_of_several_kinds_narrow(sweep: Sweep) -> None:
    rows = sweep(3)
    assert chosen(rows) == rows
    kept = chosen(rows, codecs=["h264[bitrate=1M]", "av1"], methods=["arseg", "bise"])
    assert kept == [
        row
        for row in rows
        if row["codec"]
        in ("h264[bitrate=1M,gop=12]", "av1[bitrate=1M,gop=12]", "av1[bitrate=300k,gop=12]")
        and row["display"] in ("AR0.5-PSP18", "BiSeNet18")
    ]
    assert len(kept) == 6


def test_a_filter_that_finds_nothing_lists_what_there_is(make_row: MakeRow) -> None:
    rows = [make_row(), make_row(dataset="synthetic", codec="raw")]
    with pytest.raises(
        UsageError, match="-d citys: no result has such a dataset; there are camvid, synthetic"
    ):
        chosen(rows, datasets=["citys"])
    with pytest.raises(UsageError, match=r"-c vp9: .* hevc\[bitrate=3M\], raw"):
        chosen(rows, codecs=["raw", "vp9"])
    with pytest.raises(UsageError, match="all of -d and -c together: leave one"):
        chosen(rows, datasets=["camvid"], codecs=["raw"])
    with pytest.raises(UsageError, match="no results to show"):
        chosen([])


def test_a_protocol_and_a_gop_narrow(make_row: MakeRow) -> None:
    rows = [
        make_row(protocol=protocol, gop=gop)
        for protocol in ("dense", "every-distance[until=label]")
        for gop in (6, 12)
    ]
    assert chosen(rows, protocols=["every-distance"], gops=[12]) == [rows[3]]
    assert chosen(rows, gops=[6, 12]) == rows
    with pytest.raises(UsageError, match="--gop 1: no result has such a gop; there are 6, 12"):
        chosen(rows, gops=[1])
    with pytest.raises(UsageError, match="--protocol pairs: no result has such a protocol"):
        chosen(rows, protocols=["pairs"])


def test_the_newest_of_each_experiment_stays(make_row: MakeRow) -> None:
    days = ("2026-01-03", "2026-01-01", "2026-01-02")
    rows = [make_row("A", run_id=f"a{day}", created=day, version=day) for day in days]
    rows += [make_row("A", run_id="b", created="2025-01-01", codec="hevc[gop=12,bitrate=3M]")]
    rows += [
        make_row("A", run_id="c", created="2025-01-01", seed=1),
        make_row("A", run_id="d", gop=4),
    ]
    random.Random(0).shuffle(rows)
    kept, older = newest(rows)
    assert {row["run_id"] for row in kept} == {"a2026-01-03", "c", "d"}
    assert [row for row in rows if row in kept] == kept
    assert older == 3


@pytest.mark.parametrize(
    "field", ["method", "dataset", "codec", "protocol", "precision", "weights", "machine", "height"]
)
def test_what_is_another_experiment_is_not_older(make_row: MakeRow, field: str) -> None:
    rows = [make_row(created="2026-01-02"), make_row(created="2026-01-01", **{field: "other"})]
    assert newest(rows) == (rows, 0)
