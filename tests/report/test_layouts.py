"""The layouts of papers' tables: every published number of a table stands in one cell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vssbench.core import registry
from vssbench.core.errors import DataError, UsageError
from vssbench.core.variant import parse_variant
from vssbench.protocol import protocol
from vssbench.report.paper import numbers
from vssbench.report.paper.layout import KEYS, Layout, find, layouts, of_paper
from vssbench.report.paper.needs import codec_of
from vssbench.report.paper.ours import ACCURACIES

ROOT = Path(__file__).resolve().parent.parent.parent
LAYOUTS = list(layouts().values())
#: tables that a user can ask for by these names, whatever file they are in
ASKED = (
    "arseg-1", "arseg-2", "arseg-3", "arseg-4", "arseg-5", "dff-4", "icnet-2", "bisenet-6",
    "bisenet-8", "dsrl-4",
)  # fmt: skip


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_every_number_of_a_table_stands_in_one_cell(layout: Layout) -> None:
    frame = numbers.published(layout.paper.key)
    its = frame[(frame["table"] == layout.table) & (frame["status"] != "derived")]
    shown = [
        tuple(number[key] for key in (*KEYS, "value"))
        for _, _, number in layout.numbers()
        if number is not None
    ]
    assert len(shown) == len(set(shown)) == len(its)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_no_line_and_no_column_is_empty(layout: Layout) -> None:
    filled = {
        (line.label, line.part, column.title)
        for line, column, number in layout.numbers()
        if number is not None
    }
    assert {(line.label, line.part) for line in layout.lines} == {cell[:2] for cell in filled}
    assert {column.title for column in layout.columns} == {cell[2] for cell in filled}
    assert len({column.title for column in layout.columns}) == len(layout.columns)


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_settings_can_be_run_as_they_are_typed(layout: Layout) -> None:
    for setting in (way for each in layout.paper.settings for way in each.ways):
        registry.create("codecs", parse_variant(setting.codec))
        assert registry.resolved("datasets", parse_variant(setting.dataset))
        assert protocol(setting.protocol).details()


def test_every_accuracy_of_a_method_here_has_a_setting_but_those_of_test_servers() -> None:
    without = [
        (layout.name, number["dataset"], number["split"])
        for layout in LAYOUTS
        for _, _, number in layout.numbers()
        if number is not None
        and number["variant"]
        and number["metric"] in ACCURACIES
        and layout.paper.setting(number) is None
    ]
    assert {(dataset, split) for _, dataset, split in without} == {("Cityscapes", "test")}


def test_a_paper_s_encoding_at_another_gop_can_be_run() -> None:
    setting = find("arseg-3").paper.settings[0]
    assert codec_of(setting, 12) == setting.codec
    codec = registry.create("codecs", parse_variant(codec_of(setting, 30)))
    assert (codec.gop, codec.bframes, codec.rect) == (30, 0, True)


def test_names_that_are_asked_for_are_known() -> None:
    assert all(find(name) for name in ASKED)
    assert find("dsrl-4").name == "dsrl-readme"
    assert "were not found" in find("dsrl-4").remarks[0]
    with pytest.raises(UsageError, match="no layout 'arseg-9': there are arseg-1, arseg-2"):
        find("arseg-9")


def test_tables_of_a_paper() -> None:
    assert [each.name for each in of_paper("dff")] == ["dff-2", "dff-4", "dff-5", "dff-fig3"]
    assert [each.name for each in of_paper("arseg", "fig4a")] == ["arseg-fig4a"]
    with pytest.raises(UsageError, match="no tables of 'segnet': there are those of arseg"):
        of_paper("segnet")
    with pytest.raises(UsageError, match="no table '7' of arseg: there are 1, 2"):
        of_paper("arseg", "7")


def test_the_documentation_names_every_layout() -> None:
    text = (ROOT / "docs" / "published.md").read_text(encoding="utf-8")
    named = set()
    for first, last in re.findall(
        r"`(\w+-\w+)`(?: to `\w+-(\d+)`)?", text.partition("| layouts")[2]
    ):
        paper, _, table = first.partition("-")
        named |= {f"{paper}-{n}" for n in range(int(table), int(last) + 1)} if last else {first}
    assert named >= {layout.name for layout in LAYOUTS}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("title = ", "is no TOML"),
        ("[[table]]\nname = '1'", "a setting lacks or has too much: 'title'"),
        ("title = 'P'\n[[table]]\nname = '1'\nlines = []\ncolumns = []", "a table lacks 'table'"),
        (
            "title = 'P'\n[[table]]\nname = '1'\ntable = 'Table 1'\ntitle = 'T'\nlines = []\n"
            "columns = [{ heading = 'x', metric = 'ms' }, { heading = 'x', metric = 'fps' }]",
            "two columns of a table have the headings 'x'",
        ),
        (
            "title = 'P'\n[[setting]]\ncodecs = 'x'\nas = {}",
            "'codecs' is no column of the published numbers",
        ),
        (
            "title = 'P'\n[[setting]]\ncodec = 'x'\nas = { dataset = 'd' }",
            "a setting lacks or has too much",
        ),
    ],
)
def test_a_broken_layout_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text(text)
    with pytest.raises(DataError, match=message):
        layouts(tmp_path)


def test_no_layouts_are_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"come with a checkout.*: run `python bench\.py`"):
        layouts(tmp_path)
