"""The weights that DFF starts from: its own, a PSPNet's, another's flow network."""

import json

import pytest
import torch

from tests.methods.dff.networks import CODEC, SMALL, UPSAMPLING, VARIANTS, create
from vssbench.core import registry
from vssbench.core.errors import WeightsError
from vssbench.core.variant import parse_variant


@pytest.mark.parametrize(
    ("text", "per_frame"),
    [(VARIANTS[3], "pspnet[style=semseg,width=0.125]"), (UPSAMPLING, "pspnet[width=0.125]")],
)
def test_starts_from_a_pspnet(text, per_frame):
    variant = parse_variant(per_frame)
    model, pspnet = create(text).eval(), create(per_frame).eval()
    source = {key: str(value) for key, value in registry.resolved("methods", variant).items()}
    source.update(name="pspnet", method=per_frame)
    for parameter in pspnet.parameters():
        torch.nn.init.normal_(parameter, std=0.05)
    assert model.initialise(pspnet.state_dict(), source) == ("task",)
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(model.keyframe(image)[0], pspnet.keyframe(image)[0])
    backbone = {
        name: value
        for name, value in pspnet.state_dict().items()
        if name.startswith("net.backbone.")
    }
    assert model.initialise(backbone, {**source, "missing": '["net.psp"]'}) == ()


def test_starts_from_a_flow_network_without_decoder_biases():
    model = create(SMALL)
    flow = {
        name: torch.randn_like(value)
        for name, value in create("dff[backbone=resnet18,width=0.125,flow_form=pytorch]")
        .state_dict()
        .items()
        if name.startswith("flow.network.")
    }
    source = {
        "name": "dff",
        "method": "dff[flow_form=pytorch]",
        "missing": json.dumps(["net", "flow.scale"]),
    }
    assert model.initialise(flow, source) == ("flow",)
    assert torch.equal(
        model.flow.network.deconv["5"][0].weight, flow["flow.network.deconv.5.0.weight"]
    )
    assert model.flow.network.deconv["5"][0].bias.abs().max() == 0


def test_starts_from_its_own_weights():
    model, other = create(SMALL), create(SMALL)
    torch.nn.init.normal_(other.net.final.weight)
    assert model.initialise(other.state_dict(), {"name": "dff", "method": SMALL}) == (
        "task",
        "flow",
    )
    assert torch.equal(model.net.final.weight, other.net.final.weight)
    assert create(CODEC).initialise(
        create(CODEC).state_dict(), {"name": "dff", "method": CODEC}
    ) == ("task",)


def test_weights_trained_with_the_codecs_motion_keep_the_flow_network_that_is_there():
    source = {"name": "dff", "method": CODEC, "motion": "codec", "backbone": "resnet18"}
    model, other = create(SMALL), create(CODEC)
    torch.nn.init.normal_(other.net.final.weight)
    flow = model.flow.network.predict["2"].weight.clone()
    assert model.initialise(other.state_dict(), source) == ("task",)
    assert torch.equal(model.net.final.weight, other.net.final.weight)
    assert torch.equal(model.flow.network.predict["2"].weight, flow)
    partial = {name: value for name, value in other.state_dict().items() if "final" not in name}
    assert model.initialise(partial, source | {"missing": '["net.final"]'}) == ()


@pytest.mark.parametrize(
    ("text", "source", "message"),
    [
        (
            SMALL,
            {"name": "pspnet", "method": "pspnet", "layers": "18", "style": "semseg"},
            "starts from weights of dff, and",
        ),
        (
            VARIANTS[3],
            {"name": "pspnet", "method": "pspnet", "layers": "18", "style": "upsample"},
            "style=semseg",
        ),
        (VARIANTS[3], {"name": "bisenet", "method": "bisenet"}, "this file holds bisenet"),
    ],
)
def test_foreign_weights_are_refused_in_words(text, source, message):
    with pytest.raises(WeightsError, match=message):
        create(text).initialise({}, source)
