"""The interface of all codecs: GOPs, rates, sources of motion."""

from typing import Any

import pytest

from vssbench.codec.rate import Rate, format_rate, parse_rate, rate_control, within
from vssbench.codec.spec import check_gop
from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.variant import parse_variant


@pytest.mark.parametrize(
    ("text", "bits"),
    [
        ("3M", 3_000_000),
        ("300k", 300_000),
        ("1.5M", 1_500_000),
        (1_500_000, 1_500_000),
        ("64000", 64_000),
    ],
)
def test_rates_are_read(text: Any, bits: int) -> None:
    assert parse_rate(text) == bits


@pytest.mark.parametrize("text", ["", "fast", "3 Mb", "-1M", "0", "3m", True, "1e6k"])
def test_other_rates_are_refused(text: Any) -> None:
    with pytest.raises(UsageError, match=r"expected bits per second above 0, as 3M, 300k"):
        parse_rate(text)


@pytest.mark.parametrize(
    ("bits", "text"), [(1_000_000, "1 Mb/s"), (1_500_000, "1.5 Mb/s"), (300_000, "300 kb/s")]
)
def test_rates_are_shown(bits: int, text: Any) -> None:
    assert format_rate(bits) == text


@pytest.mark.parametrize("gop", [0, -3, 2.5, "12", True])
def test_impossible_gops_are_refused(gop: Any) -> None:
    with pytest.raises(UsageError, match="whole number of frames"):
        check_gop(gop)


def test_one_control_of_the_rate_at_a_time() -> None:
    assert rate_control("3M") == Rate(bit_rate=3_000_000)
    assert rate_control("3M", crf=0, crf_range=(0, 51)) == Rate(crf=0)
    assert rate_control("3M", qp=30, qp_range=(0, 51)) == Rate(qp=30)
    assert [rate_control("1M").describe(), Rate(crf=22.5).describe(), Rate(qp=30).describe()] == [
        "1 Mb/s",
        "CRF 22.5",
        "QP 30",
    ]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bitrate": "1M", "crf": 20}, "bitrate=1M and crf=20 exclude each other"),
        ({"bitrate": "3M", "crf": 20, "qp": 30}, "crf=20 and qp=30 exclude each other"),
        ({"bitrate": "3M", "crf": 52}, "expected a number from 0 to 51"),
        ({"bitrate": "3M", "qp": 3.5}, "expected a whole number from 1 to 31"),
    ],
)
def test_wrong_controls(given: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        rate_control(**given, crf_range=(0, 51), qp_range=(1, 31))


def test_an_encoder_without_a_control_says_so() -> None:
    with pytest.raises(UsageError, match="has no crf: use bitrate or qp"):
        rate_control("3M", crf=20, qp_range=(1, 31))


def test_a_number_in_its_range() -> None:
    assert within("refs", 3, 1, 16) == 3
    with pytest.raises(
        UsageError, match="refs=0 cannot be used: expected a whole number from 1 to 16"
    ):
        within("refs", 0, 1, 16)


def test_an_unknown_source_of_motion() -> None:
    codec = parse_variant("h264[motion=estimated]")
    assert registry.create("codecs", codec).source == "estimated"
    with pytest.raises(UsageError, match="'flow' of h264: expected codec, estimated or none"):
        registry.create("codecs", parse_variant("h264[motion=flow]"))
