"""An experiment on a few patterns, measured by a network of random weights."""

import pytest
import torch

from vssbench.core import registry
from vssbench.core.variant import parse_variant
from vssbench.protocol import Dense
from vssbench.run.experiment import Experiment
from vssbench.weights.file import open_weights
from vssbench.weights.writing import save_weights


@pytest.fixture
def make_experiment(patterns, tmp_path):
    def make(method="bisenet[width=0.125]", codec="raw", gop=4, dataset=patterns):
        torch.manual_seed(0)
        variant, codec_variant = parse_variant(method), parse_variant(codec)
        model = registry.create("methods", variant, classes=3)
        path = tmp_path / f"{variant.name}.safetensors"
        if not path.exists():
            save_weights(path, model, variant, dataset.classes, "patterns", {})
        coder = registry.create("codecs", codec_variant, gop=gop)
        return Experiment(
            variant,
            open_weights(path),
            parse_variant("patterns"),
            dataset,
            codec_variant,
            coder,
            Dense(),
        )

    return make
