"""Streams in words: what was measured stands before what was asked for, and nothing unknown is made
up."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from vssbench.report.rows import Row
from vssbench.report.streams import (
    codec_key,
    curve,
    measured_rate,
    quality_text,
    stream_title,
    uncompressed,
)

MakeRow = Callable[..., Row]


@pytest.mark.parametrize(
    ("given", "title"),
    [
        ({}, "HEVC, 3012 kbit/s measured (3 Mb/s asked), GOP 12"),
        ({"codec_rate": "CRF 23"}, "HEVC, 3012 kbit/s measured (CRF 23 asked), GOP 12"),
        ({"codec_rate": ""}, "HEVC, 3012 kbit/s measured, GOP 12"),
        ({"bitrate_kbps": None}, "HEVC, 3 Mb/s asked, GOP 12"),
        ({"bitrate_kbps": None, "codec_rate": "", "gop": 0}, "HEVC"),
        ({"codec": "hevc[gop=12,refs=2,crf=9,cell=4]"}, "HEVC refs=2,cell=4, 3012 kbit/s measured "
                                                        "(3 Mb/s asked), GOP 12"),
        ({"codec_name": "", "codec_rate": ""}, "HEVC 3 Mb/s, 3012 kbit/s measured, GOP 12"),
        ({"codec_name": "", "codec_title": "", "codec_rate": ""}, "hevc[bitrate=3M], 3012 kbit/s "
                                                                  "measured, GOP 12"),
    ],
)  # fmt: skip
def test_titles_say_what_is_known(make_row: MakeRow, given: dict, title: str) -> None:
    assert stream_title([make_row(**given)]) == title


def test_a_title_without_gop_and_in_short(make_row: MakeRow) -> None:
    assert stream_title([make_row()], gop=False, short=True) == "HEVC, 3012 kbit/s (3 Mb/s asked)"


def test_measurements_that_differ_are_a_span_and_unknown_ones_do_not_count(
    make_row: MakeRow,
) -> None:
    rows = [
        make_row(bitrate_kbps=rate, psnr_db=psnr)
        for rate, psnr in ((1002.2, None), (986.6, 38.126), (None, 38.124))
    ]
    assert measured_rate(rows) == "987-1002"
    assert quality_text(rows, "psnr_db") == "38.12-38.13"
    assert quality_text(rows[1:2], "ssim") == "0.9604"
    assert (measured_rate(rows[2:]), quality_text(rows[:1], "psnr_db")) == ("", "")
    assert quality_text([make_row(psnr_db=math.inf)], "psnr_db") == "lossless"


def test_a_curve_is_a_codec_and_its_settings_but_the_rate(make_row: MakeRow) -> None:
    row = make_row(codec="hevc[crf=23,preset=fast,gop=12]")
    assert curve(row, gop=False) == "HEVC preset=fast"
    assert curve(row, gop=True) == "HEVC preset=fast, GOP 12"
    assert curve(make_row(codec_name=""), gop=False) == "hevc"


def test_the_order_of_parameters_and_a_typed_gop_make_no_difference(make_row: MakeRow) -> None:
    keys = {
        codec_key(make_row(codec=codec))
        for codec in ("hevc[qp=3,refs=2]", "hevc[refs=2,gop=12,qp=3]")
    }
    assert keys == {("hevc", "qp=3", "refs=2")}
    assert codec_key(make_row(codec="hevc[qp=4,refs=2]")) not in keys


def test_only_raw_is_uncompressed(make_row: MakeRow) -> None:
    assert uncompressed(make_row(codec="raw[gop=4]"))
    assert not uncompressed(make_row(psnr_db=math.inf))


@pytest.mark.parametrize("name", ["uncompressed", "given frames"])
def test_frames_that_came_coded_are_not_called_uncompressed(make_row: MakeRow, name: str) -> None:
    """Runs that were stored before have the codec's own title."""
    row = make_row(
        codec="raw[motion=given]", codec_name=name, codec_rate="", bitrate_kbps=None, psnr_db=None
    )
    assert stream_title([row]) == "given frames motion=given, GOP 12"
    assert curve(row, gop=False) == "given frames motion=given"
    assert not uncompressed(row)
