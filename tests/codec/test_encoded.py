"""The codecs of FFmpeg together: their parameters and what each states of its encoder."""

from __future__ import annotations

from typing import Any, get_type_hints

import pytest

from vssbench.codec.encoded import CellOptions, EncodedCodec, SearchOptions
from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.variant import Variant

SHARED = (
    "gop", "bitrate", "crf", "qp", "preset", "bframes", "refs", "fps", "motion", "cell", "fill",
    "whole_pixels",
)  # fmt: skip
OWN = {"hevc": ("rect", "paper"), "vp9": ("control",)}
FORMATS = ("h264", "hevc", "vp9", "av1", "mpeg4", "mpeg2")


def test_options_by_name_are_those_of_the_constructor() -> None:
    keyword = get_type_hints(EncodedCodec.__init__)
    keyword.pop("return")
    assert tuple(keyword) == tuple(registry.parameters(EncodedCodec)) == SHARED
    assert get_type_hints(CellOptions) | get_type_hints(SearchOptions) == keyword


@pytest.mark.parametrize("name", FORMATS)
def test_formats_have_the_shared_parameters_then_their_own(name: str) -> None:
    assert tuple(registry.parameters(registry.load("codecs", name))) == (
        *SHARED,
        *OWN.get(name, ()),
    )


def _refused(name: str, **params: Any) -> str:
    with pytest.raises(UsageError) as caught:
        registry.create("codecs", Variant(name, params))
    return str(caught.value)


@pytest.mark.parametrize("name", FORMATS)
def test_what_an_encoder_takes_is_what_it_states(name: str) -> None:
    cls = registry.load("codecs", name)
    for control, bounds in (("crf", cls.crf_range), ("qp", cls.qp_range)):
        if bounds is None:
            assert (
                _refused(name, **{control: 20})
                == f"this codec's encoder has no {control}: use bitrate or qp"
            )
            continue
        for value in bounds:
            assert (
                getattr(registry.create("codecs", Variant(name, {control: value})).rate, control)
                == value
            )
        assert f"from {bounds[0]} to {bounds[1]}" in _refused(name, **{control: bounds[1] + 1})
    for preset in cls.presets:
        typed = int(preset) if preset.isdigit() else preset
        assert registry.create("codecs", Variant(name, {"preset": typed})).preset == preset
    assert (
        registry.create("codecs", Variant(name, {"bframes": cls.most_bframes})).bframes
        == cls.most_bframes
    )
    assert "cannot be used" in _refused(name, bframes=cls.most_bframes + 1)
    assert registry.create("codecs", Variant(name, {"refs": cls.most_refs})).refs == cls.most_refs
    assert "cannot be used" in _refused(name, refs=cls.most_refs + 1)
    low, high = cls.quality_range
    scale = cls.qp_range if cls.crf_range is None else cls.crf_range
    assert scale[0] < low < high <= scale[1]
