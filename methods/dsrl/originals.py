"""DSRL and its base networks: Xilinx/DSRL and EdgeNets (ESPNetv2), Dootmaan/DSRL and the code under
it (DeepLabv3+)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from vssbench.core.variant import Value
from vssbench.weights.original import Original, State, image_logits

_BASELINE: dict[str, Value] = {"sssr": False, "sisr": False, "fa": False}

#: convolution, BN and PReLU of EdgeNets' layers are sequences here
_ESPNETV2_RULES = (
    (r"^base_net\.level2_0\.", "net.encoder.level2."),
    (r"^base_net\.level([34])_0\.", r"net.encoder.down\1."),
    (r"^base_net\.level([34])\.(\d+)\.module_act\.", r"net.encoder.level\1.\2.act."),
    (r"^base_net\.level([34])\.(\d+)\.", r"net.encoder.level\1.\2.eesp."),
    (r"^base_net\.level1\.", "net.encoder.level1.layer."),
    (r"\.proj_1x1\.", ".reduce.layer."),
    (r"\.spp_dw\.(\d)\.conv\.", r".branches.\1."),
    (r"\.br_after_cat\.bn\.", ".activate.0."),
    (r"\.br_after_cat\.act\.", ".activate.1."),
    (r"\.conv_1x1_exp\.", ".merge.layer."),
    (r"\.inp_reinf\.0\.", ".reinforce.0.layer."),
    (r"\.inp_reinf\.1\.conv\.", ".reinforce.1."),
    (r"\.inp_reinf\.1\.bn\.", ".reinforce.2."),
    (r"\.layer\.conv\.", ".0."),
    (r"\.layer\.bn\.", ".1."),
    (r"\.layer\.act\.", ".2."),
    (r"^bu_dec_l4\.merge_layer\.3\.", "net.final."),
    (r"^bu_dec_l([123])\.merge_layer\.3\.", r"expand\1.0."),
    (r"^bu_dec_l([123])\.br\.br\.0\.", r"expand\1.1."),
    (r"^bu_dec_l([123])\.br\.br\.1\.", r"expand\1.2."),
    (r"^expand1\.", "net.expand16."),
    (r"^expand2\.", "net.expand8."),
    (r"^expand3\.", "net.expand4."),
    (r"^bu_dec_l5\.", "sssr.stages.0."),
    (r"^bu_dec_l6\.", "sssr.stages.1."),
    (r"^bu_dec_l1\.", "net.pyramid."),
    (r"^bu_dec_l2\.", "net.stage8.pyramid."),
    (r"^bu_dec_l3\.", "net.stage4.pyramid."),
    (r"^bu_dec_l4\.", "net.stage2.pyramid."),
    (r"\.projection_layer\.cbr\.", ".project."),
    (r"\.merge_layer\.0\.br\.", ".activate."),
    (r"\.merge_layer\.2\.cbr\.", ".merge."),
    (r"^(?:merge_enc_dec|bu_br)_l2\.", "net.stage8.join."),
    (r"^(?:merge_enc_dec|bu_br)_l3\.", "net.stage4.join."),
    (r"^(?:merge_enc_dec|bu_br)_l4\.", "net.stage2.join."),
    (r"\.join\.wt_layer\.1\.", ".lateral.gate."),
    (r"\.join\.expansion_layer\.cbr\.", ".lateral.conv."),
    (r"\.join\.", ".activate."),
)
_ESPNETV2_UNUSED = (
    (
        r"^base_net\.level\d_0\.eesp\.module_act\.",
        "an activation that the forward pass never reaches",
    ),
    (
        r"^(base_net\.)?(level5(_0)?|classifier)\.",
        "the image classifier's last level, which segmentation does not use",
    ),
)

_DECODER_RULES = (
    (r"decoder\.conv1\.", "decoder.reduce.0."),
    (r"decoder\.bn1\.", "decoder.reduce.1."),
    (r"decoder\.last_conv\.([01])\.", r"decoder.first.\1."),
    (r"decoder\.last_conv\.4\.", "decoder.second.0."),
    (r"decoder\.last_conv\.5\.", "decoder.second.1."),
)
_DEEPLAB_RULES = (
    *_DECODER_RULES,
    (r"^aspp\.aspp1\.", "aspp.branches.0."),
    (r"^aspp\.aspp2\.", "aspp.branches.1."),
    (r"^aspp\.aspp3\.", "aspp.branches.2."),
    (r"^aspp\.aspp4\.", "aspp.branches.3."),
    (r"^(aspp\.branches\.\d)\.atrous_conv\.", r"\1.0."),
    (r"^(aspp\.branches\.\d)\.bn\.", r"\1.1."),
    (r"^aspp\.global_avg_pool\.1\.", "aspp.average.0."),
    (r"^aspp\.global_avg_pool\.2\.", "aspp.average.1."),
    (r"^aspp\.conv1\.", "aspp.merge.0."),
    (r"^aspp\.bn1\.", "aspp.merge.1."),
    (r"^decoder\.last_conv\.8\.", "final."),
    (r"^(backbone|aspp|decoder|final)\.", r"net.\1."),
    (r"^sr_decoder\.last_conv\.8\.", "sisr.project."),
    (r"^sr_decoder\.", "sisr.decoder."),
    (r"^up_(sr|edsr)_1\.", r"sisr.stages.0.\1."),
    (r"^up_(sr|edsr)_2\.", r"sisr.stages.1.\1."),
    (r"^up_(sr|edsr)_3\.", r"sisr.stages.2.\1."),
    (r"\.sr\.", ".0."),
    (r"\.edsr\.conv\.0\.", ".1.first."),
    (r"\.edsr\.conv\.2\.", ".1.second."),
    (r"\.edsr\.residual_upsampler\.0\.", ".1.shortcut."),
    (r"^up_conv_last\.", "sisr.reconstruct."),
    (r"^pointwise\.", "transform."),
)
#: of both decoders' code: names that only a ResNet-101 of this layout has
_DEEPLAB_MARKS = (
    "backbone.layer3.22.conv3.weight",
    "aspp.aspp4.atrous_conv.weight",
    "decoder.last_conv.8.weight",
)
_DEEPLAB_UNUSED = (
    (r"^backbone\.fc\.", "the ImageNet classifier, which segmentation does not use"),
)


def _baseline_parameters(base: str) -> dict[str, Value]:
    return {"base": base, **_BASELINE}


def _sssr_parameters(state: State) -> dict[str, Value]:
    # the published files hold the network of the inference alone
    return {"base": "espnetv2", "sisr": False, "fa": False}


def _sssr_outputs(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return SSSR's scores: four times the size of the decoder's last feature, whose sides are the
    input's halves rounded up."""
    feature, _ = model.net.features(inputs[0])
    return [model.sssr.stages(model.net.final(feature))]


def _dootmaan_outputs(model: Any, inputs: Sequence[Tensor]) -> list[Tensor]:
    """Return logits at twice the input's size, the image from SISR, the transformed logits and the
    image again (for its FA loss).

    The image has eight times the size of layer 1's feature, a little more than twice that of an
    input of odd sides.
    """
    image = inputs[0]
    feature, _, encoder = model.base.encode(model.net, image)
    scores = model.scores(feature, (image.shape[-2], image.shape[-1]))
    structure, rebuilt = model.sisr(encoder)
    return [scores, rebuilt, model.transform(scores), structure]


ORIGINALS: tuple[Original, ...] = (
    Original(
        name="DSRL, the authors' (ESPNetv2)",
        source="Xilinx/DSRL@610c54e",
        method="dsrl",
        marks=(
            "base_net.level1.conv.weight",
            "bu_dec_l4.merge_layer.3.weight",
            "bu_dec_l5.0.weight",
            "bu_dec_l6.0.weight",
        ),
        classifier="bu_dec_l4.merge_layer.3.weight",
        rules=_ESPNETV2_RULES,
        unused=_ESPNETV2_UNUSED,
        parameters=_sssr_parameters,
        outputs=_sssr_outputs,
    ),
    Original(
        name="ESPNetv2 of EdgeNets",
        source="sacmehta/EdgeNets@2b232d3",
        method="dsrl",
        marks=("base_net.level1.conv.weight", "bu_dec_l4.merge_layer.3.weight"),
        absent=("bu_dec_l5.0.weight",),
        classifier="bu_dec_l4.merge_layer.3.weight",
        rules=_ESPNETV2_RULES,
        unused=_ESPNETV2_UNUSED,
        parameters=lambda state: _baseline_parameters("espnetv2"),
        outputs=image_logits,
    ),
    Original(
        name="DSRL of Dootmaan (DeepLabv3+)",
        source="Dootmaan/DSRL@1822d64",
        method="dsrl",
        marks=(
            *_DEEPLAB_MARKS,
            "sr_decoder.last_conv.8.weight",
            "up_conv_last.weight",
            "pointwise.0.weight",
        ),
        classifier="decoder.last_conv.8.weight",
        rules=_DEEPLAB_RULES,
        unused=_DEEPLAB_UNUSED,
        parameters=lambda state: {"base": "deeplabv3plus101", "form": "dootmaan"},
        outputs=_dootmaan_outputs,
    ),
    Original(
        name="DeepLabv3+ of pytorch-deeplab-xception",
        source="jfzhang95/pytorch-deeplab-xception@9135e10",
        method="dsrl",
        marks=_DEEPLAB_MARKS,
        absent=("sr_decoder.last_conv.8.weight",),
        classifier="decoder.last_conv.8.weight",
        rules=_DEEPLAB_RULES,
        unused=_DEEPLAB_UNUSED,
        parameters=lambda state: _baseline_parameters("deeplabv3plus101"),
        outputs=image_logits,
    ),
)
