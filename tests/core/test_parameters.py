"""Choices of a parameter: declared as Literal, checked in one place, wherever an object is made."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import pytest

from vssbench.codec.formats.hevc import PAPERS
from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.parameters import WithChoices, check_choices, choices, converted, either
from vssbench.core.variant import Value, parse_variant
from vssbench.methods import arseg, bisenet, dff, dsrl, icnet
from vssbench.methods.dff import flownet
from vssbench.methods.icnet import network as cascade
from vssbench.nets.pspnet import STYLES

if TYPE_CHECKING:
    from nowhere import Absent

Colour = Literal["red", "green"]


class Base(WithChoices):
    def __init__(self, *, colour: Colour = "red", size: Literal[4, 8] = 4, on: bool = True) -> None:
        self.colour, self.size = colour, size


class Derived(Base):
    def __init__(
        self, *, size: Literal[8, 16] = 8, other: Absent | None = None, **options: Any
    ) -> None:
        super().__init__(**options)


def test_choices_are_those_of_the_class_and_of_the_class_that_options_go_to() -> None:
    assert choices(Base) == {"colour": ("red", "green"), "size": (4, 8)}
    assert choices(Derived) == {"colour": ("red", "green"), "size": (8, 16)}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"colour": "blue"}, "unknown colour 'blue' of Base: expected red or green"),
        ({"size": 5}, "unknown size 5 of Base: expected 4 or 8"),
        ({"size": "4"}, "unknown size '4' of Base: expected 4 or 8"),
        ({"colour": "green", "size": True}, "unknown size True of Base"),
    ],
)
def test_an_object_of_another_value_is_not_made(given: dict[str, Any], message: str) -> None:
    assert Base(colour="green", size=8).size == 8
    with pytest.raises(UsageError, match=message):
        Base(**given)


def test_a_dataclass_checks_itself() -> None:
    @dataclass
    class Settings:
        fill: Literal["nearest", "zero"] = "nearest"

    check_choices(Settings, vars(Settings("zero")))
    with pytest.raises(UsageError, match="unknown fill 'mean': expected nearest or zero"):
        check_choices(Settings, {"fill": "mean"})


def test_on_and_off_are_words_where_these_are_the_choices() -> None:
    class Switch:
        def __init__(self, *, sequence: Literal["auto", "on", "off"] = "auto") -> None: ...

    for text, value in (("on", "on"), ("off", "off"), ("auto", "auto")):
        params = parse_variant(f"switch[sequence={text}]").params
        assert converted(Switch, params, "switch") == {"sequence": value}
    with pytest.raises(UsageError, match="unknown sequence '1' of switch: expected auto, on or of"):
        converted(Switch, {"sequence": 1}, "switch")


@pytest.mark.parametrize(
    ("words", "phrase"), [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")]
)
def test_words_in_one_phrase(words: list[str], phrase: str) -> None:
    assert either(words) == phrase


@pytest.mark.parametrize(
    "text",
    [
        "methods/arseg[backbone=psp99]", "methods/bisenet[form=paper]", "methods/dff[flow=lite]",
        "methods/dsrl[base=vgg]", "methods/icnet[branches=sub9]", "methods/pspnet[layers=34]",
        "datasets/camvid[classes=13]", "datasets/cityscapes[labels=half]",
        "datasets/synthetic[split=val]", "datasets/arsegdata[split=dev]", "codecs/h264[cell=16]",
        "codecs/raw[motion=codec]", "codecs/vp9[control=crf]", "codecs/hevc[paper=arseg]",
    ],
)  # fmt: skip
def test_a_choice_that_there_is_not_is_refused_before_anything_is_made(text: str) -> None:
    kind, _, variant = text.partition("/")
    wrong = parse_variant(variant)
    ((key, value),) = wrong.params.items()
    allowed = either(str(choice) for choice in choices(registry.load(kind, wrong.name))[key])
    message = f"unknown {key} {value!r} of {wrong.name}: expected {allowed}"
    with pytest.raises(UsageError) as caught:
        registry.resolved(kind, wrong)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("cls", "parameter", "table"),
    [
        (arseg.ARSeg, "backbone", arseg.BACKBONES),
        (bisenet.BiSeNet, "form", bisenet.BACKBONES),
        (bisenet.BiSeNet, "backbone", {name for of in bisenet.BACKBONES.values() for name in of}),
        (dff.DFF, "backbone", dff.BACKBONES),
        (dff.DFF, "flow", flownet.SETTINGS),
        (dff.DFF, "flow_form", flownet.FORMS),
        (dsrl.DSRL, "base", dsrl.BASES),
        (icnet.ICNet, "form", icnet.FORMS),
        (icnet.ICNet, "backbone", icnet.BACKBONES),
        (icnet.ICNet, "branches", cascade.BRANCHES),
        (icnet.ICNet, "fusion", cascade.FUSIONS),
        (registry.load("methods", "pspnet"), "style", STYLES),
        (registry.load("codecs", "hevc"), "paper", {*PAPERS, "none"}),
    ],
)
def test_choices_are_those_that_there_is_something_for(
    cls: type[Any], parameter: str, table: Collection[Value]
) -> None:
    assert set(choices(cls)[parameter]) == set(table)


def _broken() -> object:
    raise RuntimeError("a fault of the plug-in's own")


class _Faulty:
    def __init__(self, *, size: _broken() = 1) -> None: ...  # type: ignore[valid-type]


def test_a_fault_in_an_annotation_is_not_hidden() -> None:
    """A name for type checkers alone is no fault; code that fails is."""
    with pytest.raises(RuntimeError, match="of the plug-in's own"):
        choices(_Faulty)
