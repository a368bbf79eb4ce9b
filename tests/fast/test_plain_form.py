"""The plain form that benchmarks set beside the harness's does no more than an evaluation needs."""

import importlib
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from vssbench.core.variant import parse_variant
from vssbench.cost.gmacs import count, total

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
SIZE = (64, 96)


@pytest.fixture
def forms(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module("forms")
    sys.modules.pop("forms", None)


@torch.no_grad()
@pytest.mark.parametrize(
    "text",
    [
        "bisenet[width=0.125]",
        "bisenet[form=torchseg,width=0.125]",
        "pspnet[width=0.125]",
        "pspnet[style=semseg,width=0.125]",
        "icnet[width=0.125]",
    ],
)
def test_heads_of_training_are_not_run(forms, text):
    plain = forms.PlainForm(text, SIZE).eval()
    with FlopCounterMode(display=False) as counter:
        logits, discarded = plain(forms.Frames.of(*SIZE).image)
    assert total(counter) == pytest.approx(count(parse_variant(text), 12, *SIZE).gmacs_key)
    assert logits.shape[1] == 12
    assert not discarded


@torch.no_grad()
def test_what_an_original_runs_in_vain_is_run(forms):
    """liminn's ICNet evaluates stages 3 and 4 of the halved image and throws them away."""
    text = "icnet[form=liminn,width=0.125]"
    plain = forms.PlainForm(text, SIZE).eval()
    with FlopCounterMode(display=False) as counter:
        _, discarded = plain(forms.Frames.of(*SIZE).image)
    assert len(discarded) == 4
    assert total(counter) > 1.2 * count(parse_variant(text), 12, *SIZE).gmacs_key
