"""The table of published numbers, and the command that prints them."""

import json
from math import log

import pytest
from click.testing import CliRunner

from vssbench.cli.cost import cost
from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import parse_variant
from vssbench.cost.conventions import conventions
from vssbench.cost.published import matching, read

HEAD = (
    "variant,part,classes,height,width,gop,what,convention,operations,known_by,"
    "auxiliary,input,value,unit,source,explained,note\n"
)


def call(*arguments):
    return CliRunner().invoke(cost, arguments)


def test_a_variant_is_found_however_it_is_typed():
    short, long = (
        matching(parse_variant(text), 12, (720, 960))
        for text in ("arseg", "arseg[window=7,scale=0.5]")
    )
    assert short == long
    assert 101.98 in [row.value for row in short]
    assert not any(row.size not in (None, (720, 960)) for row in short)


def test_camvid_with_and_without_void_and_no_other_size():
    assert matching(parse_variant("pspnet"), 11, (720, 960)) == matching(
        parse_variant("pspnet"), 12, (720, 960)
    )
    assert [row.what for row in matching(parse_variant("pspnet"), 12, (64, 64))] == ["params"]
    assert matching(parse_variant("pspnet"), 7, (720, 960)) == []


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("pspnet,,12,720,960,,gmacs,macs,macs,stated,with,stated,1,G,a,,", "line 2: what='gmacs'"),
        (
            "pspnet,,12,720,960,,gmacs_key,thop,macs,stated,with,stated,1,G,a,,",
            "line 2: convention='thop'",
        ),
        (
            "pspnet,,12,720,960,,gmacs_key,macs,flops,stated,with,stated,1,G,a,,",
            "line 2: operations='flops'",
        ),
        (
            "pspnet,,12,720,960,,gmacs_key,macs,macs,guessed,with,stated,1,G,a,,",
            "line 2: known_by='guessed'",
        ),
        ("pspnet,,12,720,960,,gmacs_key,macs,macs,stated,,stated,1,G,a,,", "line 2: auxiliary=''"),
        ("pspnet,,12,720,960,,gmacs_key,macs,macs,stated,with,,1,G,a,,", "line 2: input=''"),
        (
            "pspnet,,12,720,960,,gmacs_key,macs,macs,stated,with,stated,1,G,a,much,why",
            "line 2: explained='much'",
        ),
        (
            "pspnet,,12,720,960,,gmacs_key,macs,macs,stated,with,stated,1,G,a,0.00,why",
            "line 2: explained='0.00'",
        ),
        (
            "pspnet,,12,720,960,,gmacs_key,macs,macs,stated,with,stated,1,G,a,0.5,",
            "line 2: explained='0.5', and the note that explains it is empty",
        ),
        (
            "pspnet,,12,720,,,gmacs_key,macs,macs,stated,with,stated,1,G,a,,",
            "line 2: invalid literal",
        ),
        (
            "pspnet,,12,720,960,,gmacs_gop,macs,macs,stated,with,stated,1,G,a,,",
            "line 2: invalid literal",
        ),
    ],
)
def test_a_broken_row_is_named(row, message, tmp_path):
    file = tmp_path / "costs.csv"
    file.write_text(HEAD + row + "\n")
    with pytest.raises(DataError, match=message):
        read(file)


def test_a_missing_table_is_refused_in_words(tmp_path):
    with pytest.raises(DataError, match=r"come with a checkout.*: run `python bench\.py`"):
        read(tmp_path / "costs.csv")


def test_the_command_names_the_convention():
    result = call("-m", "pspnet[width=0.25]", "--size", "96x128", "--convention", "arseg")
    assert "convention arseg" in result.stderr
    rows = json.loads(
        call(
            "-m", "pspnet[width=0.25]", "--size", "96x128", "--convention", "liminn", "--json"
        ).stdout
    )
    assert [row["convention"] for row in rows] == ["liminn"]
    help_text = call("--help").stdout
    assert all(name in help_text for name in conventions())


def test_the_command_knows_every_convention():
    option = next(option for option in cost.params if option.name == "convention")
    assert list(option.type.choices) == list(conventions())


def test_published_values_stand_beside_ours():
    result = call(
        "-m",
        "bisenet",
        "-m",
        "bisenet[width=0.25]",
        "--size",
        "720x960",
        "--published",
        "--classes",
        "12",
    )
    lines = result.stdout.splitlines()
    found = next(line for line in lines if "Table 1" in line)
    assert found.split().count("58.83") == 2
    assert "arseg" in found
    assert any("bisenet[width=0.25]" in line and "nothing published" in line for line in lines)
    row = json.loads(call("-m", "pspnet", "--size", "720x960", "--published", "--json").stdout)[0]
    table_1 = next(found for found in row["published"] if "Table 1" in found["source"])
    assert (table_1["convention"], table_1["value"], table_1["classes"]) == ("arseg", "309.02", 12)
    assert table_1["ours"] == pytest.approx(309.02, abs=0.01)


def test_a_cross_check_has_one_convention():
    result = call(
        "-m", "bisenet[width=0.25]", "--size", "96x128", "--convention", "arseg", "--cross-check"
    )
    assert isinstance(result.exception, UsageError)
    assert "as the convention macs does" in str(result.exception)


def test_a_source_that_counts_two_operations_is_compared_in_its_own(tmp_path):
    file = tmp_path / "costs.csv"
    rows = [
        f"pspnet[width=0.25],,12,96,128,,gmacs_key,macs,{unit},stated,without,assumed,1,G,a,,"
        for unit in ("macs", "2macs")
    ]
    file.write_text(HEAD + "\n".join(rows) + "\n")
    once, twice = read(file)
    assert twice.ours() == 2 * once.ours()
    assert (twice.counted(), twice.shape()) == ("2 x MACs, stated", "96x128 (assumed)")


@pytest.mark.parametrize(
    "row",
    [row for row in read() if row.operations == "macs"],
    ids=lambda row: f"{row.typed}-{row.printed}",
)
def test_the_operations_of_a_source_are_those_that_come_near_ours(row):
    """Read as twice the multiply-accumulates, no number of them would be nearer to ours."""
    near, twice = abs(log(row.value / row.ours())), abs(log(row.value / (2 * row.ours())))
    assert near < twice


def test_every_number_says_what_it_counts():
    for row in read():
        counted = row.size is not None
        assert bool(row.operations) == bool(row.known_by) == bool(row.input) == counted
        assert (row.what == "params_inference") <= (row.auxiliary in ("without", "none"))


def test_the_command_shows_what_a_number_counts():
    text = call("-m", "pspnet", "--size", "720x960", "--published", "--classes", "12").stdout
    line = next(line for line in text.splitlines() if "Table 1" in line)
    assert "MACs, stated" in line
    assert "with" in line.split()
    with_csv = call("-m", "pspnet", "--size", "96x128", "--published", "--format", "csv")
    assert "csv holds one" in str(with_csv.exception)
