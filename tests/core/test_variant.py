"""The bracket grammar: what it reads, what it refuses, and that a variant can be typed again."""

from __future__ import annotations

import itertools

import pytest

from vssbench.core.errors import UsageError
from vssbench.core.variant import Value, Variant, format_value, parse_value, parse_variant


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pspnet", Variant("pspnet")),
        ("pspnet[]", Variant("pspnet")),
        ("  h264 [ bitrate = 3M , gop=12 ] ", Variant("h264", {"bitrate": "3M", "gop": 12})),
        ("arseg[backbone=psp18,scale=0.5]", Variant("arseg", {"backbone": "psp18", "scale": 0.5})),
        ("my-net_2.0[x=1]", Variant("my-net_2.0", {"x": 1})),
        (
            "copy[network=icnet[ keep=1, form=mmseg],width=0.5]",
            Variant("copy", {"network": "icnet[form=mmseg,keep=1]", "width": 0.5}),
        ),
    ],
)
def test_variants_that_read(text: str, expected: Variant) -> None:
    assert parse_variant(text) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "expected NAME"),
        ("[a=1]", "expected NAME"),
        ("2net", "expected NAME"),
        ("net[a=1", "expected NAME"),
        ("net a=1]", "expected NAME"),
        ("net[a=1]]", "expected key=value"),
        ("net[a]", "'a' in 'net[a]'"),
        ("net[a=]", "expected key=value"),
        ("net[=1]", "expected key=value"),
        ("net[a=b=c]", "expected key=value"),
        ("net[a=b[c=1]", "expected key=value"),
        ("net[a=b[c]]", "'c' in 'b[c]'"),
        ("net[a=[c=1]]", "expected key=value"),
        ("net[a=1,,b=2]", "empty entry"),
        ("net[a=1,]", "empty entry"),
        ("net[a=1,a=2]", "'a' is given twice"),
    ],
)
def test_variants_that_do_not_read(text: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_variant(text)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("on", True),
        ("True", True),
        ("yes", True),
        ("off", False),
        ("FALSE", False),
        ("no", False),
        ("12", 12),
        ("-3", -3),
        ("0.5", 0.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("1e-3", 1e-3),
        ("+2E2", 200.0),
        ("3M", "3M"),
        ("300k", "300k"),
        ("psp18", "psp18"),
        ("1.2.3", "1.2.3"),
        ("nan", "nan"),
    ],
)
def test_values(text: str, value: object) -> None:
    read = parse_value(text)
    assert read == value
    assert type(read) is type(value)


def test_every_variant_can_be_typed_again() -> None:
    values: list[Value] = [
        True,
        False,
        0,
        -7,
        10**12,
        0.1,
        1.0,
        1 / 3,
        0.123456789,
        1e-9,
        2.5e20,
        -0.5,
        "psp18",
        "3M",
        "a.b-c",
    ]
    for one, other in itertools.product(values, values):
        variant = Variant("net", {"first": one, "second": other})
        assert parse_variant(str(variant)) == variant


def test_equal_variants_have_equal_hashes() -> None:
    one, other = parse_variant("net[a=1,b=x]"), parse_variant("net[b=x,a=1.0]")
    assert one == other
    assert hash(one) == hash(other)
    assert len({one, other, parse_variant("net[a=2,b=x]")}) == 2


def test_formatting() -> None:
    assert [format_value(value) for value in (True, 1.0, 0.25, 7, "3M")] == [
        "true",
        "1",
        "0.25",
        "7",
        "3M",
    ]
