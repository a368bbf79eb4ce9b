"""How rates are read and shown."""

from typing import Any

import pytest

from vssbench.codec.spec import check_gop, format_rate, parse_rate
from vssbench.errors import UsageError


@pytest.mark.parametrize(
    ("text", "bits"), [("3M", 3_000_000), ("300k", 300_000), ("1.5M", 1_500_000), (1_500_000, 1_500_000), ("64000", 64_000)]
)
def test_rates_are_read(text: Any, bits: int) -> None:
    assert parse_rate(text) == bits


@pytest.mark.parametrize("text", ["", "fast", "3 Mb", "-1M", "0", "3m", True, "1e6k"])
def test_other_rates_are_refused(text: Any) -> None:
    with pytest.raises(UsageError, match=r"expected bits per second above 0, as 3M, 300k"):
        parse_rate(text)


@pytest.mark.parametrize(("bits", "text"), [(1_000_000, "1 Mb/s"), (1_500_000, "1.5 Mb/s"), (300_000, "300 kb/s")])
def test_rates_are_shown(bits: int, text: Any) -> None:
    assert format_rate(bits) == text


@pytest.mark.parametrize("gop", [0, -3, 2.5, "12", True])
def test_impossible_gops_are_refused(gop: Any) -> None:
    with pytest.raises(UsageError, match="whole number of frames"):
        check_gop(gop)
